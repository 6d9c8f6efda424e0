/*
 * server_private: what server.c (start and stop), door.c (every request) and
 * door_upgrade.c (from a request to a session) share. Nobody else
 * includes it.
 */
#ifndef LASTCALL_SERVER_SERVER_PRIVATE_H
#define LASTCALL_SERVER_SERVER_PRIVATE_H

#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/http.h"
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
    bool full;                   /* connections cannot be accepted, which was said; main thread's */
    struct log_limit full_limit; /* of saying it */
    char token[2 * TOKEN_BYTES + 1]; /* the self-test's */
    char complaint[256];             /* the last message of CivetWeb while it starts */
    pthread_mutex_t lock;            /* guards limits */
    struct log_limit limits[REFUSAL_COUNT];
};

/* Why a request is not let in. */
struct refusal {
    enum tracker_refusal kind;
    int status;
    const char *why;
    const char *origin; /* NULL, or the Origin that was refused */
};

/* Those that need no more words, by their kind. */
extern const struct refusal door_refusals[REFUSAL_COUNT];

/* Counts, logs and answers a refusal; `server` is NULL in somebody else's program. */
void door_refuse(struct server *server, struct http_exchange *exchange,
                 const struct refusal *refusal);

/* Finds out who the client is and which host it asked for, behind proxies or not. */
void door_identify(struct http_exchange *exchange, const struct network *trusted, size_t count);

/* Answers an upgrade request, by a session or a refusal. */
void door_upgrade(struct server *server, struct http_exchange *exchange, const struct route *route,
                  struct tracker *tracker, struct loops *loops);

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
