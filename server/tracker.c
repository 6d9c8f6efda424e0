#include "server/tracker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/descriptor.h"
#include "server/memory.h"

enum { LISTENERS_MAX = 8 };

const char *const tracker_outcome_names[] = {"handshake", "gone", "forced"};
const char *const tracker_refusal_names[] = {
    "starting",  "draining", "full",  "route_full",  "address", "request",
    "handshake", "origin",   "route", "descriptors", "gone",
};
const uint16_t tracker_codes[] = {1000, 1001, 1002, 1003, 1005, 1006, 1007,
                                  1008, 1009, 1011, 1012, 1013, 1014, 0};

#define MS INT64_C(1000)
#define S (1000 * MS)
#define H (3600 * S)
const int64_t tracker_handshake_bounds[] = {
    MS / 4, MS / 2, MS, 5 * MS / 2, 5 * MS, 10 * MS, 25 * MS, 100 * MS, 250 * MS, S, 5 * S, 30 * S};
const int64_t tracker_session_bounds[] = {S,        10 * S, 60 * S, 300 * S, 900 * S, 1800 * S,
                                          3600 * S, 3 * H,  6 * H,  12 * H,  24 * H,  168 * H};

struct tracker {
    atomic_bool closed;
    atomic_size_t sessions;
    atomic_size_t last; /* of them: those that are drained last */
    atomic_size_t requests;
    atomic_uint_fast64_t finished; /* requests */
    atomic_uint_fast64_t cut;
    uint64_t finished_before;
    uint64_t cut_before;
    bool marked;
    size_t limit;
    size_t loops;
    int left;                       /* eventfd: the last session or request has left */
    int requests_left;              /* eventfd: the last request has left */
    struct tracker_timing *timings; /* one for each loop */
    struct memory memory;
    struct tracker_route *routes;
    struct tracker_route **last_route;
    struct {
        void (*begin)(void *);
        void *argument;
    } listeners[LISTENERS_MAX];
    size_t listener_count;
};

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void increment(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct tracker *tracker_new(size_t connections, size_t loops)
{
    struct tracker *tracker = calloc(1, sizeof *tracker);
    if (tracker == NULL)
        return NULL;
    tracker->limit = connections;
    tracker->memory.limit = SIZE_MAX;
    tracker->loops = loops;
    tracker->last_route = &tracker->routes;
    tracker->timings = calloc(loops, sizeof *tracker->timings);
    tracker->left = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    tracker->requests_left = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (tracker->left < 0 || tracker->requests_left < 0 || tracker->timings == NULL) {
        int error = tracker->timings == NULL ? ENOMEM : errno;
        tracker_free(tracker);
        errno = error;
        return NULL;
    }
    return tracker;
}

void tracker_free(struct tracker *tracker)
{
    if (tracker == NULL)
        return;
    for (struct tracker_route *route = tracker->routes, *next; route != NULL; route = next) {
        next = route->next;
        free(route->traffic);
        free(route);
    }
    if (tracker->left >= 0)
        close(tracker->left);
    if (tracker->requests_left >= 0)
        close(tracker->requests_left);
    free(tracker->timings);
    free(tracker);
}

struct tracker_route *tracker_add_route(struct tracker *tracker, const char *name)
{
    struct tracker_route *route = calloc(1, sizeof *route);
    if (route == NULL)
        return NULL;
    route->name = name;
    route->limit = SIZE_MAX;
    route->traffic =
        aligned_alloc(_Alignof(struct tracker_traffic), tracker->loops * sizeof *route->traffic);
    if (route->traffic == NULL) {
        free(route);
        return NULL;
    }
    for (size_t i = 0; i < tracker->loops; i++)
        route->traffic[i] = (struct tracker_traffic){0};
    *tracker->last_route = route;
    tracker->last_route = &route->next;
    return route;
}

struct tracker_route *tracker_routes(const struct tracker *tracker)
{
    return tracker->routes;
}

/* Eventfds do not fail to count up to 2^64 - 2. */
static void notify(int descriptor)
{
    const uint64_t one = 1;
    ssize_t written = write(descriptor, &one, sizeof one);
    (void)written;
}

bool tracker_enter_request(struct tracker *tracker)
{
    if (atomic_load(&tracker->closed)) /* the common case then: not even a moment in the count */
        return false;
    atomic_fetch_add(&tracker->requests, 1);
    if (!atomic_load(&tracker->closed))
        return true;
    tracker_leave_request(tracker, false);
    return false;
}

void tracker_leave_request(struct tracker *tracker, bool finished)
{
    if (finished)
        increment(&tracker->finished);
    bool last = atomic_fetch_sub(&tracker->requests, 1) == 1;
    if (last && atomic_load(&tracker->closed)) {
        notify(tracker->requests_left);
        notify(tracker->left);
    }
}

void tracker_answered(struct tracker_route *route, int status)
{
    int place = status - TRACKER_STATUS_FIRST;
    if (place >= 0 && place < TRACKER_STATUSES)
        increment(&route->answered[place]);
}

void tracker_leave_session(struct tracker *tracker, struct tracker_route *route)
{
    atomic_fetch_sub_explicit(&route->inside, 1, memory_order_relaxed);
    if (route->last)
        atomic_fetch_sub(&tracker->last, 1);
    bool last = atomic_fetch_sub(&tracker->sessions, 1) == 1;
    if (last && atomic_load(&tracker->closed))
        notify(tracker->left);
}

int tracker_enter_session(struct tracker *tracker, struct tracker_route *route)
{
    if (atomic_load(&tracker->closed))
        return -1 - REFUSED_DRAINING;
    size_t before = atomic_fetch_add(&tracker->sessions, 1);
    size_t inside = atomic_fetch_add_explicit(&route->inside, 1, memory_order_relaxed);
    if (route->last)
        atomic_fetch_add(&tracker->last, 1);
    int refusal = REFUSAL_COUNT;
    if (atomic_load(&tracker->closed))
        refusal = REFUSED_DRAINING;
    else if (before >= tracker->limit)
        refusal = REFUSED_FULL;
    else if (inside >= route->limit)
        refusal = REFUSED_ROUTE_FULL;
    else
        return 0;
    tracker_leave_session(tracker, route);
    return -1 - refusal;
}

void tracker_session_opened(struct tracker_route *route)
{
    increment(&route->open);
    increment(&route->opened);
}

static size_t code_place(uint16_t code)
{
    size_t place = 0;
    while (place < TRACKER_CODES - 1 && tracker_codes[place] != code)
        place++;
    return place;
}

void tracker_session_ended(struct tracker_route *route, enum tracker_outcome outcome, uint16_t code)
{
    increment(&route->closed[outcome]);
    increment(&route->codes[code_place(code)][outcome]);
    atomic_fetch_sub_explicit(&route->open, 1, memory_order_relaxed);
}

void tracker_count(atomic_uint_fast64_t *counter, uint64_t amount)
{
    uint64_t value = get(counter);
    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

void tracker_duration(struct tracker_durations *durations, const int64_t *bounds,
                      int64_t microseconds)
{
    size_t place = 0;
    if (microseconds < 0)
        microseconds = 0;
    while (place < TRACKER_BOUNDS && microseconds > bounds[place])
        place++;
    tracker_count(&durations->counts[place], 1);
    tracker_count(&durations->microseconds, (uint64_t)microseconds);
}

void tracker_refused(struct tracker_route *route, enum tracker_refusal refusal)
{
    increment(&route->refused[refusal]);
}

struct tracker_timing *tracker_timing(struct tracker *tracker, size_t loop)
{
    return &tracker->timings[loop];
}

void tracker_timings(const struct tracker *tracker, struct tracker_timing *sum)
{
    for (size_t i = 0; i < tracker->loops; i++) {
        histogram_merge(&sum->signal_to_close, &tracker->timings[i].signal_to_close);
        histogram_merge(&sum->close_to_answer, &tracker->timings[i].close_to_answer);
    }
}

int tracker_on_drain(struct tracker *tracker, void (*begin)(void *argument), void *argument)
{
    if (tracker->listener_count == LISTENERS_MAX)
        return -1;
    tracker->listeners[tracker->listener_count].begin = begin;
    tracker->listeners[tracker->listener_count].argument = argument;
    tracker->listener_count++;
    return 0;
}

static uint64_t all_refused(const struct tracker_route *route)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        sum += get(&route->refused[i]);
    return sum;
}

void tracker_mark(struct tracker *tracker)
{
    if (tracker->marked)
        return;
    tracker->marked = true;
    for (struct tracker_route *route = tracker->routes; route != NULL; route = route->next) {
        for (size_t i = 0; i < OUTCOME_COUNT; i++)
            route->closed_before[i] = get(&route->closed[i]);
        route->opened_before = get(&route->opened);
        route->refused_before = all_refused(route);
    }
    tracker->finished_before = atomic_load(&tracker->finished);
    tracker->cut_before = atomic_load(&tracker->cut);
}

void tracker_close_gate(struct tracker *tracker)
{
    atomic_store(&tracker->closed, true);
}

void tracker_drain(struct tracker *tracker)
{
    for (size_t i = 0; i < tracker->listener_count; i++)
        tracker->listeners[i].begin(tracker->listeners[i].argument);
}

bool tracker_gate_closed(const struct tracker *tracker)
{
    return atomic_load(&tracker->closed);
}

size_t tracker_sessions(const struct tracker *tracker)
{
    return atomic_load(&tracker->sessions);
}

size_t tracker_requests(const struct tracker *tracker)
{
    return atomic_load(&tracker->requests);
}

bool tracker_only_last(const struct tracker *tracker)
{
    return atomic_load(&tracker->requests) == 0 &&
           atomic_load(&tracker->sessions) == atomic_load(&tracker->last);
}

size_t tracker_limit(const struct tracker *tracker)
{
    return tracker->limit;
}

struct memory *tracker_memory(struct tracker *tracker)
{
    return &tracker->memory;
}

size_t tracker_loops(const struct tracker *tracker)
{
    return tracker->loops;
}

uint64_t tracker_requests_finished(const struct tracker *tracker)
{
    return atomic_load(&tracker->finished) - tracker->finished_before;
}

void tracker_request_cut(struct tracker *tracker)
{
    increment(&tracker->cut);
}

uint64_t tracker_requests_cut(const struct tracker *tracker)
{
    return atomic_load(&tracker->cut) - tracker->cut_before;
}

int tracker_descriptor(const struct tracker *tracker)
{
    return tracker->left;
}

static void acknowledge(int descriptor)
{
    uint64_t count;
    ssize_t got = read(descriptor, &count, sizeof count);
    (void)got; /* nothing to read is as good */
}

void tracker_acknowledge(struct tracker *tracker)
{
    acknowledge(tracker->left);
}

size_t tracker_wait_requests(struct tracker *tracker, int64_t deadline)
{
    struct pollfd event = {.fd = tracker->requests_left, .events = POLLIN};
    size_t left;
    int timeout;
    while ((left = tracker_requests(tracker)) > 0 && (timeout = clock_poll_timeout(deadline)) > 0) {
        poll(&event, 1, timeout);
        acknowledge(tracker->requests_left);
    }
    return left;
}

static void add_route(struct tracker_report *report, const struct tracker_route *route,
                      size_t loops)
{
    uint64_t ended_before = 0;
    uint64_t ended = 0;
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        uint64_t closed = get(&route->closed[i]) - route->closed_before[i];
        report->closed[i] += closed;
        ended += closed;
        ended_before += route->closed_before[i];
    }
    /* The closed are read before the opened, so that a session in between looks open. */
    uint64_t open = get(&route->opened) - ended_before;
    report->open += open;
    report->closed[OUTCOME_FORCED] += open - ended; /* what is still there will be cut */
    report->refused += all_refused(route) - route->refused_before;
    for (size_t i = 0; i < loops; i++)
        report->received += get(&route->traffic[i].received_draining);
}

struct tracker_report tracker_report(const struct tracker *tracker,
                                     const struct tracker_route *route)
{
    struct tracker_report report = {0};
    if (route != NULL) {
        add_route(&report, route, tracker->loops);
        return report;
    }
    for (route = tracker->routes; route != NULL; route = route->next)
        add_route(&report, route, tracker->loops);
    return report;
}
