#include "server/announce.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/notify.h"
#include "server/progress.h"
#include "server/readiness.h"
#include "server/shutdown.h"
#include "server/tracker.h"

enum {
    STATUS_INTERVAL = 1000, /* milliseconds between two words to systemd */
    EXTENSION = 3000,       /* that it is asked for each time */
    LIVE_LINE_FROM = 200,   /* a drain shorter than this is over before one could read it */
};

static struct {
    struct progress_state logged;
    int64_t alive_at;  /* the watchdog was last told */
    int64_t status_at; /* elapsed time of the last word to systemd */
} announce;

void announce_open(void)
{
    memset(&announce, 0, sizeof announce);
    announce.status_at = -STATUS_INTERVAL;
    if (notify_open() < 0)
        log_event(LOG_WARNING, "NOTIFY_SOCKET cannot be used: systemd will not hear of us",
                  LOG_TEXT("why", strerror(errno)));
}

void announce_close(void)
{
    notify_close();
}

void announce_ready(void)
{
    if (notify_send("READY=1\nSTATUS=serving") != 0)
        log_event(LOG_WARNING, "systemd could not be told that we are ready",
                  LOG_TEXT("why", strerror(errno)));
}

void announce_alive(struct loops *loops)
{
    int64_t interval = notify_watchdog_interval() / 2;
    int64_t now = clock_milliseconds();
    if (interval == 0 || now - announce.alive_at < interval || !loops_beat(loops))
        return;
    announce.alive_at = now;
    notify_send("WATCHDOG=1");
}

/* Asks systemd for the time until the next word, or until it is over. */
static void extend(int64_t left)
{
    notify_extend(left < EXTENSION ? left + STATUS_INTERVAL : EXTENSION);
}

void announce_stopping(const struct tracker *tracker, long timeout)
{
    char text[128];
    snprintf(text, sizeof text, "STOPPING=1\nSTATUS=draining 0 of %zu", tracker_sessions(tracker));
    notify_send(text);
    extend(timeout);
}

static struct progress_terminal terminal(void)
{
    struct progress_terminal terminal = {.colour = getenv("NO_COLOR") == NULL};
    struct winsize size;
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0)
        terminal.width = size.ws_col;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *locale = getenv(names[i]);
        if (locale == NULL || *locale == '\0')
            continue;
        terminal.unicode =
            strcasestr(locale, "utf-8") != NULL || strcasestr(locale, "utf8") != NULL;
        break;
    }
    return terminal;
}

static struct progress_view view(const struct tracker *tracker,
                                 const struct shutdown_progress *progress)
{
    struct tracker_report report = tracker_report(tracker, NULL);
    uint64_t still_open = 0;
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next)
        still_open += atomic_load(&route->open);
    if (still_open > report.open)
        still_open = report.open;
    uint64_t forced = report.closed[OUTCOME_FORCED];
    return (struct progress_view){
        .total = report.open,
        .drained = report.open - still_open,
        .forced = forced > still_open ? forced - still_open : 0, /* the open ones may yet answer */
        .requests = tracker_requests(tracker),
        .elapsed = progress->elapsed,
        .left = progress->left,
        .terminal = terminal(),
    };
}

static void tell_systemd(const struct progress_view *now)
{
    char text[160];
    if (now->elapsed - announce.status_at < STATUS_INTERVAL)
        return;
    announce.status_at = now->elapsed;
    snprintf(text, sizeof text, "STATUS=draining %llu of %llu", (unsigned long long)now->drained,
             (unsigned long long)now->total);
    notify_send(text);
    extend(now->left);
}

void announce_progress(const struct tracker *tracker, const struct shutdown_progress *progress)
{
    struct progress_view now = view(tracker, progress);
    tell_systemd(&now);
    if (!progress->draining)
        return;
    if (progress_due(&announce.logged, now.elapsed, now.drained, now.total))
        log_event(LOG_INFO, "drain", LOG_NUMBER("drained", now.drained),
                  LOG_NUMBER("total", now.total), LOG_NUMBER("forced", now.forced),
                  LOG_NUMBER("left_ms", now.left));
    if (log_terminal() && now.elapsed >= LIVE_LINE_FROM) {
        char line[PROGRESS_LINE_SIZE];
        progress_line(&now, line);
        log_live(line);
    }
}

static void log_route(const struct tracker_route *route, const struct tracker_report *report)
{
    log_event(LOG_INFO, "route drained", LOG_TEXT("route", route->name),
              LOG_NUMBER("open", report->open),
              LOG_NUMBER("handshake", report->closed[OUTCOME_HANDSHAKE]),
              LOG_NUMBER("gone", report->closed[OUTCOME_GONE]),
              LOG_NUMBER("forced", report->closed[OUTCOME_FORCED]),
              LOG_NUMBER("refused", report->refused), LOG_NUMBER("received", report->received));
}

/* Each route that had a session or a refusal since the signal. */
static void tell_routes(const struct tracker *tracker)
{
    size_t count = 0;
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next)
        count++;
    struct progress_row *rows = log_terminal() ? calloc(count + 1, sizeof *rows) : NULL;
    size_t used = 0;
    for (route = tracker_routes(tracker); route != NULL; route = route->next) {
        struct tracker_report report = tracker_report(tracker, route);
        if (report.open == 0 && report.refused == 0)
            continue;
        if (rows == NULL)
            log_route(route, &report);
        else
            rows[used++] = (struct progress_row){.route = route->name,
                                                 .open = report.open,
                                                 .handshake = report.closed[OUTCOME_HANDSHAKE],
                                                 .gone = report.closed[OUTCOME_GONE],
                                                 .forced = report.closed[OUTCOME_FORCED],
                                                 .refused = report.refused,
                                                 .received = report.received};
    }
    char *text = NULL;
    size_t length = 0;
    FILE *out = used > 0 ? open_memstream(&text, &length) : NULL;
    if (out != NULL) {
        struct progress_terminal shown_on = terminal();
        progress_table(out, rows, used, &shown_on);
        if (fclose(out) == 0)
            log_text(text, length);
        free(text);
    }
    free(rows);
}

void announce_result(const struct tracker *tracker, const struct shutdown_result *result)
{
    const struct tracker_report all = result->all;
    struct tracker_timing timing = {0};
    tracker_timings(tracker, &timing);
    log_alone(); /* CivetWeb's threads may be left behind, and `stopped` is the last line */
    if (log_terminal())
        log_live(NULL);
    tell_routes(tracker);
    log_event(
        result->status == 0 ? LOG_INFO : LOG_WARNING, "stopped",
        LOG_NUMBER("status", result->status), LOG_NUMBER("duration_ms", result->duration),
        LOG_TEXT("drain", shutdown_drain_name(result)),
        LOG_TEXT("mg_stop", shutdown_stop_name(result)), LOG_NUMBER("open", all.open),
        LOG_NUMBER("handshake", all.closed[OUTCOME_HANDSHAKE]),
        LOG_NUMBER("gone", all.closed[OUTCOME_GONE]),
        LOG_NUMBER("forced", all.closed[OUTCOME_FORCED]), LOG_NUMBER("refused", all.refused),
        LOG_NUMBER("received", all.received),
        LOG_NUMBER("http_finished", tracker_requests_finished(tracker)),
        LOG_NUMBER("http_cut", result->requests_cut),
        LOG_NUMBER("slowest_handshake_ms", (histogram_max(&timing.close_to_answer) + 999) / 1000));
}

void announce_state(const struct tracker *tracker)
{
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next)
        log_event(LOG_INFO, "state of a route", LOG_TEXT("route", route->name),
                  LOG_NUMBER("open", atomic_load(&route->open)),
                  LOG_NUMBER("opened", atomic_load(&route->opened)),
                  LOG_NUMBER("handshake", atomic_load(&route->closed[OUTCOME_HANDSHAKE])),
                  LOG_NUMBER("gone", atomic_load(&route->closed[OUTCOME_GONE])),
                  LOG_NUMBER("forced", atomic_load(&route->closed[OUTCOME_FORCED])));
    log_event(LOG_INFO, "state", LOG_TEXT("readiness", readiness_name(readiness_get())),
              LOG_NUMBER("sessions", tracker_sessions(tracker)),
              LOG_NUMBER("limit", tracker_limit(tracker)),
              LOG_NUMBER("requests", tracker_requests(tracker)));
}
