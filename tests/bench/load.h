/*
 * load: what the modes of the load client share: the settings of the command line and the one
 * run. A mode loads the server, and prints what it measured as one line of JSON.
 */
#ifndef LASTCALL_BENCH_LOAD_H
#define LASTCALL_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "load_client.h"
#include "load_measure.h"

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)
#define MICROSECOND UINT64_C(1000)

struct settings {
    long port;
    long pid;
    long sessions; /* handshakes: connections at a time */
    long silent;
    long request;
    long bytes;
    long json;
    long duration; /* milliseconds */
    long pace;     /* milliseconds */
    long window;   /* messages on their way at a time */
    long target;   /* the port */
    long limit;
    long spread;        /* milliseconds */
    long close_timeout; /* milliseconds; more than 0: no session answers its Close */
    bool probe;
    bool ids;
    bool down;
    bool plain;
    const char *path;
    const char *file;   /* http: what the body must be; NULL: anything */
    const char *answer; /* a line that the answer to an upgrade must have; NULL: none */
    char headers[1024]; /* further header lines of a request */
};

/* What one run measures; what a mode does not need stays zero. */
struct run {
    const struct settings *settings;
    struct client client;
    pid_t server;
    struct histogram times;
    uint64_t signalled;
    bool measuring; /* the warm-up is over */
};

extern struct run run;

/*
 * After a fourth of the time as warm-up, lets the load run for all of it. Returns how long that
 * really took; the server's processor time in it is stored in *cpu.
 */
uint64_t measure(uint64_t *cpu);

/* Prints how often per second and how fast something was answered, by run.times. */
void print_rate(uint64_t duration, uint64_t cpu);

/* Echo; and what steady needs of it: the message that a connection's number and `sequence` make is
   sent with its own sequence, and checked. */
void run_echo(void);
void echo_message(struct client *client, struct connection *connection, const uint8_t *payload,
                  size_t length);
void echo_send(struct connection *connection);
void echo_check(const struct connection *connection, unsigned sequence, const uint8_t *payload,
                size_t length);

/* One publishes in a channel. */
void run_broadcast(void);
void broadcast_message(struct client *client, struct connection *connection, const uint8_t *payload,
                       size_t length);

/* Much, through a bridge to TCP. */
void run_bridge(void);

/* Echo of compressed messages. */
void run_packed(void);
void packed_message(struct client *client, struct connection *connection, const uint8_t *payload,
                    size_t length);

/* Echo at a steady pace. */
void run_steady(void);
void steady_message(struct client *client, struct connection *connection, const uint8_t *payload,
                    size_t length);

/* Begins anew on each connection that has done what was to be measured, for the whole time. */
void run_handshakes(void);

/* SIGTERM to a server with open sessions: how long until each Close, and until it is gone. */
void run_stop(void);
void stop_closed(struct client *client, struct connection *connection);

/* GET, each on a connection of its own, which the server ends. */
void run_http(void);
void http_answered(struct client *client, struct connection *connection, const char *body,
                   size_t length);

/* Sessions that say nothing and are sent something now and then. */
void run_watch(void);
void watch_message(struct client *client, struct connection *connection, const uint8_t *payload,
                   size_t length);

#endif
