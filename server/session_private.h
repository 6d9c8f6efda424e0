/*
 * session_private: what the files of a session share: session.c (birth, events, the end),
 * session_record.c (what is kept and said of it), session_time.c (what comes when), session_input.c
 * (frames to messages), session_output.c (the send queue), session_memory.c (what it holds of the
 * memory of all), session_close.c (the closing handshake) and session_handler.c (what handlers ask
 * of it). Nobody else includes it. Everything on the session's loop thread.
 */
#ifndef LASTCALL_SERVER_SESSION_PRIVATE_H
#define LASTCALL_SERVER_SESSION_PRIVATE_H

#include "server/frame.h"
#include "server/memory.h"
#include "server/rate.h"
#include "server/session_home.h"
#include "server/tracker.h"

/*
 * OPEN         both sides may send; we alone once the peer's Close has come and the handler is
 *              asked to finish
 * CLOSE_QUEUED our Close is queued; messages are still read
 * FAILED       our Close is queued; what the peer sends can no longer be read as frames
 * ENDING       both Closes are there: flush, then end TCP
 * ENDED        handles are being closed; freed when both are
 */
enum session_state {
    SESSION_OPEN,
    SESSION_CLOSE_QUEUED,
    SESSION_FAILED,
    SESSION_ENDING,
    SESSION_ENDED
};

/* Bytes that wait for the socket: the session's own, or of a message that others wait for, too. */
struct send_chunk {
    struct send_chunk *next;
    struct message *message; /* NULL: they are in `data` */
    const uint8_t *bytes;
    size_t offset; /* of the first byte that has not been sent */
    size_t length;
    size_t capacity; /* of `data` */
    bool counted;    /* session_hold knows of it */
    uint8_t data[];
};

/* The opening request, in one block: its texts come behind the headers. */
struct session_request {
    struct http_request request;
    struct header headers[];
};

/* Texts of the opening request, in one block; each may be NULL. */
struct session_kept {
    const char *subprotocol;
    const char *path; /* this and what follows: for the access log */
    const char *referer;
    const char *user_agent;
    char text[];
};

struct session {
    uv_poll_t poll;
    uv_timer_t timer;
    struct session *older;
    struct session *newer;
    struct session_home *home;
    const struct route *route;
    struct address_use *use; /* of its client's address; NULL: of none */
    void *data;
    struct session_request *request; /* until `open` has returned */
    struct session_kept *kept;       /* until the end; NULL where nothing is needed */

    struct send_chunk *first;
    struct send_chunk *last;
    struct send_chunk *uncounted; /* the first of those that session_hold does not know yet */
    size_t queued;                /* bytes in all chunks */
    struct session *unflushed;    /* the next in the list of those whose messages go out together */
    struct session **unflushed_link; /* what points to it; NULL: it is not in the list */

    struct holder holder; /* of the queue and the message */
    uint8_t *message;     /* the part of a message that has arrived; NULL between messages */
    size_t message_length;
    size_t message_capacity;

    int64_t opened_at;       /* all times: milliseconds of the loop's clock */
    int64_t heard_at;        /* the peer sent anything */
    int64_t spoken_at;       /* a message was received or sent */
    int64_t pinged_at;       /* a Ping waits for any sign of life since then; 0: none */
    uint64_t taken_at_ping;  /* bytes that the peer had acknowledged then */
    int64_t close_queued_at; /* our Close; 0: not yet */
    int64_t close_sent_at;   /* microseconds of the same clock; 0: not yet */
    int64_t end_at;          /* cut when this comes; 0: never */
    int64_t finish_at;       /* closed when this comes, by `code` and `reason`; 0: not called for */
    int64_t finish_end_at;   /* no later than which it is cut then */
    const char *reason;      /* of the Close that was called for */
    int64_t timer_at;        /* when the timer fires; 0: it is not running */
    int64_t wake_at;         /* the handler wants to be woken; 0: no */
    int64_t expires_at;      /* max_age; 0: never */
    int64_t begun_at;        /* a message or frame began to arrive that is not whole; 0: none */
    int64_t rests_until;     /* while open it is not read from before */
    struct rate messages;    /* that the peer sends */
    struct rate controls;    /* and control frames and empty fragments */
    int64_t asked_at;        /* microseconds of the same clock: the request came */

    uint64_t received;
    uint64_t sent;
    uint64_t received_bytes;
    uint64_t sent_bytes;

    struct frame_parser parser;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } client;

    int socket;
    uint32_t input_most; /* bytes to read at once */
    uint16_t code;       /* of the first Close, for log and counts */
    uint8_t state;       /* enum session_state; changed by session_enter alone */
    uint8_t handles;     /* open libuv handles */
    uint8_t window_bits; /* for what we compress; 0: nothing is compressed */
    int8_t watched;      /* poll events asked for; -1: none yet */
    bool peer_closed;    /* the peer's Close has come */
    bool close_sent;     /* our Close has been handed to the socket whole */
    bool drained;        /* the handler has been told */
    bool fin_sent;
    bool peer_fin; /* the peer has ended its side behind its Close */
    bool broken;   /* the socket takes no more */
    bool unread;   /* see session_note_unread */
    bool muted;    /* it has sent too much: what else it says goes to nobody */
    bool paused;   /* the handler does not want it to be read from */
    bool probed;   /* has been sent a Ping since, to see whether it is there */
    bool clogged;  /* the handler waits for `room` */
    bool lingers;  /* does not end yet: see session_linger */
    bool blocked;  /* the socket takes nothing more: what the kernel keeps for it counts */
};

/* --- session.c --- */

/* The one place where the state changes. */
void session_enter(struct session *session, enum session_state state);

/* Milliseconds of the loop's clock, which stands still during one turn. */
int64_t session_now(const struct session *session);

/* What the session obeys. */
const struct session_limits *session_limits(const struct session *session);

/* The socket is in error: what has come is dealt with, then the session ends. */
void session_broken(struct session *session);

/* Watches the socket for what can be dealt with now. */
void session_watch(struct session *session);

/* Whether both sides have sent their Close. */
bool session_closed_by_both(const struct session *session);

/* Closes the socket, tells the handler and the tracker; the memory goes with the handles. */
void session_end(struct session *session, enum tracker_outcome outcome);

/* Where this loop counts the route's traffic (tracker_count): it is the only writer. */
struct tracker_traffic *session_traffic(const struct session *session);

/* --- session_record.c --- */

/* Keeps what will be needed of the opening request. Returns 0; -1: out of memory. */
int session_keep(struct session *session, const struct session_opening *opening);

void session_log_opened(const struct session *session);
void session_log_failed(const struct session *session, uint16_t code, const char *why);
void session_log_closed(const struct session *session, enum tracker_outcome outcome);

/* --- session_time.c --- */

/* Has the session advanced soon, where nothing else will. */
void session_advance_soon(struct session *session);

/* Sees to it that the timer fires in time. */
void session_schedule(struct session *session);

/* When a session that opens now has reached max_age; 0: never. */
int64_t session_expiry(struct session *session);

/* --- session_handler.c --- */

/* What compresses and expands on this loop; NULL: no memory. */
struct deflate *session_codec(struct session *session);

/* --- session_close.c --- */

/*
 * Has the handler finish first, if it does that, and close then (handler.h, `finish`). `reason`
 * must live as long as the session.
 */
void session_finish(struct session *session, uint16_t code, const char *reason);

/* Fails the connection (RFC 6455, section 7.1.7): nothing the peer sends is understood any more. */
void session_fail(struct session *session, uint16_t code, const char *why);

/* The peer's Close has come (section 5.5.1). */
void session_peer_close(struct session *session, uint16_t code);

/* Goes on as far as possible: at the end of everything that happens to a session. */
void session_advance(struct session *session);

/* --- session_input.c --- */

/* Reads once and deals with what came. Returns false at the end of the peer's side. */
bool input_read(struct session *session);

/* Before anything is read. */
void input_begin(struct session *session);

/* Drops the part of a message that has arrived. */
void input_forget(struct session *session);

/* --- session_output.c --- */

/* Sends or queues a frame, of which FRAME_COMPRESSED may be added to the opcode. Returns false
   without memory. */
bool output_frame(struct session *session, unsigned opcode, const void *data, size_t length);

/* Gathers what is sent until output_uncork into one send. */
void output_cork(struct session *session);
void output_uncork(struct session *session);

/* Sends as much of the queue as the socket takes. */
void output_flush(struct session *session);

/* Whether everything has been handed to the socket. */
bool output_empty(const struct session *session);

/* Queues a message that goes out at the end of the turn. Returns false without memory. */
bool output_message(struct session *session, struct message *message);

/* Takes it out of the list of sessions that are flushed then. */
void output_leave_unflushed(struct session *session);

/* Drops the queue. */
void output_discard(struct session *session);

/* Drops what it can of the queue: not the frame that has begun to go out. */
void output_drop(struct session *session);

/* --- session_memory.c --- */

/* Notes what the session holds together with others (memory_rank). */
void session_hold_shared(struct session *session, int64_t bytes);

/* Notes whether it is not read from because of what it has not read itself: what the kernel keeps
   for it then counts, and the time of a message that has begun does not. */
void session_note_unread(struct session *session, bool unread);

#endif
