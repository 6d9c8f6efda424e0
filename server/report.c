#include "server/report.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/shutdown.h"
#include "server/tracker.h"

/* The name of the new file; the caller frees it. */
static char *name_beside(const char *path)
{
    char *name = NULL;
    return asprintf(&name, "%s.%ld.new", path, (long)getpid()) < 0 ? NULL : name;
}

static int explain(const char *path, char *error, size_t error_size)
{
    snprintf(error, error_size, "the report %s cannot be written: %s", path, strerror(errno));
    return -1;
}

/*
 * Makes the new file. What a process of the same number has left behind, as PID 1 always has it,
 * is taken away first; a link that somebody laid there is never followed. Returns -1 with errno.
 */
static int create(const char *name)
{
    if (unlink(name) != 0 && errno != ENOENT)
        return -1;
    return open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
}

/* Whether a file can take the place of what is at `path`; else sets errno. */
static bool replaceable(const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0)
        return errno == ENOENT;
    if (S_ISREG(about.st_mode))
        return true;
    errno = S_ISDIR(about.st_mode) ? EISDIR : EEXIST;
    return false;
}

int report_check(const char *path, char *error, size_t error_size)
{
    char *name = name_beside(path);
    int file = name == NULL || !replaceable(path) ? -1 : create(name);
    int result = file < 0 ? explain(path, error, error_size) : 0;
    if (file >= 0) {
        close(file);
        unlink(name);
    }
    free(name);
    return result;
}

/* Milliseconds with three places. */
static json_t *percentiles(const struct histogram *histogram)
{
    if (histogram_count(histogram) == 0)
        return json_null();
    return json_pack("{s:f, s:f, s:f}", "p50", (double)histogram_percentile(histogram, 0.5) / 1000,
                     "p99", (double)histogram_percentile(histogram, 0.99) / 1000, "max",
                     (double)histogram_max(histogram) / 1000);
}

static json_t *counts(const struct tracker_report *report)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "open", (json_int_t)report->open,
                     "handshake", (json_int_t)report->closed[OUTCOME_HANDSHAKE], "gone",
                     (json_int_t)report->closed[OUTCOME_GONE], "forced",
                     (json_int_t)report->closed[OUTCOME_FORCED], "refused",
                     (json_int_t)report->refused, "received", (json_int_t)report->received);
}

static json_t *routes(const struct tracker *tracker)
{
    json_t *array = json_array();
    const struct tracker_route *route = tracker_routes(tracker);
    for (; route != NULL; route = route->next) {
        struct tracker_report report = tracker_report(tracker, route);
        json_t *object = json_pack("{s:s}", "route", route->name);
        json_object_update_new(object, counts(&report));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *make_report(const struct tracker *tracker, const struct shutdown_result *result)
{
    char now[32];
    struct tracker_timing timing = {0};
    tracker_timings(tracker, &timing);
    clock_format(now, sizeof now);
    return json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:o, s:I, s:I, s:o, s:o, s:o}", "version",
                     LASTCALL_VERSION, "time", now, "status", result->status, "duration_ms",
                     (json_int_t)result->duration, "drain", shutdown_drain_name(result), "mg_stop",
                     shutdown_stop_name(result), "sessions", counts(&result->all), "http_finished",
                     (json_int_t)tracker_requests_finished(tracker), "http_cut",
                     (json_int_t)result->requests_cut, "signal_to_close_ms",
                     percentiles(&timing.signal_to_close), "close_to_answer_ms",
                     percentiles(&timing.close_to_answer), "routes", routes(tracker));
}

/* Returns 0, or -1 with errno. */
static int write_file(const char *name, const char *text)
{
    int descriptor = create(name);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (file == NULL) {
        if (descriptor >= 0)
            close(descriptor);
        return -1;
    }
    bool failed = fprintf(file, "%s\n", text) < 0 || fflush(file) != 0;
    return fclose(file) != 0 || failed ? -1 : 0;
}

int report_write(const char *path, const struct tracker *tracker,
                 const struct shutdown_result *result, char *error, size_t error_size)
{
    json_t *report = make_report(tracker, result);
    char *text =
        report == NULL ? NULL : json_dumps(report, JSON_INDENT(4) | JSON_REAL_PRECISION(10));
    char *name = name_beside(path);
    int written = -1;
    errno = ENOMEM;
    if (text != NULL && name != NULL) {
        written = write_file(name, text);
        if (written == 0)
            written = rename(name, path);
        if (written != 0) {
            explain(path, error, error_size);
            unlink(name);
        }
    } else {
        explain(path, error, error_size);
    }
    free(name);
    free(text);
    json_decref(report);
    return written;
}
