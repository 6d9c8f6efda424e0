#include "server/status_json.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/handler.h"
#include "server/address.h"
#include "server/clock.h"
#include "server/memory.h"
#include "server/readiness.h"
#include "server/route.h"
#include "server/tracker.h"

enum { TIME_SIZE = 32 };

/* --- whatever fails without memory is NULL, and so is what was to contain it --- */

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* The name of a route may be any bytes; JSON is UTF-8. */
static json_t *text(const char *bytes)
{
    json_t *string = json_string(bytes);
    char *copy = string == NULL ? strdup(bytes) : NULL;
    if (copy == NULL)
        return string;
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    string = json_string(copy);
    free(copy);
    return string;
}

static json_t *append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0)
        return array;
    json_decref(array);
    return NULL;
}

static json_t *put(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* --- routes --- */

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct traffic {
    uint64_t received, sent, received_bytes, sent_bytes, queued;
};

static struct traffic traffic_of(const struct tracker_route *counts, size_t loops)
{
    struct traffic sum = {0};
    for (size_t i = 0; i < loops; i++) {
        const struct tracker_traffic *one = &counts->traffic[i];
        sum.received += get(&one->received);
        sum.sent += get(&one->sent);
        sum.received_bytes += get(&one->received_bytes);
        sum.sent_bytes += get(&one->sent_bytes);
        sum.queued += get(&one->queued);
    }
    return sum;
}

static json_t *closed_of(const struct tracker_route *counts)
{
    json_t *object = json_object();
    for (size_t i = 0; i < OUTCOME_COUNT; i++)
        object = put(object, tracker_outcome_names[i], number(get(&counts->closed[i])));
    return object;
}

static json_t *refused_of(const struct tracker_route *counts)
{
    json_t *object = json_object();
    for (size_t i = 0; i < REFUSAL_COUNT; i++) {
        uint64_t times = get(&counts->refused[i]);
        if (times > 0)
            object = put(object, tracker_refusal_names[i], number(times));
    }
    return object;
}

static json_t *requests_of(const struct tracker_route *counts)
{
    json_t *object = json_object();
    for (size_t i = 0; i < TRACKER_STATUSES; i++) {
        uint64_t times = get(&counts->answered[i]);
        const size_t code = TRACKER_STATUS_FIRST + i;
        const char name[] = {(char)('0' + code / 100), (char)('0' + code / 10 % 10),
                             (char)('0' + code % 10), '\0'};
        if (times > 0)
            object = put(object, name, number(times));
    }
    return object;
}

/* `route` is NULL for what no route takes. */
static json_t *one_route(const struct tracker_route *counts, const struct route *route,
                         size_t loops)
{
    const struct handler *handler = route == NULL ? NULL : route->handler;
    struct traffic traffic = traffic_of(counts, loops);
    return json_pack(
        "{s:o, s:s?, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",      /**/
        "route", text(counts->name), "handler", handler == NULL ? NULL : handler->name, /**/
        "websocket", handler != NULL && handler->message != NULL, "open",
        number(get(&counts->open)),                                                       /**/
        "limit", counts->limit == SIZE_MAX ? json_null() : number(counts->limit),         /**/
        "opened", number(get(&counts->opened)), "received", number(traffic.received),     /**/
        "sent", number(traffic.sent), "received_bytes", number(traffic.received_bytes),   /**/
        "sent_bytes", number(traffic.sent_bytes), "queued_bytes", number(traffic.queued), /**/
        "closed", closed_of(counts), "refused", refused_of(counts),                       /**/
        "requests", requests_of(counts));
}

/* In the order of the configuration; what no route takes comes last. */
static json_t *all_routes(const struct status_sources *of)
{
    size_t loops = tracker_loops(of->tracker);
    json_t *array = json_array();
    for (size_t i = 0; i < of->route_count; i++)
        array = append(array, one_route(of->routes[i].counts, &of->routes[i], loops));
    return append(array, one_route(of->elsewhere, NULL, loops));
}

/* --- limits --- */

static json_t *one_limit(const char *name, const char *key, uint64_t used, int64_t limit)
{
    return json_pack("{s:s, s:s, s:o, s:o}", "name", name, "key", key, "used", number(used),
                     "limit", limit < 0 ? json_null() : json_integer(limit));
}

static json_t *all_limits(const struct status_view *view)
{
    struct tracker *tracker = view->of->tracker;
    const struct memory *memory = tracker_memory(tracker);
    return json_pack("[o, o, o, o]",
                     one_limit("WebSockets", "limits.connections", tracker_sessions(tracker),
                               (int64_t)tracker_limit(tracker)),
                     one_limit("HTTP requests", "server.http_threads", tracker_requests(tracker),
                               (int64_t)view->of->http_threads),
                     one_limit("open files", "ulimit -n", (uint64_t)view->process->descriptors,
                               view->process->descriptor_limit),
                     one_limit("memory held", "limits.memory", atomic_load(&memory->held),
                               memory->limit == SIZE_MAX ? -1 : (int64_t)memory->limit));
}

/* --- the drain --- */

struct drained {
    uint64_t total;
    uint64_t gone; /* of them */
    uint64_t forced;
};

/* Without those that only watch. */
static struct drained drained_of(const struct status_sources *of)
{
    struct drained sum = {0};
    for (size_t i = 0; i < of->route_count; i++) {
        const struct tracker_route *counts = of->routes[i].counts;
        if (counts->last)
            continue;
        /* The report counts as forced what is still there. */
        uint64_t forced =
            get(&counts->closed[OUTCOME_FORCED]) - counts->closed_before[OUTCOME_FORCED];
        struct tracker_report report = tracker_report(of->tracker, counts);
        if (forced > report.closed[OUTCOME_FORCED])
            forced = report.closed[OUTCOME_FORCED];
        sum.total += report.open;
        sum.gone += report.closed[OUTCOME_HANDSHAKE] + report.closed[OUTCOME_GONE] + forced;
        sum.forced += forced;
    }
    return sum;
}

static json_t *waiting_of(const struct loops_survey *survey)
{
    json_t *array = json_array();
    for (size_t i = 0; i < WAIT_COUNT; i++)
        if (survey->waiting[i] > 0)
            array = append(array, json_pack("{s:s, s:o}", "why", session_wait_names[i], "sessions",
                                            number(survey->waiting[i])));
    return array;
}

static json_t *sessions_of(const struct loops_survey *survey)
{
    json_t *array = json_array();
    for (size_t i = 0; i < survey->listed; i++) {
        const struct session_glance *seen = &survey->sessions[i];
        char address[ADDRESS_TEXT_SIZE];
        address_format((const struct sockaddr *)&seen->client, address, sizeof address);
        array = append(array, json_pack("{s:s, s:o, s:I, s:s, s:o}", "address", address, "route",
                                        text(seen->route->name), "open_ms", (json_int_t)seen->open,
                                        "why", session_wait_names[seen->wait], "queued_bytes",
                                        number(seen->queued)));
    }
    return array;
}

static json_t *drain_of(const struct status_view *view)
{
    if (view->phase == STATUS_SERVING)
        return json_null();
    struct drained drained = drained_of(view->of);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "phase",
                     view->phase == STATUS_DELAY ? "delay" : "draining", "total",
                     number(drained.total), "drained", number(drained.gone), "forced",
                     number(drained.forced), "requests",
                     number(tracker_requests(view->of->tracker)), "elapsed_ms",
                     (json_int_t)view->elapsed, "left_ms", (json_int_t)view->left, "waiting",
                     waiting_of(view->survey), "sessions", sessions_of(view->survey));
}

/* --- all --- */

static json_t *process_of(const struct process_figures *process)
{
    char started[TIME_SIZE];
    clock_format_moment(process->started, started, sizeof started);
    return json_pack("{s:I, s:o, s:o, s:o, s:s}", "cpu_ms", (json_int_t)(process->cpu_us / 1000),
                     "resident_bytes", number(process->resident_bytes), "virtual_bytes",
                     number(process->virtual_bytes), "threads", number(process->threads), "started",
                     started);
}

char *status_json(const struct status_view *view)
{
    char now[TIME_SIZE];
    clock_format(now, sizeof now);
    json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:o}", "version",
                             LASTCALL_VERSION, "time", now, "uptime_ms", (json_int_t)view->uptime,
                             "state", readiness_name(readiness_get()), "drain", drain_of(view),
                             "limits", all_limits(view), "process", process_of(view->process),
                             "routes", all_routes(view->of));
    char *result = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return result;
}
