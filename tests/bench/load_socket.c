#include "load_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load_measure.h"

#define SOURCES 20 /* loopback addresses that connections come from, for the sake of free ports */

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

void socket_reset_on_close(int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    set_option(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

int socket_open_at(unsigned host)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in source = loopback(host, 0);
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        fail("bind: %s", strerror(errno));
    return fd;
}

int socket_open(unsigned number)
{
    return socket_open_at(number % SOURCES);
}

int socket_connect(int fd, uint16_t port)
{
    struct sockaddr_in target = loopback(0, port);
    return connect(fd, (struct sockaddr *)&target, sizeof target);
}

int socket_error(int fd)
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

void socket_silent(uint16_t port)
{
    int fd = socket_open(0);
    int error = socket_connect(fd, port) == 0 ? 0 : await_connect(fd, 5000);
    if (error != 0)
        fail("a silent connection: %s", strerror(error));
}

bool socket_refused(uint16_t port)
{
    int fd = socket_open(0);
    socket_reset_on_close(fd);
    int error = 0;
    if (socket_connect(fd, port) < 0)
        error = errno == EINPROGRESS ? await_connect(fd, 20) : errno;
    close(fd);
    return error == ECONNREFUSED;
}
