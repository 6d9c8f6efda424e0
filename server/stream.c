#include "server/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/session_private.h"
#include "server/tcp.h"

enum {
    CHUNK_LEAST = 4096, /* what is short leaves room for what comes behind it */
};

/* Bytes that wait to be written. */
struct stream_chunk {
    struct stream_chunk *next;
    size_t offset; /* of the first byte that has not been written */
    size_t length;
    size_t capacity;
    uint8_t data[];
};

struct stream {
    uv_poll_t poll;
    uv_timer_t later; /* says `failed` outside of stream_write */
    struct session *session;
    const struct stream_calls *calls;
    void *owner;
    struct stream_chunk *first;
    struct stream_chunk *last;
    size_t waiting; /* bytes in all chunks */
    int descriptor; /* -1: closed */
    int error;      /* nothing more can be written; 0: none */
    int watched;    /* poll events asked for */
    int handles;    /* open libuv handles */
    bool is_socket;
    bool reads;  /* until its end */
    bool writes; /* until our end, or a failure */
    bool paused;
    bool full;      /* it was clogged, and `room` has not come since */
    bool finishing; /* our side ends when nothing waits */
    bool freed;     /* only its handles are left */
};

/* --- what to wait for --- */

static void on_poll(uv_poll_t *handle, int status, int events);

/* Whoever is not waited for is not in epoll at all: an error there would be said again and again.
 */
static void watch(struct stream *stream)
{
    int wanted = 0;
    if (stream->freed || stream->descriptor < 0)
        return;
    if (stream->reads && !stream->paused)
        wanted |= UV_READABLE;
    if (stream->first != NULL)
        wanted |= UV_WRITABLE;
    if (wanted == stream->watched)
        return;
    stream->watched = wanted;
    uv_poll_start(&stream->poll, wanted, on_poll); /* fails only for a handle that is closing */
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;
    if (--stream->handles == 0)
        free(stream);
}

/* libuv must have let go of a descriptor before its number can be another's. */
static void close_descriptor(struct stream *stream)
{
    if (stream->descriptor < 0)
        return;
    uv_close((uv_handle_t *)&stream->poll, on_handle_closed);
    close(stream->descriptor);
    stream->descriptor = -1;
}

/* --- the queue --- */

/* What counts for a chunk beside itself: where anything waits, the kernel's buffer is full too. */
static int64_t chunk_cost(const struct stream *stream, const struct stream_chunk *chunk)
{
    int64_t cost = (int64_t)(sizeof *chunk + chunk->capacity);
    return stream->first == NULL ? cost + TCP_UNREAD_COST : cost;
}

static void free_first(struct stream *stream)
{
    struct stream_chunk *chunk = stream->first;
    stream->first = chunk->next;
    if (stream->first == NULL)
        stream->last = NULL;
    stream->waiting -= chunk->length - chunk->offset;
    session_hold(stream->session, -chunk_cost(stream, chunk));
    free(chunk);
}

static void discard(struct stream *stream)
{
    while (stream->first != NULL)
        free_first(stream);
}

static struct stream_chunk *add_chunk(struct stream *stream, size_t length)
{
    size_t capacity = length < CHUNK_LEAST ? CHUNK_LEAST : length;
    struct stream_chunk *chunk = malloc(sizeof *chunk + capacity);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct stream_chunk){.capacity = capacity};
    session_hold(stream->session, chunk_cost(stream, chunk));
    *(stream->last == NULL ? &stream->first : &stream->last->next) = chunk;
    stream->last = chunk;
    return chunk;
}

static void append(struct stream *stream, struct stream_chunk *chunk, const uint8_t *data,
                   size_t length)
{
    memcpy(chunk->data + chunk->length, data, length);
    chunk->length += length;
    stream->waiting += length;
}

/* Keeps bytes for later. Returns -1 without memory. */
static int enqueue(struct stream *stream, const uint8_t *data, size_t length)
{
    struct stream_chunk *chunk = stream->last;
    if (chunk != NULL) {
        size_t room = chunk->capacity - chunk->length;
        size_t part = length < room ? length : room;
        append(stream, chunk, data, part);
        data += part;
        length -= part;
    }
    if (length > 0) {
        chunk = add_chunk(stream, length);
        if (chunk == NULL)
            return -1;
        append(stream, chunk, data, length);
    }
    stream->full = stream->full || stream_clogged(stream);
    return 0;
}

/* --- writing --- */

static void on_later(uv_timer_t *timer);

/* Bytes are lost: from a socket nothing more is waited for then. The owner hears of it from the
   loop: it may be in the middle of something. */
static void fail(struct stream *stream, int error)
{
    stream->error = error;
    stream->writes = false;
    discard(stream);
    if (stream->is_socket)
        shutdown(stream->descriptor, SHUT_RD);
    uv_timer_start(&stream->later, on_later, 0, 0);
}

/* Returns how many bytes it took; 0 also when nothing more can be written. */
static size_t put(struct stream *stream, const uint8_t *data, size_t length)
{
    ssize_t put;
    do
        put = stream->is_socket ? send(stream->descriptor, data, length, MSG_NOSIGNAL)
                                : write(stream->descriptor, data, length);
    while (put < 0 && errno == EINTR);
    if (put >= 0)
        return (size_t)put;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ENOMEM)
        fail(stream, errno);
    return 0;
}

/* Ends our side if that is its turn. A pipe has an end only when it is closed. */
static void finish_when_written(struct stream *stream)
{
    if (!stream->finishing || !stream->writes || stream->first != NULL)
        return;
    stream->writes = false;
    if (stream->is_socket)
        shutdown(stream->descriptor, SHUT_WR);
    else
        close_descriptor(stream);
}

static void flush(struct stream *stream)
{
    while (stream->first != NULL) {
        struct stream_chunk *chunk = stream->first;
        size_t length = chunk->length - chunk->offset;
        size_t sent = put(stream, chunk->data + chunk->offset, length);
        if (!stream->writes)
            return;
        if (sent < length) {
            chunk->offset += sent;
            stream->waiting -= sent;
            return;
        }
        free_first(stream);
    }
    finish_when_written(stream);
}

int stream_write(struct stream *stream, const void *data, size_t length)
{
    size_t sent = 0;
    if (!stream->writes || stream->finishing || length == 0)
        return 0;
    if (stream->first == NULL)
        sent = put(stream, data, length);
    if (!stream->writes || sent == length)
        return 0;
    if (enqueue(stream, (const uint8_t *)data + sent, length - sent) != 0)
        return -1;
    watch(stream);
    return 0;
}

/* --- events --- */

/* Reads once: other sessions of the loop have their turn before the next. */
static void take(struct stream *stream)
{
    struct session_home *home = stream->session->home;
    uint8_t *input = home->behind;
    ssize_t got = read(stream->descriptor, input, sizeof home->behind);
    if (got > 0) {
        stream->calls->bytes(stream->owner, input, (size_t)got);
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    /* A reset that a write has met first looks like an end to who reads. */
    int error = got < 0 ? errno : stream->error == EPIPE ? 0 : stream->error;
    stream->reads = false;
    stream->calls->ended(stream->owner, error);
}

/* What the owner has done to its session, and to the memory, has its consequences now. Neither has
   been freed: libuv frees both after this turn of the loop. */
static void end_event(struct stream *stream, struct session *session)
{
    watch(stream);
    session_advance(session);
    session_relieve(session->home);
}

/* libuv waits no longer for a descriptor in error; what came before the error is still there to be
   read, and the error itself is found by reading or writing. */
static void tell_written(struct stream *stream)
{
    const uint64_t limit = session_limits(stream->session)->send_queue;
    const bool room = stream->full && stream->waiting < limit / 4;
    if (stream->error != 0)
        return;
    stream->full = stream->full && !room;
    if (stream->first == NULL && stream->calls->written != NULL)
        stream->calls->written(stream->owner);
    if (room && !stream->freed)
        stream->calls->room(stream->owner);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct stream *stream = handle->data;
    struct session *session = stream->session;
    if (status < 0) {
        events = stream->watched;
        stream->watched = 0;
    }
    if ((events & UV_WRITABLE) != 0) {
        flush(stream);
        tell_written(stream);
    }
    if ((events & UV_READABLE) != 0 && stream->reads && !stream->paused && !stream->freed)
        take(stream);
    end_event(stream, session);
}

static void on_later(uv_timer_t *timer)
{
    struct stream *stream = timer->data;
    struct session *session = stream->session;
    stream->calls->failed(stream->owner, stream->error);
    end_event(stream, session);
}

/* --- birth and end --- */

/* Returns NULL with errno. */
static struct stream *make_stream(struct session *session, int descriptor)
{
    struct stream *stream = calloc(1, sizeof *stream);
    uv_loop_t *loop = &session->home->uv;
    if (stream == NULL)
        return NULL;
    int error = uv_poll_init(loop, &stream->poll, descriptor);
    if (error != 0) {
        free(stream);
        errno = -error;
        return NULL;
    }
    uv_timer_init(loop, &stream->later); /* cannot fail */
    stream->poll.data = stream->later.data = stream;
    stream->handles = 2;
    return stream;
}

struct stream *stream_new(struct session *session, int descriptor, unsigned directions,
                          const struct stream_calls *calls, void *owner)
{
    struct stream *stream = make_stream(session, descriptor);
    int type = 0;
    if (stream == NULL) {
        int error = errno;
        close(descriptor);
        errno = error;
        return NULL;
    }
    stream->is_socket =
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof type}) == 0;
    stream->session = session;
    stream->descriptor = descriptor;
    stream->calls = calls;
    stream->owner = owner;
    stream->reads = (directions & STREAM_READS) != 0;
    stream->writes = (directions & STREAM_WRITES) != 0;
    watch(stream);
    return stream;
}

size_t stream_waiting(const struct stream *stream)
{
    return stream->waiting;
}

bool stream_clogged(const struct stream *stream)
{
    return stream->waiting > session_limits(stream->session)->send_queue / 2;
}

/* While it is paused the kernel's buffer fills with what comes. */
void stream_pause(struct stream *stream, bool paused)
{
    const int64_t cost = stream->is_socket
                             ? 2 * (int64_t)session_limits(stream->session)->receive_buffer
                             : STREAM_READ_MAX; /* as large as a pipe */
    if (stream->paused == paused)
        return;
    stream->paused = paused;
    session_hold(stream->session, paused ? cost : -cost);
    watch(stream);
}

void stream_finish(struct stream *stream)
{
    stream->finishing = true;
    finish_when_written(stream);
}

void stream_free(struct stream *stream)
{
    stream->freed = true;
    stream_pause(stream, false);
    if (stream->is_socket && (stream->first != NULL || stream->error != 0))
        tcp_forget(stream->descriptor);
    discard(stream);
    close_descriptor(stream);
    uv_close((uv_handle_t *)&stream->later, on_handle_closed);
}
