/*
 * origin_private: what is wrong with one origin, between the reading of one (origin.c) and that of
 * a list, which says it to a person (origins.c).
 */
#ifndef LASTCALL_CONFIG_ORIGIN_PRIVATE_H
#define LASTCALL_CONFIG_ORIGIN_PRIVATE_H

#include "config/origin.h"

enum origin_fault {
    ORIGIN_FINE,
    ORIGIN_WITHOUT_SCHEME,
    ORIGIN_WITHOUT_HOST,
    ORIGIN_WITH_PATH,
    ORIGIN_WITH_USER,
    ORIGIN_BLANK,
    ORIGIN_NOT_ASCII,
    ORIGIN_DOT_AT_END,
    ORIGIN_BAD_NAME,
    ORIGIN_BAD_FOUR,
    ORIGIN_BAD_SIX,
    ORIGIN_BAD_PORT,
    ORIGIN_BAD_STAR,
};

/* Reads one origin; `star`: its first label may be one. */
enum origin_fault origin_read(struct slice text, bool star, struct origin *origin);

/* Whether the host is an IPv4 or IPv6 address. */
bool origin_is_address(const struct origin *origin);

#endif
