/*
 * exec_private: what the files of the exec handler share: exec.c (a route: what is run, how, and
 * how many at a time), exec_session.c (a program and its WebSocket, from beginning to end) and
 * exec_output.c (what the program says). Nobody else includes it. WebSocket functions are the
 * session's loop's.
 */
#ifndef LASTCALL_HANDLERS_EXEC_PRIVATE_H
#define LASTCALL_HANDLERS_EXEC_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handlers/handler.h"
#include "server/lines.h"
#include "server/log.h"
#include "server/stream.h"

#define SAID_MAX 800 /* bytes of a line of standard error in the log */
#define ALL_OUTPUT INT64_C(-1)

struct child;

/* A route. Never changed after the start but for the last three. */
struct exec_route {
    char *file;   /* the program */
    char **words; /* its name and arguments */
    char **additions;
    const char *directory; /* NULL: ours */
    size_t max;
    bool lines; /* else binary */
    atomic_size_t running;
    pthread_mutex_t lock; /* guards the next */
    struct log_limit failures;
};

/* One program and its WebSocket. What is NULL has been closed, or was never there. */
struct exec {
    struct session *session;
    struct exec_route *route;
    struct child *child;
    struct stream *input;
    struct stream *output;
    struct stream *errors;
    int output_descriptor; /* the streams', for as long as they are there */
    int errors_descriptor;
    pid_t pid; /* 0: not started yet */

    struct lines output_lines;
    struct lines error_lines;
    uint8_t *rest; /* of what it has written: the peer has no room for it now */
    size_t rest_length;
    int64_t held;        /* of all this memory, by session_hold */
    int64_t output_left; /* bytes of its output that are still of interest; or ALL_OUTPUT */

    bool finishing;    /* the session is to be closed in good order */
    bool output_ended; /* all of it has been delivered */
    bool ended;        /* the program has */
    int status;
    struct log_limit said;
};

/* --- exec_session.c --- */

/* Counts what is kept against limits.memory. */
void exec_count_memory(struct exec *exec);

void exec_drop_rest(struct exec *exec);
void exec_free_stream(struct stream **stream);

/* Has nothing to do with the program any more, which is left to its ladder. */
void exec_leave(struct exec *exec);

/* Closes because of what the program has done, or could not do; logs that, and leaves it. */
void exec_fail(struct exec *exec, uint16_t code, const char *why);

/* The same because the system refuses something. */
void exec_fail_by(struct exec *exec, const char *what, int error);

/* Closes if there is nothing to come any more. */
void exec_close_at_end(struct exec *exec);

void exec_open(struct session *session);
void exec_message(struct session *session, enum message_kind kind, void *data, size_t length);
void exec_finish(struct session *session);
void exec_close(struct session *session, uint16_t code);

/* --- exec_output.c --- */

extern const struct stream_calls exec_output_calls;
extern const struct stream_calls exec_error_calls;

/* The peer has room again for what the program says, or it is this session's turn again. */
void exec_go_on(struct session *session);

/* Closes when all that is still of interest has been delivered: after the program itself has ended,
   nobody waits for what it has left behind. */
void exec_end_output_if_all(struct exec *exec);

/* Reads what is there of standard error, and closes it. What a program has said before its end is
   often why it has ended, and nothing else would wait for it. */
void exec_take_last_words(struct exec *exec);

#endif
