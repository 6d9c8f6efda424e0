/*
 * names: what a misspelt name may have meant, and what would have been right.
 */
#ifndef LASTCALL_CONFIG_NAMES_H
#define LASTCALL_CONFIG_NAMES_H

#include <stddef.h>

/* Zeroed, with `read` set: nothing was offered. */
struct names {
    const char *read;    /* what was written */
    const char *nearest; /* the offered name that looks most like it; NULL: none does */
    size_t distance;
    char list[600]; /* all that were offered: "a, b, c" */
};

/* Offers a right name, which must live as long as `names`. */
void names_offer(struct names *names, const char *name);

/* Writes "did you mean B? allowed: A, B, C", or what of it there is. Returns `text`. */
const char *names_hint(const struct names *names, char *text, size_t size);

#endif
