/*
 * abuse: an abusive peer of the benchmark, or several of a kind, from one address of their own,
 * until SIGTERM or a minute has passed. What the server ends is begun anew at once. Writes a line
 * when it has begun, and at the end what became of it, as JSON.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abuse_kinds.h"
#include "load_measure.h"
#include "load_request.h"
#include "load_socket.h"

#define HOST 100 /* our address is so many after 127.0.0.1 */
#define MILLISECOND UINT64_C(1000000)
#define LONGEST (60000 * MILLISECOND)
#define TICK (10 * MILLISECOND)
#define SCRATCH 65536

enum stage { STAGE_CONNECTING, STAGE_UPGRADING, STAGE_OPEN, STAGE_WAITING };

struct peer {
    int fd;
    enum stage stage;
    size_t sent;    /* bytes of the content */
    uint64_t begun; /* when it began to connect */
    uint64_t dripped;
};

static struct {
    const struct abuse *kind;
    size_t connections;
    struct content content;
    uint16_t port;
    char *request;
    size_t request_length;
    int epoll;
    struct peer *peers;
    unsigned long long opened, refused, ended, sent, received;
    bool begun;
} us;

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
}

/* What to hear of: always the end; of what can be read and written only what is wanted. */
static void watch(struct peer *peer, int operation)
{
    const struct abuse *kind = us.kind;
    bool open = peer->stage == STAGE_OPEN;
    bool more = open && us.content.data != NULL && kind->drip == 0 &&
                (kind->again || peer->sent < us.content.length);
    struct epoll_event event = {.data.ptr = peer};
    if (!open || !kind->unread)
        event.events |= EPOLLIN | EPOLLRDHUP;
    if (peer->stage == STAGE_CONNECTING || more)
        event.events |= EPOLLOUT;
    if (epoll_ctl(us.epoll, operation, peer->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

static void begin(struct peer *peer)
{
    peer->fd = socket_open_at(HOST);
    peer->stage = STAGE_CONNECTING;
    peer->sent = 0;
    peer->begun = peer->dripped = now();
    socket_reset_on_close(peer->fd);
    if (socket_connect(peer->fd, us.port) < 0 && errno != EINPROGRESS) {
        close(peer->fd); /* no port is free, for now */
        peer->stage = STAGE_WAITING;
        return;
    }
    watch(peer, EPOLL_CTL_ADD);
}

static void begin_anew(struct peer *peer)
{
    close(peer->fd);
    begin(peer);
}

static void enter_open(struct peer *peer)
{
    peer->stage = STAGE_OPEN;
    us.opened++;
    if (!us.begun)
        puts("begun");
    us.begun = true;
    if (us.kind->life < 0)
        begin_anew(peer);
    else
        watch(peer, EPOLL_CTL_MOD);
}

static void enter_connected(struct peer *peer)
{
    if (us.kind->opening == OPENING_NONE) {
        enter_open(peer);
        return;
    }
    peer->stage = STAGE_UPGRADING;
    if (send(peer->fd, us.request, us.request_length, MSG_NOSIGNAL) != (ssize_t)us.request_length)
        begin_anew(peer);
    else
        watch(peer, EPOLL_CTL_MOD);
}

static void send_more(struct peer *peer)
{
    const struct content *content = &us.content;
    size_t left = content->length - peer->sent;
    if (us.kind->drip > 0)
        left = peer->sent < content->once ? content->once - peer->sent : 1;
    ssize_t sent = send(peer->fd, content->data + peer->sent, left, MSG_NOSIGNAL);
    if (sent <= 0)
        return; /* full; or broken, which is an event of its own */
    us.sent += (size_t)sent;
    peer->sent += (size_t)sent;
    if (peer->sent < content->length)
        return;
    if (us.kind->again)
        peer->sent = content->once;
    else
        watch(peer, EPOLL_CTL_MOD);
}

/* Returns false when the connection has ended. */
static bool receive(struct peer *peer)
{
    static char scratch[SCRATCH];
    ssize_t got = recv(peer->fd, scratch, sizeof scratch, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    us.received += (size_t)got;
    if (peer->stage != STAGE_UPGRADING)
        return true;
    if (response_accepts(scratch, (size_t)got)) {
        enter_open(peer);
        return true;
    }
    us.refused++;
    return false;
}

static void dispatch(struct peer *peer, uint32_t events)
{
    if (peer->stage == STAGE_CONNECTING) {
        if (socket_error(peer->fd) != 0)
            begin_anew(peer);
        else if ((events & EPOLLOUT) != 0)
            enter_connected(peer);
        return;
    }
    bool there = (events & (EPOLLHUP | EPOLLERR)) == 0;
    if (there && (events & EPOLLIN) != 0)
        there = receive(peer);
    if (!there) {
        us.ended += peer->stage == STAGE_OPEN;
        begin_anew(peer);
    } else if (peer->stage == STAGE_OPEN && (events & EPOLLOUT) != 0) {
        send_more(peer);
    }
}

static void tick(uint64_t moment)
{
    const struct abuse *kind = us.kind;
    for (struct peer *peer = us.peers; peer < us.peers + us.connections; peer++) {
        if (peer->stage == STAGE_WAITING) {
            begin(peer);
        } else if (kind->life > 0 && moment - peer->begun > (uint64_t)kind->life * MILLISECOND) {
            begin_anew(peer);
        } else if (kind->drip > 0 && peer->stage == STAGE_OPEN &&
                   moment - peer->dripped > (uint64_t)kind->drip * MILLISECOND) {
            peer->dripped = moment;
            send_more(peer);
        }
    }
}

static void attack(void)
{
    uint64_t end = now() + LONGEST;
    uint64_t ticked = 0;
    for (size_t i = 0; i < us.connections; i++)
        begin(&us.peers[i]);
    while (!told_to_stop && now() < end) {
        struct epoll_event events[64];
        int count = epoll_wait(us.epoll, events, 64, 10);
        for (int i = 0; i < count; i++)
            dispatch(events[i].data.ptr, events[i].events);
        if (now() - ticked >= TICK) {
            ticked = now();
            tick(ticked);
        }
    }
}

static void prepare(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    bool compress = us.kind->opening == OPENING_COMPRESS;
    const struct request_plan plan = {
        .path = compress ? "/compressed" : "/echo",
        .headers = compress ? "Sec-WebSocket-Extensions: permessage-deflate; "
                              "server_no_context_takeover; client_no_context_takeover\r\n"
                            : NULL,
        .port = us.port,
        .upgrade = true,
    };
    us.request = request_compose(&plan, &us.request_length);
    if (us.kind->fill != NULL)
        us.kind->fill(&us.content);
    us.peers = calloc(us.connections, sizeof *us.peers);
    us.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (us.peers == NULL || us.epoll < 0)
        fail("%s", strerror(errno));
    signal(SIGTERM, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

int main(int argc, char *argv[])
{
    const struct abuse *kind = abuses;
    bool complete = argc == 3 || argc == 4;
    while (complete && kind->name != NULL && strcmp(kind->name, argv[1]) != 0)
        kind++;
    us.port = (uint16_t)(complete ? strtoul(argv[2], NULL, 10) : 0);
    us.connections = kind->connections * (argc == 4 ? strtoul(argv[3], NULL, 10) : 1);
    if (us.port == 0 || us.connections == 0 || kind->name == NULL) {
        fputs("usage: abuse KIND PORT [TIMES]\n", stderr);
        for (kind = abuses; kind->name != NULL; kind++)
            fprintf(stderr, "  %-12s %s\n", kind->name, kind->help);
        return 64;
    }
    us.kind = kind;
    prepare();
    attack();
    printf(
        "{\"opened\": %llu, \"refused\": %llu, \"ended\": %llu, \"sent_mb\": %.1f, "
        "\"received_mb\": %.1f}\n",
        us.opened, us.refused, us.ended, (double)us.sent / 1e6, (double)us.received / 1e6);
    return 0;
}
