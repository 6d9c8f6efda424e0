/*
 * entry: from what was written to a value that has been checked, or to a problem.
 */
#ifndef LASTCALL_CONFIG_ENTRY_H
#define LASTCALL_CONFIG_ENTRY_H

#include "config/document.h"
#include "config/option.h"
#include "config/value.h"

#define REASON_SIZE 512

/*
 * Reads what `entry` says as `option` asks, or the option's default when `entry` is NULL; `extra`
 * as for value_parse. The text goes to `text`, and value->text points into it. Returns 0, or -1
 * when it is wrong and has been added to `problems`.
 */
int entry_read(const struct entry *entry, const struct option *option,
               const struct value_extra *extra, struct buffer *text, struct option_value *value,
               struct problems *problems);

/* Adds that `entry` is the second of its name in its section; `first` is the other. */
void entry_doubled(const struct document *document, const struct entry *entry,
                   const struct entry *first, struct problems *problems);

#endif
