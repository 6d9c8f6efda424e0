/*
 * handler: what answers on a route.
 *
 * A handler is one row of functions and never sees CivetWeb, libuv, a socket or INI. It serves
 * WebSockets, HTTP requests, or both; a function that it does not have is NULL. To add one: write
 * a file in handlers/, declare its row at the end of this header, list it in handlers/handlers.c.
 *
 * Threads: WebSocket functions run on the session's loop and must never block; HTTP functions run
 * on one of the server's request threads and may. `start` and `stop` run before and after all
 * others.
 */
#ifndef LASTCALL_HANDLERS_HANDLER_H
#define LASTCALL_HANDLERS_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/option.h"

struct header;  /* server/handshake.h: a name and a value */
struct session; /* server/session.h: session_send, session_close, ... */
struct route;   /* server/route.h */

/* The values are the opcodes of RFC 6455, section 11.8. */
enum message_kind { MESSAGE_TEXT = 1, MESSAGE_BINARY = 2 };

/* An HTTP request, or the one that opened a WebSocket: valid until the handler returns. */
struct http_request {
    const char *method;
    const char *raw_path; /* as sent: "/files/a%20b.txt" */
    const char *path;     /* decoded, dot segments removed: "/files/a b.txt" */
    const char *rest;     /* the part of `path` that a prefix route's star stands for: "a b.txt" */
    bool exact;           /* the route has no star */
    const char *query;    /* as sent, without the question mark; NULL: none */
    const char *remote_address;
    uint16_t remote_port;
    uint16_t local_port;
    const struct header *headers; /* all of them */
    size_t header_count;
    const char *(*header)(const struct http_request *, const char *name); /* NULL: not there */
    void *connection;                                                     /* the server's own */
};

/* What an answer begins with; `type` and `headers` may be NULL. */
struct http_answer {
    int status;
    const char *type;    /* Content-Type */
    int64_t length;      /* of the body, in bytes */
    const char *headers; /* further header lines, each ended by CRLF; at most HTTP_HEAD_MAX */
};

#define HTTP_HEAD_MAX 14336 /* bytes of further header lines */

/*
 * The way back to the peer, for HTTP functions only.
 * `http_begin` sends the status line and the headers; `http_write` sends bytes of the body, and
 * `http_send_file` `length` bytes of an open file from `offset` on (a HEAD request's body is not
 * sent). All return 0, or -1 when the peer has gone, or the file was shorter: stop then. They may
 * keep little until more comes or the handler returns, and block, at most
 * limits.handshake_timeout without any progress.
 */
int http_begin(const struct http_request *request, const struct http_answer *answer);
int http_write(const struct http_request *request, const void *data, size_t length);
int http_send_file(const struct http_request *request, int descriptor, int64_t offset,
                   int64_t length);

/* A whole answer at once; type and text are copied nowhere. Returns as http_write does. */
int http_respond(const struct http_request *request, int status, const char *type,
                 const char *text);

/* Answers 405 with the methods that are allowed: "GET, HEAD". Returns as http_write does. */
int http_refuse_method(const struct http_request *request, const char *allowed);

/* Whether it is a GET or a HEAD; anything else has been answered 405 then. */
static inline bool http_gets(const struct http_request *request)
{
    if (strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0)
        return true;
    http_refuse_method(request, "GET, HEAD");
    return false;
}

struct handler {
    const char *name;
    const char *help;
    const struct option *options; /* ended by a row whose name is NULL */

    /*
     * Prepares one route. `values` are those of `options`, in their order, and live as long as the
     * route. Stores what it needs in *state. Returns 0, or -1 with one line in `error`; errno is
     * then ENOMEM, EMFILE or ENFILE if the system has refused something: that is no mistake.
     */
    int (*start)(const struct option_value *values, void **state, char *error, size_t error_size);
    void (*stop)(void *state);

    /* The WebSocket is open. Its request can be read now (session_request, session_header). */
    void (*open)(struct session *session);

    /* A whole message. `data` may be changed in place and is gone when the function returns. */
    void (*message)(struct session *session, enum message_kind kind, void *data, size_t length);

    /* The time that it asked for with session_wake has passed. */
    void (*wake)(struct session *session);

    /* The server is being stopped; last words may be sent. The Close frame follows: at once, or
       when its turn has come. On a handler that is `last` it follows when all others have gone;
       this is then called once more before it. */
    void (*drain)(struct session *session);

    /*
     * The session is to be closed in good order: it is its turn in the shutdown, the peer has said
     * its Close and nothing more, or the session is as old, or idle for as long, as it may be.
     * NULL: it is closed at once. Else it stays open for sending, and the handler calls
     * session_close when what is behind it has said all; the code and the reason are those of what
     * called for the end. After two thirds of close_timeout (session_time_to_finish) the server
     * does it. Called once.
     */
    void (*finish)(struct session *session);

    /* What waits for the peer is little again, after session_clogged has said that it is much. */
    void (*room)(struct session *session);

    /* The session has ended, with `code` (1006: without a Close frame). It is freed afterwards. */
    void (*close)(struct session *session, uint16_t code);

    /* Answers one request by http_begin and http_write, or http_respond. `always`: also behind the
       closed gate, where all others are refused. */
    void (*http)(void *state, const struct http_request *request);
    bool always;

    /* Descriptors that each of its sessions takes beside its own: counted at the start, so that the
       process has them when so many are open as limits.connections says. */
    unsigned descriptors;

    bool last; /* its sessions watch the others, and are drained after them */
};

/* All handlers, in the order in which help shows them; ended by NULL. */
extern const struct handler *const handlers[];

/* The handlers' options as the configuration wants them; ended by a row whose name is NULL. */
const struct option_group *handler_groups(void);

extern const struct handler handler_broadcast;
extern const struct handler handler_echo;
extern const struct handler handler_exec;
extern const struct handler handler_health;
extern const struct handler handler_metrics;
extern const struct handler handler_page;
extern const struct handler handler_redirect;
extern const struct handler handler_respond;
extern const struct handler handler_static;
extern const struct handler handler_status;
extern const struct handler handler_tcp;

#endif
