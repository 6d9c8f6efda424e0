/*
 * children_private: what the files of the children share: children.c (the reaper's thread, and what
 * it is asked for), children_group.c (one program and its process group) and children_strays.c
 * (processes that a program has let out of its group). Nobody else includes it.
 */
#ifndef LASTCALL_SERVER_CHILDREN_PRIVATE_H
#define LASTCALL_SERVER_CHILDREN_PRIVATE_H

#include <stdbool.h>

#include "server/children.h"
#include "server/task.h"

#define CHILD_NEVER INT64_MAX

struct child;

/* A word to the owner. */
struct child_task {
    struct task task; /* the first: what a loop is given is this */
    struct child *child;
};

/*
 * STARTING  a thread of its own starts it
 * RUNNING   has a process
 * ENDED     is a zombie; what is left of its group is being ended
 * GONE      nothing is left
 */
enum child_state { CHILD_STARTING, CHILD_RUNNING, CHILD_ENDED, CHILD_GONE };

struct child {
    struct child *next;
    struct child_program program;
    struct child_task started;
    struct child_task ended;
    atomic_int users; /* the owner, the reaper, and each task on its way */
    void *owner;      /* the loop's; NULL: it has left */

    int64_t asked_term; /* clock_milliseconds; this and the next under the lock of children.c */
    int64_t asked_kill;
    atomic_bool start_done; /* `pid` and `error` are there */

    /* The reaper's, and what a task says. */
    enum child_state state;
    pid_t pid;
    int error;
    int status;
    bool termed; /* SIGTERM has been sent to what there was */
    bool killed;
    int64_t term_at;
    int64_t kill_at;
};

/* One user less; the last one frees it. Any thread. */
void child_release(struct child *child);

/* --- children_group.c; the reaper's thread --- */

/* Starts the program, unless there is an `error` already. This one on any thread; it blocks for as
   long as the system takes to read the program's file. */
void child_spawn(struct child *child);

/* It has been started, or could not be: tells the owner. */
void child_started(struct child *child);

/* Looks whether it has ended, sends what is due, and tells the owner. Returns when it is to be
   called again at the latest. */
int64_t child_look(struct child *child, int64_t now);

/* Whether it is the process of a program that has not been reaped. */
bool child_known(pid_t pid);

/* Whether there is one whose start goes on: it may have a process that nobody knows yet. */
bool child_starting(void);

/* --- children_strays.c; the reaper's thread --- */

/* What is older than this moment was not left to us by a program. */
void strays_begin(void);

/* Reaps those that were left to us and have ended; `pid` is one that may have, 0: none. */
void strays_reap(pid_t pid);

/*
 * Looks through all processes, reaps those that were left to us and have ended, and sends the
 * others a signal (0: none). One whose start goes on is among the others. Returns how many of these
 * there are.
 */
size_t strays_signal(int number);

#endif
