#include "server/metrics.h"

#include <stdatomic.h>
#include <string.h>

#include "handlers/handler.h"
#include "server/log.h"
#include "server/memory.h"
#include "server/process.h"
#include "server/readiness.h"
#include "server/route.h"
#include "server/server.h"
#include "server/tracker.h"

enum { ROUTE_SIZE = 6144, FIXED_SIZE = 16384 }; /* bytes of text to expect */

static const struct tracker *tracker;
static const struct memory *memory;
static const struct route *routes;
static size_t route_count;

struct scrape {
    struct exposition *text;
    struct process_figures process;
};

/* A row of the table: `put` writes the samples, of what stands at `offset` in the struct that it
   looks at. */
struct metric {
    const char *name;
    enum exposition_type type;
    const char *help;
    void (*put)(struct scrape *scrape, const struct metric *metric);
    size_t offset;
    const int64_t *bounds; /* of a histogram's buckets */
};

static uint64_t get(const atomic_uint_fast64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static const void *member(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static void put_number(struct scrape *scrape, uint64_t value)
{
    exposition_sample(scrape->text, "");
    exposition_number(scrape->text, value);
}

/* --- WebSocket routes --- */

/* The first one from `place` on that serves WebSockets; NULL: there is none. */
static const struct tracker_route *websockets(size_t *place)
{
    while (*place < route_count) {
        const struct route *route = &routes[(*place)++];
        if (route->handler->message != NULL)
            return route->counts;
    }
    return NULL;
}

static void put_route_number(struct scrape *scrape, const struct tracker_route *route,
                             uint64_t value)
{
    exposition_sample(scrape->text, "");
    exposition_label(scrape->text, "route", route->name);
    exposition_number(scrape->text, value);
}

static void put_of_route(struct scrape *scrape, const struct metric *metric)
{
    const struct tracker_route *route;
    for (size_t place = 0; (route = websockets(&place)) != NULL;)
        put_route_number(scrape, route, get(member(route, metric->offset)));
}

static void put_of_traffic(struct scrape *scrape, const struct metric *metric)
{
    const struct tracker_route *route;
    for (size_t place = 0; (route = websockets(&place)) != NULL;) {
        uint64_t sum = 0;
        for (size_t loop = 0; loop < tracker_loops(tracker); loop++)
            sum += get(member(&route->traffic[loop], metric->offset));
        put_route_number(scrape, route, sum);
    }
}

static void put_route_limits(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    const struct tracker_route *route;
    for (size_t place = 0; (route = websockets(&place)) != NULL;)
        if (route->limit != SIZE_MAX)
            put_route_number(scrape, route, route->limit);
}

static void put_histogram(struct scrape *scrape, const struct tracker_route *route,
                          const uint64_t counts[TRACKER_BOUNDS + 1], uint64_t microseconds,
                          const int64_t *bounds)
{
    struct exposition *text = scrape->text;
    uint64_t count = 0; /* of the buckets, so that it is the last one's also while they change */
    for (size_t i = 0; i <= TRACKER_BOUNDS; i++) {
        count += counts[i];
        exposition_sample(text, "_bucket");
        exposition_label(text, "route", route->name);
        if (i < TRACKER_BOUNDS)
            exposition_label_seconds(text, "le", (uint64_t)bounds[i]);
        else
            exposition_label(text, "le", "+Inf");
        exposition_number(text, count);
    }
    exposition_sample(text, "_sum");
    exposition_label(text, "route", route->name);
    exposition_seconds(text, microseconds);
    exposition_sample(text, "_count");
    exposition_label(text, "route", route->name);
    exposition_number(text, count);
}

static void put_durations(struct scrape *scrape, const struct metric *metric)
{
    const struct tracker_route *route;
    for (size_t place = 0; (route = websockets(&place)) != NULL;) {
        uint64_t counts[TRACKER_BOUNDS + 1] = {0};
        uint64_t microseconds = 0;
        for (size_t loop = 0; loop < tracker_loops(tracker); loop++) {
            const struct tracker_durations *durations =
                member(&route->traffic[loop], metric->offset);
            for (size_t i = 0; i <= TRACKER_BOUNDS; i++)
                counts[i] += get(&durations->counts[i]);
            microseconds += get(&durations->microseconds);
        }
        put_histogram(scrape, route, counts, microseconds, metric->bounds);
    }
}

/* Most pairs of code and outcome never happen: only what has is shown, and what alerts ask for,
   because a series that begins above zero has no increase. */
static void put_closed_pair(struct scrape *scrape, const struct tracker_route *route, size_t code,
                            size_t outcome)
{
    const unsigned number = tracker_codes[code];
    uint64_t value = get(&route->codes[code][outcome]);
    if (value == 0 && (number != 1001 || outcome != OUTCOME_FORCED))
        return;
    exposition_sample(scrape->text, "");
    exposition_label(scrape->text, "route", route->name);
    if (number == 0)
        exposition_label(scrape->text, "code", "other");
    else
        exposition_label_number(scrape->text, "code", number);
    exposition_label(scrape->text, "outcome", tracker_outcome_names[outcome]);
    exposition_number(scrape->text, value);
}

static void put_closed(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    const struct tracker_route *route;
    for (size_t place = 0; (route = websockets(&place)) != NULL;)
        for (size_t code = 0; code < TRACKER_CODES; code++)
            for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++)
                put_closed_pair(scrape, route, code, outcome);
}

/* --- all routes, and what came to none --- */

static void put_refused(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next) {
        for (size_t i = 0; i < REFUSAL_COUNT; i++) {
            uint64_t value = get(&route->refused[i]);
            if (value == 0)
                continue;
            exposition_sample(scrape->text, "");
            exposition_label(scrape->text, "route", route->name);
            exposition_label(scrape->text, "reason", tracker_refusal_names[i]);
            exposition_number(scrape->text, value);
        }
    }
}

static void put_answered(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next) {
        for (unsigned i = 0; i < TRACKER_STATUSES; i++) {
            uint64_t value = get(&route->answered[i]);
            if (value == 0)
                continue;
            exposition_sample(scrape->text, "");
            exposition_label(scrape->text, "route", route->name);
            exposition_label_number(scrape->text, "status", TRACKER_STATUS_FIRST + i);
            exposition_number(scrape->text, value);
        }
    }
}

/* --- the process --- */

static void put_build(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    exposition_sample(scrape->text, "");
    exposition_label(scrape->text, "version", LASTCALL_VERSION);
    exposition_label(scrape->text, "civetweb", server_civetweb_version());
    exposition_number(scrape->text, 1);
}

static void put_ready(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, readiness_get() == READINESS_READY);
}

static void put_stopping(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, readiness_get() == READINESS_STOPPING);
}

static void put_draining(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, tracker_gate_closed(tracker));
}

static void put_drain_sessions(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    if (readiness_get() == READINESS_STOPPING)
        put_number(scrape, tracker_report(tracker, NULL).open);
}

static void put_drain_ended(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    if (readiness_get() != READINESS_STOPPING)
        return;
    for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        uint64_t ended = 0;
        const struct tracker_route *route = tracker_routes(tracker);
        for (; route != NULL; route = route->next)
            ended += get(&route->closed[outcome]) - route->closed_before[outcome];
        exposition_sample(scrape->text, "");
        exposition_label(scrape->text, "outcome", tracker_outcome_names[outcome]);
        exposition_number(scrape->text, ended);
    }
}

static void put_limit(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, tracker_limit(tracker));
}

static void put_memory(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, atomic_load(&memory->held));
}

static void put_memory_limit(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    if (memory->limit != SIZE_MAX)
        put_number(scrape, memory->limit);
}

static void put_relieved(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, get(&memory->relieved));
}

static void put_requests(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, tracker_requests(tracker));
}

static void put_log_lost(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    put_number(scrape, log_lost());
}

/* What the kernel does not tell is left out: 0, or -1, would be a lie. */
static void put_of_process(struct scrape *scrape, const struct metric *metric)
{
    int64_t value;
    memcpy(&value, member(&scrape->process, metric->offset), sizeof value);
    if (value > 0)
        put_number(scrape, (uint64_t)value);
}

static void put_processor_time(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    exposition_sample(scrape->text, "");
    exposition_seconds(scrape->text, (uint64_t)scrape->process.cpu_us);
}

static void put_start(struct scrape *scrape, const struct metric *metric)
{
    (void)metric;
    if (scrape->process.started <= 0)
        return;
    exposition_sample(scrape->text, "");
    exposition_seconds(scrape->text, (uint64_t)scrape->process.started * 1000);
}

/* --- the table --- */

#define ROUTE(member) .put = put_of_route, .offset = offsetof(struct tracker_route, member)
#define TRAFFIC(member) .put = put_of_traffic, .offset = offsetof(struct tracker_traffic, member)
#define DURATIONS(member) .put = put_durations, .offset = offsetof(struct tracker_traffic, member)
#define PROCESS(member) .put = put_of_process, .offset = offsetof(struct process_figures, member)

static const struct metric metrics[] = {
    {"lastcall_build_info", EXPOSITION_GAUGE, "1, with the versions of the program and of CivetWeb",
     .put = put_build},
    {"lastcall_ready", EXPOSITION_GAUGE, "1 while new work is wanted", .put = put_ready},
    {"lastcall_stopping", EXPOSITION_GAUGE, "1 once a signal to stop has come",
     .put = put_stopping},
    {"lastcall_draining", EXPOSITION_GAUGE, "1 once the gate has closed", .put = put_draining},
    {"lastcall_drain_sessions", EXPOSITION_GAUGE,
     "WebSocket sessions open when the signal to stop came, and opened since",
     .put = put_drain_sessions},
    {"lastcall_drain_sessions_ended", EXPOSITION_GAUGE, "Of those, the ended ones, by outcome",
     .put = put_drain_ended},

    {"lastcall_sessions_limit", EXPOSITION_GAUGE, "WebSocket sessions that may be open",
     .put = put_limit},
    {"lastcall_route_sessions_limit", EXPOSITION_GAUGE,
     "WebSocket sessions that may be open on a route that has a limit of its own",
     .put = put_route_limits},
    {"lastcall_sessions_open", EXPOSITION_GAUGE, "WebSocket sessions that are open", ROUTE(open)},
    {"lastcall_sessions_opened_total", EXPOSITION_COUNTER, "WebSocket sessions opened",
     ROUTE(opened)},
    {"lastcall_sessions_closed_total", EXPOSITION_COUNTER,
     "WebSocket sessions ended, by the code of the first Close and by outcome", .put = put_closed},
    {"lastcall_handshake_duration_seconds", EXPOSITION_HISTOGRAM,
     "From the request to the open WebSocket session", DURATIONS(handshake),
     .bounds = tracker_handshake_bounds},
    {"lastcall_session_duration_seconds", EXPOSITION_HISTOGRAM,
     "How long ended WebSocket sessions were open", DURATIONS(session),
     .bounds = tracker_session_bounds},

    {"lastcall_messages_received_total", EXPOSITION_COUNTER, "Messages received",
     TRAFFIC(received)},
    {"lastcall_messages_sent_total", EXPOSITION_COUNTER, "Messages sent", TRAFFIC(sent)},
    {"lastcall_received_bytes_total", EXPOSITION_COUNTER, "Payload of the messages received",
     TRAFFIC(received_bytes)},
    {"lastcall_sent_bytes_total", EXPOSITION_COUNTER, "Payload of the messages sent",
     TRAFFIC(sent_bytes)},
    {"lastcall_send_queue_bytes", EXPOSITION_GAUGE, "Waiting to be sent to slow peers",
     TRAFFIC(queued)},

    {"lastcall_memory_bytes", EXPOSITION_GAUGE,
     "What waits for peers or has arrived in part, and what the kernel holds for slow peers",
     .put = put_memory},
    {"lastcall_memory_limit_bytes", EXPOSITION_GAUGE, "So much of it is allowed",
     .put = put_memory_limit},
    {"lastcall_memory_closed_total", EXPOSITION_COUNTER,
     "WebSocket sessions closed because they held the most when it was full", .put = put_relieved},

    {"lastcall_requests_in_flight", EXPOSITION_GAUGE, "HTTP requests and handshakes",
     .put = put_requests},
    {"lastcall_http_requests_total", EXPOSITION_COUNTER, "HTTP requests answered, by status",
     .put = put_answered},
    {"lastcall_refused_total", EXPOSITION_COUNTER, "Requests and upgrades refused, by reason",
     .put = put_refused},

    {"lastcall_log_lines_lost_total", EXPOSITION_COUNTER,
     "Lines that nobody read fast enough from standard error", .put = put_log_lost},
    {"lastcall_process_cpu_seconds_total", EXPOSITION_COUNTER, "Processor time of all threads",
     .put = put_processor_time},
    {"lastcall_process_resident_memory_bytes", EXPOSITION_GAUGE, "Memory that is in RAM",
     PROCESS(resident_bytes)},
    {"lastcall_process_virtual_memory_bytes", EXPOSITION_GAUGE, "Address space",
     PROCESS(virtual_bytes)},
    {"lastcall_process_open_fds", EXPOSITION_GAUGE, "Open file descriptors", PROCESS(descriptors)},
    {"lastcall_process_max_fds", EXPOSITION_GAUGE, "File descriptors that may be open",
     PROCESS(descriptor_limit)},
    {"lastcall_process_threads", EXPOSITION_GAUGE, "Threads", PROCESS(threads)},
    {"lastcall_process_start_time_seconds", EXPOSITION_GAUGE, "The start, since 1970",
     .put = put_start},
};

void metrics_init(struct tracker *of, const struct route *its_routes, size_t count)
{
    tracker = of;
    memory = tracker_memory(of);
    routes = its_routes;
    route_count = count;
}

int metrics_write(struct exposition *text)
{
    struct scrape scrape = {.text = text};
    if (exposition_init(text, FIXED_SIZE + route_count * ROUTE_SIZE) != 0)
        return -1;
    process_read(&scrape.process);
    if (scrape.process.descriptors < 0) /* before Linux 6.2 */
        scrape.process.descriptors = process_count_descriptors();
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        exposition_metric(text, metrics[i].name, metrics[i].type, metrics[i].help);
        metrics[i].put(&scrape, &metrics[i]);
    }
    return exposition_complete(text) ? 0 : -1;
}
