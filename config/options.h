/*
 * options: the values of one handler's options, from one section.
 */
#ifndef LASTCALL_CONFIG_OPTIONS_H
#define LASTCALL_CONFIG_OPTIONS_H

#include "config/document.h"
#include "config/option.h"

/* The number of rows; `options` may be NULL. */
size_t options_count(const struct option *options);

/*
 * Reads a value for each option of `group`, from the section's entries or the defaults. `shown` is
 * the section's name for messages. Returns 0 and in *values one block that one free gives back
 * (NULL for a group without options), or -1 when anything was added to `problems`.
 */
int options_read(const struct option_group *group, const struct document *document, size_t section,
                 const char *shown, struct option_value **values, struct problems *problems);

#endif
