#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/clock.h"
#include "server/deflate.h"
#include "server/route.h"
#include "server/session_private.h"
#include "server/tracker.h"

enum {
    MESSAGE_FIRST_CAPACITY = 65536, /* the most that is allocated on the word of a header */
    COMPRESSED_INPUT_SIZE = 1024, /* what is read at once may expand to a thousand times as much */
    INPUT_FIRST = 4096,           /* is read at once while nothing is known of the peer */
    INPUT_LEAST = 512,            /* and later, so that a read is worth its call */
    FRAMES_AT_ONCE = 128,         /* more are not to be in one read */
    REST_FROM = 500,              /* microseconds of work on one read, after which */
    REST_TIMES = 3,               /* so many times as long nothing more is read */
};

void input_forget(struct session *session)
{
    if (session->message == NULL)
        return;
    session_hold(session, -(int64_t)session->message_capacity);
    if (session->message_capacity == MESSAGE_FIRST_CAPACITY && session->home->spare == NULL)
        session->home->spare = session->message;
    else
        free(session->message);
    session->message = NULL;
    session->message_length = 0;
    session->message_capacity = 0;
}

/* What it says from now on goes to nobody, nor does the message that has begun. */
static void mute(struct session *session, const char *why)
{
    session->muted = true;
    input_forget(session);
    session_refuse(session, CLOSE_POLICY, why);
}

/* Takes a message's place in the route's rate, or closes. Returns whether it had one. */
static bool take_rate(struct session *session)
{
    if (session->state != SESSION_OPEN ||
        rate_take(&session->messages, session_limits(session)->rate, session_now(session)))
        return true;
    mute(session, "more messages a second than are allowed here");
    return false;
}

/* Likewise for what costs work and carries nothing: control frames, and empty fragments. */
static bool take_control_rate(struct session *session)
{
    int64_t most = session_limits(session)->control_frames;
    if (session->state != SESSION_OPEN || rate_take(&session->controls, most, session_now(session)))
        return true;
    mute(session, "more pings, pongs or empty fragments than are allowed");
    return false;
}

static void deliver(struct session *session, enum message_kind kind, uint8_t *data, size_t length)
{
    const struct handler *handler = session->route->handler;
    struct tracker_traffic *traffic = session_traffic(session);
    session->received++;
    session->received_bytes += length;
    session->spoken_at = session_now(session);
    tracker_count(&traffic->received, 1);
    tracker_count(&traffic->received_bytes, length);
    if (session->home->draining)
        tracker_count(&traffic->received_draining, 1);
    if (take_rate(session))
        handler->message(session, kind, data, length);
}

/* Expands a compressed message and hands it over. */
static void deliver_compressed(struct session *session, enum message_kind kind, const uint8_t *data,
                               size_t length)
{
    struct deflate_output whole = {.data = NULL};
    struct deflate *codec = session_codec(session);
    enum deflate_result result =
        codec == NULL
            ? DEFLATE_NO_MEMORY
            : deflate_expand(codec, data, length, session_limits(session)->message, &whole);
    struct utf8 utf8 = {0};
    if (result == DEFLATE_TOO_LARGE)
        session_fail(session, CLOSE_TOO_LARGE, "message over the limit");
    else if (result == DEFLATE_NO_MEMORY)
        session_fail(session, CLOSE_TRY_LATER, "out of memory");
    else if (result == DEFLATE_BAD)
        session_fail(session, CLOSE_INVALID_DATA, "a compressed message cannot be expanded");
    else if (kind == MESSAGE_TEXT &&
             (!utf8_feed(&utf8, whole.data, whole.length) || !utf8_done(&utf8)))
        session_fail(session, CLOSE_INVALID_DATA, "text is not UTF-8");
    else
        deliver(session, kind, whole.data, whole.length);
    if (codec != NULL)
        deflate_release(codec, &whole);
}

static void deliver_found(struct session *session, const struct frame_found *found, uint8_t *data,
                          size_t length)
{
    enum message_kind kind = found->opcode == FRAME_TEXT ? MESSAGE_TEXT : MESSAGE_BINARY;
    if (found->compressed)
        deliver_compressed(session, kind, data, length);
    else
        deliver(session, kind, data, length);
}

/* Large messages that come in pieces come often: the memory of the last one is kept. */
static uint8_t *take_memory(struct session *session, uint64_t capacity)
{
    uint8_t *spare = session->home->spare;
    if (session->message != NULL || capacity != MESSAGE_FIRST_CAPACITY || spare == NULL)
        return realloc(session->message, capacity);
    session->home->spare = NULL;
    return spare;
}

/* Makes room for `length` more bytes, of `expected` that a frame's header has announced. */
static bool message_room(struct session *session, size_t length, uint64_t expected)
{
    uint64_t limit = session_limits(session)->message;
    uint64_t need = session->message_length + length;
    if (need <= session->message_capacity)
        return true;
    uint64_t capacity = session->message_capacity * 2;
    uint64_t announced = need + expected;
    if (announced > MESSAGE_FIRST_CAPACITY)
        announced = MESSAGE_FIRST_CAPACITY;
    if (capacity < announced)
        capacity = announced;
    if (capacity > limit)
        capacity = limit;
    if (capacity < need)
        capacity = need;
    uint8_t *message = take_memory(session, capacity);
    if (message == NULL)
        return false;
    session_hold(session, (int64_t)(capacity - session->message_capacity));
    session->message = message;
    session->message_capacity = capacity;
    return true;
}

static void take_data(struct session *session, const struct frame_found *found)
{
    if (session->muted)
        return;
    if (found->first && found->last) {
        deliver_found(session, found, found->data, found->length);
        return;
    }
    if (found->length > 0) {
        if (!message_room(session, found->length, found->remaining)) {
            session_fail(session, CLOSE_TRY_LATER, "out of memory");
            return;
        }
        memcpy(session->message + session->message_length, found->data, found->length);
        session->message_length += found->length;
    }
    if (!found->last && found->length == 0)
        take_control_rate(session);
    if (found->last) {
        uint8_t nothing = 0;
        deliver_found(session, found, session->message == NULL ? &nothing : session->message,
                      session->message_length);
        input_forget(session);
    }
}

static void take_control(struct session *session, const struct frame_found *found)
{
    if (found->opcode == FRAME_CLOSE)
        session_peer_close(session, found->code);
    else if (take_control_rate(session) && found->opcode == FRAME_PING &&
             session->state == SESSION_OPEN)
        output_frame(session, FRAME_PONG, found->data, found->length);
}

/* Whether what the peer says still means something. */
static bool is_listening(const struct session *session)
{
    return !session->peer_closed &&
           (session->state == SESSION_OPEN || session->state == SESSION_CLOSE_QUEUED);
}

/* Returns how many frames, or pieces of frames, there were. */
static size_t take_input(struct session *session, uint8_t *input, size_t length)
{
    size_t frames = 0;
    while (is_listening(session)) {
        struct frame_found found;
        size_t used;
        enum frame_event event = frame_parse(&session->parser, input, length, &used, &found);
        input += used;
        length -= used;
        frames++;
        if (event == FRAME_DATA)
            take_data(session, &found);
        else if (event == FRAME_CONTROL)
            take_control(session, &found);
        else if (event == FRAME_FAILED)
            session_fail(session, found.code, found.failure);
        bool resting = frame_parser_resting(&session->parser);
        if (resting)
            session->begun_at = 0;
        else if (session->begun_at == 0)
            session->begun_at = session_now(session);
        if (event == FRAME_NEED_MORE)
            break;
    }
    return frames;
}

/*
 * The loop's other sessions wait while this one's input is dealt with, and what that takes is the
 * number of frames as much as their bytes: a peer that sends tiny ones is read from in small
 * pieces. What it sent last says what comes next; nobody has more at once than twice that.
 */
static void adapt_input(struct session *session, size_t got, size_t frames)
{
    size_t most = got / frames * FRAMES_AT_ONCE;
    if (most > 2 * (size_t)session->input_most)
        most = 2 * (size_t)session->input_most;
    if (most > SESSION_INPUT_SIZE)
        most = SESSION_INPUT_SIZE;
    session->input_most = (uint32_t)(most < INPUT_LEAST ? INPUT_LEAST : most);
}

/*
 * How much to read, so that answers no longer than their questions stay within the queue, and that
 * the loop's other sessions do not wait long.
 */
static size_t input_room(const struct session *session)
{
    size_t most = session->input_most;
    if (session->window_bits != 0)
        most = COMPRESSED_INPUT_SIZE;
    uint64_t queue = session_limits(session)->send_queue;
    if (session->state != SESSION_OPEN || session->queued >= queue)
        return most;
    return queue - session->queued > most ? most : (size_t)(queue - session->queued);
}

/* A kilobyte may expand to a megabyte, and its answer is compressed again: whose input costs the
   loop so much has its turn less often. */
static void rest(struct session *session, int64_t worked)
{
    if (worked >= REST_FROM)
        session->rests_until = session_now(session) + 1 + worked * (1 + REST_TIMES) / 1000;
}

static void deal_with(struct session *session, uint8_t *input, size_t length)
{
    bool compressed = session->window_bits != 0;
    int64_t began = compressed ? clock_thread_microseconds() : 0;
    output_cork(session);
    size_t frames = take_input(session, input, length);
    output_uncork(session);
    adapt_input(session, length, frames);
    if (compressed)
        rest(session, clock_thread_microseconds() - began);
}

/* Reads once. Returns false at the end of the peer's side. */
bool input_read(struct session *session)
{
    uint8_t *input = session->home->input;
    ssize_t got = recv(session->socket, input, input_room(session), MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (got == 0)
        return false;
    session->heard_at = session_now(session);
    if (is_listening(session))
        deal_with(session, input, (size_t)got);
    return true;
}

void input_begin(struct session *session)
{
    session->input_most = INPUT_FIRST;
}
