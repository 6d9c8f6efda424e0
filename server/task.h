/*
 * task: work for a loop, from any thread.
 *
 * How whoever lives on several loops at once (a channel with members on all of them) or beside them
 * (the processes) talks to a loop. Knows no session.
 */
#ifndef LASTCALL_SERVER_TASK_H
#define LASTCALL_SERVER_TASK_H

#include <stddef.h>
#include <stdint.h>

struct loops;

/* The first member of whatever is to be done. */
struct task {
    struct task *next;
    void (*run)(struct task *task);
};

/*
 * Has `run` called on the loop at `place`; tasks for one loop are run in the order in which they
 * were posted. The memory is `run`'s then. All are run: those that a loop has not got to when it
 * ends, on the thread that stops the loops, when no session is there any more. Any thread; does not
 * wait.
 */
void loops_post(struct loops *loops, size_t place, struct task *task);

/* Work for later; its memory must stay where it is until it has been run, or the loops have ended.
 */
struct later {
    struct task task;
    struct later *next;
    int64_t at; /* milliseconds of the loop's clock */
};

/*
 * Has `run` called in so many milliseconds, on the loop at `place`, whose thread calls this. Other
 * than what is posted it is not run any more once the loop ends. Not twice before it has been run.
 */
void loops_post_later(struct loops *loops, size_t place, struct later *later, int64_t milliseconds);

/* The number of loops. Any thread. */
size_t loops_count(const struct loops *loops);

#endif
