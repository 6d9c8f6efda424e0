/*
 * loop_private: what the files of the loops share: loop.c (start, what is posted to a loop, the
 * end), loop_later.c (what is posted for later) and loop_drain.c (the drain, and who is still
 * there). Nobody else includes it.
 */
#ifndef LASTCALL_SERVER_LOOP_PRIVATE_H
#define LASTCALL_SERVER_LOOP_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "server/loop.h"
#include "server/task.h"

/* What other threads have asked of a loop. */
enum {
    ASKED_DRAIN = 1,
    ASKED_CUT = 2,
    ASKED_STOP = 4,
    ASKED_BEAT = 8,
    ASKED_LOOK = 16,
    ASKED_RELIEVE = 32, /* of its memory: nothing but to wake up for */
};

struct loop {
    struct session_home home;
    uv_async_t wake;
    uv_prepare_t flush;
    uv_timer_t pace;
    uv_timer_t wait;
    uv_timer_t later;
    struct later *first_later; /* by their time */
    pthread_t thread;
    size_t to_drain; /* sessions that were here when the drain began, and have a turn */
    size_t drained;  /* those that had it */
    int64_t drain_began;
    struct loops_survey seen;
    atomic_uint beats; /* answers to loops_beat */
    struct task *todo; /* taken from `tasks`, the oldest first */
    struct task **todo_end;
    pthread_mutex_t lock; /* guards what is below */
    pthread_cond_t changed;
    struct session *arriving;
    struct task *tasks; /* the newest first */
    unsigned asked;
    struct drain_plan plan;
    struct loops_survey survey;
    bool ended;
    bool busy; /* it has ended, and a look-up of a name still runs that will use it */
};

struct loops {
    struct drain_plan plan;
    unsigned beats; /* times that loops_beat was called */
    size_t count;
    struct loop *loop[];
};

/* Has a loop woken up for what was asked of it. Any thread. */
void loop_ask(struct loop *loop, unsigned asked);

/* --- loop_drain.c --- */

/* The drain begins. Loop thread. */
void loop_drain(struct loop *loop, const struct drain_plan *plan);

/* Sessions that are drained last may have come while it goes on. Loop thread. */
void loop_drain_goes_on(struct loop *loop);

/* Looks through the sessions for loops_survey. Loop thread. */
void loop_look(struct loop *loop);

/* Has every loop drain: what the tracker calls with the loops. */
void loops_begin_drain(void *argument);

#endif
