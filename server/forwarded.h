/*
 * forwarded: who the client is, and which host it asked for, behind proxies that are trusted. What
 * it is for: logs, the status page, and origins (`same`). Decides from headers; no I/O, no
 * look-ups, no allocation, bounded work. Any thread.
 *
 * Each proxy adds what it saw at the end of a list, so only what stands at the right of it is true:
 * the list is read from the right, as far as trusted proxies have written it. X-Forwarded-For and
 * X-Forwarded-Host are read; Forwarded (RFC 7239) only where neither is there, because a proxy that
 * sets one kind passes the other through as the client, who may lie, has sent it.
 */
#ifndef LASTCALL_SERVER_FORWARDED_H
#define LASTCALL_SERVER_FORWARDED_H

#include <stddef.h>
#include <sys/socket.h>

#include "config/network.h"
#include "config/origin.h"
#include "server/handshake.h"

#define FORWARDED_HOPS_MAX 64 /* the rest of a list is not read */

struct client {
    struct sockaddr_storage address; /* port 0: not told */
    char host[ORIGIN_HOST_SIZE];     /* "" when it is missing, doubled or too long */
};

/*
 * Fills in *client from the socket's peer and the request's headers. When the peer is not in
 * `trusted`: its own address, and Host. Else the first address from the right of the list that is
 * not trusted, or the last before something that is no address (a name, "unknown", "_hidden");
 * and the last X-Forwarded-Host, or the last host= of Forwarded that a trusted proxy wrote, else
 * Host. What is malformed counts as not there.
 */
void forwarded_read(const struct sockaddr *peer, const struct header *headers, size_t header_count,
                    const struct network *trusted, size_t trusted_count, struct client *client);

#endif
