/*
 * shutdown: the stop thread and the drain side by side, under one deadline.
 *
 * shutdown_next decides what comes when, from a clock and counts alone; shutdown_run carries it
 * out: it closes the tracker's gate, has the sessions drained, and beside that calls the server's
 * blocking stop function on a thread of its own, which cannot hold the process past the timeout.
 * Knows the tracker; nothing of CivetWeb, sockets or sessions.
 */
#ifndef LASTCALL_SERVER_SHUTDOWN_H
#define LASTCALL_SERVER_SHUTDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/tracker.h"

/* Milliseconds, all from the signal on. */
struct shutdown_times {
    int64_t timeout; /* the process has gone by then, whatever happens */
    int64_t delay;   /* the drain begins then */
};

enum shutdown_phase { SHUTDOWN_DELAY, SHUTDOWN_DRAINING, SHUTDOWN_CUTTING };

struct shutdown_plan {
    struct shutdown_times times;
    int64_t began;
    int64_t end; /* once the cut has begun: when its time is up */
    enum shutdown_phase phase;
};

/* What the plan looks at. */
struct shutdown_view {
    int64_t now;
    size_t sessions;
    size_t requests;
    bool stopped; /* the server's stop function has come back */
    bool hurry;   /* a second signal has come */
};

enum shutdown_action {
    SHUTDOWN_WAIT,  /* until *wake_at, or until what is looked at has changed */
    SHUTDOWN_DRAIN, /* close the gate, drain, start to stop the server; then ask again */
    SHUTDOWN_CUT,   /* cut what is left; then ask again */
    SHUTDOWN_EXIT   /* all is done, or time is up */
};

/* The next step. Pure but for the plan's phase. */
enum shutdown_action shutdown_next(struct shutdown_plan *plan, const struct shutdown_view *view,
                                   int64_t *wake_at);

/* Until when requests in flight may take: the stop function is called then at the latest. */
int64_t shutdown_stop_at(const struct shutdown_plan *plan);

/* How the server's stop function fared. */
enum shutdown_stop { STOP_RETURNED, STOP_BLOCKED, STOP_NOT_CALLED };

/* How far the shutdown has come, for whoever is told while it goes on. */
struct shutdown_progress {
    bool draining;   /* else the delay is still on */
    int64_t elapsed; /* milliseconds since the first signal */
    int64_t left;    /* milliseconds until the timeout */
};

struct shutdown_options {
    struct shutdown_times times;
    struct tracker *tracker;
    int64_t signal_at;     /* when the first signal came (clock_milliseconds) */
    int64_t tolerate;      /* so many forced are as good as none */
    bool tolerate_percent; /* `tolerate` is percent of the sessions that were open */
    int signals;           /* a signalfd for signals after the first; -1: none */

    void *argument;                                   /* for the functions below */
    void (*refuse)(void *argument, int64_t deadline); /* let nobody in; must not block */
    void (*stop)(void *argument);                     /* stop the server; may block */
    void (*cut)(void *argument);                      /* cut all sessions; must not block */

    /* These two may be NULL; neither must block. */
    void (*progress)(void *argument, const struct shutdown_progress *progress);
    void (*signal)(void *argument, int number); /* one that is neither SIGTERM nor SIGINT */
};

struct shutdown_result {
    int status;       /* 0 drained, 1 forced, 2 the stop function is still blocked, 3 both; or
                         128 and the number of a second signal */
    int64_t duration; /* milliseconds since the first signal */
    enum shutdown_stop stop;
    struct tracker_report all;
    uint64_t forced;     /* sessions and requests that were cut */
    size_t requests_cut; /* of them: requests */
};

/*
 * Stops everything, once in a process: call it when the first signal has been read. Returns when
 * all is done or the
 * timeout has come; if result->stop is not STOP_RETURNED then the server's threads are still there
 * and the process must be ended with _exit. Main thread.
 */
void shutdown_run(const struct shutdown_options *options, struct shutdown_result *result);

/*
 * What comes behind shutdown_run: waits until a descriptor can be read from (-1: not at all), a
 * second signal asks to stop at once, or it is `deadline` (clock_milliseconds). Returns the number
 * of that signal, or 0. Main thread.
 */
int shutdown_wait(const struct shutdown_options *options, int descriptor, int64_t deadline);

/* Both results by name, for log and report: "complete" or "forced"; "returned", "blocked" or "not
   called". Any thread. */
const char *shutdown_drain_name(const struct shutdown_result *result);
const char *shutdown_stop_name(const struct shutdown_result *result);

#endif
