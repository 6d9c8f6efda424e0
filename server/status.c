#include "server/status.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/clock.h"
#include "server/status_json.h"
#include "server/tracker.h"

enum { LOOK_INTERVAL = 100 }; /* milliseconds */

static struct {
    pthread_mutex_t lock; /* guards all but `stopping` */
    struct status_sources of;
    struct status_snapshot *newest;
    struct loops_survey survey; /* too large for the stack of a request's thread */
    int64_t started_at;
    int64_t own_descriptors; /* those that neither sessions nor requests have */
    int64_t looked_at;       /* by the loops, for the last time */
    int64_t signal_at;
    int64_t timeout;
    bool on;
    atomic_bool stopping;
} status = {.lock = PTHREAD_MUTEX_INITIALIZER};

void status_init(const struct status_sources *sources)
{
    pthread_mutex_lock(&status.lock);
    status.of = *sources;
    status.started_at = clock_milliseconds();
    status.own_descriptors = process_count_descriptors();
    status.on = true;
    atomic_store(&status.stopping, false);
    pthread_mutex_unlock(&status.lock);
}

void status_stopping(int64_t signal_at, int64_t timeout)
{
    pthread_mutex_lock(&status.lock);
    status.signal_at = signal_at;
    status.timeout = timeout;
    atomic_store(&status.stopping, true);
    pthread_mutex_unlock(&status.lock);
}

static void release(struct status_snapshot *snapshot)
{
    if (snapshot == NULL || --snapshot->holders > 0)
        return;
    free(snapshot->text);
    free(snapshot);
}

void status_end(void)
{
    pthread_mutex_lock(&status.lock);
    status.on = false;
    release(status.newest);
    status.newest = NULL;
    pthread_mutex_unlock(&status.lock);
}

enum status_phase status_phase(void)
{
    if (!atomic_load(&status.stopping))
        return STATUS_SERVING;
    if (!tracker_gate_closed(status.of.tracker))
        return STATUS_DELAY;
    return tracker_only_last(status.of.tracker) ? STATUS_ALONE : STATUS_DRAINING;
}

/* Where the kernel does not tell how many descriptors are open, it is what this process has for
   itself, and one for each that is in flight. */
static void read_process(struct process_figures *process)
{
    process_read(process);
    if (process->descriptors < 0)
        process->descriptors = status.own_descriptors +
                               (int64_t)tracker_sessions(status.of.tracker) +
                               (int64_t)tracker_requests(status.of.tracker);
}

void status_look(void)
{
    pthread_mutex_lock(&status.lock);
    int64_t now = clock_milliseconds();
    if (status.on && now - status.looked_at >= LOOK_INTERVAL) {
        status.looked_at = now;
        loops_look(status.of.loops);
    }
    pthread_mutex_unlock(&status.lock);
}

static char *make_text(enum status_phase phase, int64_t now, const struct process_figures *process)
{
    if (phase == STATUS_DRAINING)
        loops_survey(status.of.loops, &status.survey);
    else
        memset(&status.survey, 0, sizeof status.survey);
    return status_json(&(struct status_view){
        .of = &status.of,
        .survey = &status.survey,
        .process = process,
        .phase = phase,
        .uptime = now - status.started_at,
        .elapsed = now - status.signal_at,
        .left = status.signal_at + status.timeout - now,
    });
}

/* Puts a new one in the place of the newest. */
static void renew(enum status_phase phase, int64_t now, const struct process_figures *process)
{
    struct status_snapshot *snapshot = malloc(sizeof *snapshot);
    char *text = snapshot == NULL ? NULL : make_text(phase, now, process);
    release(status.newest);
    status.newest = NULL;
    if (text == NULL) {
        free(snapshot);
        return;
    }
    *snapshot = (struct status_snapshot){
        .length = strlen(text), .text = text, .phase = phase, .made_at = now, .holders = 1};
    status.newest = snapshot;
}

/* Whether there is one that will do. */
static bool is_fresh(enum status_phase phase, int64_t now, int64_t age)
{
    const struct status_snapshot *newest = status.newest;
    return newest != NULL && newest->phase == phase && now - newest->made_at <= age;
}

struct status_snapshot *status_get(int64_t age)
{
    enum status_phase phase = status_phase();
    int64_t now = clock_milliseconds();
    pthread_mutex_lock(&status.lock);
    if (status.on && !is_fresh(phase, now, age)) {
        struct process_figures process;
        pthread_mutex_unlock(&status.lock); /* nobody waits for files of the kernel */
        read_process(&process);
        pthread_mutex_lock(&status.lock);
        if (status.on && !is_fresh(phase, now, age)) /* nobody else was quicker */
            renew(phase, now, &process);
    }
    struct status_snapshot *newest = status.newest;
    if (newest != NULL)
        newest->holders++;
    pthread_mutex_unlock(&status.lock);
    return newest;
}

void status_release(struct status_snapshot *snapshot)
{
    pthread_mutex_lock(&status.lock);
    release(snapshot);
    pthread_mutex_unlock(&status.lock);
}
