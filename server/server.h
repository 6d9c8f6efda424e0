/*
 * server: CivetWeb, started from plain options, and the one door through which all requests come.
 *
 * Every request is seen by the door before CivetWeb looks at it: counted, matched to a route, and
 * answered there, by the route's HTTP handler, by a refusal, or by taking its socket over for a
 * WebSocket session. CivetWeb has no handler, no document root and no file of its own.
 */
#ifndef LASTCALL_SERVER_SERVER_H
#define LASTCALL_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/loop.h"
#include "server/route.h"
#include "server/tracker.h"

struct addresses;
struct network;
struct server;
struct mg_connection;
struct mg_context;

/* What the server is started with; everything is kept, not copied. */
struct server_options {
    const char *const *listen; /* "127.0.0.1:8080", "*:80", "[::1]:8080" */
    size_t listen_count;
    unsigned http_threads;
    int64_t handshake_timeout; /* milliseconds a connection may take to say its request */
    size_t receive_buffer;     /* bytes that the kernel keeps of what a peer sends */
    struct tracker *tracker;
    struct loops *loops;
    const struct route *routes;
    size_t route_count;
    const struct network *trusted; /* proxies that are believed */
    size_t trusted_count;
    struct addresses *addresses;     /* of the clients; trusted proxies are none */
    struct tracker_route *elsewhere; /* where refusals without a route are counted */
};

/* Descriptor numbers that CivetWeb may use at a time with so many threads and listeners. */
int server_descriptors(unsigned http_threads, size_t listen_count);

/*
 * Starts CivetWeb; until server_open every request is answered 503. descriptor_init and
 * takeover_init come before; one server in a process. Returns NULL with one line in `error` and
 * errno: EADDRNOTAVAIL when it cannot listen, else what the system has refused.
 */
struct server *server_start(const struct server_options *options, char *error, size_t error_size);

/* The addresses that it listens on, with their real ports: "127.0.0.1:43215". */
size_t server_listeners(const struct server *server);
void server_listener(const struct server *server, size_t place, char *text, size_t size);

/*
 * Connects to the server itself and has that connection taken over. Before server_open, main
 * thread, a few milliseconds. Returns 0, or -1 with one line in `error`.
 */
int server_self_test(struct server *server, char *error, size_t error_size);

/* Opens the door. */
void server_open(struct server *server);

/*
 * Looks whether connections can be accepted, and says so when that has changed. Main thread, from
 * time to time, between server_open and server_refuse.
 */
void server_look(struct server *server);

/*
 * Refuses new connections; those already accepted get 503. Once, when the gate is closed.
 * Responses in flight have until `deadline` (clock_milliseconds) to reach their peers.
 */
void server_refuse(struct server *server, int64_t deadline);

/*
 * Lets CivetWeb's threads finish what they have, until the deadline given to server_refuse, calls
 * mg_stop and answers what it has left behind. Blocks; the stop thread. The struct is freed.
 */
void server_stop(struct server *server);

/* How CivetWeb calls itself: "1.15". */
const char *server_civetweb_version(void);

/* --- for a CivetWeb program of somebody else (tests/support/programs/stranger.c) --- */

/*
 * Answers an upgrade request on a route: checks it, counts it, takes the socket over, writes the
 * 101 and hands the session to a loop; or refuses with a proper response. Call it from
 * begin_request (and return 1), or from a connect handler of mg_set_websocket_handler (and return
 * 1 as well): CivetWeb then lets go of the connection. A worker thread.
 */
void server_upgrade(struct mg_connection *connection, const struct route *route,
                    struct tracker *tracker, struct loops *loops);

/*
 * What server_refuse and server_stop do, for a context that was not started here: refuse new
 * connections; let CivetWeb's threads finish until `deadline`, then mg_stop. The listeners must
 * have been found (takeover_find_listeners). Both return how many connections they answered 503.
 */
size_t server_refuse_connections(void);
size_t server_stop_context(struct mg_context *context, int64_t deadline);

#endif
