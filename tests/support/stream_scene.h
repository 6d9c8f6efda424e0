/*
 * stream_scene: a session with a stream behind it, whose other end the test has, for the unit tests
 * of streams.
 *
 * A session's stream is one end of what `make_ends` makes. A text that the peer sends is a command:
 * the words of `command`. A binary message is written to the stream.
 */
#ifndef LASTCALL_TESTS_SUPPORT_STREAM_SCENE_H
#define LASTCALL_TESTS_SUPPORT_STREAM_SCENE_H

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "server/session_private.h"
#include "server/stream.h"
#include "tests/support/session_peer.h"

enum { QUEUE = 65536, MANY = 4 << 20 };

static struct {
    int type;                 /* a socket's, or 0: a pipe */
    unsigned directions;      /* of the stream */
    int inner;                /* the stream's descriptor */
    int outer;                /* the test's */
    bool free_in_bytes;       /* what the callback does */
    bool pause_in_bytes;      /* likewise */
    struct stream *stream;    /* of the only session */
    _Atomic size_t came;      /* bytes */
    _Atomic size_t most_came; /* at once */
} scene;

static inline void on_bytes(void *owner, const uint8_t *data, size_t length)
{
    scene.came += length;
    if (length > scene.most_came)
        scene.most_came = length;
    if (length < 64)
        note("bytes %.*s;", (int)length, (const char *)data);
    if (scene.pause_in_bytes)
        stream_pause(scene.stream, true);
    if (scene.free_in_bytes) {
        stream_free(scene.stream);
        scene.stream = NULL;
        session_close(owner, 1000, "freed");
    }
}

static inline void on_ended(void *owner, int error)
{
    (void)owner;
    note("ended %d after %zu;", error, scene.came);
}

static inline void on_room(void *owner)
{
    (void)owner;
    note("room %d;", stream_waiting(scene.stream) < QUEUE / 4);
}

static inline void on_failed(void *owner, int error)
{
    (void)owner;
    note("failed %d with %zu;", error, stream_waiting(scene.stream));
}

static const struct stream_calls calls = {
    .bytes = on_bytes, .ended = on_ended, .room = on_room, .failed = on_failed};

static inline void open_stream(struct session *session)
{
    scene.stream = stream_new(session, scene.inner, scene.directions, &calls, session);
    MUST(scene.stream != NULL);
    note("open;");
}

static inline void command(struct session *session, const char *word)
{
    if (strcmp(word, "pause") == 0)
        stream_pause(scene.stream, true);
    else if (strcmp(word, "go on") == 0)
        stream_pause(scene.stream, false);
    else if (strcmp(word, "finish") == 0)
        stream_finish(scene.stream);
    else
        session_close(session, 1000, word);
}

static inline void take_message(struct session *session, enum message_kind kind, void *data,
                                size_t length)
{
    char word[16];
    if (kind == MESSAGE_BINARY) {
        MUST(stream_write(scene.stream, data, length) == 0);
        note("wrote %zu, clogged %d;", length, stream_clogged(scene.stream));
        return;
    }
    snprintf(word, sizeof word, "%.*s", (int)length, (const char *)data);
    command(session, word);
    note("did %s;", word);
}

static inline void free_stream(struct session *session, uint16_t code)
{
    (void)session;
    if (scene.stream != NULL)
        stream_free(scene.stream);
    note("close %u;", code);
}

/* --- the test's side --- */

static inline void make_ends(void)
{
    int ends[2];
    const int outer = scene.directions == STREAM_WRITES ? 0 : 1; /* of a pipe */
    struct timeval patience = {.tv_sec = PATIENCE};
    if (scene.type != 0) {
        MUST(socketpair(AF_UNIX, scene.type | SOCK_CLOEXEC, 0, ends) == 0);
        setsockopt(ends[outer], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    } else {
        MUST(pipe2(ends, O_CLOEXEC) == 0);
    }
    scene.outer = ends[outer];
    scene.inner = ends[1 - outer];
    MUST(fcntl(scene.inner, F_SETFL, O_NONBLOCK) == 0);
}

static inline struct host stream_host(int type, unsigned directions)
{
    struct host host = make_host(take_message);
    host.handler.open = open_stream;
    host.handler.close = free_stream;
    host.limits.send_queue = QUEUE;
    scene.type = type;
    scene.directions = directions;
    make_ends();
    return host;
}

static inline int begin(struct host *host)
{
    host_start(host);
    int peer = host_connect(host);
    notes_wait("open;");
    return peer;
}

static inline void order(int peer, const char *word)
{
    char done[32];
    peer_say(peer, word);
    snprintf(done, sizeof done, "did %s;", word);
    notes_wait(done);
}

static inline void end(struct host *host, int peer)
{
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    notes_wait("close 1000;");
    ck_assert_uint_eq(tracker_memory(host->tracker)->held, 0);
    host_end(host, OUTCOME_HANDSHAKE, 1000);
    close(scene.outer);
}

static inline size_t read_outer(uint8_t *data, size_t size)
{
    size_t length = 0;
    for (ssize_t got; length < size; length += (size_t)got) {
        got = read(scene.outer, data + length, size - length);
        MUST(got >= 0);
        if (got == 0)
            break;
    }
    return length;
}

static const struct {
    int type;
    unsigned directions;
} kinds[] = {{SOCK_STREAM, STREAM_READS | STREAM_WRITES}, {0, STREAM_READS}, {0, STREAM_WRITES}};

#endif
