/*
 * server_private: what server.c (start and stop) and door.c (every request) share. Nobody else
 * includes it.
 */
#ifndef LASTCALL_SERVER_SERVER_PRIVATE_H
#define LASTCALL_SERVER_SERVER_PRIVATE_H

#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/log.h"
#include "server/server.h"

enum { TOKEN_BYTES = 16 };

#define SELF_TEST_HEADER "X-Lastcall-Self-Test"
#define SELF_TEST_ANSWER "taken over"

struct server {
    struct server_options options;
    struct mg_context *context;
    struct mg_callbacks callbacks;
    atomic_bool open;
    atomic_int_fast64_t deadline; /* for responses in flight; set by server_refuse */
    size_t listeners;
    char token[2 * TOKEN_BYTES + 1]; /* the self-test's */
    char complaint[256];             /* the last message of CivetWeb while it starts */
    pthread_mutex_t lock;            /* guards limits */
    struct log_limit limits[REFUSAL_COUNT];
};

/* CivetWeb's begin_request: the way of every request. A worker thread. */
int door(struct mg_connection *connection);

/*
 * CivetWeb's http_error: what it cannot read as a request is refused like all else. A worker
 * thread. Returns 0: answered.
 */
int door_error(struct mg_connection *connection, int status, const char *message);

/* The response to those who come when the gate is closed. Returns its length. */
size_t door_refusal(char *response, size_t size);

#endif
