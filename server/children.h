/*
 * children: all processes that this one starts, and their ends.
 *
 * One thread, the reaper, has programs started, waits for them, ends them (SIGTERM, later SIGKILL,
 * to a program's whole process group), and tells the loops what happened. It also reaps what others
 * have left to us, as process 1 has to. When it ends, nothing that a program has started is left.
 * Knows tasks for loops; nothing of sessions, messages or the configuration.
 *
 * A program that has ended is not reaped before its group has been ended too: as long as it is a
 * zombie its number, which is the group's, cannot become another's.
 */
#ifndef LASTCALL_SERVER_CHILDREN_H
#define LASTCALL_SERVER_CHILDREN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct child;
struct loops;

/* --- the reaper; main thread --- */

/* At the configuration's check: up to so many programs will run. Without a call of it there is no
   reaper, and nothing below does anything. */
void children_expect(size_t programs);

/* Descriptors that as many programs as are expected take. */
size_t children_descriptors(void);

/*
 * Starts the reaper where programs are expected; SIGCHLD must be blocked, and is so in all threads
 * that are started afterwards. Returns 0, or -1 with errno.
 */
int children_start(void);

/*
 * Has everything ended that still runs, and nothing started any more: SIGTERM at once to all that
 * have not had it, SIGKILL when their time is up, at the latest a little before `deadline`
 * (clock_milliseconds). A second call can only bring that forward. Returns a descriptor that can be
 * read from when nothing is left; -1: there is no reaper.
 */
int children_end(int64_t deadline);

/*
 * The same, and waits for it until then; the kernel is given a moment in any case. Before the loops
 * end. Returns false when there is a program that the kernel does not let go: the reaper still uses
 * the loops then, and the process must end without freeing them. Without a reaper it does nothing.
 */
bool children_stop(int64_t deadline);

/* How many programs there are, those that are ending included. Any thread. */
size_t children_left(void);

/* --- one program; the thread of its owner's loop --- */

/* What happened; on the owner's loop, each at most once, `ended` after `started`. */
struct child_calls {
    void (*started)(void *owner, pid_t pid);
    /* Not started (an errno), or ended: the status is waitpid(2)'s. */
    void (*failed)(void *owner, int error);
    void (*ended)(void *owner, int status);
};

struct child_program {
    const char *file;
    char *const *words;    /* its arguments, with its own name, ended by NULL */
    const char *directory; /* NULL: ours */
    char **environment;    /* in one block, freed by the child's */
    int descriptors[3];    /* what become its own 0, 1 and 2, and are closed here */
    atomic_size_t *count;  /* one less when nothing is left of it */
    int64_t patience;      /* milliseconds from SIGTERM to SIGKILL for what it leaves behind */

    struct loops *loops; /* whose task tells the owner, and which of them */
    size_t place;
    const struct child_calls *calls;
    void *owner;
};

/*
 * Has a program started, in a session of its own, and so in a process group that it cannot leave
 * itself; with no signal blocked or ignored, and no other descriptor of ours. Texts but the
 * environment must live until children_stop. Returns NULL without memory, or when the end has come
 * (ESHUTDOWN); what it was to be given is freed, closed and counted off then, as it is afterwards.
 * Does not wait.
 */
struct child *child_start(const struct child_program *program);

/* Has it ended: SIGTERM to its group in so many milliseconds, SIGKILL in so many. A second call can
   only bring them forward. */
void child_end(struct child *child, int64_t term, int64_t kill);

/* The owner goes, and hears nothing any more. The child is ended by who called child_end. */
void child_leave(struct child *child);

#endif
