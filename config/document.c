#include "config/document.h"

#include <stdlib.h>
#include <string.h>

#include "config/memory.h"
#include "config/text.h"

/* Makes room for one more. Returns the list, or NULL when memory ran out. */
static void *grow(void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    size_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = memory_resize(list, wanted * size);
    if (grown)
        *capacity = wanted;
    return grown;
}

/* Blanks carry no meaning around a section's name, nor how many follow its first word. */
static char *tidy(const char *name, size_t length)
{
    struct buffer buffer = {0};
    size_t word = 0;

    while (length && text_is_blank(*name)) {
        name++;
        length--;
    }
    while (length && text_is_blank(name[length - 1]))
        length--;
    while (word < length && !text_is_blank(name[word]))
        word++;
    buffer_add(&buffer, name, word);
    if (word < length)
        buffer_add(&buffer, " ", 1);
    while (word < length && text_is_blank(name[word]))
        word++;
    buffer_add(&buffer, name + word, length - word);
    return buffer_take(&buffer);
}

int document_add_section(struct document *document, const char *name, size_t length,
                         struct origin origin)
{
    struct section *sections = grow(document->sections, document->section_count,
                                    &document->section_capacity, sizeof(*sections));
    if (!sections)
        return -1;
    document->sections = sections;
    char *tidied = tidy(name, length);
    if (!tidied)
        return -1;
    sections[document->section_count++] = (struct section){tidied, origin};
    return 0;
}

int document_add_entry(struct document *document, size_t section, const char *name,
                       const char *value, struct origin origin)
{
    struct entry *entries =
        grow(document->entries, document->entry_count, &document->entry_capacity, sizeof(*entries));
    if (!entries)
        return -1;
    document->entries = entries;
    struct entry entry = {.section = section, .origin = origin};
    buffer_add(&entry.value, value, strlen(value));
    entry.name = buffer_copy(name, strlen(name));
    if (!entry.name || entry.value.failed) {
        free(entry.name);
        buffer_free(&entry.value);
        return -1;
    }
    entries[document->entry_count++] = entry;
    return 0;
}

static struct entry *find(const struct document *document, size_t section, const char *name)
{
    for (size_t i = 0; i < document->entry_count; i++) {
        struct entry *entry = &document->entries[i];
        if (entry->section == section && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

const struct entry *document_find(const struct document *document, size_t section, const char *name)
{
    return find(document, section, name);
}

/* The section of that name, added when it is not there. Returns -1 when memory ran out. */
static int find_section(struct document *document, const char *name, size_t length,
                        struct origin origin, size_t *found)
{
    char *tidied = tidy(name, length);
    int result = -1;

    for (size_t i = 0; tidied && result < 0 && i < document->section_count; i++) {
        if (strcmp(document->sections[i].name, tidied) == 0) {
            *found = i;
            result = 0;
        }
    }
    if (tidied && result < 0) {
        *found = document->section_count;
        result = document_add_section(document, name, length, origin);
    }
    free(tidied);
    return result;
}

static int set_entry(struct document *document, size_t section, const char *name, const char *value,
                     struct origin origin)
{
    struct entry *entry = find(document, section, name);

    if (!entry)
        return document_add_entry(document, section, name, value, origin);
    buffer_clear(&entry->value);
    buffer_add(&entry->value, value, strlen(value));
    /* The line stays: a second key of that name in the file is still a mistake. */
    entry->origin.setting = origin.setting;
    return entry->value.failed ? -1 : 0;
}

void document_set(struct document *document, const char *setting, struct problems *problems)
{
    struct origin origin = {.setting = setting};
    const char *equals = strchr(setting, '=');
    const char *dot = equals ? memrchr(setting, '.', (size_t)(equals - setting)) : NULL;
    size_t section;

    if (dot && (dot - setting > NAME_MAX_LENGTH || memchr(setting, ']', (size_t)(dot - setting)))) {
        problems_add(problems, origin,
                     "a section's name has at most %d bytes and holds no ]: for such a path "
                     "write route NAME, and a setting of its own for its path key",
                     NAME_MAX_LENGTH);
        return;
    }
    if (!dot || dot == setting || dot + 1 == equals) {
        problems_add(problems, origin, "write SECTION.KEY=VALUE, as in limits.message=64k");
        return;
    }
    char *name = buffer_copy(dot + 1, (size_t)(equals - dot - 1));
    if (!name || find_section(document, setting, (size_t)(dot - setting), origin, &section) < 0 ||
        set_entry(document, section, name, equals + 1, origin) < 0)
        problems_no_memory(problems);
    free(name);
}

void document_free(struct document *document)
{
    for (size_t i = 0; i < document->section_count; i++)
        free(document->sections[i].name);
    for (size_t i = 0; i < document->entry_count; i++) {
        free(document->entries[i].name);
        buffer_free(&document->entries[i].value);
    }
    free(document->sections);
    free(document->entries);
    *document = (struct document){0};
}
