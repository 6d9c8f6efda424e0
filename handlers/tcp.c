/*
 * tcp: a bridge to a TCP or Unix socket: bytes of messages to it, its bytes as binary messages.
 *
 * Each side is read from only while the other takes what it says, and each may end before the
 * other: what has been said until then arrives, whoever ends first.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/handler.h"
#include "server/clock.h"
#include "server/dial.h"
#include "server/frame.h"
#include "server/log.h"
#include "server/session.h"
#include "server/stream.h"

enum { OPTION_TARGET, OPTION_CONNECT_TIMEOUT };

static const struct option options[] = {
    [OPTION_TARGET] = {.name = "target",
                       .type = OPTION_TEXT,
                       .minimum = 1,
                       .maximum = 300,
                       .help =
                           "whom to connect to, for each WebSocket anew: HOST:PORT, [IPV6]:PORT "
                           "or unix:/PATH"},
    [OPTION_CONNECT_TIMEOUT] = {.name = "connect_timeout",
                                .type = OPTION_DURATION,
                                .fallback = "5s",
                                .minimum = 1,
                                .maximum = 3600000,
                                .help =
                                    "from the WebSocket's beginning until it has answered; then "
                                    "the WebSocket is closed with 1014"},
    {0},
};

enum { LOG_BURST = 20 }; /* lines about one route's target at once */

/* Of one route; all loops. */
struct gateway {
    struct dial_target target;
    const char *target_text;
    int64_t connect_timeout;
    pthread_mutex_t lock; /* of what is below */
    struct log_limit lines;
};

/* One session's. */
struct bridge {
    struct session *session;
    struct dial *dial;     /* NULL: done */
    struct stream *target; /* NULL: not there yet, or no more */
    bool closing;          /* our Close is queued */
};

static struct gateway *gateway_of(const struct bridge *bridge)
{
    return session_route_state(bridge->session);
}

/* --- the route --- */

static int tcp_start(const struct option_value *values, void **state, char *error,
                     size_t error_size)
{
    const char *text = values[OPTION_TARGET].text;
    char why[256];
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL) {
        snprintf(error, error_size, "out of memory");
        errno = ENOMEM;
        return -1;
    }
    if (dial_parse(text, &gateway->target, why, sizeof why) != 0) {
        snprintf(error, error_size, "target = %s: %s", text, why);
        free(gateway);
        errno = EINVAL;
        return -1;
    }
    gateway->target_text = text;
    gateway->connect_timeout = values[OPTION_CONNECT_TIMEOUT].number;
    gateway->lines.burst = LOG_BURST;
    pthread_mutex_init(&gateway->lock, NULL);
    *state = gateway;
    return 0;
}

static void tcp_stop(void *state)
{
    struct gateway *gateway = state;
    pthread_mutex_destroy(&gateway->lock);
    free(gateway);
}

/* --- the end --- */

static void say(const struct bridge *bridge, const char *what, const char *why)
{
    struct gateway *gateway = gateway_of(bridge);
    int64_t left_out = 0;
    pthread_mutex_lock(&gateway->lock);
    bool pass = log_limit_pass(&gateway->lines, clock_milliseconds(), &left_out);
    pthread_mutex_unlock(&gateway->lock);
    if (!pass)
        return;
    struct log_field fields[4] = {
        LOG_TEXT("why", why),
        LOG_TEXT("target", gateway->target_text),
        LOG_TEXT("route", session_route_name(bridge->session)),
    };
    size_t count = 3;
    if (left_out > 0)
        fields[count++] = (struct log_field)LOG_NUMBER("not_logged", left_out);
    log_fields(LOG_WARNING, what, fields, count);
}

static void end_target(struct bridge *bridge)
{
    if (bridge->target != NULL)
        stream_free(bridge->target);
    session_linger(bridge->session, false);
    bridge->target = NULL;
}

static void close_session(struct bridge *bridge, uint16_t code, const char *reason)
{
    session_close(bridge->session, code, reason);
    bridge->closing = true;
}

/* The peer learns what has happened, and the log also with whom. */
static void give_up(struct bridge *bridge, uint16_t code, const char *what, const char *why)
{
    char reason[CLOSE_REASON_MAX + 1];
    say(bridge, what, why);
    snprintf(reason, sizeof reason, "%s: %s", what, why);
    close_session(bridge, code, reason);
    end_target(bridge);
}

/* --- what the target says --- */

static void on_bytes(void *owner, const uint8_t *data, size_t length)
{
    const struct bridge *bridge = owner;
    struct session *session = bridge->session;
    if (session_send(session, MESSAGE_BINARY, data, length) != SESSION_SENT ||
        session_clogged(session))
        stream_pause(bridge->target, true);
}

/* What the peer has said is on its way: it may have to wait, and its last words are to arrive. */
static void wait_for_target(struct bridge *bridge)
{
    if (bridge->closing)
        session_linger(bridge->session, stream_waiting(bridge->target) > 0);
    if (stream_clogged(bridge->target))
        session_pause(bridge->session, true);
}

static void on_ended(void *owner, int error)
{
    struct bridge *bridge = owner;
    if (error == 0) {
        close_session(bridge, CLOSE_NORMAL, "the other side has ended");
        wait_for_target(bridge);
    } else
        give_up(bridge, CLOSE_BAD_GATEWAY, "the connection to the target has broken",
                strerror(error));
}

static void on_written(void *owner)
{
    const struct bridge *bridge = owner;
    session_linger(bridge->session, false);
}

static void on_room(void *owner)
{
    const struct bridge *bridge = owner;
    session_pause(bridge->session, false);
}

/* What the target still says comes before its end does. */
static void on_failed(void *owner, int error)
{
    const struct bridge *bridge = owner;
    (void)error;
    session_linger(bridge->session, false);
    session_pause(bridge->session, false);
}

static const struct stream_calls calls = {.bytes = on_bytes,
                                          .ended = on_ended,
                                          .written = on_written,
                                          .room = on_room,
                                          .failed = on_failed};

static void on_dialled(void *owner, int descriptor, int error, const char *why)
{
    struct bridge *bridge = owner;
    bridge->dial = NULL;
    if (descriptor >= 0) {
        bridge->target =
            stream_new(bridge->session, descriptor, STREAM_READS | STREAM_WRITES, &calls, bridge);
        if (bridge->target != NULL) {
            session_pause(bridge->session, false);
            return;
        }
        error = errno;
        why = strerror(error);
    }
    bool ours = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
    give_up(bridge, ours ? CLOSE_TRY_LATER : CLOSE_BAD_GATEWAY, "cannot connect to the target",
            why);
}

/* --- what happens to the session --- */

static void tcp_open(struct session *session)
{
    struct gateway *gateway = session_route_state(session);
    struct bridge *bridge = calloc(1, sizeof *bridge);
    session_set_data(session, bridge);
    if (bridge != NULL) {
        bridge->session = session;
        bridge->dial =
            dial_start(session, &gateway->target, gateway->connect_timeout, on_dialled, bridge);
    }
    if (bridge == NULL || bridge->dial == NULL)
        session_close(session, CLOSE_TRY_LATER, "out of memory");
    else
        session_pause(session, true);
}

static void tcp_message(struct session *session, enum message_kind kind, void *data, size_t length)
{
    struct bridge *bridge = session_data(session);
    (void)kind;
    if (bridge == NULL || bridge->target == NULL || session_time_to_finish(session) > 0)
        return; /* or the target's side has been ended */
    if (stream_write(bridge->target, data, length) != 0)
        give_up(bridge, CLOSE_TRY_LATER, "what waits for the target cannot be kept",
                "out of memory");
    else
        wait_for_target(bridge);
}

static void tcp_room(struct session *session)
{
    const struct bridge *bridge = session_data(session);
    if (bridge->target != NULL)
        stream_pause(bridge->target, false);
}

static void give_up_dial(struct bridge *bridge)
{
    if (bridge->dial != NULL)
        dial_give_up(bridge->dial);
    bridge->dial = NULL;
}

static void tcp_finish(struct session *session)
{
    struct bridge *bridge = session_data(session);
    session_pause(session, false); /* its Close is waited for */
    if (bridge->target != NULL) {
        stream_finish(bridge->target);
        return;
    }
    give_up_dial(bridge);
    session_close(session, CLOSE_GOING_AWAY, "");
}

static void tcp_close(struct session *session, uint16_t code)
{
    struct bridge *bridge = session_data(session);
    (void)code;
    if (bridge == NULL)
        return;
    give_up_dial(bridge);
    end_target(bridge);
    free(bridge);
}

const struct handler handler_tcp = {
    .name = "tcp",
    .help = "connects each WebSocket to a TCP or Unix socket and passes bytes both ways",
    .options = options,
    .start = tcp_start,
    .stop = tcp_stop,
    .open = tcp_open,
    .message = tcp_message,
    .room = tcp_room,
    .finish = tcp_finish,
    .close = tcp_close,
    .descriptors = 1,
};
