#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/children_private.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/loop.h"

enum {
    KILLED_BURST = 10, /* lines about programs that had to be killed, then one a second */
    AGAIN = 1000,      /* milliseconds until a kill is repeated */
};

/* --- words to the owner; on its loop --- */

static void tell_started(struct task *task)
{
    struct child *child = ((struct child_task *)task)->child;
    const struct child_calls *calls = child->program.calls;
    if (child->owner != NULL && child->error != 0)
        calls->failed(child->owner, child->error);
    else if (child->owner != NULL)
        calls->started(child->owner, child->pid);
    child_release(child);
}

static void tell_ended(struct task *task)
{
    struct child *child = ((struct child_task *)task)->child;
    if (child->owner != NULL)
        child->program.calls->ended(child->owner, child->status);
    child_release(child);
}

static void tell(struct child *child, struct child_task *word, void (*run)(struct task *))
{
    atomic_fetch_add(&child->users, 1);
    *word = (struct child_task){.task.run = run, .child = child};
    loops_post(child->program.loops, child->program.place, &word->task);
}

/* --- the start --- */

static int prepare_files(const struct child_program *program, posix_spawn_file_actions_t *files)
{
    int error = 0;
    for (int i = 0; i < 3 && error == 0; i++)
        error = posix_spawn_file_actions_adddup2(files, program->descriptors[i], i);
    if (error == 0 && program->directory != NULL)
        error = posix_spawn_file_actions_addchdir_np(files, program->directory);
    if (error == 0)
        error = posix_spawn_file_actions_addclosefrom_np(files, 3);
    return error;
}

/* Returns 0, or an errno. */
static int spawn(const struct child_program *program, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawn_file_actions_init(&files);
    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                  POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        error = prepare_files(program, &files);
        if (error == 0)
            error = posix_spawn(pid, program->file, &files, &attributes, program->words,
                                program->environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return error;
}

void child_spawn(struct child *child)
{
    struct child_program *program = &child->program;
    if (child->error == 0)
        child->error = spawn(program, &child->pid);
    for (int i = 0; i < 3; i++)
        close(program->descriptors[i]);
    free(program->environment);
}

void child_started(struct child *child)
{
    child->state = child->error == 0 ? CHILD_RUNNING : CHILD_GONE;
    tell(child, &child->started, tell_started);
}

/* --- the end --- */

static void say_killed(const struct child *child, int64_t now)
{
    static struct log_limit limit = {.burst = KILLED_BURST}; /* the reaper's alone */
    int64_t left_out;
    if (log_limit_pass(&limit, now, &left_out))
        log_event(LOG_WARNING, "a program has not ended when it was asked to: killed",
                  LOG_TEXT("program", child->program.words[0]), LOG_NUMBER("pid", child->pid),
                  LOG_NUMBER("not_logged", left_out));
}

/* Looks whether the program itself has ended. */
static void look_for_end(struct child *child, int64_t now)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
        if (errno != ECHILD)
            return;
        child->state = CHILD_GONE; /* reaped with the strays, before its start was known */
        child->status = W_EXITCODE(0, SIGKILL);
    } else if (info.si_pid != child->pid) {
        return;
    } else {
        child->state = CHILD_ENDED;
        child->status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
                                                   : W_EXITCODE(0, info.si_status);
    }
    tell(child, &child->ended, tell_ended);
    child->term_at = now;
    child->termed = false; /* those that it leaves behind are told for themselves */
    if (child->kill_at > now + child->program.patience)
        child->kill_at = now + child->program.patience;
}

/*
 * Whether any process of the group is left but the zombie that led it. The kernel tells by what it
 * does not find to wait for: with neither WEXITED nor a stopped process there is nothing to report,
 * and ECHILD says that no child of ours in this group lives. One that is not our child has a parent
 * that lives elsewhere: it goes at once, see below.
 */
static bool group_lives(const struct child *child)
{
    siginfo_t info;
    return waitid(P_PGID, (id_t)child->pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0;
}

/* The number is free for others from here on. */
static void bury(struct child *child)
{
    siginfo_t info;
    kill(-child->pid, SIGKILL);
    waitid(P_PID, (id_t)child->pid, &info, WEXITED);
    child->state = CHILD_GONE;
}

int64_t child_look(struct child *child, int64_t now)
{
    if (child->state == CHILD_RUNNING)
        look_for_end(child, now);
    if (child->state == CHILD_GONE || child->state == CHILD_STARTING)
        return CHILD_NEVER;
    const bool asked = child->termed;
    if (!child->termed && now >= child->term_at) {
        child->termed = true;
        kill(-child->pid, SIGTERM);
    }
    if (child->state == CHILD_ENDED && !group_lives(child)) {
        bury(child);
        return CHILD_NEVER;
    }
    if (now >= child->kill_at) {
        if (child->state == CHILD_RUNNING && asked && !child->killed)
            say_killed(child, now);
        child->killed = true;
        kill(-child->pid, SIGKILL);
        child->kill_at = now + AGAIN;
    }
    return child->termed || child->kill_at < child->term_at ? child->kill_at : child->term_at;
}
