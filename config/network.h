/*
 * network: the addresses and networks that one writes behind `trusted_proxies =`, and whether an
 * address is in one of them. An IPv4 address that is written as an IPv6 one (::ffff:192.0.2.1,
 * RFC 4291, section 2.5.5.2) counts as the IPv4 one. No look-ups. Any thread.
 */
#ifndef LASTCALL_CONFIG_NETWORK_H
#define LASTCALL_CONFIG_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "config/option.h"

#define NETWORKS_MAX 64

struct network {
    bool six;
    unsigned char bits; /* of the prefix: at most 32, or 128 */
    unsigned char address[16];
};

/* What is allowed, for messages. */
extern const char networks_allowed[];

/*
 * Reads "127.0.0.1, 10.0.0.0/8, ::1, fd00::/8" into `list`, which has room for NETWORKS_MAX or is
 * NULL when only the check is wanted. Returns how many there are, 0 for an empty text, or -1 with
 * the mistake in `why`: bits behind the prefix are one, and so is a network given twice.
 */
int networks_parse(const char *text, struct network *list, char *why, size_t size);

/* The check of a key. */
bool networks_check(const struct option_value *value, char *why, size_t size);

/* Whether the address is in one of the networks; not for another family than IPv4 and IPv6. */
bool network_contains(const struct network *list, size_t count, const struct sockaddr *address);

#endif
