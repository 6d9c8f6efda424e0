#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handlers/exec_private.h"
#include "server/clock.h"
#include "server/frame.h"
#include "server/session.h"

enum {
    LAST_WORDS = 16,      /* pieces of standard error that are read when a program has ended */
    PIECE = 4096,         /* bytes of such a piece */
    NEXT_TURN = 1,        /* milliseconds; timers of 0 come before all other events */
    LINES_AT_ONCE = 4000, /* that are sent before others of the loop have their turn */
};

/* --- standard error, which is for the log --- */

static void log_said(struct exec *exec, const struct line *line)
{
    char text[SAID_MAX + 1];
    int64_t left_out;
    if (!log_wanted(LOG_WARNING) || line->length == 0 ||
        !log_limit_pass(&exec->said, clock_milliseconds(), &left_out))
        return;
    memcpy(text, line->data, line->length);
    text[line->length] = '\0';
    for (char *zero; (zero = memchr(text, '\0', line->length)) != NULL;)
        *zero = ' ';
    log_event(LOG_WARNING, "a program says", LOG_TEXT("text", text),
              LOG_TEXT("route", session_route_name(exec->session)),
              LOG_TEXT("program", exec->route->words[0]), LOG_NUMBER("pid", exec->pid),
              LOG_NUMBER("not_logged", left_out));
}

static void on_error_bytes(void *owner, const uint8_t *data, size_t length)
{
    struct exec *exec = owner;
    struct line line;
    for (enum lines_found found;
         (found = lines_next(&exec->error_lines, &data, &length, &line)) != LINES_NONE;)
        if (found != LINES_NO_MEMORY)
            log_said(exec, &line);
    exec_count_memory(exec);
}

static void on_error_ended(void *owner, int error)
{
    struct exec *exec = owner;
    struct line line;
    (void)error;
    if (lines_last(&exec->error_lines, &line))
        log_said(exec, &line);
    exec_free_stream(&exec->errors);
}

void exec_take_last_words(struct exec *exec)
{
    uint8_t piece[PIECE];
    ssize_t got = 0;
    for (int i = 0; i < LAST_WORDS && exec->errors != NULL; i++) {
        got = read(exec->errors_descriptor, piece, sizeof piece);
        if (got <= 0)
            break;
        on_error_bytes(exec, piece, (size_t)got);
    }
    if (exec->errors != NULL)
        on_error_ended(exec, 0);
}

const struct stream_calls exec_error_calls = {.bytes = on_error_bytes, .ended = on_error_ended};

/* --- standard output --- */

static void keep_rest(struct exec *exec, const uint8_t *data, size_t length)
{
    uint8_t *copy = malloc(length);
    if (copy == NULL) {
        exec_fail(exec, CLOSE_TRY_LATER, "out of memory");
        return;
    }
    memcpy(copy, data, length);
    exec_drop_rest(exec);
    exec->rest = copy;
    exec->rest_length = length;
}

/* Returns false when the session is closing, and all has been left. */
static bool send_out(struct exec *exec, enum message_kind kind, const uint8_t *data, size_t length)
{
    if (session_send(exec->session, kind, data, length) == SESSION_SENT)
        return true;
    exec_leave(exec);
    return false;
}

static bool send_line(struct exec *exec, const struct line *line)
{
    struct utf8 utf8 = {0};
    if (utf8_feed(&utf8, line->data, line->length) && utf8_done(&utf8))
        return send_out(exec, MESSAGE_TEXT, line->data, line->length);
    exec_fail(exec, CLOSE_HANDLER_FAILED,
              "the program has written what is not UTF-8: that takes mode = binary");
    return false;
}

/* Sends the next line, if there is one. Returns false when all has been left. */
static bool deliver_line(struct exec *exec, const uint8_t **data, size_t *length)
{
    char why[CLOSE_REASON_MAX + 1];
    struct line line;
    switch (lines_next(&exec->output_lines, data, length, &line)) {
    case LINES_NONE:
        return true;
    case LINES_LINE:
        return send_line(exec, &line);
    case LINES_LONG:
        snprintf(why, sizeof why, "the program has written a line of more than %zu bytes",
                 exec->output_lines.most);
        exec_fail(exec, CLOSE_HANDLER_FAILED, why);
        return false;
    default:
        exec_fail(exec, CLOSE_TRY_LATER, "out of memory");
        return false;
    }
}

/* Sends as much as the peer has room for, and the others of the loop have time for. Returns false
   when all has been left. */
static bool send_some(struct exec *exec, const uint8_t **data, size_t *length)
{
    for (int i = 0; *length > 0 && i < LINES_AT_ONCE && !session_clogged(exec->session); i++) {
        if (!exec->route->lines) {
            if (!send_out(exec, MESSAGE_BINARY, *data, *length))
                return false;
            *length = 0;
        } else if (!deliver_line(exec, data, length)) {
            return false;
        }
    }
    return true;
}

/* Sends some, and keeps the rest. Returns false when all has been left. */
static bool deliver(struct exec *exec, const uint8_t *data, size_t length)
{
    session_gather(exec->session, true);
    bool stays = send_some(exec, &data, &length);
    session_gather(exec->session, false);
    if (!stays)
        return false;
    if (length > 0)
        keep_rest(exec, data, length);
    bool clogged = session_clogged(exec->session);
    if (exec->output != NULL && (clogged || exec->rest != NULL))
        stream_pause(exec->output, true);
    if (exec->rest != NULL && !clogged)
        session_wake(exec->session, NEXT_TURN);
    exec_count_memory(exec);
    return exec->output != NULL;
}

/* A last line needs no newline. */
static void end_output(struct exec *exec)
{
    struct line line;
    exec->output_ended = true;
    exec_free_stream(&exec->output);
    if (lines_last(&exec->output_lines, &line) && !send_line(exec, &line))
        return;
    exec_close_at_end(exec);
}

void exec_end_output_if_all(struct exec *exec)
{
    if (exec->output_left == 0 && exec->rest == NULL && !exec->output_ended)
        end_output(exec);
}

static void on_output_bytes(void *owner, const uint8_t *data, size_t length)
{
    struct exec *exec = owner;
    if (exec->output_left != ALL_OUTPUT) {
        if ((int64_t)length > exec->output_left)
            length = (size_t)exec->output_left;
        exec->output_left -= (int64_t)length;
    }
    if (deliver(exec, data, length))
        exec_end_output_if_all(exec);
}

static void on_output_ended(void *owner, int error)
{
    if (error == 0)
        end_output(owner);
    else
        exec_fail_by(owner, "the program's output cannot be read", error);
}

void exec_go_on(struct session *session)
{
    struct exec *exec = session_data(session);
    if (exec == NULL || exec->output == NULL)
        return;
    uint8_t *rest = exec->rest;
    size_t length = exec->rest_length;
    exec->rest = NULL;
    exec->rest_length = 0;
    bool stays = deliver(exec, rest, length);
    free(rest);
    if (!stays)
        return;
    if (exec->rest == NULL && !session_clogged(session))
        stream_pause(exec->output, false);
    exec_end_output_if_all(exec);
}

const struct stream_calls exec_output_calls = {.bytes = on_output_bytes, .ended = on_output_ended};
