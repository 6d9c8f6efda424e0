/*
 * session_home: sessions as their loop and the server see them, from the 101 to the end of TCP.
 *
 * A session reads frames and hands messages to the route's handler; sends what the handler says
 * through a bounded queue; pings; closes from either side by the protocol. It knows frames, its
 * handler, the tracker and libuv; nothing of CivetWeb or the configuration.
 */
#ifndef LASTCALL_SERVER_SESSION_HOME_H
#define LASTCALL_SERVER_SESSION_HOME_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "server/handshake.h"
#include "server/log.h"
#include "server/memory.h"
#include "server/session.h"
#include "server/stream.h"

struct address_use;
struct deflate;
struct route;
struct tracker;

/* What the sessions of a route obey. Milliseconds and bytes; 0 turns a time, or a rate, off. */
struct session_limits {
    uint64_t message;
    int64_t message_timeout; /* from its first byte to its last */
    uint64_t receive_buffer; /* of the kernel */
    uint64_t send_queue;
    int64_t control_frames; /* and empty fragments, a second */
    int64_t ping_interval;
    int64_t ping_timeout;
    int64_t idle_timeout;
    int64_t max_age; /* less up to a tenth */
    int64_t rate;    /* messages a second */
    int64_t close_timeout;
    uint16_t close_code; /* at shutdown */
    const char *close_reason;
};

/* How the sessions are drained. Milliseconds of clock_milliseconds, which is the loops' clock. */
struct drain_plan {
    int64_t signal_at;
    int64_t spread;     /* over which the closes are paced */
    int64_t wait_until; /* when sessions of routes that wait are closed after all */
    size_t turn;        /* of this loop among those that have sessions: set by the loops */
    size_t turns;
};

#define SESSION_INPUT_SIZE 65536
#define SESSION_CORK_SIZE 16384
#define SESSION_FAILURES 14 /* from code 1001 to 1014 */

/* What the sessions of one loop share. Owned by that loop. */
struct session_home {
    uv_loop_t uv;
    size_t place; /* of the loop among all: its column in the traffic counts */
    struct tracker *tracker;
    struct loops *loops;
    struct session *first; /* the newest */
    struct session *last;  /* the oldest */
    struct session *next_to_drain;
    size_t watchers;                             /* those that are drained last */
    uint64_t random;                             /* state of the jitter */
    struct log_limit failures[SESSION_FAILURES]; /* lines about sessions that failed, by code */
    struct memory_share share;
    struct deflate *codec;  /* for compressed messages; NULL: none was needed yet */
    struct drain_plan plan; /* once draining */
    atomic_size_t sessions; /* here and on their way: any thread */
    bool draining;
    struct session *unflushed; /* to which messages go out at the end of the turn */
    struct session *corked;    /* whose answers are gathered in `cork` while its input is read */
    size_t cork_length;
    uint8_t *spare; /* memory for the first piece of a large message; NULL: none */
    uint8_t cork[SESSION_CORK_SIZE];
    uint8_t input[SESSION_INPUT_SIZE];
    uint8_t behind[STREAM_READ_MAX]; /* what is behind a session has said, while that is told */
};

/* What a session begins with; everything is copied that is needed afterwards. */
struct session_opening {
    const struct sockaddr *client; /* who it is for the log */
    const struct http_request *request;
    const char *subprotocol; /* NULL: none */
    int window_bits;         /* for what we compress; 0: permessage-deflate was not agreed on */
    int64_t asked_at;        /* clock_microseconds: when the request came */
    struct address_use *use; /* where it has entered (addresses_enter_session); NULL: nowhere */
};

/*
 * Makes a session around a connected, non-blocking socket whose 101 has been sent. The request
 * is kept for the handler's `open`, if it has one. Any thread. Returns NULL without memory; the
 * socket is then still the caller's.
 */
struct session *session_new(int socket, const struct route *route,
                            const struct session_opening *opening);

/* Frees a session that was never opened, and closes its socket. The thread that has it. */
void session_discard(struct session *session);

/* Starts it on its loop. If that fails it is discarded, and the tracker told. Loop thread. */
void session_open(struct session *session, struct session_home *home);

/*
 * Lets the handler say its last words, then queues the Close of the shutdown; on a route that
 * waits only when `at_last`. Loop thread.
 */
void session_drain(struct session *session, bool at_last);

/*
 * Closes sessions with 1013, those that hold the most first, until all together are within
 * limits.memory, or it is another loop's turn. At the end of whatever may have added to it; not
 * while going through a list of sessions. Loop thread.
 */
void session_relieve(struct session_home *home);

/* Sends what session_send_message has gathered: at the end of a turn. Loop thread. */
void session_flush_all(struct session_home *home);

/* Whether its Close comes with the others' at its turn, neither waits nor is the last. */
bool session_paced(const struct session *session);

/* What a session that is still there waits for during a drain; what people are told is in
   session_wait_names. */
enum session_wait {
    WAIT_TURN,   /* for its turn */
    WAIT_ITSELF, /* for its handler or its peer to end it */
    WAIT_FINISH, /* for what is behind it to say the last */
    WAIT_TAKEN,  /* for the peer to take what goes before our Close */
    WAIT_ANSWER, /* for the peer's Close */
    WAIT_END,    /* for the end of TCP */
    WAIT_COUNT
};
extern const char *const session_wait_names[WAIT_COUNT];

/* What there is to see of a session. */
struct session_glance {
    struct sockaddr_storage client;
    const struct route *route;
    int64_t open; /* milliseconds */
    size_t queued;
    enum session_wait wait;
};

/* Loop thread. */
void session_look(const struct session *session, struct session_glance *glance);

/* Ends TCP now: forced, unless both Closes were exchanged. Loop thread. */
void session_cut(struct session *session);

/* The next older, or newer, one on the same loop, or NULL. Loop thread. */
struct session *session_older(const struct session *session);
struct session *session_newer(const struct session *session);

/* Links of the queue in which a loop is handed new sessions, read by session_older; whoever holds
   the queue's lock. */
void session_link(struct session *session, struct session *next);

#endif
