#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/readiness.h"
#include "server/tracker.h"

static const struct tracker *tracker;
static size_t loops;

enum traffic { RECEIVED, SENT, RECEIVED_BYTES, SENT_BYTES };

static uint64_t traffic_sum(const struct tracker_route *route, enum traffic which)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < loops; i++) {
        const struct tracker_traffic *traffic = &route->traffic[i];
        const atomic_uint_fast64_t *const counters[] = {
            [RECEIVED] = &traffic->received,
            [SENT] = &traffic->sent,
            [RECEIVED_BYTES] = &traffic->received_bytes,
            [SENT_BYTES] = &traffic->sent_bytes,
        };
        sum += atomic_load_explicit(counters[which], memory_order_relaxed);
    }
    return sum;
}

static uint64_t open_count(const struct tracker_route *route)
{
    return atomic_load(&route->open);
}

static uint64_t opened_count(const struct tracker_route *route)
{
    return atomic_load(&route->opened);
}

static uint64_t received_count(const struct tracker_route *route)
{
    return traffic_sum(route, RECEIVED);
}

static uint64_t sent_count(const struct tracker_route *route)
{
    return traffic_sum(route, SENT);
}

static uint64_t received_bytes_count(const struct tracker_route *route)
{
    return traffic_sum(route, RECEIVED_BYTES);
}

static uint64_t sent_bytes_count(const struct tracker_route *route)
{
    return traffic_sum(route, SENT_BYTES);
}

/* Metrics with one value for each route. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*value)(const struct tracker_route *route);
} per_route[] = {
    {"lastcall_sessions_open", "gauge", "WebSocket sessions that are open", open_count},
    {"lastcall_sessions_opened_total", "counter", "WebSocket sessions opened", opened_count},
    {"lastcall_messages_received_total", "counter", "Messages received", received_count},
    {"lastcall_messages_sent_total", "counter", "Messages sent", sent_count},
    {"lastcall_received_bytes_total", "counter", "Payload of the messages received",
     received_bytes_count},
    {"lastcall_sent_bytes_total", "counter", "Payload of the messages sent", sent_bytes_count},
};

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and newline are escaped. */
static void put_route_label(FILE *out, const struct tracker_route *route)
{
    fputs("route=\"", out);
    for (const char *p = route->name; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            fputc('\\', out);
        if (*p == '\n')
            fputs("\\n", out);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

static void put_per_route(FILE *out)
{
    for (size_t i = 0; i < sizeof per_route / sizeof per_route[0]; i++) {
        put_head(out, per_route[i].name, per_route[i].type, per_route[i].help);
        const struct tracker_route *route = tracker_routes(tracker);
        for (; route != NULL; route = route->next) {
            fprintf(out, "%s{", per_route[i].name);
            put_route_label(out, route);
            fprintf(out, "} %" PRIu64 "\n", per_route[i].value(route));
        }
    }
}

/* Only what has happened: most pairs of code and outcome never do. */
static void put_closed(FILE *out, const struct tracker_route *route)
{
    for (size_t code = 0; code < TRACKER_CODES; code++) {
        for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
            uint64_t value = atomic_load(&route->codes[code][outcome]);
            if (value == 0)
                continue;
            char name[8] = "other";
            if (tracker_codes[code] != 0)
                snprintf(name, sizeof name, "%u", tracker_codes[code]);
            fputs("lastcall_sessions_closed_total{", out);
            put_route_label(out, route);
            fprintf(out, ",code=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", name,
                    tracker_outcome_names[outcome], value);
        }
    }
}

static void put_refused(FILE *out, const struct tracker_route *route)
{
    for (size_t reason = 0; reason < REFUSAL_COUNT; reason++) {
        uint64_t value = atomic_load(&route->refused[reason]);
        if (value == 0)
            continue;
        fputs("lastcall_refused_total{", out);
        put_route_label(out, route);
        fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n", tracker_refusal_names[reason], value);
    }
}

static void put_all(FILE *out)
{
    put_per_route(out);
    put_head(out, "lastcall_sessions_closed_total", "counter",
             "WebSocket sessions ended, by the code of the first Close and by outcome");
    for (const struct tracker_route *r = tracker_routes(tracker); r != NULL; r = r->next)
        put_closed(out, r);
    put_head(out, "lastcall_refused_total", "counter", "Requests and upgrades refused");
    for (const struct tracker_route *r = tracker_routes(tracker); r != NULL; r = r->next)
        put_refused(out, r);
    put_head(out, "lastcall_sessions_limit", "gauge", "WebSocket sessions that may be open");
    fprintf(out, "lastcall_sessions_limit %zu\n", tracker_limit(tracker));
    put_head(out, "lastcall_requests_in_flight", "gauge", "HTTP requests and handshakes");
    fprintf(out, "lastcall_requests_in_flight %zu\n", tracker_requests(tracker));
    put_head(out, "lastcall_ready", "gauge", "1 while new work is wanted");
    fprintf(out, "lastcall_ready %d\n", readiness_get() == READINESS_READY ? 1 : 0);
    put_head(out, "lastcall_draining", "gauge", "1 once the gate has closed");
    fprintf(out, "lastcall_draining %d\n", tracker_gate_closed(tracker) ? 1 : 0);
}

void metrics_init(const struct tracker *of)
{
    tracker = of;
    loops = tracker_loops(of);
}

char *metrics_text(size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (out == NULL)
        return NULL;
    put_all(out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
