/*
 * session: one WebSocket, as its handler sees it.
 *
 * A session belongs to one loop, and only that loop's thread touches it: call these functions from
 * a handler's `open`, `message`, `drain` and `close`. What the server does with sessions stands in
 * session_home.h.
 */
#ifndef LASTCALL_SERVER_SESSION_H
#define LASTCALL_SERVER_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "handlers/handler.h"

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
 * Closes with a code and a reason of at most CLOSE_REASON_MAX bytes (longer ones are cut). What is
 * queued goes out first. The first Close wins: later calls do nothing.
 */
void session_close(struct session *session, uint16_t code, const char *reason);

/*
 * Has the handler's `wake` called once, in so many milliseconds; a second call replaces the first,
 * and less than 0 takes it back. A session whose Close is queued is not woken any more.
 */
void session_wake(struct session *session, int64_t milliseconds);

/* Bytes that the peer has not taken yet. */
size_t session_queued(const struct session *session);

/* The subprotocol that was agreed on; NULL: none. */
const char *session_subprotocol(const struct session *session);

/* A header of the opening request; only during `open`, NULL afterwards or when it is not there. */
const char *session_header(const struct session *session, const char *name);

/* The handler's state of the route, from its `start`. */
void *session_route_state(const struct session *session);

/* A pointer of the handler's own. */
void session_set_data(struct session *session, void *data);
void *session_data(const struct session *session);

#endif
