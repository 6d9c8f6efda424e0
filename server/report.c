#include "server/report.h"

#include "server/log.h"
#include "server/shutdown.h"
#include "server/tracker.h"

static const char *const stop_names[] = {"returned", "blocked", "not called"};

static void report_route(const struct tracker *tracker, const struct tracker_route *route)
{
    struct tracker_report report = tracker_report(tracker, route);
    if (report.open == 0 && report.refused == 0)
        return;
    log_event(LOG_INFO, "route drained", LOG_TEXT("route", route->name),
              LOG_NUMBER("open", report.open),
              LOG_NUMBER("handshake", report.closed[OUTCOME_HANDSHAKE]),
              LOG_NUMBER("gone", report.closed[OUTCOME_GONE]),
              LOG_NUMBER("forced", report.closed[OUTCOME_FORCED]),
              LOG_NUMBER("refused", report.refused), LOG_NUMBER("received", report.received));
}

void report_log(const struct tracker *tracker, const struct shutdown_result *result)
{
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next)
        report_route(tracker, route);
    struct tracker_report all = tracker_report(tracker, NULL);
    log_event(result->status == 0 ? LOG_INFO : LOG_WARNING, "stopped",
              LOG_NUMBER("status", result->status), LOG_NUMBER("duration_ms", result->duration),
              LOG_TEXT("drain", result->forced ? "forced" : "complete"),
              LOG_TEXT("mg_stop", stop_names[result->stop]), LOG_NUMBER("open", all.open),
              LOG_NUMBER("handshake", all.closed[OUTCOME_HANDSHAKE]),
              LOG_NUMBER("gone", all.closed[OUTCOME_GONE]),
              LOG_NUMBER("forced", all.closed[OUTCOME_FORCED]), LOG_NUMBER("refused", all.refused),
              LOG_NUMBER("received", all.received),
              LOG_NUMBER("http_finished", tracker_requests_finished(tracker)),
              LOG_NUMBER("http_cut", result->requests_cut),
              LOG_NUMBER("slowest_handshake_ms", tracker_slowest_answer(tracker)));
}
