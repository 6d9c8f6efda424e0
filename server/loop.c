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
#include "server/loop_private.h"
#include "server/tracker.h"

#define TASKS_TIME UINT64_C(2000000) /* nanoseconds of one turn */

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

static void cut_sessions(struct loop *loop)
{
    while (loop->home.first != NULL)
        session_cut(loop->home.first);
}

/* Behind those that have not been run yet, in the order in which they were posted. */
static void take_tasks(struct loop *loop, struct task *newest)
{
    struct task *tasks = NULL;
    struct task **end = &tasks;
    while (newest != NULL) {
        struct task *task = newest;
        newest = task->next;
        task->next = tasks;
        tasks = task;
        if (task->next == NULL)
            end = &task->next;
    }
    *(loop->todo == NULL ? &loop->todo : loop->todo_end) = tasks;
    if (tasks != NULL)
        loop->todo_end = end;
}

/* Runs them for so long at most; those that are left have the next turn, and whoever else is on
   this loop is not kept waiting. */
static void run_tasks(struct loop *loop, uint64_t nanoseconds)
{
    const uint64_t began = uv_hrtime();
    while (loop->todo != NULL && uv_hrtime() - began <= nanoseconds) {
        struct task *task = loop->todo;
        loop->todo = task->next;
        task->run(task);
    }
}

/* Before the loop waits for anything. */
static void on_flush(uv_prepare_t *flush)
{
    struct loop *loop = flush->data;
    session_flush_all(&loop->home);
}

static void close_handles(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->flush, NULL);
    uv_close((uv_handle_t *)&loop->pace, NULL);
    uv_close((uv_handle_t *)&loop->wait, NULL);
    uv_close((uv_handle_t *)&loop->later, NULL);
}

static void on_wake(uv_async_t *wake)
{
    struct loop *loop = wake->data;
    pthread_mutex_lock(&loop->lock);
    struct session *arriving = loop->arriving;
    struct task *tasks = loop->tasks;
    unsigned asked = loop->asked;
    struct drain_plan plan = loop->plan;
    loop->arriving = NULL;
    loop->tasks = NULL;
    loop->asked = 0;
    pthread_mutex_unlock(&loop->lock);

    open_sessions(loop, arriving);
    take_tasks(loop, tasks);
    run_tasks(loop, TASKS_TIME);
    if (loop->todo != NULL)
        uv_async_send(wake);
    if ((asked & ASKED_DRAIN) != 0)
        loop_drain(loop, &plan);
    if ((asked & (ASKED_CUT | ASKED_STOP)) != 0)
        cut_sessions(loop);
    if ((asked & ASKED_LOOK) != 0)
        loop_look(loop);
    session_relieve(&loop->home);
    loop_drain_goes_on(loop);
    if ((asked & ASKED_BEAT) != 0)
        atomic_fetch_add(&loop->beats, 1);
    if ((asked & ASKED_STOP) != 0) {
        close_handles(loop);
        uv_stop(&loop->home.uv);
    }
}

static void count_handle(uv_handle_t *handle, void *count)
{
    (void)handle;
    ++*(size_t *)count;
}

static bool has_handles(uv_loop_t *uv)
{
    size_t count = 0;
    uv_walk(uv, count_handle, &count);
    return count > 0;
}

/* Look-ups of names that still run at the end are not waited for: nobody knows when they end, and
   nobody needs them. */
static void *run(void *argument)
{
    struct loop *loop = argument;
    uv_loop_t *uv = &loop->home.uv;
    uv_run(uv, UV_RUN_DEFAULT);
    while (has_handles(uv))
        uv_run(uv, UV_RUN_ONCE);
    loop->busy = uv_loop_alive(uv) != 0;
    pthread_mutex_lock(&loop->lock);
    loop->ended = true;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
    return NULL;
}

void loop_ask(struct loop *loop, unsigned asked)
{
    pthread_mutex_lock(&loop->lock);
    loop->asked |= asked;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

void loops_post(struct loops *loops, size_t place, struct task *task)
{
    struct loop *loop = loops->loop[place];
    pthread_mutex_lock(&loop->lock);
    task->next = loop->tasks;
    loop->tasks = task;
    pthread_mutex_unlock(&loop->lock);
    uv_async_send(&loop->wake);
}

size_t loops_count(const struct loops *loops)
{
    return loops->count;
}

static void free_loop(struct loop *loop)
{
    uv_loop_close(&loop->home.uv);
    deflate_free(loop->home.codec);
    free(loop->home.spare);
    pthread_cond_destroy(&loop->changed);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

/* Returns NULL with errno. */
static struct loop *start_loop(struct loops *loops, size_t place, struct tracker *tracker)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return NULL;
    loop->home.place = place;
    loop->home.tracker = tracker;
    loop->home.loops = loops;
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
    loop->wake.data = loop->flush.data = loop->pace.data = loop;
    loop->wait.data = loop->later.data = loop;
    error = uv_async_init(&loop->home.uv, &loop->wake, on_wake);
    if (error == 0) {
        uv_prepare_init(&loop->home.uv, &loop->flush); /* none of these can fail */
        uv_prepare_start(&loop->flush, on_flush);
        uv_timer_init(&loop->home.uv, &loop->pace);
        uv_timer_init(&loop->home.uv, &loop->wait);
        uv_timer_init(&loop->home.uv, &loop->later);
        error = -pthread_create(&loop->thread, NULL, run, loop);
        if (error == 0)
            return loop;
        close_handles(loop);
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

/* What was posted to loops that had ended already. */
static void run_rest(struct loops *loops)
{
    bool any; /* for what is run may post again, to any of them */
    do {
        any = false;
        for (size_t i = 0; i < loops->count; i++) {
            struct loop *loop = loops->loop[i];
            take_tasks(loop, loop->tasks);
            loop->tasks = NULL;
            any = any || loop->todo != NULL;
            run_tasks(loop, UINT64_MAX);
        }
    } while (any);
}

/* Returns whether all have ended, and been freed: none before, as any may still ask another, nor
   while anything uses one. */
static bool stop_all(struct loops *loops, int64_t deadline)
{
    bool all = true;
    for (size_t i = 0; i < loops->count; i++)
        loop_ask(loops->loop[i], ASKED_STOP);
    for (size_t i = 0; i < loops->count; i++)
        all = join_loop(loops->loop[i], deadline) && all;
    if (all)
        run_rest(loops);
    for (size_t i = 0; i < loops->count; i++)
        all = all && !loops->loop[i]->busy;
    for (size_t i = 0; all && i < loops->count; i++)
        free_loop(loops->loop[i]);
    return all;
}

static void ask_for_memory(void *argument, size_t place)
{
    struct loops *loops = argument;
    loop_ask(loops->loop[place], ASKED_RELIEVE);
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
        struct loop *loop = start_loop(loops, loops->count, tracker);
        if (loop == NULL) {
            int error = errno;
            stop_all(loops, INT64_MAX);
            free(loops);
            errno = error;
            return NULL;
        }
        loops->loop[loops->count] = loop;
    }
    if (tracker_on_drain(tracker, loops_begin_drain, loops) == 0)
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
    pthread_mutex_lock(&best->lock);
    session_link(session, best->arriving);
    best->arriving = session;
    pthread_mutex_unlock(&best->lock);
    uv_async_send(&best->wake);
}

bool loops_beat(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        if (atomic_load(&loops->loop[i]->beats) != loops->beats)
            return false;
    loops->beats++;
    for (size_t i = 0; i < loops->count; i++)
        loop_ask(loops->loop[i], ASKED_BEAT);
    return true;
}

void loops_cut(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        loop_ask(loops->loop[i], ASKED_CUT);
}

int loops_stop(struct loops *loops, int64_t deadline)
{
    if (!stop_all(loops, deadline))
        return -1;
    free(loops);
    return 0;
}
