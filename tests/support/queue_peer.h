/*
 * queue_peer: a host whose handler sends as much as it is told to, and peers that check what they
 * read of it, for the unit tests of limits.memory.
 */
#ifndef LASTCALL_TESTS_SUPPORT_QUEUE_PEER_H
#define LASTCALL_TESTS_SUPPORT_QUEUE_PEER_H

#include "server/deflate.h"
#include "server/memory.h"
#include "tests/support/random.h"
#include "tests/support/session_peer.h"

enum {
    SMALL_BUFFER = 4096, /* of the kernel, so that what is sent waits with us */
    SHORT = 100,         /* milliseconds */
};

static const char too_much[] =
    "all WebSockets together hold too much memory, and this one the most";

/* --- messages that a peer can check: each is known by its number alone --- */

/* What the messages of a test are like. */
static struct {
    size_t shortest;
    size_t longest;
} messages;

/* Returns the length. Nearly as many bits as bytes: what is compressed hardly becomes shorter. */
static inline size_t make_message(uint8_t *data, size_t number)
{
    uint64_t random = number;
    size_t length =
        messages.shortest + random_below(&random, messages.longest - messages.shortest + 1);
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)random_below(&random, 200);
    return length;
}

static inline void check_message(size_t number, const uint8_t *data, size_t length)
{
    static uint8_t expected[PAYLOAD_MAX];
    MUST(length == make_message(expected, number));
    MUST(memcmp(data, expected, length) == 0);
}

static inline struct memory *memory_of(struct host *host)
{
    return tracker_memory(host->tracker);
}

/* --- the handler: "queue BYTES" is answered with so much, and all else with itself --- */

static inline void send_messages(struct session *session, size_t bytes)
{
    static uint8_t data[2][PAYLOAD_MAX]; /* for each loop */
    static atomic_size_t taken;
    uint8_t *mine = data[atomic_fetch_add(&taken, 1) % 2];
    size_t number = 0;
    for (size_t sent = 0; sent < bytes; number++) {
        size_t length = make_message(mine, number);
        MUST(session_send(session, MESSAGE_BINARY, mine, length) == SESSION_SENT);
        sent += length;
    }
    note("queued %zu;", bytes);
}

static inline void answer(struct session *session, enum message_kind kind, void *data,
                          size_t length)
{
    size_t bytes = 0;
    char text[64];
    snprintf(text, sizeof text, "%.*s", length < 60 ? (int)length : 60, (const char *)data);
    if (sscanf(text, "queue %zu", &bytes) == 1) {
        send_messages(session, bytes);
    } else if (sscanf(text, "later %zu", &bytes) == 1) {
        session_set_data(session, (void *)bytes);
        session_wake(session, 0);
    } else if (length > sizeof text) {
        note("message of %zu;", length);
    } else {
        note("message %s;", text);
        session_send(session, kind, data, length);
    }
}

static inline void send_later(struct session *session)
{
    send_messages(session, (size_t)session_data(session));
}

static inline struct host memory_host(size_t memory_limit)
{
    struct host host = make_host(answer);
    host.handler.wake = send_later;
    host.limits.send_queue = 64 << 20;
    host.send_buffer = SMALL_BUFFER;
    host.memory_limit = memory_limit;
    messages.shortest = messages.longest = 1000;
    return host;
}

static inline int slow_peer(struct host *host)
{
    return host_connect_with(host, SMALL_BUFFER, NULL, 0);
}

/* --- peers --- */

/* Makes the server queue so much for a peer, which has happened when it returns. Each call of a
   test needs another number. */
static inline void queue(int peer, const char *how, size_t bytes)
{
    char text[64];
    snprintf(text, sizeof text, "%s %zu", how, bytes);
    peer_say(peer, text);
    snprintf(text, sizeof text, "queued %zu;", bytes);
    notes_wait(text);
}

static inline void echoes(int peer, const char *text)
{
    peer_say(peer, text);
    peer_hears(peer, text);
}

/* Checks a message that was read, whether it came compressed or not. */
static inline void check_frame(size_t number)
{
    ck_assert_int_eq(frame.opcode, FRAME_BINARY);
    if (!frame.compressed) {
        check_message(number, frame.payload, frame.length);
        return;
    }
    struct deflate_output whole;
    struct deflate *codec = deflate_new();
    MUST(codec != NULL);
    MUST(deflate_expand(codec, frame.payload, frame.length, PAYLOAD_MAX, &whole) == DEFLATE_DONE);
    check_message(number, whole.data, whole.length);
    deflate_release(codec, &whole);
    deflate_free(codec);
}

/* Reads whole messages until something else comes; returns how many. */
static inline size_t read_messages(int peer)
{
    size_t number = 0;
    for (peer_read(peer); frame.opcode == FRAME_BINARY; peer_read(peer))
        check_frame(number++);
    return number;
}

static inline size_t count_messages(size_t bytes)
{
    static uint8_t data[PAYLOAD_MAX];
    size_t count = 0;
    for (size_t sent = 0; sent < bytes; count++)
        sent += make_message(data, count);
    return count;
}

/* Everything comes, and the session goes on. */
static inline void reads_all(int peer, size_t bytes)
{
    peer_say(peer, "still here");
    ck_assert_uint_eq(read_messages(peer), count_messages(bytes));
    ck_assert_int_eq(frame.opcode, FRAME_TEXT);
    ck_assert_str_eq((const char *)frame.payload, "still here");
}

/* A part comes, in whole messages, and the Close; then it ends as it should. */
static inline void reads_some_and_1013(int peer, size_t bytes)
{
    size_t count = read_messages(peer);
    check_close(1013, too_much);
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_lt(count, count_messages(bytes));
    peer_close(peer, 1013);
    peer_hears_end(peer);
}

static inline void leave(int peer)
{
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
}

/* Reads to the end of TCP, however that comes. */
static inline void peer_is_cut(int peer)
{
    uint8_t data[4096];
    while (recv(peer, data, sizeof data, 0) > 0)
        ;
    close(peer);
}

/* Ends the loops, when all sessions have ended by themselves. */
static inline void end_host(struct host *host, uint64_t by_handshake, uint64_t forced,
                            uint64_t relieved)
{
    const struct tracker_route *counts = host->route.counts;
    ck_assert_int_eq(loops_stop(host->loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_uint_eq(tracker_sessions(host->tracker), 0);
    ck_assert_uint_eq(counts->opened, by_handshake + forced);
    ck_assert_uint_eq(counts->closed[OUTCOME_HANDSHAKE], by_handshake);
    ck_assert_uint_eq(counts->closed[OUTCOME_FORCED], forced);
    ck_assert_uint_eq(memory_of(host)->relieved, relieved);
    ck_assert_uint_eq(memory_of(host)->held, 0);
    tracker_free(host->tracker);
    close(host->listener);
}

#endif
