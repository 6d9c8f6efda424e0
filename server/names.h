/*
 * names: a table of things that have a name, of any bytes. The names may be an attacker's choice:
 * the key of the hash is a secret of the process. Knows nothing of the things.
 *
 * Nothing here is locked: a table belongs to one thread.
 */
#ifndef LASTCALL_SERVER_NAMES_H
#define LASTCALL_SERVER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a thing begins with. The text is the owner's, and must stay where it is. */
struct named {
    struct named *next;
    const char *text;
    size_t length;
    uint64_t hash;
};

/* Zeroed it is ready and empty. */
struct names {
    struct named **lists;
    size_t size; /* of `lists`: 0, or a power of two */
    size_t count;
};

/* SipHash-1-3 with a key of 128 bits. */
uint64_t names_hash(const uint64_t key[2], const char *text, size_t length);

/* NULL: it is not there. */
struct named *names_find(const struct names *names, uint64_t hash, const char *text, size_t length);

/* Adds what is not there yet; text, length and hash are set. Returns false without memory. */
bool names_add(struct names *names, struct named *named);

/* Takes out what is there. The table gives its own memory back when it has become too large. */
void names_remove(struct names *names, struct named *named);

#endif
