/*
 * session_peer: sessions on a loop of their own and the peer at the other end, for the unit tests.
 *
 * A host is a tracker, a loop and one route whose handler a test brings along. What a handler
 * says of itself goes into the notes, one text that any thread can wait for.
 */
#ifndef LASTCALL_TESTS_SUPPORT_SESSION_PEER_H
#define LASTCALL_TESTS_SUPPORT_SESSION_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/loop.h"
#include "server/route.h"
#include "server/tracker.h"
#include "tests/support/frame_reader.h"

enum {
    PATIENCE = 60, /* seconds, after which a test fails */
    PATIENCE_MS = 60000,
    PAYLOAD_MAX = 1 << 20, /* of a frame that a test reads */
    FRAME_END = -1,        /* instead of an opcode: the server has ended TCP */
};

/* --- what handlers said --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char text[4096];
    size_t length;
} notes = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

__attribute__((format(printf, 1, 2))) static inline void note(const char *format, ...)
{
    va_list arguments;
    pthread_mutex_lock(&notes.lock);
    size_t room = sizeof notes.text - notes.length;
    va_start(arguments, format);
    int length = vsnprintf(notes.text + notes.length, room, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < room)
        notes.length += (size_t)length;
    pthread_cond_broadcast(&notes.changed);
    pthread_mutex_unlock(&notes.lock);
}

/* Waits until the notes contain a text, and returns the place behind it. */
static inline const char *notes_wait(const char *wanted)
{
    struct timespec until;
    const char *found;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE;
    pthread_mutex_lock(&notes.lock);
    while ((found = strstr(notes.text, wanted)) == NULL)
        if (pthread_cond_timedwait(&notes.changed, &notes.lock, &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&notes.lock);
    if (found == NULL)
        ck_abort_msg("'%s' was not said, but: %s", wanted, notes.text);
    return found + strlen(wanted);
}

/* --- handlers --- */

static inline void echo(struct session *session, enum message_kind kind, void *data, size_t length)
{
    session_send(session, kind, data, length);
}

static inline void note_and_echo(struct session *session, enum message_kind kind, void *data,
                                 size_t length)
{
    note("message %.*s;", (int)length, (const char *)data);
    session_send(session, kind, data, length);
}

/* --- the host --- */

struct host {
    struct session_limits limits;
    struct handler handler;
    struct route route;
    struct tracker *tracker;
    struct loops *loops;
    int listener;
    int send_buffer;     /* of the session's socket; 0: as it is */
    int window_bits;     /* sessions compress; 0: they do not */
    size_t loop_count;   /* 0: one */
    size_t memory_limit; /* 0: none */
};

static inline void note_close(struct session *session, uint16_t code)
{
    (void)session;
    note("close %u;", code);
}

/* Limits that no test reaches, for a test to change before host_start. */
static inline struct host make_host(void (*message)(struct session *, enum message_kind, void *,
                                                    size_t))
{
    return (struct host){
        .limits = {.message = 1 << 20,
                   .send_queue = 1 << 20,
                   .close_timeout = PATIENCE_MS,
                   .close_code = 1001,
                   .close_reason = "server shutting down"},
        .handler = {.name = "test", .message = message, .close = note_close},
    };
}

static inline void host_start(struct host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    size_t loop_count = host->loop_count == 0 ? 1 : host->loop_count;
    host->tracker = tracker_new(100, loop_count);
    if (host->memory_limit > 0)
        tracker_memory(host->tracker)->limit = host->memory_limit;
    host->loops = loops_start(loop_count, host->tracker);
    ck_assert_ptr_nonnull(host->loops);
    host->route = (struct route){.name = "/test",
                                 .path = "/test",
                                 .handler = &host->handler,
                                 .limits = &host->limits,
                                 .counts = tracker_add_route(host->tracker, "/test")};
    host->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(host->listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(host->listener, 16), 0);
}

/* Makes a session. Returns the peer's end of its connection. */
static inline int host_connect_with(struct host *host, int receive_buffer,
                                    const struct header *headers, size_t header_count)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    struct timeval patience = {.tv_sec = PATIENCE};
    getsockname(host->listener, (struct sockaddr *)&address, &length);
    int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
        setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(peer, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    ck_assert_int_eq(connect(peer, (struct sockaddr *)&address, sizeof address), 0);
    length = sizeof address;
    int accepted =
        accept4(host->listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(accepted, 0);
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (host->send_buffer > 0)
        setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &host->send_buffer, sizeof host->send_buffer);
    ck_assert_int_eq(tracker_enter_session(host->tracker, host->route.counts), 0);
    const struct http_request request = {.headers = headers, .header_count = header_count};
    struct session *session =
        session_new(accepted, &host->route,
                    &(struct session_opening){.client = (struct sockaddr *)&address,
                                              .request = &request,
                                              .window_bits = host->window_bits,
                                              .asked_at = clock_microseconds()});
    ck_assert_ptr_nonnull(session);
    loops_add(host->loops, session);
    return peer;
}

static inline int host_connect(struct host *host)
{
    return host_connect_with(host, 0, NULL, 0);
}

static inline void host_drain(struct host *host)
{
    tracker_mark(host->tracker);
    tracker_close_gate(host->tracker);
    tracker_drain(host->tracker);
}

/* Waits for the end of the only session, ends the loop and checks how it ended. */
static inline void host_end(struct host *host, enum tracker_outcome outcome, uint16_t code)
{
    char closed[16];
    snprintf(closed, sizeof closed, "close %u;", code);
    notes_wait(closed);
    ck_assert_int_eq(loops_stop(host->loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_uint_eq(tracker_sessions(host->tracker), 0);
    ck_assert_uint_eq(host->route.counts->opened, 1);
    ck_assert_uint_eq(host->route.counts->closed[outcome], 1);
    size_t place = 0;
    while (tracker_codes[place] != code && tracker_codes[place] != 0)
        place++;
    ck_assert_uint_eq(host->route.counts->codes[place][outcome], 1);
    tracker_free(host->tracker);
    close(host->listener);
}

/* --- the peer --- */

static inline void peer_write(int peer, const void *data, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t got = send(peer, (const uint8_t *)data + sent, length - sent, MSG_NOSIGNAL);
        if (got <= 0)
            ck_abort_msg("cannot send: %s", strerror(errno));
        sent += (size_t)got;
    }
}

/* Sends a frame; `first` is its first byte: 0x81 is a whole text. */
static inline void peer_send(int peer, uint8_t first, const void *payload, size_t length)
{
    uint8_t *frame = malloc(length + 14);
    MUST(frame != NULL);
    size_t size = put_frame(frame, first, shortest(length), 0x12345678, payload, length);
    peer_write(peer, frame, size);
    free(frame);
}

static inline void peer_say(int peer, const char *text)
{
    peer_send(peer, 0x81, text, strlen(text));
}

static inline void peer_close(int peer, uint16_t code)
{
    const uint8_t payload[] = {(uint8_t)(code >> 8), (uint8_t)code};
    peer_send(peer, 0x88, payload, sizeof payload);
}

/* What peer_read has read. */
static struct {
    int opcode; /* or FRAME_END */
    bool compressed;
    bool may_be_compressed;
    size_t length;
    uint8_t payload[PAYLOAD_MAX + 1]; /* ended by a zero */
} frame;

/* Returns whether they came, or false at the end of TCP. */
static inline bool peer_read_bytes(int peer, uint8_t *data, size_t length)
{
    for (size_t have = 0; have < length;) {
        ssize_t got = recv(peer, data + have, length - have, 0);
        if (got < 0)
            ck_abort_msg("cannot receive: %s", strerror(errno));
        if (got == 0) {
            ck_assert_uint_eq(have, 0);
            return false;
        }
        have += (size_t)got;
    }
    return true;
}

static inline void peer_read(int peer)
{
    uint8_t header[2];
    uint8_t extended[8];
    frame.opcode = FRAME_END;
    if (!peer_read_bytes(peer, header, sizeof header))
        return;
    frame.compressed = (header[0] & 0x40) != 0;
    MUST((header[0] & 0xb0) == 0x80 && (header[1] & 0x80) == 0);
    MUST(frame.may_be_compressed || !frame.compressed);
    size_t more = header[1] < 126 ? 0 : header[1] == 126 ? 2 : 8;
    frame.length = more == 0 ? header[1] : 0;
    MUST(more == 0 || peer_read_bytes(peer, extended, more));
    for (size_t i = 0; i < more; i++)
        frame.length = frame.length << 8 | extended[i];
    MUST(frame.length <= PAYLOAD_MAX);
    MUST(frame.length == 0 || peer_read_bytes(peer, frame.payload, frame.length));
    frame.payload[frame.length] = '\0';
    frame.opcode = header[0] & 0xf;
}

static inline void peer_hears(int peer, const char *text)
{
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_TEXT);
    ck_assert_str_eq((const char *)frame.payload, text);
}

static inline void check_close(uint16_t code, const char *reason)
{
    ck_assert_int_eq(frame.opcode, FRAME_CLOSE);
    ck_assert_uint_ge(frame.length, 2);
    ck_assert_uint_eq(frame.payload[0] * 256U + frame.payload[1], code);
    ck_assert_str_eq((const char *)frame.payload + 2, reason);
}

static inline void peer_hears_close(int peer, uint16_t code, const char *reason)
{
    peer_read(peer);
    check_close(code, reason);
}

static inline void peer_hears_end(int peer)
{
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_END);
    close(peer);
}

/* Answers our Close, sees the end of TCP, and checks what the host says of it. */
static inline void peer_ends_properly(struct host *host, int peer, uint16_t code)
{
    peer_close(peer, code);
    peer_hears_end(peer);
    host_end(host, OUTCOME_HANDSHAKE, code);
}

#endif
