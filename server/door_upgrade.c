#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/extension.h"
#include "server/origin.h"
#include "server/server_private.h"

enum { CLIENT_CLOSED = 499 }; /* in logs and counts, as nginx has it: the peer has gone */

/* Whether the page may connect, by what its browser says. */
static bool origin_passes(const struct http_exchange *exchange, const struct route *route)
{
    static const struct origin same = {.kind = ORIGIN_SAME};
    const struct origin *list = route->origins == NULL ? &same : route->origins;
    size_t count = route->origins == NULL ? 1 : route->origin_count;
    enum origin_answer answer = origin_allowed(list, count, exchange->headers,
                                               exchange->header_count, exchange->client.host);
    return answer == ORIGIN_ALLOWED || (answer == ORIGIN_MISSING && !route->origins_required);
}

/* What a checked request asks for. */
struct wanted {
    const char *key;
    char subprotocol[TOKEN_SIZE]; /* that was agreed on; empty: none */
    char extension[EXTENSION_SIZE];
    int window_bits; /* of permessage-deflate; 0: not agreed on */
};

/* Writes the 101; an idle socket's buffer takes that much, or the peer has gone. */
static bool send_response(int socket, const char *accept, const struct wanted *wanted)
{
    char response[HANDSHAKE_RESPONSE_SIZE];
    size_t length = handshake_response(response, sizeof response, accept, wanted->subprotocol,
                                       wanted->extension);
    return send(socket, response, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

/* There is no memory for a session: the socket is ours already, and so is the answer. */
static const struct refusal no_memory = {.kind = REFUSED_DESCRIPTORS, .why = "out of memory"};

static void refuse_taken(int socket)
{
    char response[512];
    size_t length = handshake_refusal(response, sizeof response, 503, no_memory.why, time(NULL));
    send(socket, response, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket, SHUT_RDWR);
    close(socket);
}

/* Looks at the request with the route's eyes. Returns 101, or fills in why not. */
static int check(const struct http_exchange *exchange, const struct route *route,
                 struct wanted *wanted, struct refusal *bad)
{
    const struct handshake_request request = {
        .method = exchange->request.method,
        .http_version = exchange->http_version,
        .headers = exchange->headers,
        .header_count = exchange->header_count,
    };
    *bad = (struct refusal){.kind = REFUSED_HANDSHAKE};
    bad->status = handshake_check(&request, &wanted->key, &bad->why);
    if (bad->status == 101 && !origin_passes(exchange, route)) {
        *bad = door_refusals[REFUSED_ORIGIN];
        bad->origin = header_find(exchange->headers, exchange->header_count, "Origin");
        if (bad->origin == NULL)
            bad->why = "an Origin header is needed here, as browsers send it";
    }
    if (bad->status == 101)
        bad->status =
            handshake_subprotocol(&request, route->subprotocols, wanted->subprotocol, &bad->why);
    if (bad->status == 101 && route->compression)
        bad->status = extension_negotiate(exchange->headers, exchange->header_count,
                                          &wanted->window_bits, wanted->extension, &bad->why);
    if (bad->status == 101 && route->subprotocols_required && *wanted->subprotocol == '\0') {
        bad->status = 400;
        bad->why = "none of the subprotocols that are spoken here was asked for";
    }
    return bad->status;
}

/* From a checked request to a session on a loop. Returns NULL, or why not. */
static const struct refusal *start_session(const struct http_exchange *exchange,
                                           const struct route *route, const struct wanted *wanted,
                                           struct loops *loops)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    if (handshake_accept(wanted->key, accept) != 0)
        return &door_refusals[REFUSED_DESCRIPTORS];
    int socket = takeover_connection(&exchange->peer);
    if (socket == TAKEOVER_GONE)
        return &door_refusals[REFUSED_GONE];
    if (socket < 0)
        return &door_refusals[REFUSED_DESCRIPTORS];

    const struct session_opening opening = {
        .client = (const struct sockaddr *)&exchange->client.address,
        .request = &exchange->request,
        .subprotocol = *wanted->subprotocol == '\0' ? NULL : wanted->subprotocol,
        .window_bits = wanted->window_bits,
        .asked_at = exchange->began,
        .use = exchange->place.use,
    };
    struct session *session = session_new(socket, route, &opening);
    if (session == NULL) {
        refuse_taken(socket);
        return &no_memory;
    }
    if (!send_response(socket, accept, wanted)) {
        session_discard(session);
        return &door_refusals[REFUSED_GONE];
    }
    loops_add(loops, session);
    return NULL;
}

void door_upgrade(struct server *server, struct http_exchange *exchange, const struct route *route,
                  struct tracker *tracker, struct loops *loops)
{
    struct wanted wanted = {.key = NULL};
    struct refusal bad;
    if (check(exchange, route, &wanted, &bad) != 101) {
        door_refuse(server, exchange, &bad);
        return;
    }
    int entered = tracker_enter_session(tracker, route->counts);
    if (entered != 0) {
        door_refuse(server, exchange, &door_refusals[-1 - entered]);
        return;
    }
    if (!addresses_enter_session(exchange->place.use)) {
        tracker_leave_session(tracker, route->counts);
        door_refuse(server, exchange, &door_refusals[REFUSED_ADDRESS]);
        return;
    }
    const struct refusal *refusal = start_session(exchange, route, &wanted, loops);
    exchange->status = 101;
    if (refusal == NULL)
        return;
    addresses_leave_session(exchange->place.use);
    tracker_leave_session(tracker, route->counts);
    if (refusal->status != 0) {
        door_refuse(server, exchange, refusal);
        return;
    }
    tracker_refused(route->counts, refusal->kind);
    exchange->status = refusal == &no_memory ? 503 : CLIENT_CLOSED;
    exchange->failed = true;
}

void server_upgrade(struct mg_connection *connection, const struct route *route,
                    struct tracker *tracker, struct loops *loops)
{
    struct http_exchange exchange;
    struct refusal bad = {.kind = REFUSED_HANDSHAKE};
    bad.status = http_read(&exchange, connection, &bad.why);
    exchange.counts = route->counts;
    door_identify(&exchange, NULL, 0);
    if (bad.status != 0) {
        door_refuse(NULL, &exchange, &bad);
    } else if (!tracker_enter_request(tracker)) {
        door_refuse(NULL, &exchange, &door_refusals[REFUSED_DRAINING]);
    } else {
        door_upgrade(NULL, &exchange, route, tracker, loops);
        tracker_leave_request(tracker, false);
    }
}
