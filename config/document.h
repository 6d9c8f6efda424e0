/*
 * document: what stands in a configuration, before anything is known of its meaning: sections,
 * and in them names with values as they were written.
 */
#ifndef LASTCALL_CONFIG_DOCUMENT_H
#define LASTCALL_CONFIG_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "config/buffer.h"
#include "config/problems.h"

#define NAME_MAX_LENGTH 49 /* of a section or a key: what inih keeps of one */

struct entry {
    size_t section; /* its index */
    char *name;
    struct buffer value; /* as written, the lines that continue it included */
    struct origin origin;
};

struct section {
    char *name; /* "route /echo": no blanks around it, one after its first word */
    struct origin origin;
};

/* Zeroed: empty. */
struct document {
    struct section *sections;
    size_t section_count;
    size_t section_capacity;
    struct entry *entries; /* in the order in which they were written */
    size_t entry_count;
    size_t entry_capacity;
    bool refused; /* something could not be read and is not here */
};

/* Appends a section, or an entry to a section. Returns 0, or -1 when memory ran out. */
int document_add_section(struct document *document, const char *name, size_t length,
                         struct origin origin);
int document_add_entry(struct document *document, size_t section, const char *name,
                       const char *value, struct origin origin);

/* The first entry of that name in the section; NULL: there is none. */
const struct entry *document_find(const struct document *document, size_t section,
                                  const char *name);

/*
 * Applies SECTION.KEY=VALUE, split at the last dot before the first equals sign (paths of routes
 * hold dots): replaces what the document says, or adds it and its section.
 */
void document_set(struct document *document, const char *setting, struct problems *problems);

void document_free(struct document *document);

#endif
