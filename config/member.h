/*
 * member: a checked value as a member of struct config or struct config_route, and back.
 *
 * The member is a char * for text, a struct config_tolerance for a tolerance, and an int64_t for
 * all others. Addresses are no one's business here: they become a list.
 */
#ifndef LASTCALL_CONFIG_MEMBER_H
#define LASTCALL_CONFIG_MEMBER_H

#include "config/keys.h"
#include "config/option.h"

/* Sets the key's member of the struct at `base`; text is copied. Returns 0; -1: out of memory. */
int member_set(void *base, const struct config_key *key, const struct option_value *value);

/* What the member holds; its text is still the member's. */
struct option_value member_get(const void *base, const struct config_key *key);

/* Frees the member if it is text. */
void member_free(void *base, const struct config_key *key);

#endif
