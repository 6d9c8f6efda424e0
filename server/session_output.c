#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "server/message.h"
#include "server/session_private.h"
#include "server/tcp.h"

enum {
    CHUNK_SIZE = 4096,
    CHUNKS_AT_ONCE = 64,
    FLUSH_FROM = 65536, /* bytes that are worth a write of their own */
    COPIED_MAX = 64,    /* bytes of a message that cost less than a reference to it */
};

bool output_empty(const struct session *session)
{
    return session->first == NULL &&
           (session->home->corked != session || session->home->cork_length == 0);
}

static void count_queued(struct session *session, int64_t change)
{
    session->queued = (size_t)((int64_t)session->queued + change);
    tracker_count(&session_traffic(session)->queued, (uint64_t)change); /* modulo 2^64 */
}

/* Counts a chunk, or takes it back. */
static void count_chunk(struct session *session, struct send_chunk *chunk, bool counted)
{
    int64_t sign = (int64_t)counted - (int64_t)chunk->counted;
    if (sign == 0)
        return;
    session_hold(session, sign * (int64_t)(sizeof *chunk + chunk->capacity));
    if (chunk->message != NULL)
        session_hold_shared(session, sign * (int64_t)chunk->length);
    chunk->counted = counted;
}

/*
 * When the socket has been asked: where anything still waits, the kernel's buffer is full too. What
 * comes and goes within one turn of the loop is never counted.
 */
static void count_waiting(struct session *session)
{
    const bool blocked = session->first != NULL;
    if (blocked != session->blocked)
        session_hold(session, blocked ? TCP_UNREAD_COST : -TCP_UNREAD_COST);
    session->blocked = blocked;
    for (; session->uncounted != NULL; session->uncounted = session->uncounted->next)
        count_chunk(session, session->uncounted, true);
}

static void append_chunk(struct session *session, struct send_chunk *chunk)
{
    *(session->last == NULL ? &session->first : &session->last->next) = chunk;
    session->last = chunk;
    if (session->uncounted == NULL)
        session->uncounted = chunk;
}

/* A chunk at the end of the queue with room for `length` bytes; NULL: no memory. What is short
   leaves room for what comes behind it. */
static struct send_chunk *add_chunk(struct session *session, size_t length)
{
    size_t capacity = length < CHUNK_SIZE / 4 ? CHUNK_SIZE : length;
    struct send_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct send_chunk){.bytes = chunk->data, .capacity = capacity};
    append_chunk(session, chunk);
    return chunk;
}

/* Frees a chunk that has been taken out of the queue. */
static void free_chunk(struct session *session, struct send_chunk *chunk)
{
    if (session->uncounted == chunk)
        session->uncounted = chunk->next;
    count_chunk(session, chunk, false);
    if (chunk->message != NULL)
        message_release(chunk->message);
    free(chunk);
}

static void free_first(struct session *session)
{
    struct send_chunk *chunk = session->first;
    session->first = chunk->next;
    if (session->first == NULL)
        session->last = NULL;
    free_chunk(session, chunk);
}

void output_discard(struct session *session)
{
    while (session->first != NULL)
        free_first(session);
    count_waiting(session);
    count_queued(session, -(int64_t)session->queued);
    if (session->home->corked == session)
        session->home->cork_length = 0;
}

void output_drop(struct session *session)
{
    struct send_chunk *first = session->first;
    while (first != NULL && first->next != NULL) {
        struct send_chunk *chunk = first->next;
        first->next = chunk->next;
        count_queued(session, -(int64_t)(chunk->length - chunk->offset));
        free_chunk(session, chunk);
    }
    session->last = first;
}

/* A socket that takes no more, or what has to go out cannot: its end is reported to the loop as an
   event of its own. */
static void output_broken(struct session *session)
{
    session->broken = true;
    output_discard(session);
    shutdown(session->socket, SHUT_RDWR);
}

/*
 * Appends the parts, but for their first `skip` bytes, to the queue. A frame never spans two
 * chunks: all but the first can be dropped. Returns false without memory.
 */
static bool enqueue(struct session *session, const struct iovec *parts, size_t count, size_t skip)
{
    struct send_chunk *chunk = session->last;
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += parts[i].iov_len;
    length -= skip;
    if (chunk == NULL || chunk->message != NULL || length > chunk->capacity - chunk->length)
        chunk = add_chunk(session, length);
    if (chunk == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t skipped = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        size_t part = parts[i].iov_len - skipped;
        skip -= skipped;
        if (part > 0)
            memcpy(chunk->data + chunk->length, (const uint8_t *)parts[i].iov_base + skipped, part);
        chunk->length += part;
    }
    count_queued(session, (int64_t)length);
    return true;
}

/* Hands bytes to the socket. Returns how many it took; 0 also when it is broken. */
static size_t transmit(struct session *session, const struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t sent;
    do
        sent = count == 1 ? send(session->socket, parts->iov_base, parts->iov_len, flags)
                          : sendmsg(session->socket, &message, flags);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (size_t)sent;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ENOMEM)
        output_broken(session);
    return 0;
}

/* Sends what the socket takes, if nothing waits before it, and queues the rest. */
static bool send_or_queue(struct session *session, const struct iovec *parts, size_t count)
{
    size_t whole = 0;
    for (size_t i = 0; i < count; i++)
        whole += parts[i].iov_len;
    size_t sent = session->first == NULL ? transmit(session, parts, count) : 0;
    if (session->broken || sent == whole)
        return true;
    if (enqueue(session, parts, count, sent)) {
        count_waiting(session);
        return true;
    }
    if (sent > 0) /* half a frame is out and there is no memory for the rest */
        output_broken(session);
    return false;
}

static bool flush_cork(struct session *session)
{
    struct session_home *home = session->home;
    if (home->corked != session || home->cork_length == 0)
        return true;
    struct iovec part = {.iov_base = home->cork, .iov_len = home->cork_length};
    home->cork_length = 0;
    return send_or_queue(session, &part, 1);
}

bool output_frame(struct session *session, unsigned opcode, const void *data, size_t length)
{
    struct session_home *home = session->home;
    uint8_t header[FRAME_HEADER_MAX];
    size_t header_length = frame_header(header, opcode, length);
    size_t whole = header_length + length;

    if (session->broken)
        return true;
    if (home->corked == session && session->first == NULL) {
        if (whole > SESSION_CORK_SIZE - home->cork_length && !flush_cork(session))
            return false;
        if (whole <= SESSION_CORK_SIZE - home->cork_length && session->first == NULL) {
            memcpy(home->cork + home->cork_length, header, header_length);
            if (length > 0)
                memcpy(home->cork + home->cork_length + header_length, data, length);
            home->cork_length += whole;
            return true;
        }
    }
    struct iovec parts[] = {{.iov_base = header, .iov_len = header_length},
                            {.iov_base = (void *)(uintptr_t)data, .iov_len = length}};
    return send_or_queue(session, parts, length > 0 ? 2 : 1);
}

void output_cork(struct session *session)
{
    session->home->corked = session;
    session->home->cork_length = 0;
}

void output_uncork(struct session *session)
{
    if (!flush_cork(session)) /* answers were promised that no memory is left for */
        output_broken(session);
    session->home->corked = NULL;
}

/* Takes `sent` bytes off the front of the queue. */
static void consume(struct session *session, size_t sent)
{
    count_queued(session, -(int64_t)sent);
    while (sent > 0 && session->first != NULL) {
        struct send_chunk *chunk = session->first;
        size_t part = chunk->length - chunk->offset;
        if (sent < part) {
            chunk->offset += sent;
            return;
        }
        sent -= part;
        free_first(session);
    }
}

void output_flush(struct session *session)
{
    while (session->first != NULL) {
        struct iovec parts[CHUNKS_AT_ONCE];
        size_t count = 0;
        size_t offered = 0;
        for (struct send_chunk *chunk = session->first; chunk != NULL && count < CHUNKS_AT_ONCE;
             chunk = chunk->next) {
            parts[count].iov_base = (void *)(uintptr_t)(chunk->bytes + chunk->offset);
            parts[count].iov_len = chunk->length - chunk->offset;
            offered += parts[count++].iov_len;
        }
        size_t sent = transmit(session, parts, count);
        if (session->broken)
            return;
        consume(session, sent);
        if (sent < offered)
            break;
    }
    count_waiting(session);
}

/* Puts the session into the list of those that are flushed at the end of the turn. */
static void flush_later(struct session *session)
{
    struct session_home *home = session->home;
    if (session->unflushed_link != NULL)
        return;
    session->unflushed = home->unflushed;
    session->unflushed_link = &home->unflushed;
    if (session->unflushed != NULL)
        session->unflushed->unflushed_link = &session->unflushed;
    home->unflushed = session;
}

void output_leave_unflushed(struct session *session)
{
    if (session->unflushed_link == NULL)
        return;
    *session->unflushed_link = session->unflushed;
    if (session->unflushed != NULL)
        session->unflushed->unflushed_link = session->unflushed_link;
    session->unflushed_link = NULL;
}

/* Queues a reference to the message. Returns false without memory. */
static bool refer(struct session *session, struct message *message, const struct iovec *frame)
{
    struct send_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return false;
    *chunk = (struct send_chunk){
        .message = message_keep(message), .bytes = frame->iov_base, .length = frame->iov_len};
    append_chunk(session, chunk);
    count_queued(session, (int64_t)frame->iov_len);
    return true;
}

bool output_message(struct session *session, struct message *message)
{
    struct deflate *codec = session->window_bits == 0 ? NULL : session_codec(session);
    if (!flush_cork(session))
        return false;
    if (session->broken)
        return true;
    struct iovec frame = message_frame(message, codec, session->window_bits);
    if (frame.iov_len <= COPIED_MAX ? !enqueue(session, &frame, 1, 0)
                                    : !refer(session, message, &frame))
        return false;
    if (session->blocked) {
        count_waiting(session);
        return true;
    }
    flush_later(session);
    if (session->queued > FLUSH_FROM)
        output_flush(session);
    return true;
}
