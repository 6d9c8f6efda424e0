#include "server/deflate.h"
#include "server/message.h"
#include "server/route.h"
#include "server/session_private.h"
#include "server/tracker.h"

/*
 * What may wait already when one more message is sent: the send queue; and for answers to what the
 * peer has just sent also as much as one message and one read of input can make. It is not read
 * from again before half of that has gone.
 */
static uint64_t send_limit(const struct session *session)
{
    const struct session_limits *limits = session_limits(session);
    if (session->home->corked != session)
        return limits->send_queue;
    return limits->send_queue + limits->message + SESSION_INPUT_SIZE;
}

/* The loop's, made when it is needed first; NULL: no memory. */
struct deflate *session_codec(struct session *session)
{
    if (session->home->codec == NULL)
        session->home->codec = deflate_new();
    return session->home->codec;
}

static bool send_message(struct session *session, enum message_kind kind, const void *data,
                         size_t length)
{
    unsigned opcode = kind == MESSAGE_TEXT ? FRAME_TEXT : FRAME_BINARY;
    struct deflate_output shorter;
    if (session->window_bits == 0 || length < DEFLATE_LEAST || session_codec(session) == NULL ||
        !deflate_compress(session->home->codec, session->window_bits, data, length, &shorter))
        return output_frame(session, opcode, data, length);
    bool done = output_frame(session, opcode | FRAME_COMPRESSED, shorter.data, shorter.length);
    deflate_release(session->home->codec, &shorter);
    return done;
}

static void count_sent(struct session *session, size_t length)
{
    struct tracker_traffic *traffic = session_traffic(session);
    session->sent++;
    session->sent_bytes += length;
    session->spoken_at = session_now(session);
    tracker_count(&traffic->sent, 1);
    tracker_count(&traffic->sent_bytes, length);
}

enum session_sent session_send(struct session *session, enum message_kind kind, const void *data,
                               size_t length)
{
    if (session->state != SESSION_OPEN || session->broken)
        return SESSION_CLOSING;
    if (session->queued > send_limit(session) || !send_message(session, kind, data, length)) {
        session_refuse(session, CLOSE_TRY_LATER, "too much waits to be read by the peer");
        return SESSION_FULL;
    }
    count_sent(session, length);
    if (session->home->corked != session)
        session_watch(session);
    return SESSION_SENT;
}

enum session_sent session_send_message(struct session *session, struct message *message)
{
    size_t length = message_length(message);
    if (session->state != SESSION_OPEN || session->broken)
        return SESSION_CLOSING;
    if (session->queued > send_limit(session) || !output_message(session, message)) {
        session_refuse(session, CLOSE_TRY_LATER, "too much waits to be read by the peer");
        return SESSION_FULL;
    }
    count_sent(session, length);
    return SESSION_SENT;
}

struct memory *session_memory(const struct session *session)
{
    return session->home->share.memory;
}

struct loops *session_loops(const struct session *session)
{
    return session->home->loops;
}

size_t session_place(const struct session *session)
{
    return session->home->place;
}

void session_gather(struct session *session, bool gather)
{
    if (gather && session->home->corked == NULL) {
        output_cork(session);
    } else if (!gather && session->home->corked == session) {
        output_uncork(session);
        session_watch(session);
    }
}

const struct http_request *session_request(const struct session *session)
{
    return session->request == NULL ? NULL : &session->request->request;
}

const char *session_header(const struct session *session, const char *name)
{
    const struct http_request *request = session_request(session);
    return request == NULL ? NULL : header_find(request->headers, request->header_count, name);
}

bool session_clogged(struct session *session)
{
    if (session->queued > session_limits(session)->send_queue / 2)
        session->clogged = true;
    return session->clogged;
}

void session_pause(struct session *session, bool paused)
{
    if (session->paused == paused || session->state == SESSION_ENDED)
        return;
    session->paused = paused;
    session->probed = false;
    session->pinged_at = 0;
    session->heard_at = session_now(session); /* what it says meanwhile nobody hears */
    session_watch(session);
    session_schedule(session);
}

void session_linger(struct session *session, bool lingers)
{
    const bool ends = session->lingers && !lingers;
    session->lingers = lingers;
    if (ends && session->state == SESSION_ENDING)
        session_advance_soon(session);
}

uint64_t session_message_limit(const struct session *session)
{
    return session_limits(session)->message;
}

int64_t session_close_timeout(const struct session *session)
{
    return session_limits(session)->close_timeout;
}

int64_t session_time_to_finish(const struct session *session)
{
    int64_t left = session->finish_at - session_now(session);
    return session->finish_at == 0 || left < 0 ? 0 : left;
}

bool session_draining(const struct session *session)
{
    return session->home->draining;
}

const char *session_route_name(const struct session *session)
{
    return session->route->name;
}

size_t session_queued(const struct session *session)
{
    return session->queued;
}

size_t session_send_queue(const struct session *session)
{
    return (size_t)session_limits(session)->send_queue;
}

const char *session_subprotocol(const struct session *session)
{
    return session->kept == NULL ? NULL : session->kept->subprotocol;
}

void *session_route_state(const struct session *session)
{
    return session->route->state;
}

void session_set_data(struct session *session, void *data)
{
    session->data = data;
}

void *session_data(const struct session *session)
{
    return session->data;
}
