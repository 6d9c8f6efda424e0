/*
 * address: the addresses to listen on, as text and as numbers. No look-ups: a name is refused.
 */
#ifndef LASTCALL_CONFIG_ADDRESS_H
#define LASTCALL_CONFIG_ADDRESS_H

#include <stddef.h>

#include "config/config.h"

#define ADDRESSES_MAX 16
#define ADDRESS_SIZE 56 /* "[" host "]:" port and the zero */

/* What is allowed, for messages. */
extern const char addresses_allowed[];

/*
 * Reads "127.0.0.1:8080, *:80, [::1]:443" into `list`, which has room for ADDRESSES_MAX or is NULL
 * when only the check is wanted. Hosts come out in their usual spelling, every address as "".
 * Returns how many there are, or -1 with the mistake in `why`: two that cannot both be had are
 * one.
 */
int addresses_parse(const char *text, struct config_address *list, char *why, size_t size);

/* Writes one as it is written in a file. Returns `text`. */
const char *address_write(const struct config_address *address, char text[ADDRESS_SIZE]);

#endif
