/*
 * load_client: WebSocket connections for the benchmark, or plain requests with a connection each,
 * on one thread and one epoll.
 *
 * Opens them, checks every handshake and every frame, and tells the owner what happened. It
 * shares no code with the server that it measures. Whatever is wrong (a refused handshake, a frame
 * against the protocol, nothing at all until the limit) ends the process with status 1.
 */
#ifndef LASTCALL_BENCH_LOAD_CLIENT_H
#define LASTCALL_BENCH_LOAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_MAX 125  /* of a frame that we send: the length then is one byte */
#define HEAD_MAX 1024    /* of an answer: status line and headers */
#define PAYLOAD_OFFSET 6 /* in such a frame */

enum stage {
    STAGE_IDLE,       /* no socket */
    STAGE_CONNECTING, /* until TCP stands and the request is sent */
    STAGE_UPGRADING,  /* until the 101, or the end of a plain answer */
    STAGE_OPEN,
    STAGE_CLOSING, /* the server's Close is answered, unless we are mute; it ends TCP */
};

struct connection {
    int fd;
    enum stage stage;
    unsigned number;
    unsigned sequence; /* of the last message sent; the owner's */
    uint64_t since;    /* when it began to connect, or its last message was sent */
    size_t have;       /* bytes in `input` */
    uint8_t *input;    /* what has arrived and is no whole answer yet */
    uint8_t frame[PAYLOAD_OFFSET + PAYLOAD_MAX]; /* to send */
};

struct client;

/* What the owner is told. A function that is NULL means: this must not happen. */
struct client_events {
    void (*opened)(struct client *client, struct connection *connection);
    void (*message)(struct client *client, struct connection *connection, const uint8_t *payload,
                    size_t length);
    /* The server's Close has come; it is answered when this returns, unless we are mute. */
    void (*closed)(struct client *client, struct connection *connection);
    /* If it is there, nothing is upgraded: each connection is one GET, and this its body. */
    void (*answered)(struct client *client, struct connection *connection, const char *body,
                     size_t length);
};

/* The owner fills in what stands before `epoll` and leaves the rest alone. */
struct client {
    const struct client_events *events;
    void *owner;
    uint16_t port;
    size_t connection_count;
    unsigned window;         /* handshakes at a time */
    bool reset;              /* our side ends TCP by a reset, which leaves no TIME_WAIT behind */
    bool again;              /* a connection that the owner drops is opened anew */
    bool packed;             /* messages come compressed (RFC 7692), and no others */
    bool mute;               /* no Close is answered, and the server may end TCP by a reset */
    const char *path;        /* of the request */
    const char *headers;     /* further header lines of it, each ended by CRLF; NULL: none */
    const char *answer_line; /* a line that the answer to an upgrade must have; NULL: none */
    size_t request_size;     /* the request is filled up to so many bytes by a Cookie */
    size_t message_size;     /* the largest message, or body, that may come */
    uint64_t limit;          /* when to give up (the clock of now()) */
    void (*watched)(void);   /* what client_watch was called for is readable; NULL: nothing to do */
    int epoll;
    struct connection *connections;
    uint8_t *inputs;
    size_t input_size; /* for each connection */
    size_t started;
    size_t wanted; /* client_open's target */
    size_t opened; /* handshakes completed */
    size_t ended;  /* connections that the server has closed */
    char *request;
    size_t request_length;
};

/* Allocates everything that is needed later, and raises the descriptor limit. */
void client_prepare(struct client *client);

/* Opens connections until `total` are open, and returns when they are. */
void client_open(struct client *client, size_t total);

/* Waits for events, at most `timeout` ms, and deals with a batch of them. */
void client_step(struct client *client, int timeout);

/* Makes client_step return when this descriptor is readable; it is the owner's to read, at once in
   `watched` if that is there. */
void client_watch(struct client *client, int fd);

/*
 * Fills in a text frame with a mask of its own and `length` bytes of payload, masked.
 * client_send sends it, and notes when.
 */
void client_frame(struct connection *connection, const char *payload, size_t length);
void client_send(struct connection *connection, size_t length);

/* Sends a frame that the owner has made, and notes when. */
void client_send_bytes(struct connection *connection, const uint8_t *frame, size_t length);

/* Ends a connection from our side. */
void client_drop(struct connection *connection);

#endif
