#include "server/shutdown.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/descriptor.h"
#include "server/log.h"
#include "server/tracker.h"

enum {
    STOP_MARGIN = 500, /* milliseconds that the server's stop is given before the timeout */
    CUT_MARGIN = 50,   /* and the cut of what is left */
    END_MARGIN = 20,   /* and what comes after: freeing, the last lines of the log */
    HURRY = 100,       /* a second signal leaves so much for the cut itself */
    SAME_SIGNAL = 100, /* a second signal within this time is taken for the first */
    PROGRESS_INTERVAL = 100,
};

static int64_t at_most(int64_t value, int64_t bound)
{
    return value < bound ? value : bound;
}

int64_t shutdown_stop_at(const struct shutdown_plan *plan)
{
    int64_t timeout = plan->times.timeout;
    return plan->began + timeout - at_most(STOP_MARGIN, timeout / 2);
}

enum shutdown_action shutdown_next(struct shutdown_plan *plan, const struct shutdown_view *view,
                                   int64_t *wake_at)
{
    int64_t end = plan->began + plan->times.timeout - at_most(END_MARGIN, plan->times.timeout / 50);
    int64_t cut_at = end - at_most(CUT_MARGIN, plan->times.timeout / 20);
    bool empty = view->sessions == 0 && view->requests == 0 && view->stopped;

    if (plan->phase == SHUTDOWN_DELAY && !view->hurry) {
        *wake_at = plan->began + plan->times.delay;
        if (view->now < *wake_at)
            return SHUTDOWN_WAIT;
        plan->phase = SHUTDOWN_DRAINING;
        return SHUTDOWN_DRAIN;
    }
    if (plan->phase != SHUTDOWN_CUTTING) {
        *wake_at = cut_at;
        if (empty)
            return SHUTDOWN_EXIT;
        if (view->now < cut_at && !view->hurry)
            return SHUTDOWN_WAIT;
        plan->phase = SHUTDOWN_CUTTING;
        plan->end = view->hurry ? at_most(view->now + HURRY, end) : end;
        return SHUTDOWN_CUT;
    }
    if (view->hurry) { /* also one that comes while the cut is under way */
        plan->end = at_most(view->now + HURRY, plan->end);
        empty = view->sessions == 0;
    }
    *wake_at = plan->end;
    return empty || view->now >= plan->end ? SHUTDOWN_EXIT : SHUTDOWN_WAIT;
}

/* Shared with the stop thread. */
struct stopping {
    const struct shutdown_options *options;
    int64_t deadline;
    int done;           /* eventfd */
    atomic_bool called; /* the stop function */
    atomic_bool stopped;
    atomic_size_t requests_cut;
};

static void *stop_server(void *argument)
{
    struct stopping *stopping = argument;
    const struct shutdown_options *options = stopping->options;
    const uint64_t one = 1;
    atomic_store(&stopping->requests_cut,
                 tracker_wait_requests(options->tracker, stopping->deadline));
    atomic_store(&stopping->called, true);
    options->stop(options->argument);
    atomic_store(&stopping->stopped, true);
    ssize_t written = write(stopping->done, &one, sizeof one);
    (void)written;
    return NULL;
}

/* Returns whether the thread was started. */
static bool begin_drain(const struct shutdown_options *options, struct stopping *stopping,
                        pthread_t *thread)
{
    log_event(LOG_INFO, "draining", LOG_NUMBER("sessions", tracker_sessions(options->tracker)),
              LOG_NUMBER("requests", tracker_requests(options->tracker)));
    tracker_close_gate(options->tracker);
    options->refuse(options->argument, stopping->deadline);
    tracker_drain(options->tracker);
    int error = pthread_create(thread, NULL, stop_server, stopping);
    if (error != 0)
        log_event(LOG_ERROR, "no thread to stop the server", LOG_TEXT("why", strerror(error)));
    return error == 0;
}

/* A signal after the first. Returns its number when it asks to stop at once, else 0. */
static int next_signal(const struct shutdown_options *options)
{
    struct signalfd_siginfo info;
    if (read(options->signals, &info, sizeof info) != sizeof info)
        return 0;
    int number = (int)info.ssi_signo;
    if (number == SIGTERM || number == SIGINT)
        return clock_milliseconds() - options->signal_at < SAME_SIGNAL ? 0 : number;
    if (options->signal != NULL)
        options->signal(options->argument, number);
    return 0;
}

/* Sleeps until something has changed. Returns the number of a second signal, or 0. */
static int wait_for_change(const struct shutdown_options *options, const struct stopping *stopping,
                           int64_t wake_at)
{
    struct pollfd events[] = {
        {.fd = tracker_descriptor(options->tracker), .events = POLLIN},
        {.fd = atomic_load(&stopping->stopped) ? -1 : stopping->done, .events = POLLIN},
        {.fd = options->signals, .events = POLLIN},
    };
    int timeout = clock_poll_timeout(wake_at);
    if (options->progress != NULL && timeout > PROGRESS_INTERVAL)
        timeout = PROGRESS_INTERVAL;
    if (poll(events, 3, timeout) <= 0)
        return 0;
    if ((events[0].revents & POLLIN) != 0)
        tracker_acknowledge(options->tracker);
    return (events[2].revents & POLLIN) != 0 ? next_signal(options) : 0;
}

static void tell_progress(const struct shutdown_options *options, bool draining)
{
    int64_t elapsed = clock_milliseconds() - options->signal_at;
    const struct shutdown_progress progress = {
        .draining = draining,
        .elapsed = elapsed,
        .left = options->times.timeout - elapsed,
    };
    if (options->progress != NULL)
        options->progress(options->argument, &progress);
}

/* The second signal is the one that counts. */
static void note_signal(int *hurried_by, int signal)
{
    if (*hurried_by == 0)
        *hurried_by = signal;
}

/* Whether so few were forced that they do not count. */
static bool tolerated(const struct shutdown_options *options, uint64_t forced, uint64_t open)
{
    uint64_t allowed = (uint64_t)options->tolerate;
    if (options->tolerate_percent)
        allowed = open * allowed / 100;
    return forced <= allowed;
}

static void sum_up(const struct shutdown_options *options, const struct stopping *stopping,
                   int hurried_by, struct shutdown_result *result)
{
    bool called = atomic_load(&stopping->called);
    bool stopped = atomic_load(&stopping->stopped);
    result->all = tracker_report(options->tracker, NULL);
    result->stop = stopped ? STOP_RETURNED : called ? STOP_BLOCKED : STOP_NOT_CALLED;
    result->requests_cut =
        called ? atomic_load(&stopping->requests_cut) : tracker_requests(options->tracker);
    result->requests_cut += tracker_requests_cut(options->tracker);
    result->forced = result->all.closed[OUTCOME_FORCED] + result->requests_cut;
    result->status =
        (tolerated(options, result->forced, result->all.open) ? 0 : 1) | (stopped ? 0 : 2);
    if (hurried_by != 0)
        result->status = 128 + hurried_by;
}

int shutdown_wait(const struct shutdown_options *options, int descriptor, int64_t deadline)
{
    struct pollfd events[] = {{.fd = descriptor, .events = POLLIN},
                              {.fd = options->signals, .events = POLLIN}};
    int64_t now = clock_milliseconds();
    for (; descriptor >= 0 && now < deadline; now = clock_milliseconds()) {
        int64_t wake_at = now + PROGRESS_INTERVAL < deadline ? now + PROGRESS_INTERVAL : deadline;
        poll(events, 2, clock_poll_timeout(wake_at));
        tell_progress(options, true);
        if ((events[0].revents & POLLIN) != 0)
            break;
        int number = (events[1].revents & POLLIN) != 0 ? next_signal(options) : 0;
        if (number != 0)
            return number;
    }
    return 0;
}

void shutdown_run(const struct shutdown_options *options, struct shutdown_result *result)
{
    static struct stopping stopping; /* a thread that does not come back goes on using it */
    struct shutdown_plan plan = {.times = options->times, .began = options->signal_at};
    pthread_t thread;
    bool started = false;
    bool failed = false; /* there is no thread to stop the server */
    int hurried_by = 0;

    tracker_mark(options->tracker);
    stopping = (struct stopping){.options = options, .deadline = shutdown_stop_at(&plan)};
    stopping.done = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    for (;;) {
        struct shutdown_view view = {
            .now = clock_milliseconds(),
            .sessions = tracker_sessions(options->tracker),
            .requests = tracker_requests(options->tracker),
            .stopped = failed || atomic_load(&stopping.stopped),
            .hurry = hurried_by != 0,
        };
        int64_t wake_at = 0;
        enum shutdown_action action = shutdown_next(&plan, &view, &wake_at);
        if (action == SHUTDOWN_EXIT)
            break;
        if (action == SHUTDOWN_DRAIN) {
            started = begin_drain(options, &stopping, &thread);
            failed = !started;
        } else if (action == SHUTDOWN_CUT) {
            options->cut(options->argument);
        } else {
            note_signal(&hurried_by, wait_for_change(options, &stopping, wake_at));
        }
        tell_progress(options, plan.phase != SHUTDOWN_DELAY);
    }
    sum_up(options, &stopping, hurried_by, result);
    if (started && result->stop == STOP_RETURNED)
        pthread_join(thread, NULL);
    if (!started || result->stop == STOP_RETURNED)
        close(stopping.done);
    result->duration = clock_milliseconds() - plan.began;
}

const char *shutdown_drain_name(const struct shutdown_result *result)
{
    return result->forced > 0 ? "forced" : "complete";
}

const char *shutdown_stop_name(const struct shutdown_result *result)
{
    static const char *const names[] = {"returned", "blocked", "not called"};
    return names[result->stop];
}
