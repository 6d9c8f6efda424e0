/*
 * session: one WebSocket, as its handler sees it.
 *
 * A session belongs to one loop, and only that loop's thread touches it: call these functions from
 * a handler's WebSocket functions, or from what else runs on that loop, until `close` has returned.
 * What the server does with sessions stands in session_home.h.
 */
#ifndef LASTCALL_SERVER_SESSION_H
#define LASTCALL_SERVER_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handlers/handler.h"

struct loops;   /* server/task.h */
struct memory;  /* server/memory.h */
struct message; /* server/message.h */

/* What session_send answers. */
enum session_sent {
    SESSION_SENT,    /* on its way, or in the queue */
    SESSION_CLOSING, /* our Close is queued or TCP has ended: nothing can be sent any more */
    SESSION_FULL,    /* the queue is full: the session is being closed with 1013 */
};

/*
 * Sends one message. Text must be UTF-8. Data is copied where it cannot be sent at once, so it is
 * the caller's again afterwards.
 */
enum session_sent session_send(struct session *session, enum message_kind kind, const void *data,
                               size_t length);

/*
 * Queues a message that goes to many sessions, of which the session keeps a reference. What is
 * queued in one turn of the loop goes out in one piece at its end.
 */
enum session_sent session_send_message(struct session *session, struct message *message);

/* What all sessions hold: for message_new. */
struct memory *session_memory(const struct session *session);

/* The loops, and the place of the session's own among them: for loops_post. */
struct loops *session_loops(const struct session *session);
size_t session_place(const struct session *session);

/*
 * Closes with a code and a reason of at most CLOSE_REASON_MAX bytes (longer ones are cut). What is
 * queued goes out first. The first Close wins: later calls do nothing, and one that has been called
 * for already (handler.h, `finish`) goes out with its own code and reason.
 */
void session_close(struct session *session, uint16_t code, const char *reason);

/* The same because the peer does, or costs, what is not allowed: with a line in the log. */
void session_refuse(struct session *session, uint16_t code, const char *why);

/*
 * Has the handler's `wake` called once, in so many milliseconds; a second call replaces the first,
 * and less than 0 takes it back. A session whose Close is queued is not woken any more.
 */
void session_wake(struct session *session, int64_t milliseconds);

/* Gathers what is sent from here on until it is told not to, in the same function, so that many
   small messages leave in few writes. */
void session_gather(struct session *session, bool gather);

/* Bytes that the peer has not taken yet; and so many may wait, above one message. */
size_t session_queued(const struct session *session);
size_t session_send_queue(const struct session *session);

/*
 * Whether more than half of the send queue waits for the peer: whoever has a choice gives it no
 * more until the handler's `room` is called, which this asks for, when a quarter is left.
 */
bool session_clogged(struct session *session);

/*
 * Stops reading from the peer, or goes on: TCP then slows it down. Meanwhile the time of a message
 * that has begun stands still, and it is enough of an answer that the peer's side takes a Ping.
 * Once a Close is queued it is read from all the same, unless the session lingers.
 */
void session_pause(struct session *session, bool paused);

/*
 * Keeps a session from ending when both Closes have come, for what the peer has said last is still
 * on its way to what is behind it, which may also slow it down (session_pause); at most until
 * close_timeout. Taken back, it ends.
 */
void session_linger(struct session *session, bool lingers);

/* What is kept elsewhere for the session, more or less by so many bytes, counts against
   limits.memory. All of it must have been taken back when `close` has returned. */
void session_hold(struct session *session, int64_t bytes);

/* Bytes that a message of the peer may have (limits.message). */
uint64_t session_message_limit(const struct session *session);

/* Milliseconds of close_timeout; and what is left of them for `finish`, 0 when it is not asked. */
int64_t session_close_timeout(const struct session *session);
int64_t session_time_to_finish(const struct session *session);

/* Whether the server is being stopped. */
bool session_draining(const struct session *session);

/* The subprotocol that was agreed on; NULL: none. */
const char *session_subprotocol(const struct session *session);

/* The opening request; only during `open`, NULL afterwards. */
const struct http_request *session_request(const struct session *session);

/* One of its headers; NULL also when it is not there. */
const char *session_header(const struct session *session, const char *name);

/* The name of the route, for the log. */
const char *session_route_name(const struct session *session);

/* The handler's state of the route, from its `start`. */
void *session_route_state(const struct session *session);

/* A pointer of the handler's own. */
void session_set_data(struct session *session, void *data);
void *session_data(const struct session *session);

#endif
