/*
 * stream: bytes to and from what is behind a session: a socket, or one end of a pipe.
 *
 * A stream belongs to its session and lives on the session's loop. What cannot be written at once
 * is kept and counts as memory of the session; reading can be paused. It knows nothing of messages
 * and ends no session: what its bytes mean, and when to stop, is its owner's.
 *
 * Every function is for the thread of the session's loop. Callbacks come from the loop, never from
 * inside a function below. Writing to a pipe that nobody reads raises SIGPIPE, which the process
 * has to ignore or block; for sockets it is not raised.
 */
#ifndef LASTCALL_SERVER_STREAM_H
#define LASTCALL_SERVER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;
struct stream;

/* Which way the bytes go; a socket may have both. */
enum stream_direction { STREAM_READS = 1, STREAM_WRITES = 2 };

#define STREAM_READ_MAX 65536 /* bytes that `bytes` gets at once */

/* What a stream tells its owner. None may be NULL that can come: `bytes` and `ended` to who reads,
   `room` and `failed` to who writes. */
struct stream_calls {
    /* They came; at most STREAM_READ_MAX, valid during the call. */
    void (*bytes)(void *owner, const uint8_t *data, size_t length);

    /* Nothing more comes: 0 at its end, or an errno. Once; what had come before has been said. Who
       has closed the whole of a socket has ended, whether or not a write has met that first. */
    void (*ended)(void *owner, int error);

    /* Nothing waits to be written any more. NULL: not of interest. */
    void (*written)(void *owner);

    /* Less than a quarter of its limit waits to be written, after it was clogged. */
    void (*room)(void *owner);

    /* Nothing more can be written (an errno: EPIPE, ECONNRESET), and what waited has been dropped.
       Once. Of a socket what has come by then is still read, and then its end. */
    void (*failed)(void *owner, int error);
};

/*
 * Makes a stream around a non-blocking descriptor, and begins to read if it reads; both ways only
 * around a socket. The descriptor
 * is the stream's from here on, in failure too. `calls` must outlive it. Returns NULL with errno
 * without memory, or when the descriptor cannot be waited for.
 */
struct stream *stream_new(struct session *session, int descriptor, unsigned directions,
                          const struct stream_calls *calls, void *owner);

/*
 * Writes at once what can be written and keeps a copy of the rest, however much it is: who gives
 * it more while it is clogged says how much the queue may hold. After stream_finish and after
 * `failed` the bytes go nowhere. Returns 0, or -1 without memory: then a part of them may have been
 * written and nothing that follows could make sense.
 */
int stream_write(struct stream *stream, const void *data, size_t length);

/* Bytes that wait to be written. */
size_t stream_waiting(const struct stream *stream);

/* Whether more than half of limits.send_queue waits to be written: give it no more until `room`. */
bool stream_clogged(const struct stream *stream);

/* Reads no more until it is told to; the other side is slowed down by what it cannot write. */
void stream_pause(struct stream *stream, bool paused);

/* Ends our side when what waits has been written: the other side then reads an end. Reading goes
   on. */
void stream_finish(struct stream *stream);

/* Closes the descriptor at once, with what waits to be written or read; a TCP connection is reset
   if something could not be written, for the other side must not take a part for the whole. No
   callback comes any more; allowed inside of one. */
void stream_free(struct stream *stream);

#endif
