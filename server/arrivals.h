/*
 * arrivals: requests that take long to arrive, and answers that take long to leave.
 *
 * Each holds one of CivetWeb's threads, and what has not arrived whole the door has not seen. So
 * whoever looks at CivetWeb's connections shows them here. Of each address as many requests may be
 * slow as may be served at a time (limits.requests_per_address); of more the oldest are answered
 * 429 and ended. Requests that are being served are counted, and left alone; those that wait for a
 * thread are not slow.
 *
 * While all threads are held, and whosoever they are, one connection after the other is given up:
 * the oldest half request, and where there is none the answer that is read most slowly. So nobody
 * waits for long. One thread, that which looks, unless something else is said; nothing blocks.
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
    int64_t waited; /* when it was last seen to wait for a thread; 0: never */
    bool ended;     /* by us: CivetWeb has not noticed yet */
};

/* Whether a connection was ended here: the status that it was answered with, which has been counted
   and logged; ARRIVALS_CUT where its own answer had begun; 0: it was not. Asked once for each. Any
   thread. */
#define ARRIVALS_CUT 1
int arrivals_ended(const struct sockaddr *peer);

/* Looks at all connections that CivetWeb has, at time `now`, and ends what is too much; sooner
   where threads are `scarce`, as others wait for one. Returns how many it has ended. */
size_t arrivals_judge(struct arrival *arrivals, size_t count, int64_t now, bool scarce);

#endif
