#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handlers/exec_private.h"
#include "server/children.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/environment.h"
#include "server/frame.h"
#include "server/session.h"
#include "server/task.h"

enum {
    SAID_BURST = 20, /* lines of standard error of one program that are logged, then one a second */
    LADDER_STEPS = 3, /* of close_timeout: a third to end, a third to end when asked to */
    TOGETHER = 4096,  /* bytes of a message that are written in one with their newline */
};

/* --- what it costs, and the end of it --- */

void exec_count_memory(struct exec *exec)
{
    int64_t held = (int64_t)(lines_held(&exec->output_lines) + lines_held(&exec->error_lines) +
                             (exec->rest == NULL ? 0 : exec->rest_length));
    if (held != exec->held)
        session_hold(exec->session, held - exec->held);
    exec->held = held;
}

void exec_drop_rest(struct exec *exec)
{
    free(exec->rest);
    exec->rest = NULL;
    exec->rest_length = 0;
}

void exec_free_stream(struct stream **stream)
{
    if (*stream != NULL)
        stream_free(*stream);
    *stream = NULL;
}

/* Gives the program a third of close_timeout to end by itself, and another to end when it is asked
   to. */
static void begin_ladder(struct exec *exec)
{
    int64_t step = session_close_timeout(exec->session) / LADDER_STEPS;
    if (exec->child != NULL)
        child_end(exec->child, step, 2 * step);
}

void exec_leave(struct exec *exec)
{
    begin_ladder(exec);
    if (exec->child != NULL)
        child_leave(exec->child);
    exec->child = NULL;
    exec_free_stream(&exec->input);
    exec_free_stream(&exec->output);
    exec_free_stream(&exec->errors);
    lines_free(&exec->output_lines);
    lines_free(&exec->error_lines);
    exec_drop_rest(exec);
    exec_count_memory(exec);
}

static void log_failure(struct exec *exec, const char *why)
{
    struct exec_route *route = exec->route;
    int64_t left_out;
    pthread_mutex_lock(&route->lock);
    bool pass = log_limit_pass(&route->failures, clock_milliseconds(), &left_out);
    pthread_mutex_unlock(&route->lock);
    if (pass)
        log_event(LOG_WARNING, why, LOG_TEXT("route", session_route_name(exec->session)),
                  LOG_TEXT("program", route->words[0]), LOG_NUMBER("pid", exec->pid),
                  LOG_NUMBER("not_logged", left_out));
}

void exec_fail(struct exec *exec, uint16_t code, const char *why)
{
    log_failure(exec, why);
    session_close(exec->session, code, why);
    exec_leave(exec);
}

void exec_fail_by(struct exec *exec, const char *what, int error)
{
    char why[CLOSE_REASON_MAX + 1];
    bool later = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE ||
                 error == ESHUTDOWN;
    snprintf(why, sizeof why, "%s: %s", what,
             error == ESHUTDOWN ? "the server is being stopped"
             : error == ENOEXEC ? "its file is no program, and has no #! in its first line"
                                : strerror(error));
    exec_fail(exec, later ? CLOSE_TRY_LATER : CLOSE_HANDLER_FAILED, why);
}

/* --- the end --- */

/* How it has ended, for its peer and for the log. */
static void describe_end(int status, char *why, size_t size)
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (WIFEXITED(status))
        snprintf(why, size, "the program ended with status %d", WEXITSTATUS(status));
    else if (name != NULL)
        snprintf(why, size, "the program was ended by SIG%s", name);
    else
        snprintf(why, size, "the program was ended by signal %d", WTERMSIG(status));
}

void exec_close_at_end(struct exec *exec)
{
    char why[CLOSE_REASON_MAX + 1] = "";
    bool sink = exec->finishing && exec->output_ended &&
                (exec->input == NULL || stream_waiting(exec->input) == 0);
    if (!sink && !(exec->ended && exec->output_ended))
        return;
    bool good = !exec->ended || exec->status == 0;
    if (!good)
        describe_end(exec->status, why, sizeof why);
    if (good || exec->finishing) {
        session_close(exec->session, CLOSE_NORMAL, why);
        exec_leave(exec);
    } else {
        exec_fail(exec, CLOSE_HANDLER_FAILED, why);
    }
}

/* --- standard input --- */

static void on_input_room(void *owner)
{
    const struct exec *exec = owner;
    session_pause(exec->session, false);
}

static void on_input_written(void *owner)
{
    exec_close_at_end(owner);
}

/* It does not read any more; that alone is no reason to end. */
static void on_input_failed(void *owner, int error)
{
    struct exec *exec = owner;
    exec_free_stream(&exec->input);
    session_pause(exec->session, false);
    if (error != EPIPE)
        exec_fail_by(exec, "the program's input cannot be written", error);
}

static int write_line(struct stream *input, const void *data, size_t length)
{
    uint8_t together[TOGETHER];
    if (length < sizeof together) {
        memcpy(together, data, length);
        together[length] = '\n';
        return stream_write(input, together, length + 1);
    }
    return stream_write(input, data, length) == 0 ? stream_write(input, "\n", 1) : -1;
}

void exec_message(struct session *session, enum message_kind kind, void *data, size_t length)
{
    struct exec *exec = session_data(session);
    if (exec == NULL || exec->finishing)
        return;
    if (exec->route->lines && kind == MESSAGE_BINARY) {
        session_close(session, CLOSE_UNSUPPORTED_DATA, "this takes text, and no binary messages");
        exec_leave(exec);
        return;
    }
    if (exec->input == NULL)
        return;
    int done = exec->route->lines ? write_line(exec->input, data, length)
                                  : stream_write(exec->input, data, length);
    if (done != 0)
        exec_fail(exec, CLOSE_TRY_LATER, "out of memory");
    else if (stream_clogged(exec->input))
        session_pause(session, true);
}

/* --- the program --- */

static void on_started(void *owner, pid_t pid)
{
    struct exec *exec = owner;
    exec->pid = pid;
    log_event(LOG_DEBUG, "program started", LOG_TEXT("route", session_route_name(exec->session)),
              LOG_TEXT("program", exec->route->words[0]), LOG_NUMBER("pid", pid));
}

static void on_failed(void *owner, int error)
{
    exec_fail_by(owner, "the program could not be started", error);
}

/* What it has written before its end is in the pipe. A process that it has left behind may hold
   that pipe open, and write more: nobody waits for that. */
static void on_ended(void *owner, int status)
{
    struct exec *exec = owner;
    int there = 0;
    exec->ended = true;
    exec->status = status;
    child_leave(exec->child);
    exec->child = NULL;
    exec_take_last_words(exec);
    if (exec->output != NULL && ioctl(exec->output_descriptor, FIONREAD, &there) == 0)
        exec->output_left = there;
    exec_end_output_if_all(exec);
    if (exec->output_ended)
        exec_close_at_end(exec);
}

/* --- the session --- */

static const struct stream_calls input_calls = {
    .written = on_input_written, .room = on_input_room, .failed = on_input_failed};

static const struct child_calls child_calls = {
    .started = on_started, .failed = on_failed, .ended = on_ended};

static void close_all(int *descriptors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

/* The first three are ours, the others the program's. Returns -1 with errno. */
static int open_pipes(int ends[6])
{
    for (int i = 0; i < 3; i++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0)
            return -1;
        ends[i] = descriptor_keep(pair[i == 0]);
        ends[3 + i] = descriptor_keep(pair[i != 0]);
        if (ends[i] < 0 || ends[3 + i] < 0 || fcntl(ends[i], F_SETFL, O_NONBLOCK) != 0)
            return -1;
    }
    return 0;
}

/* Returns false with errno; the descriptors are then still the caller's, but for those of streams
   that are there. */
static bool open_streams(struct exec *exec, int ours[3])
{
    const struct stream_calls *const calls[] = {&input_calls, &exec_output_calls,
                                                &exec_error_calls};
    struct stream **const streams[] = {&exec->input, &exec->output, &exec->errors};
    exec->output_descriptor = ours[1];
    exec->errors_descriptor = ours[2];
    for (int i = 0; i < 3; i++) {
        *streams[i] = stream_new(exec->session, ours[i], i == 0 ? STREAM_WRITES : STREAM_READS,
                                 calls[i], exec);
        ours[i] = -1; /* the stream's, in failure too */
        if (*streams[i] == NULL)
            return false;
    }
    return true;
}

/* Returns false with errno. */
static bool start_program(struct exec *exec)
{
    struct exec_route *route = exec->route;
    struct session *session = exec->session;
    int ends[6] = {-1, -1, -1, -1, -1, -1};
    char **environment = NULL;
    if (open_pipes(ends) != 0 || !open_streams(exec, ends) ||
        (environment = environment_make(session_request(session), route->additions)) == NULL) {
        int error = errno;
        close_all(ends, sizeof ends / sizeof ends[0]);
        atomic_fetch_sub(&route->running, 1);
        errno = error;
        return false;
    }
    const struct child_program program = {
        .file = route->file,
        .words = route->words,
        .directory = route->directory,
        .environment = environment,
        .descriptors = {ends[3], ends[4], ends[5]},
        .count = &route->running,
        .patience = session_close_timeout(session) / LADDER_STEPS,
        .loops = session_loops(session),
        .place = session_place(session),
        .calls = &child_calls,
        .owner = exec,
    };
    exec->child = child_start(&program);
    return exec->child != NULL;
}

/* Whether there may be one more of this route. */
static bool take_place(struct exec_route *route)
{
    if (atomic_fetch_add(&route->running, 1) < route->max)
        return true;
    atomic_fetch_sub(&route->running, 1);
    return false;
}

void exec_open(struct session *session)
{
    struct exec_route *route = session_route_state(session);
    char why[CLOSE_REASON_MAX + 1];
    struct exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        session_close(session, CLOSE_TRY_LATER, "out of memory");
        return;
    }
    *exec = (struct exec){
        .session = session,
        .route = route,
        .output_lines = {.most = session_message_limit(session)},
        .error_lines = {.most = SAID_MAX},
        .output_left = ALL_OUTPUT,
        .said = {.burst = SAID_BURST},
    };
    session_set_data(session, exec);
    if (!take_place(route)) {
        snprintf(why, sizeof why, "%zu programs run here already: try again later", route->max);
        exec_fail(exec, CLOSE_TRY_LATER, why);
    } else if (!start_program(exec)) {
        on_failed(exec, errno);
    }
}

void exec_finish(struct session *session)
{
    struct exec *exec = session_data(session);
    exec->finishing = true;
    if (exec->input != NULL)
        stream_finish(exec->input);
    begin_ladder(exec);
    exec_close_at_end(exec);
}

void exec_close(struct session *session, uint16_t code)
{
    struct exec *exec = session_data(session);
    (void)code;
    if (exec == NULL)
        return;
    exec_take_last_words(exec);
    exec_leave(exec);
    free(exec);
}
