/*
 * status: how the server is, as JSON, for people who watch it and for scripts.
 *
 * A snapshot is made once for all who want one at about the same time. It looks at the tracker, the
 * routes, the loops, readiness and the process; who asks, and how often, is none of its business.
 * Any thread unless something else is said.
 */
#ifndef LASTCALL_SERVER_STATUS_H
#define LASTCALL_SERVER_STATUS_H

#include <stddef.h>
#include <stdint.h>

struct loops;
struct route;
struct tracker;
struct tracker_route;

/* What a snapshot looks at; everything is kept, not copied. */
struct status_sources {
    struct tracker *tracker;
    struct loops *loops;
    const struct route *routes;
    size_t route_count;
    const struct tracker_route *elsewhere; /* what no route takes */
    size_t http_threads;
};

/* Before the server opens. Main thread. */
void status_init(const struct status_sources *sources);

/* A signal to stop has come: at `signal_at` (clock_milliseconds), and all is over `timeout`
   milliseconds later. After tracker_mark. Main thread. */
void status_stopping(int64_t signal_at, int64_t timeout);

/* From now on there are no snapshots: what they look at is about to be freed. Main thread. */
void status_end(void);

/* How far the shutdown has come. */
enum status_phase {
    STATUS_SERVING,
    STATUS_DELAY,    /* a signal has come, all works as before */
    STATUS_DRAINING, /* the gate is closed */
    STATUS_ALONE,    /* only those that watch are left */
};
enum status_phase status_phase(void);

/*
 * Asks the loops to look who is still there: what they see is in snapshots from a few milliseconds
 * later on. For a drain; asked often, it does so every 100 ms. Does not wait.
 */
void status_look(void);

/* One text for many; it does not change. */
struct status_snapshot {
    size_t length;
    char *text; /* a JSON object, ended by a zero that is not counted */
    enum status_phase phase;
    int64_t made_at; /* clock_milliseconds */
    unsigned holders;
};

/*
 * A snapshot of the present phase that is at most `age` milliseconds old. Give it back with
 * status_release. It takes some hundred microseconds to make one, and nobody waits for anything
 * else. Returns NULL without memory, and after status_end.
 */
struct status_snapshot *status_get(int64_t age);
void status_release(struct status_snapshot *snapshot);

#endif
