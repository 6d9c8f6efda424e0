/*
 * tracker: everything that is in flight, and the gate that stops more from coming in.
 *
 * WebSocket sessions and requests (an HTTP request, or a handshake until its socket is with a
 * loop) enter and leave. Draining closes the gate, tells those who registered, and waits until
 * all have left. It knows neither sockets nor CivetWeb: with shutdown.h it is what another
 * program needs to stop in the same way.
 *
 * The gate is right under any race because who enters counts first and looks then, and who drains
 * closes first and reads then. All functions may be called on any thread unless they say
 * otherwise; none blocks but tracker_wait_requests.
 */
#ifndef LASTCALL_SERVER_TRACKER_H
#define LASTCALL_SERVER_TRACKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/histogram.h"

struct memory;
struct tracker;

/* How a session ended. */
enum tracker_outcome {
    OUTCOME_HANDSHAKE, /* both sides sent their Close */
    OUTCOME_GONE,      /* the peer ended TCP */
    OUTCOME_FORCED,    /* we cut it */
    OUTCOME_COUNT
};

/* Why something was not let in; names are in tracker_refusal_names. */
enum tracker_refusal {
    REFUSED_STARTING,    /* the routes do not stand yet */
    REFUSED_DRAINING,    /* the gate is closed */
    REFUSED_FULL,        /* limits.connections is reached */
    REFUSED_ROUTE_FULL,  /* the route's own limit is reached */
    REFUSED_ADDRESS,     /* the client's address takes as much as one may */
    REFUSED_REQUEST,     /* nothing that HTTP allows */
    REFUSED_HANDSHAKE,   /* not a valid upgrade request */
    REFUSED_ORIGIN,      /* from a page that may not connect */
    REFUSED_ROUTE,       /* no route, or one that does not serve this */
    REFUSED_DESCRIPTORS, /* the system or its socket did not allow it */
    REFUSED_GONE,        /* the peer has reset the connection meanwhile */
    REFUSAL_COUNT
};

extern const char *const tracker_outcome_names[OUTCOME_COUNT];
extern const char *const tracker_refusal_names[REFUSAL_COUNT];

/* Closes are counted by these codes; all others share the last place. */
#define TRACKER_CODES 14
extern const uint16_t tracker_codes[TRACKER_CODES]; /* the last is 0: "other" */

/* How many durations were at most so long: one count for each bound, and one for the rest. */
#define TRACKER_BOUNDS 12
struct tracker_durations {
    atomic_uint_fast64_t counts[TRACKER_BOUNDS + 1];
    atomic_uint_fast64_t microseconds; /* of all together */
};
extern const int64_t tracker_handshake_bounds[TRACKER_BOUNDS]; /* microseconds */
extern const int64_t tracker_session_bounds[TRACKER_BOUNDS];

/* Traffic of one route on one loop: written by that loop alone, read by all. */
struct tracker_traffic {
    _Alignas(64) atomic_uint_fast64_t received; /* messages */
    atomic_uint_fast64_t sent;
    atomic_uint_fast64_t received_bytes; /* their payload */
    atomic_uint_fast64_t sent_bytes;
    atomic_uint_fast64_t received_draining; /* of `received`: after the drain began */
    atomic_uint_fast64_t queued;            /* bytes that wait for peers now */
    struct tracker_durations handshake;     /* from the request to the open session */
    struct tracker_durations session;
};

/* How long things took, in microseconds. */
struct tracker_timing {
    struct histogram signal_to_close; /* until our Close was handed to the socket */
    struct histogram close_to_answer; /* from then until the peer's Close */
};

#define TRACKER_STATUS_FIRST 100
#define TRACKER_STATUSES 500

/* What is known of one route. Read freely; written by the tracker's functions only, but for `limit`
   and `last`, which may be set before anything enters. */
struct tracker_route {
    const char *name;
    size_t limit;         /* sessions that may be open here; tracker_add_route says SIZE_MAX */
    bool last;            /* its sessions watch the others, and are drained after them */
    atomic_size_t inside; /* sessions that have entered */
    struct tracker_route *next;
    struct tracker_traffic *traffic; /* one for each loop */
    atomic_uint_fast64_t open;
    atomic_uint_fast64_t opened;
    atomic_uint_fast64_t closed[OUTCOME_COUNT];
    atomic_uint_fast64_t codes[TRACKER_CODES][OUTCOME_COUNT];
    atomic_uint_fast64_t refused[REFUSAL_COUNT];
    atomic_uint_fast64_t answered[TRACKER_STATUSES]; /* HTTP requests, by status */
    uint64_t opened_before;                          /* as it was when tracker_mark was called */
    uint64_t closed_before[OUTCOME_COUNT];
    uint64_t refused_before;
};

/* What happened since tracker_mark. open is always handshake + gone + forced. */
struct tracker_report {
    uint64_t open; /* at the mark, and opened since */
    uint64_t closed[OUTCOME_COUNT];
    uint64_t refused;
    uint64_t received; /* messages since the drain began */
};

/*
 * Makes a tracker for at most `connections` sessions, whose traffic is counted in `loops` places.
 * Returns NULL with errno when the system refuses memory or a descriptor.
 */
struct tracker *tracker_new(size_t connections, size_t loops);

/* Frees it; nothing may be in flight. */
void tracker_free(struct tracker *tracker);

/*
 * Adds a route that is counted under `name`, which is kept, not copied. Before anything enters,
 * on one thread. Returns NULL without memory.
 */
struct tracker_route *tracker_add_route(struct tracker *tracker, const char *name);

/* The routes, linked by `next`, in the order in which they were added. */
struct tracker_route *tracker_routes(const struct tracker *tracker);

/* Lets a request in, or returns false: the gate is closed. */
bool tracker_enter_request(struct tracker *tracker);

/* Lets it out; `finished`: it was an HTTP request that a handler has answered. */
void tracker_leave_request(struct tracker *tracker, bool finished);

/* Counts an HTTP answer. */
void tracker_answered(struct tracker_route *route, int status);

/* Counts that the answer to a request that is about to leave was given up by us. */
void tracker_request_cut(struct tracker *tracker);

/* Lets a session in: 0, or -1 - REFUSED_DRAINING, -1 - REFUSED_FULL or -1 - REFUSED_ROUTE_FULL. */
int tracker_enter_session(struct tracker *tracker, struct tracker_route *route);

/* A session that entered is open. One that never comes to be just leaves. */
void tracker_session_opened(struct tracker_route *route);

/*
 * An opened session has ended, `code` being that of the first Close (1006: none). It leaves with
 * tracker_leave_session, when nothing more will be said of it.
 */
void tracker_session_ended(struct tracker_route *route, enum tracker_outcome outcome,
                           uint16_t code);
void tracker_leave_session(struct tracker *tracker, struct tracker_route *route);

/* Adds to a count that has one writer, so that no locked addition is needed. That writer. */
void tracker_count(atomic_uint_fast64_t *counter, uint64_t amount);

/* Counts a duration; `bounds` is one of the two tables. The only writer of `durations`. */
void tracker_duration(struct tracker_durations *durations, const int64_t *bounds,
                      int64_t microseconds);

/* Counts a refusal. */
void tracker_refused(struct tracker_route *route, enum tracker_refusal refusal);

/* The times of the drain on one loop, which is their only writer. */
struct tracker_timing *tracker_timing(struct tracker *tracker, size_t loop);

/* Adds up those of all loops. Any thread. */
void tracker_timings(const struct tracker *tracker, struct tracker_timing *sum);

/* Registers who is told when the drain begins. Before anything enters. Returns 0, or -1: that would
   be more than eight. */
int tracker_on_drain(struct tracker *tracker, void (*begin)(void *argument), void *argument);

/* Remembers all counts, so that tracker_report tells what came after: when the signal has come. A
   second call does nothing. One thread. */
void tracker_mark(struct tracker *tracker);

/* Closes the gate. When it returns, whatever enters is refused. */
void tracker_close_gate(struct tracker *tracker);

/* Tells all who registered to drain. After tracker_close_gate, once. */
void tracker_drain(struct tracker *tracker);

bool tracker_gate_closed(const struct tracker *tracker);
size_t tracker_sessions(const struct tracker *tracker);
size_t tracker_requests(const struct tracker *tracker);

/* Whether nothing is in flight but sessions that are drained last. */
bool tracker_only_last(const struct tracker *tracker);

/* Sessions that may be open at a time. */
size_t tracker_limit(const struct tracker *tracker);

/* What all sessions hold; SIZE_MAX is its limit until another one is set. */
struct memory *tracker_memory(struct tracker *tracker);

/* The number of places in which traffic is counted, as given to tracker_new. */
size_t tracker_loops(const struct tracker *tracker);

/* Requests that were finished, or whose answers were cut, since tracker_mark. */
uint64_t tracker_requests_finished(const struct tracker *tracker);
uint64_t tracker_requests_cut(const struct tracker *tracker);

/*
 * A descriptor that becomes readable when, behind the closed gate, the last session or the last
 * request has left; read it with tracker_acknowledge before looking at the counts.
 */
int tracker_descriptor(const struct tracker *tracker);
void tracker_acknowledge(struct tracker *tracker);

/*
 * Blocks until no request is in flight or `deadline` (clock_milliseconds) has come; the gate must
 * be closed. One thread. Returns the number of requests still in flight.
 */
size_t tracker_wait_requests(struct tracker *tracker, int64_t deadline);

/* Sums up one route, or all for NULL; what is still open counts as forced. */
struct tracker_report tracker_report(const struct tracker *tracker,
                                     const struct tracker_route *route);

#endif
