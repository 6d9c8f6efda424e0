/*
 * origin: which pages may open a route: the guard against cross-site WebSocket hijacking (RFC 6455,
 * section 10.2). A page of anybody's can open a WebSocket here with its visitor's cookies, and
 * only the Origin header tells where it comes from. In doubt it is not let in. No I/O, no
 * allocation, any thread.
 */
#ifndef LASTCALL_SERVER_ORIGIN_H
#define LASTCALL_SERVER_ORIGIN_H

#include <stddef.h>

#include "config/origin.h"
#include "server/handshake.h"

enum origin_answer {
    ORIGIN_ALLOWED,
    ORIGIN_REFUSED, /* 403 */
    ORIGIN_MISSING, /* no Origin header, so no browser: the caller decides */
};

/*
 * Looks for the request's Origin in the list. `host` is the Host that the client asked for
 * (struct client of forwarded.h), "" when it is not known; `same` compares with it, and takes one
 * without a port for the default port of the origin's scheme. Several Origin headers, and one that
 * origin_parse does not take, are let in by a lone star only.
 */
enum origin_answer origin_allowed(const struct origin *list, size_t count,
                                  const struct header *headers, size_t header_count,
                                  const char *host);

#endif
