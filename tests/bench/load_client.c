#include "load_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_measure.h"

/* The key of RFC 6455, section 1.3, and the answer to it: one handshake is as good as another. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define OPCODE_TEXT 0x1
#define OPCODE_CLOSE 0x8
#define OPCODE_PING 0x9
#define OPCODE_PONG 0xA
#define FIN 0x80
#define MASKED 0x80

#define SOURCES 20 /* loopback addresses that connections come from, for the sake of free ports */
#define BATCH 64   /* events at a time: few, so that the owner sees its own descriptor soon */

/* The sockets */

static struct sockaddr_in loopback(unsigned host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + host);
    return address;
}

static void set_option(int fd, int level, int name, const void *value, size_t size)
{
    if (setsockopt(fd, level, name, value, (socklen_t)size) < 0)
        fail("setsockopt: %s", strerror(errno));
}

static void reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    set_option(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static int open_socket(unsigned number)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in source = loopback(number % SOURCES, 0);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        fail("bind: %s", strerror(errno));
    return fd;
}

/* Returns what connect does. */
static int connect_to(int fd, uint16_t port)
{
    struct sockaddr_in target = loopback(0, port);
    return connect(fd, (struct sockaddr *)&target, sizeof target);
}

static int socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error;
}

/* Waits for a connection to come about. Returns 0, its error, or ETIMEDOUT. */
static int await_connect(int fd, int timeout)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    if (poll(&wait, 1, timeout) != 1)
        return ETIMEDOUT;
    return socket_error(fd);
}

void client_silent(uint16_t port)
{
    int fd = open_socket(0);
    int error = connect_to(fd, port) == 0 ? 0 : await_connect(fd, 5000);
    if (error != 0)
        fail("a silent connection: %s", strerror(error));
}

bool client_refused(uint16_t port)
{
    int fd = open_socket(0);
    reset_on_close(fd);
    int error = 0;
    if (connect_to(fd, port) < 0)
        error = errno == EINPROGRESS ? await_connect(fd, 20) : errno;
    close(fd);
    return error == ECONNREFUSED;
}

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
    connection->fd = open_socket(connection->number);
    connection->stage = STAGE_CONNECTING;
    connection->have = 0;
    connection->since = now();
    if (client->reset)
        reset_on_close(connection->fd);
    /* Edge-triggered, so that one registration serves a connection for its whole life. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = connection};
    int result = connect_to(connection->fd, client->port);
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

static bool accepted(const char *response)
{
    if (strncmp(response, "HTTP/1.1 101 ", 13) != 0)
        return false;
    const char *header = strcasestr(response, "\r\nsec-websocket-accept: ");
    return header != NULL && strncmp(header + 24, ACCEPT "\r\n", sizeof ACCEPT + 1) == 0;
}

/* Returns the bytes used up: all of the response, or none while it is not whole. */
static size_t take_response(struct client *client, struct connection *connection)
{
    char response[sizeof connection->input + 1];
    memcpy(response, connection->input, connection->have);
    response[connection->have] = '\0';
    char *end = strstr(response, "\r\n\r\n");
    if (end == NULL)
        return 0;
    if (!accepted(response))
        fail("connection %u: the upgrade was answered with:\n%s", connection->number, response);
    connection->stage = STAGE_OPEN;
    client->opened++;
    begin_next(client);
    if (client->events->opened != NULL)
        client->events->opened(client, connection);
    return (size_t)(end - response) + 4;
}

/* Frames */

static void mask_payload(uint8_t *frame, const uint8_t *payload, size_t length)
{
    for (size_t i = 0; i < length; i++)
        frame[PAYLOAD_OFFSET + i] = payload[i] ^ frame[MASK_OFFSET + i % 4];
}

static void frame_begin(struct connection *connection, uint8_t opcode, size_t length)
{
    uint32_t mask = (connection->number + 1) * UINT32_C(2654435761);
    connection->frame[0] = FIN | opcode;
    connection->frame[1] = (uint8_t)(MASKED | length);
    memcpy(connection->frame + MASK_OFFSET, &mask, 4);
}

void client_frame(struct connection *connection, const char *payload, size_t length)
{
    frame_begin(connection, OPCODE_TEXT, length);
    mask_payload(connection->frame, (const uint8_t *)payload, length);
}

void client_send(struct connection *connection, size_t length)
{
    connection->since = now();
    send_all(connection, connection->frame, PAYLOAD_OFFSET + length);
}

/* Control frames are answered with their own payload; the owner's frame is kept for later. */
static void answer(struct connection *connection, uint8_t opcode, const uint8_t *payload,
                   size_t length)
{
    uint8_t kept[sizeof connection->frame];
    memcpy(kept, connection->frame, sizeof kept);
    frame_begin(connection, opcode, length);
    mask_payload(connection->frame, payload, length);
    send_all(connection, connection->frame, PAYLOAD_OFFSET + length);
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
    if (have < 2)
        return 0;
    size_t length = input[1];
    if (length > PAYLOAD_MAX)
        fail("connection %u: a frame that is masked, or larger than any that was asked for",
             connection->number);
    if (have < 2 + length)
        return 0;
    if (connection->stage != STAGE_OPEN)
        fail("connection %u: a frame after the Close", connection->number);
    if (input[0] == (FIN | OPCODE_TEXT) && client->events->message != NULL)
        client->events->message(client, connection, input + 2, length);
    else if (input[0] == (FIN | OPCODE_CLOSE))
        take_close(client, connection, input + 2, length);
    else if (input[0] == (FIN | OPCODE_PING))
        answer(connection, OPCODE_PONG, input + 2, length);
    else
        fail("connection %u: a frame that nobody asked for: first byte %02x", connection->number,
             input[0]);
    return 2 + length;
}

/* What arrives */

static void take_input(struct client *client, struct connection *connection)
{
    size_t used = 0;
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
        size_t room = sizeof connection->input - connection->have;
        if (room == 0)
            fail("connection %u: an answer of more than %zu bytes", connection->number,
                 sizeof connection->input);
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
    size_t size = client->request_size + 512;
    client->request = malloc(size);
    if (client->request == NULL)
        fail("out of memory");
    int base = snprintf(client->request, size,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY
                        "\r\n"
                        "Sec-WebSocket-Version: 13\r\n",
                        client->path, client->port);
    size_t length = (size_t)base;
    static const char cookie[] = "Cookie: session=";
    if (length + sizeof cookie + 4 < client->request_size) {
        size_t filling = client->request_size - length - (sizeof cookie - 1) - 4;
        memcpy(client->request + length, cookie, sizeof cookie - 1);
        memset(client->request + length + sizeof cookie - 1, 'c', filling);
        length += sizeof cookie - 1 + filling;
        memcpy(client->request + length, "\r\n", 2);
        length += 2;
    }
    memcpy(client->request + length, "\r\n", 2);
    client->request_length = length + 2;
}

void client_prepare(struct client *client)
{
    raise_descriptor_limit(client->connection_count);
    compose_request(client);
    client->connections = calloc(client->connection_count + 1, sizeof *client->connections);
    client->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (client->connections == NULL || client->epoll < 0)
        fail("%s", strerror(errno));
    for (size_t i = 0; i < client->connection_count; i++) {
        client->connections[i].fd = -1;
        client->connections[i].number = (unsigned)i;
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
