/*
 * tokens: a comma-separated list of words as HTTP allows them (token, RFC 9110, section 5.6.2),
 * which is what names of subprotocols are. Any thread.
 */
#ifndef LASTCALL_CONFIG_TOKENS_H
#define LASTCALL_CONFIG_TOKENS_H

#include "config/option.h"
#include "config/slice.h"

#define TOKENS_MAX 32
#define TOKEN_SIZE 65 /* of one, and the zero */

/* What is allowed, for messages. */
extern const char tokens_allowed[];

/* How many bytes at the beginning of a text, which a zero ends, are characters of a token. */
size_t token_span(const char *text);

/*
 * The check of a key: tokens of less than TOKEN_SIZE bytes, at most TOKENS_MAX, none of them twice.
 * Returns false with the mistake in `why`. An empty text is none, and right.
 */
bool tokens_check(const struct option_value *value, char *why, size_t size);

/* Whether a list that has been checked holds the token, case counting. */
bool tokens_hold(const char *list, struct slice token);

#endif
