/*
 * The mode `bridge`: one gigabyte through a bridge to a TCP server, which is this process, too, in
 * one direction. The client speaks WebSocket, in binary messages of 64 KB, or plain TCP, for a
 * bridge that does. Each end has a thread: one sends, the other receives and counts. At the end
 * the bridge must pass on that there is no more, and end both connections in good order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "load_frame.h"
#include "load_request.h"
#include "load_socket.h"

#define BLOCK (64 << 10)
#define BLOCKS (1 << 14)
#define TOTAL ((uint64_t)BLOCK * BLOCKS)
#define COMPARED 64 /* first bytes of each piece that arrives: comparing must not be the work */

static const uint8_t CLOSE_PAYLOAD[] = {1000 >> 8, 1000 & 0xff};

static uint8_t block[BLOCK];
static uint8_t framed[BLOCK + FRAME_HEAD_MAX];

/* One end of the bridge. */
struct end {
    const char *name;
    int fd;
    bool frames;       /* it speaks WebSocket */
    uint64_t received; /* payload */
    size_t in_frame;   /* of its payload, bytes that are still to come */
    bool closed;       /* the server's Close has come */
    size_t have;       /* bytes in `input` that are not taken yet */
    uint8_t input[4 * BLOCK];
};

static struct end client = {.name = "client"};
static struct end target = {.name = "target"};

static void send_whole(const struct end *end, const void *data, size_t length)
{
    const uint8_t *rest = data;
    while (length > 0) {
        ssize_t sent = send(end->fd, rest, length, MSG_NOSIGNAL);
        if (sent < 0)
            fail("the %s cannot send: %s", end->name, strerror(errno));
        rest += sent;
        length -= (size_t)sent;
    }
}

/* A thread. */
static void *send_blocks(void *argument)
{
    const struct end *end = argument;
    const uint8_t *data = end->frames ? framed : block;
    size_t length = BLOCK;
    if (end->frames)
        length = frame_compose(framed, FIN | OPCODE_BINARY, UINT32_C(2654435761), block, BLOCK);
    for (int i = 0; i < BLOCKS; i++)
        send_whole(end, data, length);
    return NULL;
}

/* Receiving */

static void take_payload(struct end *end, const uint8_t *data, size_t length)
{
    size_t place = end->received % BLOCK;
    size_t compared = length < COMPARED ? length : COMPARED;
    if (compared > BLOCK - place)
        compared = BLOCK - place;
    end->received += length;
    if (end->received > TOTAL || memcmp(data, block + place, compared) != 0)
        fail("the %s was sent other bytes than these, after %llu", end->name,
             (unsigned long long)(end->received - length));
}

/* Returns the bytes used up: the head of a frame, or a whole Close; 0: there is not enough. */
static size_t take_head(struct end *end, const uint8_t *input, size_t have)
{
    size_t length;
    size_t start = frame_read_length(input, have, &length);
    if (start == 0)
        return 0;
    if (input[0] == (FIN | OPCODE_BINARY)) {
        end->in_frame = length;
        return start;
    }
    if (input[0] != (FIN | OPCODE_CLOSE))
        fail("a frame that nobody asked for: first byte %02x", input[0]);
    if (have < start + length)
        return 0;
    if (length < 2 || memcmp(input + start, CLOSE_PAYLOAD, 2) != 0)
        fail("closed by the server with %d",
             length < 2 ? 1005 : input[start] << 8 | input[start + 1]);
    end->closed = true;
    return start + length;
}

static size_t take_frames(struct end *end)
{
    size_t used = 0;
    while (used < end->have) {
        size_t length = end->have - used;
        if (end->in_frame == 0) {
            length = take_head(end, end->input + used, length);
        } else {
            length = length < end->in_frame ? length : end->in_frame;
            take_payload(end, end->input + used, length);
            end->in_frame -= length;
        }
        if (length == 0)
            break;
        used += length;
    }
    return used;
}

/* Returns false at the end of what comes. */
static bool receive(struct end *end)
{
    ssize_t got = recv(end->fd, end->input + end->have, sizeof end->input - end->have, 0);
    if (got < 0)
        fail("the %s cannot receive: %s", end->name, strerror(errno));
    end->have += (size_t)got;
    size_t used = end->have;
    if (end->frames)
        used = take_frames(end);
    else
        take_payload(end, end->input, used);
    end->have -= used;
    memmove(end->input, end->input + used, end->have);
    return got > 0;
}

/* Both connections */

/* Makes it wait, as long as the settings say. */
static void make_patient(int fd)
{
    struct timeval limit = {.tv_sec = run.settings->limit};
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        fail("a socket cannot be set up: %s", strerror(errno));
}

static int listen_as_target(void)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)run.settings->target),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
        fail("--target=%ld: %s", run.settings->target, strerror(errno));
    make_patient(fd);
    return fd;
}

/* Nothing may stand behind the answer: the target has not begun. */
static void upgrade(struct end *end)
{
    const char *answer = (const char *)end->input;
    const char *body = NULL;
    send_whole(end, run.client.request, run.client.request_length);
    while (body == NULL) {
        ssize_t got = recv(end->fd, end->input + end->have, HEAD_MAX - end->have, 0);
        if (got <= 0)
            fail("the upgrade has no answer: %s", got == 0 ? "end of stream" : strerror(errno));
        end->have += (size_t)got;
        body = response_body(answer, end->have);
    }
    if (!response_accepts(answer, end->have) || body != answer + end->have)
        fail("the upgrade was answered with:\n%.*s", (int)end->have, answer);
    end->have = 0;
}

static void connect_both(void)
{
    int listener = listen_as_target();
    client.fd = socket_open(0);
    make_patient(client.fd);
    if (socket_connect(client.fd, run.client.port) < 0)
        fail("connect: %s", strerror(errno));
    client.frames = !run.settings->plain;
    if (client.frames)
        upgrade(&client);
    target.fd = accept(listener, NULL, NULL);
    if (target.fd < 0)
        fail("the bridge did not connect to its target: %s", strerror(errno));
    make_patient(target.fd);
    close(listener);
}

/* Says that nothing more comes from this end. */
static void end_sending(const struct end *end)
{
    uint8_t frame[FRAME_HEAD_MAX + sizeof CLOSE_PAYLOAD];
    if (end->frames)
        send_whole(
            end, frame,
            frame_compose(frame, FIN | OPCODE_CLOSE, 1, CLOSE_PAYLOAD, sizeof CLOSE_PAYLOAD));
    else if (shutdown(end->fd, SHUT_WR) < 0)
        fail("the %s cannot end its side: %s", end->name, strerror(errno));
}

static void await_end(struct end *end, bool answering)
{
    while (receive(end)) {
        if (answering && end->closed) {
            end_sending(end);
            answering = false;
        }
    }
    if (end->frames && !end->closed)
        fail("the server ended the connection without a Close frame");
    if (answering && !end->frames)
        end_sending(end);
}

void run_bridge(void)
{
    struct end *from = run.settings->down ? &target : &client;
    struct end *to = run.settings->down ? &client : &target;
    pthread_t sender;
    for (size_t i = 0; i < BLOCK; i++)
        block[i] = (uint8_t)((i * 2654435761U) >> 24);
    connect_both();
    uint64_t used = server_cpu(run.server);
    uint64_t begun = now();
    if (pthread_create(&sender, NULL, send_blocks, from) != 0)
        fail("there is no thread");
    while (to->received < TOTAL)
        if (!receive(to))
            fail("the %s was sent %llu bytes, and no more", to->name,
                 (unsigned long long)to->received);
    uint64_t duration = now() - begun;
    used = server_cpu(run.server) - used;
    pthread_join(sender, NULL);
    end_sending(from);
    await_end(to, true);
    await_end(from, false);
    printf("{\"bytes\": %llu, \"mb_per_second\": %.1f, \"cpu_ms\": %.2f}\n",
           (unsigned long long)TOTAL, (double)TOTAL * 1e3 / (double)duration, (double)used / 1e6);
}
