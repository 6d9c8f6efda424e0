/*
 * origin: the web origins whose pages may open a route (RFC 6454): those that one writes behind
 * `origins =`, and the one that a browser sends. Reads and compares; who is let in is decided by
 * server/origin.h. Knows no headers. Copies nothing: an origin points into the text that it was
 * read from. Any thread.
 */
#ifndef LASTCALL_CONFIG_ORIGIN_H
#define LASTCALL_CONFIG_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/option.h"
#include "config/slice.h"

#define ORIGINS_MAX 64        /* in one list */
#define ORIGINS_TEXT_MAX 4096 /* bytes of one list */
#define ORIGIN_SCHEME_MAX 32  /* bytes of a scheme */
#define ORIGIN_HOST_MAX 253   /* bytes of a host, as DNS has it */
#define ORIGIN_HOST_SIZE 262  /* of a host, its port and the zero */

enum origin_kind {
    ORIGIN_EXACT, /* https://example.org */
    ORIGIN_BELOW, /* a star as the first label: one or more labels before `host`, not `host` itself
                   */
    ORIGIN_NULL,  /* null: a sandboxed frame, a page from a file; anybody can make one */
    ORIGIN_SAME,  /* same: the host and port of the page are those that it asks */
    ORIGIN_ANY,   /* a star: every page */
};

struct origin {
    enum origin_kind kind;
    uint16_t port; /* 0: none is given and the scheme has no default */
    bool six;
    unsigned char address[16]; /* `six`: what is compared */
    struct slice scheme;
    struct slice host; /* a name or an IPv4 address; IPv6: between its brackets */
};

/* What is allowed, for messages. */
extern const char origins_allowed[];

/*
 * Reads what a browser sends: "null" or scheme "://" host [":" port] (RFC 6454, sections 6.2 and
 * 7.1) and nothing else: no path, user, blank, dot at the end, empty label, list, byte that is not
 * ASCII, port 0 or with leading zeros, IPv4 address in another than its usual spelling. A default
 * port (80, 443) is filled in. Returns false for anything else.
 */
bool origin_parse(struct slice text, struct origin *origin);

/*
 * Reads host [":" port], as in a Host header, by the same rules, into host, six, address and port
 * (0: none is given). Returns false for anything else.
 */
bool origin_parse_host(struct slice text, struct origin *origin);

/* The default port of http and https; 0: the scheme has none. */
uint16_t origin_default_port(struct slice scheme);

/* Whether hosts or schemes are alike, without case. */
bool origin_host_equals(const struct origin *one, const struct origin *other);
bool origin_scheme_equals(const struct origin *one, const struct origin *other);

/*
 * Reads "same, https://example.org:8443" into `list`, which has room for ORIGINS_MAX or is NULL
 * when only the check is wanted. Returns how many there are, at least one, or -1 with the mistake
 * in `why`: one that is given twice is a mistake, and so is a lone star beside others.
 */
int origins_parse(const char *text, struct origin *list, char *why, size_t size);

/* The check of a key. */
bool origins_check(const struct option_value *value, char *why, size_t size);

#endif
