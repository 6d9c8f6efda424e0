/*
 * connections: a listener and accepted sockets with low numbers, as CivetWeb would have them, and
 * their peers above the floor, for the unit tests of takeover.
 */
#ifndef LASTCALL_TESTS_SUPPORT_CONNECTIONS_H
#define LASTCALL_TESTS_SUPPORT_CONNECTIONS_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/descriptor.h"
#include "server/takeover.h"

enum { FLOOR = 600, PATIENCE = 60 /* seconds, after which a test fails */, PATIENCE_MS = 60000 };

struct connection {
    int peer;     /* the client's end, above the floor */
    int accepted; /* the server's, below it */
    uint16_t peer_port;
};

static struct sockaddr_in listener_address;
static char peer_host[INET_ADDRSTRLEN];

static inline struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
}

static inline uint16_t local_port(void)
{
    return ntohs(listener_address.sin_port);
}

/* An address of this process alone: on 127.0.0.1 any other program may have the port meanwhile. */
static inline struct sockaddr_in peer_address(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    address.sin_addr.s_addr = htonl(0x7f4d0000U | ((uint32_t)getpid() & 0xffff));
    inet_ntop(AF_INET, &address.sin_addr, peer_host, sizeof peer_host);
    return address;
}

/* A listener with a low number; port 0 takes any. */
static inline int open_listener(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 128), 0);
    return listener;
}

/* The start of every test: returns the listener, which takeover has found. */
static inline int start(void)
{
    socklen_t length = sizeof listener_address;
    ck_assert_int_eq(descriptor_init(FLOOR, (size_t)FLOOR * 2), 0);
    ck_assert_int_eq(takeover_init(), 0);
    int listener = open_listener(0);
    getsockname(listener, (struct sockaddr *)&listener_address, &length);
    ck_assert_uint_eq(takeover_find_listeners(0), 1);
    return listener;
}

/* Connects from a port of its own choice, or the given one, and says a text. */
static inline int connect_from(uint16_t port, const char *text)
{
    struct sockaddr_in own = peer_address(port);
    struct timeval patience = {.tv_sec = PATIENCE};
    int peer = descriptor_keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ck_assert_int_ge(peer, FLOOR);
    setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(peer, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    ck_assert_int_eq(bind(peer, (struct sockaddr *)&own, sizeof own), 0);
    ck_assert_int_eq(connect(peer, (struct sockaddr *)&listener_address, sizeof listener_address),
                     0);
    ck_assert_int_eq(send(peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    return peer;
}

static inline struct connection open_connection(int listener, uint16_t port, const char *text)
{
    struct connection connection = {.peer = connect_from(port, text)};
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    connection.accepted = accept(listener, (struct sockaddr *)&address, &length);
    ck_assert_int_ge(connection.accepted, 0);
    ck_assert_int_lt(connection.accepted, FLOOR);
    connection.peer_port = ntohs(address.sin_port);
    return connection;
}

/* The peer resets it; returns when the server's end knows. */
static inline void reset(struct connection *connection)
{
    struct linger now = {.l_onoff = 1};
    struct pollfd event = {.fd = connection->accepted};
    setsockopt(connection->peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(connection->peer);
    ck_assert_int_eq(poll(&event, 1, PATIENCE_MS), 1);
    ck_assert_int_ne(event.revents & POLLHUP, 0);
}

/* Reads to the end; the text is ended by a zero. */
static inline const char *read_all(int descriptor)
{
    static char text[4096];
    size_t length = 0;
    ssize_t got;
    while ((got = read(descriptor, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    ck_assert_msg(got == 0, "after %zu bytes: %s", length, strerror(errno));
    text[length] = '\0';
    return text;
}

/* Whether the connection behind a descriptor is the one on which a text was said. */
static inline bool has_said(int descriptor, const char *text)
{
    char found[64] = {0};
    ssize_t got = recv(descriptor, found, sizeof found - 1, 0);
    return got == (ssize_t)strlen(text) && strcmp(found, text) == 0;
}

#endif
