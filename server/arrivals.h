/*
 * arrivals: requests that take long to arrive, and of one address too many of them.
 *
 * Such a request holds one of CivetWeb's threads, and as long as it is not whole the door has not
 * seen it. So whoever looks at CivetWeb's connections shows them here: of each address as many may
 * be slow as may be served at a time (limits.requests_per_address); of more the oldest are answered
 * 429 and ended. Requests that are being served are counted, and left alone; those that wait for a
 * thread are not slow. One thread, that which looks; nothing blocks.
 */
#ifndef LASTCALL_SERVER_ARRIVALS_H
#define LASTCALL_SERVER_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/network.h"
#include "server/addresses.h"
#include "server/takeover.h"
#include "server/tracker.h"

/* What it works with; everything is kept, not copied. */
struct arrivals_options {
    struct addresses *addresses;
    const struct network *trusted; /* proxies, which send requests when they are whole */
    size_t trusted_count;
    struct tracker_route *counts; /* where those that are ended are counted as refused */
};

/* Before the first look; NULL: nothing is ever ended. */
void arrivals_init(const struct arrivals_options *options);

/* A connection that CivetWeb has, and since when (clock_milliseconds). */
struct arrival {
    struct takeover_connection connection;
    int64_t since;
    bool ended; /* by us: CivetWeb has not noticed yet */
};

/* Whether a request that did not become whole was ended here, and so has been answered, counted and
   logged: asked once for each. Any thread. */
bool arrivals_ended(const struct sockaddr *peer);

/* Looks at all connections that CivetWeb has, at time `now`, and ends what is too much; sooner
   where threads are `scarce`, as others wait for one. Returns how many it has ended. */
size_t arrivals_judge(struct arrival *arrivals, size_t count, int64_t now, bool scarce);

#endif
