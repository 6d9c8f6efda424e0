#include "server/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/handler.h"
#include "server/clock.h"
#include "server/deflate.h"
#include "server/descriptor.h"
#include "server/pace.h"
#include "server/route.h"
#include "server/tracker.h"

/* What other threads have asked of a loop. */
enum {
    ASKED_DRAIN = 1,
    ASKED_CUT = 2,
    ASKED_STOP = 4,
    ASKED_BEAT = 8,
    ASKED_LOOK = 16,
    ASKED_RELIEVE = 32, /* of its memory: nothing but to wake up for */
};

enum { PACE_INTERVAL = 10 }; /* milliseconds */

struct loop {
    struct session_home home;
    uv_async_t wake;
    uv_timer_t pace;
    uv_timer_t wait;
    pthread_t thread;
    size_t to_drain; /* sessions that were here when the drain began, and have a turn */
    size_t drained;  /* those that had it */
    int64_t drain_began;
    struct loops_survey seen;
    atomic_uint beats;    /* answers to loops_beat */
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t changed;
    struct session *arriving;
    unsigned asked;
    struct drain_plan plan;
    struct loops_survey survey;
    bool ended;
};

struct loops {
    struct drain_plan plan;
    unsigned beats; /* times that loops_beat was called */
    size_t count;
    struct loop *loop[];
};

/* In the order of their arrival. */
static struct session *reversed(struct session *list)
{
    struct session *result = NULL;
    while (list != NULL) {
        struct session *next = session_older(list);
        session_link(list, result);
        result = list;
        list = next;
    }
    return result;
}

static void open_sessions(struct loop *loop, struct session *arriving)
{
    for (struct session *session = reversed(arriving), *next; session != NULL; session = next) {
        next = session_older(session);
        session_open(session, &loop->home);
    }
}

/* The loops take turns: each begins a little later than the one before, so that few sessions on
   many loops are spread as well. */
static int64_t phase(const struct loop *loop)
{
    const struct session_home *home = &loop->home;
    double turns = (double)home->plan.turns * (double)loop->to_drain;
    return turns == 0 ? 0 : (int64_t)((double)home->plan.spread * (double)home->plan.turn / turns);
}

/* Those that have had no turn: they were to wait, or to be the last. */
static void drain_rest(struct session_home *home)
{
    for (struct session *session = home->first, *older; session != NULL; session = older) {
        older = session_older(session);
        session_drain(session, true);
    }
    session_relieve(home);
}

/* Every session that is due by now, the oldest first. What is due together counts as one moment:
   with no spread all have until `close_timeout` after the beginning of the drain. */
static void drain_due(struct loop *loop)
{
    struct session_home *home = &loop->home;
    int64_t elapsed = (int64_t)uv_now(&home->uv) - loop->drain_began;
    size_t due = pace_due(loop->to_drain, elapsed - phase(loop), home->plan.spread);
    while (loop->drained < due && home->next_to_drain != NULL) {
        struct session *session = home->next_to_drain;
        home->next_to_drain = session_newer(session);
        if (!session_paced(session))
            continue;
        loop->drained++;
        session_drain(session, false);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    struct session_home *home = &loop->home;
    drain_due(loop);
    session_relieve(home);
    if (loop->drained < loop->to_drain && home->next_to_drain != NULL)
        return;
    if (home->watchers > 0 && !tracker_only_last(home->tracker))
        return;
    uv_timer_stop(timer);
    if (home->watchers > 0)
        drain_rest(home);
}

/* The time of the routes that wait is up. */
static void on_waited(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    drain_rest(&loop->home);
}

static void drain_sessions(struct loop *loop, const struct drain_plan *plan)
{
    struct session_home *home = &loop->home;
    uv_update_time(&home->uv);
    home->draining = true;
    home->plan = *plan;
    home->next_to_drain = home->last;
    loop->drain_began = (int64_t)uv_now(&home->uv);
    for (struct session *session = home->last, *newer; session != NULL; session = newer) {
        newer = session_newer(session);
        if (session_paced(session))
            loop->to_drain++;
        else
            session_drain(session, false); /* it is told, and not closed yet */
    }
    uv_timer_start(&loop->pace, on_pace, 0, PACE_INTERVAL);
    on_pace(&loop->pace);
    int64_t left = plan->wait_until - loop->drain_began;
    uv_timer_start(&loop->wait, on_waited, left > 0 ? (uint64_t)left : 0, 0);
}

static void look(struct loop *loop)
{
    struct loops_survey *seen = &loop->seen;
    seen->listed = 0;
    memset(seen->waiting, 0, sizeof seen->waiting);
    for (struct session *session = loop->home.last; session != NULL;
         session = session_newer(session)) {
        struct session_glance glance;
        session_look(session, &glance);
        if (glance.route->handler->last)
            continue;
        seen->waiting[glance.wait]++;
        if (seen->listed < SURVEY_SESSIONS)
            seen->sessions[seen->listed++] = glance;
    }
    pthread_mutex_lock(&loop->lock);
    loop->survey = *seen;
    pthread_mutex_unlock(&loop->lock);
}

static void cut_sessions(struct loop *loop)
{
    while (loop->home.first != NULL)
        session_cut(loop->home.first);
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    pthread_mutex_lock(&loop->lock);
    struct session *arriving = loop->arriving;
    unsigned asked = loop->asked;
    struct drain_plan plan = loop->plan;
    loop->arriving = NULL;
    loop->asked = 0;
    pthread_mutex_unlock(&loop->lock);

    open_sessions(loop, arriving);
    if ((asked & ASKED_DRAIN) != 0)
        drain_sessions(loop, &plan);
    if ((asked & (ASKED_CUT | ASKED_STOP)) != 0)
        cut_sessions(loop);
    if ((asked & ASKED_LOOK) != 0)
        look(loop);
    session_relieve(&loop->home);
    if (loop->home.draining && loop->home.watchers > 0)
        uv_timer_start(&loop->pace, on_pace, 0, PACE_INTERVAL); /* one may have come just now */
    if ((asked & ASKED_BEAT) != 0)
        atomic_fetch_add(&loop->beats, 1);
    if ((asked & ASKED_STOP) != 0) {
        uv_close((uv_handle_t *)wake, NULL);
        uv_close((uv_handle_t *)&loop->pace, NULL);
        uv_close((uv_handle_t *)&loop->wait, NULL);
    }
}

static void *run(void *argument)
{
    struct loop *loop = argument;
    uv_run(&loop->home.uv, UV_RUN_DEFAULT);
    pthread_mutex_lock(&loop->lock);
    loop->ended = true;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

static void post(struct loop *loop, struct session *session, unsigned asked)
{
    pthread_mutex_lock(&loop->lock);
    if (session != NULL) {
        session_link(session, loop->arriving);
        loop->arriving = session;
    }
    loop->asked |= asked;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

static void begin_drain(void *argument)
{
    struct loops *loops = argument;
    size_t turns = 0;
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        loop->plan = loops->plan;
        loop->plan.turn = turns;
        pthread_mutex_unlock(&loop->lock);
        turns += atomic_load(&loop->home.sessions) > 0;
    }
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        loop->plan.turns = turns;
        pthread_mutex_unlock(&loop->lock);
        post(loop, NULL, ASKED_DRAIN);
    }
}

static void free_loop(struct loop *loop)
{
    uv_loop_close(&loop->home.uv);
    deflate_free(loop->home.codec);
    pthread_cond_destroy(&loop->changed);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* Returns NULL with errno. */
static struct loop *start_loop(size_t place, struct tracker *tracker)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->home.place = place;
    loop->home.tracker = tracker;
    loop->home.share = (struct memory_share){.memory = tracker_memory(tracker), .place = place};
    loop->home.random = uv_hrtime() + place;
    pthread_mutex_init(&loop->lock, NULL);
    clock_condition_init(&loop->changed);
    int error = uv_loop_init(&loop->home.uv);
    if (error != 0) {
        pthread_cond_destroy(&loop->changed);
        pthread_mutex_destroy(&loop->lock);
        free(loop);
        errno = -error;
        return NULL;
    }
    loop->wake.data = loop->pace.data = loop->wait.data = loop;
    error = uv_async_init(&loop->home.uv, &loop->wake, on_wake);
    if (error == 0) {
        uv_timer_init(&loop->home.uv, &loop->pace); /* these two cannot fail */
        uv_timer_init(&loop->home.uv, &loop->wait);
        error = -pthread_create(&loop->thread, NULL, run, loop);
        if (error == 0)
            return loop;
        uv_close((uv_handle_t *)&loop->wake, NULL);
        uv_close((uv_handle_t *)&loop->pace, NULL);
        uv_close((uv_handle_t *)&loop->wait, NULL);
        uv_run(&loop->home.uv, UV_RUN_DEFAULT);
    }
    free_loop(loop);
    errno = -error;
    return NULL;
}

/* Returns whether its thread has ended, and been joined. */
static bool join_loop(struct loop *loop, int64_t deadline)
{
    struct timespec until = clock_timespec(deadline);
    int waited = 0;
    pthread_mutex_lock(&loop->lock);
    while (!loop->ended && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&loop->changed, &loop->lock, &until);
    bool ended = loop->ended;
    pthread_mutex_unlock(&loop->lock);
    if (ended)
        pthread_join(loop->thread, NULL);
    return ended;
}

/* Returns whether all have ended, and been freed: none before, as any may still ask another. */
static bool stop_all(struct loops *loops, int64_t deadline)
{
    bool all = true;
    for (size_t i = 0; i < loops->count; i++)
        post(loops->loop[i], NULL, ASKED_STOP);
    for (size_t i = 0; i < loops->count; i++)
        all = join_loop(loops->loop[i], deadline) && all;
    for (size_t i = 0; all && i < loops->count; i++)
        free_loop(loops->loop[i]);
    return all;
}

static void ask_for_memory(void *argument, size_t place)
{
    struct loops *loops = argument;
    post(loops->loop[place], NULL, ASKED_RELIEVE);
}

struct loops *loops_start(size_t count, struct tracker *tracker)
{
    if (count > MEMORY_SHARES_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct loops *loops = calloc(1, sizeof *loops + count * sizeof *loops->loop);
    if (loops == NULL)
        return NULL;
    tracker_memory(tracker)->ask = ask_for_memory;
    tracker_memory(tracker)->argument = loops;
    for (; loops->count < count; loops->count++) {
        struct loop *loop = start_loop(loops->count, tracker);
        if (loop == NULL) {
            int error = errno;
            stop_all(loops, INT64_MAX);
            free(loops);
            errno = error;
            return NULL;
        }
        loops->loop[loops->count] = loop;
    }
    if (tracker_on_drain(tracker, begin_drain, loops) == 0)
        return loops;
    loops_stop(loops, INT64_MAX);
    errno = ENOSPC;
    return NULL;
}

void loops_add(struct loops *loops, struct session *session)
{
    struct loop *best = loops->loop[0];
    size_t fewest = SIZE_MAX;
    for (size_t i = 0; i < loops->count; i++) {
        size_t sessions =
            atomic_load_explicit(&loops->loop[i]->home.sessions, memory_order_relaxed);
        if (sessions < fewest) {
            fewest = sessions;
            best = loops->loop[i];
        }
    }
    atomic_fetch_add_explicit(&best->home.sessions, 1, memory_order_relaxed);
    post(best, session, 0);
}

void loops_plan_drain(struct loops *loops, const struct drain_plan *plan)
{
    loops->plan = *plan;
}

bool loops_beat(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        if (atomic_load(&loops->loop[i]->beats) != loops->beats)
            return false;
    loops->beats++;
    for (size_t i = 0; i < loops->count; i++)
        post(loops->loop[i], NULL, ASKED_BEAT);
    return true;
}

void loops_look(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        post(loops->loop[i], NULL, ASKED_LOOK);
}

void loops_survey(struct loops *loops, struct loops_survey *sum)
{
    sum->listed = 0;
    memset(sum->waiting, 0, sizeof sum->waiting);
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        for (size_t wait = 0; wait < WAIT_COUNT; wait++)
            sum->waiting[wait] += loop->survey.waiting[wait];
        for (size_t j = 0; j < loop->survey.listed && sum->listed < SURVEY_SESSIONS; j++)
            sum->sessions[sum->listed++] = loop->survey.sessions[j];
        pthread_mutex_unlock(&loop->lock);
    }
}

void loops_cut(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        post(loops->loop[i], NULL, ASKED_CUT);
}

int loops_stop(struct loops *loops, int64_t deadline)
{
    if (!stop_all(loops, deadline))
        return -1;
    free(loops);
    return 0;
}
