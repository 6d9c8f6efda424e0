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
    long seconds;
    long limit;
    long spread;        /* milliseconds */
    long close_timeout; /* milliseconds; more than 0: no session answers its Close */
    bool probe;
};

/* What one run measures; what a mode does not need stays zero. */
struct run {
    const struct settings *settings;
    struct client client;
    pid_t server;
    struct histogram times;
    uint64_t signalled;
    bool measuring; /* echo, handshakes: the warm-up is over */
};

extern struct run run;

/* SIGTERM to a server with open sessions: how long until each Close, and until it is gone. */
void run_stop(void);
void stop_closed(struct client *client, struct connection *connection);

#endif
