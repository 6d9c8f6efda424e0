/*
 * value: one text as what an option asks for, and back.
 * Knows the types of options; knows nothing of keys, sections or files.
 */
#ifndef LASTCALL_CONFIG_VALUE_H
#define LASTCALL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/option.h"

#define VALUE_SIZE 32 /* enough for any value that is no text */

/* What the row of an option cannot say. Zeroed, or NULL in its place: nothing. */
struct value_extra {
    const char *zero; /* what 0 means beside the range */
    /* Within the range; `why` is what is wrong, where there is more to say than `allowed` does. */
    bool (*check)(const struct option_value *value, char *why, size_t size);
    const char *allowed; /* what `check` allows, in words */
};

/*
 * Reads `text` as `option` and `extra` (or NULL) ask. Text is not copied: value->text is then
 * `text`. Returns 0, or -1 with the mistake in `why`.
 */
int value_parse(const struct option *option, const struct value_extra *extra, const char *text,
                struct option_value *value, char *why, size_t size);

/*
 * Writes a value that is no text as one would: the largest unit without a fraction ("90s", "1M",
 * "1%"). Returns `text`.
 */
const char *value_write(const struct option *option, const struct option_value *value,
                        char text[VALUE_SIZE]);

/* Writes what is allowed: "0 (off) or 1s to 24h", "text or json". Returns `text`. */
const char *value_allowed(const struct option *option, const struct value_extra *extra, char *text,
                          size_t size);

/* The type in one word: "duration". */
const char *value_type(const struct option *option);

#endif
