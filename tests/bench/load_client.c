#include "load_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_frame.h"
#include "load_measure.h"
#include "load_request.h"
#include "load_socket.h"

#define BATCH 64 /* events at a time: few, so that the owner sees its own descriptor soon */

/* The opening handshake */

static void send_all(struct connection *connection, const void *data, size_t length)
{
    ssize_t sent = send(connection->fd, data, length, MSG_NOSIGNAL);
    if (sent != (ssize_t)length)
        fail("connection %u: send: %s", connection->number,
             sent < 0 ? strerror(errno) : "the server does not read");
}

static void send_request(struct client *client, struct connection *connection)
{
    send_all(connection, client->request, client->request_length);
    connection->stage = STAGE_UPGRADING;
}

static void begin(struct client *client, struct connection *connection)
{
    connection->fd = socket_open(connection->number);
    connection->stage = STAGE_CONNECTING;
    connection->have = 0;
    connection->since = now();
    if (client->reset)
        socket_reset_on_close(connection->fd);
    /* Edge-triggered, so that one registration serves a connection for its whole life. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = connection};
    int result = socket_connect(connection->fd, client->port);
    if (result < 0 && errno != EINPROGRESS)
        fail("connection %u: connect: %s", connection->number, strerror(errno));
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
    if (result == 0)
        send_request(client, connection);
}

static void begin_next(struct client *client)
{
    if (client->started < client->wanted)
        begin(client, &client->connections[client->started++]);
}

/* Returns the bytes used up: all of the response, or none while it is not whole. */
static size_t take_response(struct client *client, struct connection *connection)
{
    const char *response = (const char *)connection->input;
    const char *end = response_body(response, connection->have);
    if (end == NULL)
        return 0;
    const char *line = client->answer_line;
    if (!response_accepts(response, connection->have) ||
        (line != NULL && !response_has(response, connection->have, line)))
        fail("connection %u: the upgrade was answered with:\n%.*s", connection->number,
             (int)(end - response), response);
    connection->stage = STAGE_OPEN;
    client->opened++;
    begin_next(client);
    if (client->events->opened != NULL)
        client->events->opened(client, connection);
    return (size_t)(end - response);
}

/* A plain answer ends with the connection: all that has come is it. */
static void take_answer(struct client *client, struct connection *connection)
{
    const char *response = (const char *)connection->input;
    const char *body;
    size_t size;
    if (!response_whole(response, connection->have, &body, &size))
        fail("connection %u: no whole answer with status 200:\n%.*s", connection->number,
             (int)(connection->have > 500 ? 500 : connection->have), response);
    client->opened++;
    begin_next(client);
    client->events->answered(client, connection, body, size);
    client_drop(connection);
}

/* Frames */

static size_t make_frame(struct connection *connection, uint8_t opcode, const void *payload,
                         size_t length)
{
    uint32_t mask = (connection->number + 1) * UINT32_C(2654435761);
    return frame_compose(connection->frame, FIN | opcode, mask, payload, length);
}

void client_frame(struct connection *connection, const char *payload, size_t length)
{
    make_frame(connection, OPCODE_TEXT, payload, length);
}

void client_send(struct connection *connection, size_t length)
{
    connection->since = now();
    send_all(connection, connection->frame, PAYLOAD_OFFSET + length);
}

void client_send_bytes(struct connection *connection, const uint8_t *frame, size_t length)
{
    connection->since = now();
    send_all(connection, frame, length);
}

/* Control frames are answered with their own payload; the owner's frame is kept for later. */
static void answer(struct connection *connection, uint8_t opcode, const uint8_t *payload,
                   size_t length)
{
    uint8_t kept[sizeof connection->frame];
    memcpy(kept, connection->frame, sizeof kept);
    send_all(connection, connection->frame, make_frame(connection, opcode, payload, length));
    memcpy(connection->frame, kept, sizeof kept);
}

static void take_close(struct client *client, struct connection *connection, const uint8_t *payload,
                       size_t length)
{
    unsigned code = length < 2 ? 1005 : (unsigned)(payload[0] << 8 | payload[1]);
    if (client->events->closed == NULL || code != 1001)
        fail("connection %u: closed by the server with %u", connection->number, code);
    client->events->closed(client, connection);
    if (!client->mute)
        answer(connection, OPCODE_CLOSE, payload, length);
    connection->stage = STAGE_CLOSING;
}

/* Returns the bytes used up: a whole frame, or none. */
static size_t take_frame(struct client *client, struct connection *connection, uint8_t *input,
                         size_t have)
{
    size_t length;
    size_t start = frame_read_length(input, have, &length);
    if (start == 0)
        return 0;
    if (length > client->message_size)
        fail("connection %u: a frame that is masked, or larger than any that was asked for",
             connection->number);
    if (have < start + length)
        return 0;
    if (connection->stage != STAGE_OPEN)
        fail("connection %u: a frame after the Close", connection->number);
    if (input[0] == (FIN | OPCODE_TEXT | (client->packed ? COMPRESSED : 0)) &&
        client->events->message != NULL)
        client->events->message(client, connection, input + start, length);
    else if (input[0] == (FIN | OPCODE_CLOSE) && length <= PAYLOAD_MAX)
        take_close(client, connection, input + start, length);
    else if (input[0] == (FIN | OPCODE_PING) && length <= PAYLOAD_MAX)
        answer(connection, OPCODE_PONG, input + start, length);
    else
        fail("connection %u: a frame that nobody asked for: first byte %02x", connection->number,
             input[0]);
    return start + length;
}

/* What arrives */

static void take_input(struct client *client, struct connection *connection)
{
    size_t used = 0;
    if (client->events->answered != NULL)
        return;
    if (connection->stage == STAGE_UPGRADING) {
        used = take_response(client, connection);
        if (used == 0)
            return;
    }
    if (connection->stage == STAGE_IDLE)
        return;
    while (used < connection->have) {
        size_t taken =
            take_frame(client, connection, connection->input + used, connection->have - used);
        if (taken == 0)
            break;
        used += taken;
    }
    connection->have -= used;
    memmove(connection->input, connection->input + used, connection->have);
}

static void take_end(struct client *client, struct connection *connection, int error)
{
    if (client->events->answered != NULL && error == 0) {
        take_answer(client, connection);
        return;
    }
    bool expected = error == 0 || (client->mute && error == ECONNRESET);
    if (connection->stage != STAGE_CLOSING || !expected)
        fail("connection %u: the server ended it %s a Close frame: %s", connection->number,
             connection->stage == STAGE_CLOSING ? "after" : "without",
             error == 0 ? "end of stream" : strerror(error));
    client->ended++;
    client_drop(connection);
}

/* One read is enough unless the end may stand behind it: a new edge tells of more. */
static void receive(struct client *client, struct connection *connection, bool ending)
{
    do {
        size_t room = client->input_size - connection->have;
        if (room == 0)
            fail("connection %u: an answer of more than %zu bytes", connection->number,
                 client->input_size);
        ssize_t got = recv(connection->fd, connection->input + connection->have, room, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            take_end(client, connection, got == 0 ? 0 : errno);
            return;
        }
        connection->have += (size_t)got;
        take_input(client, connection);
        ending = ending || (size_t)got == room;
    } while (ending && connection->stage != STAGE_IDLE);
}

static void dispatch(struct client *client, struct connection *connection, uint32_t events)
{
    if (connection->stage == STAGE_CONNECTING) {
        int error = socket_error(connection->fd);
        if (error != 0)
            fail("connection %u: connect: %s", connection->number, strerror(error));
        if ((events & EPOLLOUT) != 0)
            send_request(client, connection);
    }
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        receive(client, connection, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    if (connection->stage == STAGE_IDLE && client->again)
        begin(client, connection);
}

void client_step(struct client *client, int timeout)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(client->epoll, events, BATCH, timeout);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr != NULL)
            dispatch(client, events[i].data.ptr, events[i].events);
        else if (client->watched != NULL)
            client->watched();
}

/* For the owner */

static void raise_descriptor_limit(size_t wanted)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted + 16)
        fail("%zu connections need as many descriptors; the limit (ulimit -Hn) is %llu", wanted,
             (unsigned long long)limit.rlim_cur);
}

static void compose_request(struct client *client)
{
    const struct request_plan plan = {
        .path = client->path,
        .headers = client->headers,
        .size = client->request_size,
        .port = client->port,
        .upgrade = client->events->answered == NULL,
    };
    client->request = request_compose(&plan, &client->request_length);
}

void client_prepare(struct client *client)
{
    size_t count = client->connection_count;
    raise_descriptor_limit(count);
    compose_request(client);
    client->input_size = client->message_size + HEAD_MAX;
    client->connections = calloc(count + 1, sizeof *client->connections);
    client->inputs = malloc((count + 1) * client->input_size);
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->connections == NULL || client->inputs == NULL || client->epoll < 0)
        fail("%s", strerror(errno));
    for (size_t i = 0; i < count; i++) {
        client->connections[i].fd = -1;
        client->connections[i].number = (unsigned)i;
        client->connections[i].input = client->inputs + i * client->input_size;
    }
}

void client_open(struct client *client, size_t total)
{
    client->wanted = total;
    for (unsigned i = 0; i < client->window; i++)
        begin_next(client);
    while (client->opened < total) {
        client_step(client, 100);
        if (now() > client->limit)
            fail("%zu of %zu sessions opened in time", client->opened, total);
    }
}

void client_watch(struct client *client, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

void client_drop(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    connection->stage = STAGE_IDLE;
    connection->have = 0;
}
