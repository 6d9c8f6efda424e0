/*
 * route: which handler answers on a path.
 *
 * Decides and counts; no I/O. A table of routes is made once, before the server listens, and only
 * read afterwards; the counters in it belong to the tracker and the sessions.
 */
#ifndef LASTCALL_SERVER_ROUTE_H
#define LASTCALL_SERVER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

struct handler;
struct origin;
struct session_limits;
struct tracker_route;

struct route {
    const char *name; /* as one would write it in the configuration: "/chat/" and a star */
    const char *path; /* "/chat" */
    const struct handler *handler;
    void *state; /* the handler's own */
    struct tracker_route *counts;
    const struct session_limits *limits; /* what its sessions obey */
    bool prefix;
    bool drain_waits; /* at shutdown the handler or the peer ends a session, until time is up */

    /* Who may open a WebSocket: see server/origin.h and handshake_subprotocol. */
    bool origins_required; /* no Origin is refused as well */
    bool subprotocols_required;
    bool compression;             /* permessage-deflate is agreed on with who wants it */
    const struct origin *origins; /* NULL: pages of the host that is asked */
    size_t origin_count;
    const char *subprotocols; /* NULL or "": none */
};

/*
 * Finds the route for a decoded path, which begins with a slash. An exact route wins over a prefix,
 * and a longer prefix over a shorter; the prefix "/x" matches "/x" and "/x/..." but not "/xy"; the
 * prefix "" (written as slash and star) matches all. *rest is set to what the star stands for (""
 * for an exact match). Returns NULL when nothing matches.
 */
const struct route *route_match(const struct route *routes, size_t count, const char *path,
                                const char **rest);

#endif
