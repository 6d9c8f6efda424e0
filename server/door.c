#include <arpa/inet.h>
#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/access.h"
#include "server/address.h"
#include "server/arrivals.h"
#include "server/clock.h"
#include "server/http.h"
#include "server/log.h"
#include "server/server_private.h"
#include "server/takeover.h"

enum {
    LINGER = 1000,    /* milliseconds that a peer may go on sending an unwanted body */
    SHOWN_SIZE = 256, /* of a path or an Origin in the log */
};

/* --- refusals --- */

const struct refusal door_refusals[] = {
    [REFUSED_STARTING] = {.kind = REFUSED_STARTING, .status = 503, .why = "the server is starting"},
    [REFUSED_DRAINING] = {.kind = REFUSED_DRAINING,
                          .status = 503,
                          .why = "the server is shutting down"},
    [REFUSED_FULL] = {.kind = REFUSED_FULL,
                      .status = 503,
                      .why = "as many WebSockets are open as limits.connections allows"},
    [REFUSED_ROUTE_FULL] =
        {.kind = REFUSED_ROUTE_FULL,
         .status = 503,
         .why = "as many WebSockets are open here as the route's connections allows"},
    [REFUSED_ADDRESS] = {.kind = REFUSED_ADDRESS,
                         .status = 429,
                         .why = "as many WebSockets are open from this address as "
                                "limits.connections_per_address allows"},
    [REFUSED_ORIGIN] = {.kind = REFUSED_ORIGIN,
                        .status = 403,
                        .why = "pages of this origin may not open a WebSocket here"},
    [REFUSED_ROUTE] = {.kind = REFUSED_ROUTE,
                       .status = 404,
                       .why = "there is nothing at this path"},
    [REFUSED_DESCRIPTORS] = {.kind = REFUSED_DESCRIPTORS,
                             .status = 503,
                             .why = "the connection could not be taken over; please try again"},
    [REFUSED_GONE] = {.kind = REFUSED_GONE,
                      .status = 0,
                      .why = "the peer has reset the connection"},
};

/* What of a peer's text is logged: what others need has room beside it, and behind a question mark
   there may be what nobody should see. */
static const char *shorten(const char *text, char copy[SHOWN_SIZE])
{
    size_t length = strcspn(text, "?");
    bool whole = text[length] == '\0' && length < SHOWN_SIZE;
    size_t most = SHOWN_SIZE - sizeof "...";
    if (!whole && length > most)
        length = most;
    snprintf(copy, SHOWN_SIZE, "%.*s%s", (int)length, text, whole ? "" : "...");
    return copy;
}

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
    if (exchange->request.remote_port == 0) /* the proxy has not told */
        snprintf(address, sizeof address, "%s", exchange->request.remote_address);
    else
        address_join(exchange->request.remote_address, exchange->request.remote_port, address,
                     sizeof address);
    char origin[SHOWN_SIZE];
    char path[SHOWN_SIZE];
    struct log_field fields[7] = {
        LOG_TEXT("address", address),
        LOG_TEXT("route", exchange->counts->name),
        LOG_NUMBER("status", refusal->status),
        LOG_TEXT("why", refusal->why),
    };
    size_t count = 4;
    if (left_out > 0)
        fields[count++] = (struct log_field)LOG_NUMBER("not_logged", left_out);
    if (refusal->origin != NULL)
        fields[count++] = (struct log_field)LOG_TEXT("origin", shorten(refusal->origin, origin));
    /* Escaped it may become longer than a line, so nothing stands behind it. */
    fields[count++] = (struct log_field)LOG_TEXT("path", shorten(exchange->path, path));
    log_fields(LOG_INFO, "refused", fields, count);
}

/* Past CivetWeb, which may be told to stop at any moment now. */
static bool say_drained(struct http_exchange *exchange)
{
    char response[512];
    size_t length = door_refusal(response, sizeof response);
    if (!takeover_say(&exchange->peer, response, length))
        return false;
    exchange->status = 503;
    exchange->sent = strlen(door_refusals[REFUSED_DRAINING].why) + 1; /* with its newline */
    return true;
}

void door_refuse(struct server *server, struct http_exchange *exchange,
                 const struct refusal *refusal)
{
    tracker_refused(exchange->counts, refusal->kind);
    log_refusal(server, exchange, refusal);
    if (refusal->kind != REFUSED_DRAINING || exchange->head || !say_drained(exchange))
        http_refuse(exchange, refusal->status, refusal->why);
}

/* --- who asks --- */

/* The socket's peer, as CivetWeb tells of it; another family where it does not tell. */
static struct sockaddr_storage peer_address(const struct takeover_peer *peer)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(peer->port);
    if (inet_pton(AF_INET, peer->host, &v4->sin_addr) == 1)
        return address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(peer->port);
    if (inet_pton(AF_INET6, peer->host, &v6->sin6_addr) != 1)
        v6->sin6_family = AF_UNSPEC; /* nobody trusts that */
    return address;
}

/* Finds out who the client is and which host it asked for, behind proxies or not. */
void door_identify(struct http_exchange *exchange, const struct network *trusted, size_t count)
{
    exchange->peer_address = peer_address(&exchange->peer);
    const struct sockaddr *address = (const struct sockaddr *)&exchange->peer_address;
    forwarded_read(address, exchange->headers, exchange->header_count, trusted, count,
                   &exchange->client);
    if (!network_contains(trusted, count, address))
        return;
    address = (struct sockaddr *)&exchange->client.address;
    address_host(address, exchange->client_host, sizeof exchange->client_host);
    exchange->request.remote_address = exchange->client_host;
    exchange->request.remote_port = address_port(address);
}

/* Takes a place among the requests of the client's address. Returns NULL, or why there is none. */
static const struct refusal *take_place(const struct server_options *options,
                                        struct http_exchange *exchange)
{
    static const struct refusal refusals[] = {
        [ADDRESS_REQUESTS] = {.kind = REFUSED_ADDRESS,
                              .status = 429,
                              .why = "as many requests of this address are being served as "
                                     "limits.requests_per_address allows"},
        [ADDRESS_RATE] = {.kind = REFUSED_ADDRESS,
                          .status = 429,
                          .why = "this address asks more often than limits.rate_per_address "
                                 "allows"},
        [ADDRESS_NO_MEMORY] = {.kind = REFUSED_DESCRIPTORS, .status = 503, .why = "out of memory"},
    };
    const struct sockaddr *client = (const struct sockaddr *)&exchange->client.address;
    const struct sockaddr *peer = (const struct sockaddr *)&exchange->peer_address;
    if (network_contains(options->trusted, options->trusted_count, client))
        return NULL; /* a proxy speaks for many, or for itself */
    enum address_answer answer = addresses_enter_request(options->addresses, &exchange->place,
                                                         client, peer, clock_milliseconds());
    if (answer == ADDRESS_IN)
        return NULL;
    exchange->place.use = NULL;
    return &refusals[answer];
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
        .kind = REFUSED_ROUTE,
        .status = 426,
        .why = "this path speaks WebSocket: send an upgrade request"};
    const struct handler *handler = route->handler;
    const bool websocket = handler->message != NULL;
    exchange->request.exact = !route->prefix;
    if (websocket && (wants_upgrade(exchange) || handler->http == NULL)) {
        if (wants_upgrade(exchange))
            door_upgrade(server, exchange, route, server->options.tracker, server->options.loops);
        else
            door_refuse(server, exchange, &upgrade_required);
        return;
    }
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
    if (token == NULL || strcmp(token, server->token) != 0) {
        door_refuse(server, exchange, &door_refusals[REFUSED_STARTING]);
        return;
    }
    exchange->counts = NULL; /* it is nobody's business */
    self_test_answer(exchange);
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
    const bool always = route != NULL && route->handler->always;
    bool entered = tracker_enter_request(options->tracker);
    const struct refusal *refusal = NULL;
    if (route != NULL)
        exchange->counts = route->counts;
    if (!always)
        refusal = entered ? take_place(options, exchange) : &door_refusals[REFUSED_DRAINING];
    if (refusal == NULL && route == NULL)
        refusal = &door_refusals[REFUSED_ROUTE];
    if (refusal == NULL)
        serve(server, exchange, route);
    else
        door_refuse(server, exchange, refusal);
    if (!entered)
        return;
    bool finished = exchange->status != 101 && route != NULL && !exchange->failed;
    if (finished && tracker_gate_closed(options->tracker))
        flush_response(server, exchange);
    if (exchange->failed && !exchange->cut) /* perhaps it was given up for others' sake */
        exchange->cut = arrivals_ended((const struct sockaddr *)&exchange->peer_address) != 0;
    if (exchange->cut)
        tracker_request_cut(options->tracker);
    tracker_leave_request(options->tracker, finished);
}

/* Counts an answer and writes its line. */
static void note_answer(const struct server *server, const struct http_exchange *exchange)
{
    const struct header *headers = exchange->headers;
    if (exchange->counts == NULL)
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
    struct refusal bad = {.kind = REFUSED_REQUEST};
    bad.status = http_read(&exchange, connection, &bad.why);
    exchange.counts = server->options.elsewhere;
    door_identify(&exchange, server->options.trusted, server->options.trusted_count);
    if (bad.status == 0)
        pass_door(server, &exchange);
    else
        door_refuse(server, &exchange, &bad);
    if (exchange.status != 101)
        note_answer(server, &exchange);
    if (exchange.body && exchange.status != 101)
        takeover_linger(&exchange.peer, clock_milliseconds() + LINGER);
    if (exchange.place.use != NULL)
        addresses_leave_request(server->options.addresses, &exchange.place);
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
    const struct sockaddr_storage peer = peer_address(&exchange.peer);
    if (tracker_gate_closed(server->options.tracker)) /* half a request, ended by the shutdown */
        bad = door_refusals[REFUSED_DRAINING];
    exchange.status = arrivals_ended((const struct sockaddr *)&peer);
    if (exchange.status == 0)
        door_refuse(server, &exchange, &bad);
    note_answer(server, &exchange);
    return 0;
}

size_t door_refusal(char *response, size_t size)
{
    const struct refusal *refusal = &door_refusals[REFUSED_DRAINING];
    return handshake_refusal(response, size, refusal->status, refusal->why, time(NULL));
}
