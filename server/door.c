#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/access.h"
#include "server/address.h"
#include "server/clock.h"
#include "server/http.h"
#include "server/log.h"
#include "server/server_private.h"
#include "server/takeover.h"

enum {
    LINGER = 1000,       /* milliseconds that a peer may go on sending an unwanted body */
    CLIENT_CLOSED = 499, /* in logs and counts, as nginx has it: the peer has gone */
};

/* --- refusals --- */

struct refusal {
    enum tracker_refusal kind;
    int status;
    const char *why;
};

static void log_refusal(struct server *server, const struct http_exchange *exchange,
                        const struct refusal *refusal)
{
    int64_t left_out = 0;
    if (server != NULL) {
        pthread_mutex_lock(&server->lock);
        bool pass = log_limit_pass(&server->limits[refusal->kind], clock_milliseconds(), &left_out);
        pthread_mutex_unlock(&server->lock);
        if (!pass)
            return;
    }
    char address[ADDRESS_TEXT_SIZE];
    address_join(exchange->request.remote_address, exchange->request.remote_port, address,
                 sizeof address);
    const struct log_field fields[] = {
        LOG_TEXT("address", address),     LOG_TEXT("route", exchange->counts->name),
        LOG_TEXT("path", exchange->path), LOG_NUMBER("status", refusal->status),
        LOG_TEXT("why", refusal->why),    LOG_NUMBER("not_logged", left_out),
    };
    log_fields(LOG_INFO, "refused", fields, left_out > 0 ? 6 : 5);
}

/* Past CivetWeb, which may be told to stop at any moment now. */
static bool say_drained(struct http_exchange *exchange)
{
    char response[512];
    size_t length = door_refusal(response, sizeof response);
    if (!takeover_say(&exchange->peer, response, length))
        return false;
    exchange->status = 503;
    return true;
}

static void refuse(struct server *server, struct http_exchange *exchange,
                   const struct refusal *refusal)
{
    tracker_refused(exchange->counts, refusal->kind);
    log_refusal(server, exchange, refusal);
    if (refusal->kind != REFUSED_DRAINING || exchange->head || !say_drained(exchange))
        http_refuse(exchange, refusal->status, refusal->why);
}

/* --- upgrades --- */

static const struct refusal refusals[] = {
    [REFUSED_STARTING] = {REFUSED_STARTING, 503, "the server is starting"},
    [REFUSED_DRAINING] = {REFUSED_DRAINING, 503, "the server is shutting down"},
    [REFUSED_FULL] = {REFUSED_FULL, 503,
                      "as many WebSockets are open as limits.connections allows"},
    [REFUSED_ROUTE_FULL] = {REFUSED_ROUTE_FULL, 503,
                            "as many WebSockets are open here as the route's connections allows"},
    [REFUSED_ROUTE] = {REFUSED_ROUTE, 404, "there is nothing at this path"},
    [REFUSED_DESCRIPTORS] = {REFUSED_DESCRIPTORS, 503,
                             "the connection could not be taken over; please try again"},
    [REFUSED_GONE] = {REFUSED_GONE, 0, "the peer has reset the connection"},
};

/* Writes the 101; an idle socket's buffer takes that much, or the peer has gone. */
static bool send_response(int socket, const char *accept)
{
    char response[256];
    size_t length = handshake_response(response, sizeof response, accept, NULL);
    return send(socket, response, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

/* There is no memory for a session: the socket is ours already, and so is the answer. */
static const struct refusal no_memory = {REFUSED_DESCRIPTORS, 0, "out of memory"};

static void refuse_taken(int socket)
{
    char response[512];
    size_t length = handshake_refusal(response, sizeof response, 503, no_memory.why);
    send(socket, response, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket, SHUT_RDWR);
    close(socket);
}

/* From a checked request to a session on a loop. Returns NULL, or why not. */
static const struct refusal *start_session(const struct http_exchange *exchange,
                                           const struct route *route, const char *key,
                                           struct loops *loops)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    if (handshake_accept(key, accept) != 0)
        return &refusals[REFUSED_DESCRIPTORS];
    int socket = takeover_connection(&exchange->peer);
    if (socket == TAKEOVER_GONE)
        return &refusals[REFUSED_GONE];
    if (socket < 0)
        return &refusals[REFUSED_DESCRIPTORS];

    struct sockaddr_storage peer = {0};
    socklen_t length = sizeof peer;
    if (getpeername(socket, (struct sockaddr *)&peer, &length) != 0) {
        close(socket);
        return &refusals[REFUSED_GONE];
    }
    const struct session_opening opening = {
        .client = (struct sockaddr *)&peer,
        .headers = exchange->headers,
        .header_count = exchange->header_count,
        .path = exchange->path,
        .asked_at = exchange->began,
    };
    struct session *session = session_new(socket, route, &opening);
    if (session == NULL) {
        refuse_taken(socket);
        return &no_memory;
    }
    if (!send_response(socket, accept)) {
        session_discard(session);
        return &refusals[REFUSED_GONE];
    }
    loops_add(loops, session);
    return NULL;
}

static void upgrade(struct server *server, struct http_exchange *exchange,
                    const struct route *route, struct tracker *tracker, struct loops *loops)
{
    const struct handshake_request request = {
        .method = exchange->request.method,
        .http_version = exchange->http_version,
        .headers = exchange->headers,
        .header_count = exchange->header_count,
    };
    struct refusal bad = {.kind = REFUSED_HANDSHAKE};
    const char *key;
    bad.status = handshake_check(&request, &key, &bad.why);
    if (bad.status != 101) {
        refuse(server, exchange, &bad);
        return;
    }
    int entered = tracker_enter_session(tracker, route->counts);
    if (entered != 0) {
        refuse(server, exchange, &refusals[-1 - entered]);
        return;
    }
    const struct refusal *refusal = start_session(exchange, route, key, loops);
    exchange->status = 101;
    if (refusal == NULL)
        return;
    tracker_leave_session(tracker, route->counts);
    if (refusal->status != 0) {
        refuse(server, exchange, refusal);
        return;
    }
    tracker_refused(route->counts, refusal->kind);
    exchange->status = CLIENT_CLOSED;
    exchange->failed = true;
}

void server_upgrade(struct mg_connection *connection, const struct route *route,
                    struct tracker *tracker, struct loops *loops)
{
    struct http_exchange exchange;
    struct refusal bad = {.kind = REFUSED_HANDSHAKE};
    bad.status = http_read(&exchange, connection, &bad.why);
    exchange.counts = route->counts;
    if (bad.status != 0) {
        refuse(NULL, &exchange, &bad);
    } else if (!tracker_enter_request(tracker)) {
        refuse(NULL, &exchange, &refusals[REFUSED_DRAINING]);
    } else {
        upgrade(NULL, &exchange, route, tracker, loops);
        tracker_leave_request(tracker, false);
    }
}

/* --- the door --- */

static bool wants_upgrade(const struct http_exchange *exchange)
{
    const struct handshake_request request = {.headers = exchange->headers,
                                              .header_count = exchange->header_count};
    return handshake_wanted(&request);
}

/* A response is only finished when the peer has it: the end of the process may take the network
   of a container with it. */
static void flush_response(const struct server *server, const struct http_exchange *exchange)
{
    int64_t deadline = atomic_load(&server->deadline);
    if (deadline == 0) /* the gate has closed this moment */
        deadline = clock_milliseconds() + server->options.handshake_timeout;
    takeover_flush(&exchange->peer, deadline);
}

static void serve(struct server *server, struct http_exchange *exchange, const struct route *route)
{
    static const struct refusal upgrade_required = {
        REFUSED_ROUTE, 426, "this path speaks WebSocket: send an upgrade request"};
    const struct handler *handler = route->handler;
    const bool websocket = handler->message != NULL;
    if (websocket && (wants_upgrade(exchange) || handler->http == NULL)) {
        if (wants_upgrade(exchange))
            upgrade(server, exchange, route, server->options.tracker, server->options.loops);
        else
            refuse(server, exchange, &upgrade_required);
        return;
    }
    exchange->request.exact = !route->prefix;
    exchange->patience = (int)server->options.handshake_timeout;
    handler->http(route->state, &exchange->request);
    http_finish(exchange);
}

static void self_test_answer(struct http_exchange *exchange)
{
    int socket = takeover_connection(&exchange->peer);
    if (socket < 0)
        return;
    send(socket, SELF_TEST_ANSWER, sizeof SELF_TEST_ANSWER, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket, SHUT_RDWR);
    close(socket);
}

/* Before the routes stand: the self-test's request, and 503 for all others. */
static void serve_closed(struct server *server, struct http_exchange *exchange)
{
    const char *token = exchange->request.header(&exchange->request, SELF_TEST_HEADER);
    if (token != NULL && strcmp(token, server->token) == 0)
        self_test_answer(exchange);
    else
        refuse(server, exchange, &refusals[REFUSED_STARTING]);
}

static void pass_door(struct server *server, struct http_exchange *exchange)
{
    const struct server_options *options = &server->options;
    if (!atomic_load(&server->open)) {
        serve_closed(server, exchange);
        return;
    }
    const struct route *route =
        route_match(options->routes, options->route_count, exchange->path, &exchange->request.rest);
    bool entered = tracker_enter_request(options->tracker);
    if (route != NULL)
        exchange->counts = route->counts;
    if (route == NULL)
        refuse(server, exchange, &refusals[entered ? REFUSED_ROUTE : REFUSED_DRAINING]);
    else if (!entered && !route->handler->always)
        refuse(server, exchange, &refusals[REFUSED_DRAINING]);
    else
        serve(server, exchange, route);
    if (!entered)
        return;
    bool finished = exchange->status != 101 && route != NULL && !exchange->failed;
    if (finished && tracker_gate_closed(options->tracker))
        flush_response(server, exchange);
    tracker_leave_request(options->tracker, finished);
}

/* Counts an answer and writes its line; the self-test is nobody's business. */
static void note_answer(const struct server *server, const struct http_exchange *exchange)
{
    const struct header *headers = exchange->headers;
    if (!atomic_load(&server->open) && exchange->status == 0)
        return;
    tracker_answered(exchange->counts, exchange->status);
    if (!access_on())
        return;
    access_write(&(struct access_entry){
        .address = exchange->request.remote_address,
        .method = exchange->request.method,
        .path = exchange->path,
        .http_version = exchange->http_version,
        .status = exchange->status,
        .bytes_sent = (int64_t)exchange->sent,
        .referer = header_find(headers, exchange->header_count, "Referer"),
        .user_agent = header_find(headers, exchange->header_count, "User-Agent"),
        .route = exchange->counts == server->options.elsewhere ? NULL : exchange->counts->name,
        .duration = (clock_microseconds() - exchange->began) / 1000,
    });
}

/* CivetWeb's begin_request; a positive answer: the request has been dealt with. */
int door(struct mg_connection *connection)
{
    struct server *server = mg_get_user_context_data(connection);
    struct http_exchange exchange;
    struct refusal bad = {.kind = REFUSED_ROUTE};
    bad.status = http_read(&exchange, connection, &bad.why);
    exchange.counts = server->options.elsewhere;
    if (bad.status == 0)
        pass_door(server, &exchange);
    else
        refuse(server, &exchange, &bad);
    if (exchange.status != 101)
        note_answer(server, &exchange);
    if (exchange.body && exchange.status != 101)
        takeover_linger(&exchange.peer, clock_milliseconds() + LINGER);
    return exchange.status > 0 ? exchange.status : 500;
}

int door_error(struct mg_connection *connection, int status, const char *message)
{
    struct server *server = mg_get_user_context_data(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    struct http_exchange exchange = {.connection = connection,
                                     .counts = server->options.elsewhere,
                                     .began = clock_microseconds()};
    struct refusal bad = {.kind = REFUSED_REQUEST, .status = status, .why = message};
    exchange.request.remote_address = exchange.peer.host = info == NULL ? "?" : info->remote_addr;
    exchange.request.remote_port = exchange.peer.port =
        info == NULL ? 0 : (uint16_t)info->remote_port;
    exchange.peer.local_port = info == NULL ? 0 : (uint16_t)info->server_port;
    if (tracker_gate_closed(server->options.tracker)) /* half a request, ended by the shutdown */
        bad = refusals[REFUSED_DRAINING];
    refuse(server, &exchange, &bad);
    note_answer(server, &exchange);
    return 0;
}

size_t door_refusal(char *response, size_t size)
{
    const struct refusal *refusal = &refusals[REFUSED_DRAINING];
    return handshake_refusal(response, size, refusal->status, refusal->why);
}
