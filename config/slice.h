/*
 * slice: a part of a text that is not ended by a zero, and lists written with commas. Copies
 * nothing: a slice lives as long as the text that it points into. Knows nothing of what the parts
 * mean. Any thread.
 */
#ifndef LASTCALL_CONFIG_SLICE_H
#define LASTCALL_CONFIG_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const char *text;
    size_t length;
};

/* The whole of a text. */
struct slice slice_of(const char *text);

/* Without the blanks and tabs around it (OWS of RFC 9110, section 5.6.3). */
struct slice slice_trim(struct slice slice);

/* Whether both are the same bytes; without case, the letters of ASCII count alike. */
bool slice_equals(struct slice one, struct slice other);
bool slice_equals_without_case(struct slice one, struct slice other);

/*
 * Takes the first item off *list, trimmed; an empty one between two commas is one too. *list is
 * NULL behind the last. Returns false when *list is NULL.
 */
bool slice_next(const char **list, struct slice *item);

#endif
