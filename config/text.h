/*
 * text: how a value is written and what it then says: quotes, environment variables, dollars.
 * Knows no keys, no lines and no comments.
 */
#ifndef LASTCALL_CONFIG_TEXT_H
#define LASTCALL_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/buffer.h"

/*
 * Replaces what is in `out` by what `written` says:
 *   plain text            itself, without the blanks around it
 *   "text"                what is between the quotes; "" in it is one quote
 *   "one" "two"           onetwo, so that a long text fits on several lines
 *   ${NAME}               the environment variable; ${NAME:-text} text when it is unset or empty
 *   $$                    a dollar
 *   $word                 itself, when it begins with a small letter: some keys give it a meaning
 * What a variable holds is taken as it is. Returns 0, or -1 with the mistake in `why`, which is
 * empty when memory ran out.
 */
int text_decode(const char *written, struct buffer *out, char *why, size_t size);

/*
 * Prints "name = value" as lines of a file, quoted where needed, so that text_decode gives back
 * the value.
 */
void text_print(FILE *out, const char *name, const char *value);

/* Whether all of it is UTF-8 (RFC 3629). */
bool text_is_utf8(const char *text, size_t length);

/* Whether the byte may stand in no configuration: a control character other than tab. */
bool text_is_control(char byte);

/* Whether it is a blank or a tab. */
bool text_is_blank(char byte);

/* Whether it is a letter, a digit or an underscore, as in the names of variables and keys. */
bool text_is_name(char byte);

#endif
