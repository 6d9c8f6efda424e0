#include "server/probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "server/address.h"

/* Connects, asks and reads the status line; every step is bounded by the socket's timeouts. */
static int ask(int socket, const struct addrinfo *address, const char *path, int *status)
{
    char text[512];
    if (connect(socket, address->ai_addr, address->ai_addrlen) != 0)
        return -1;
    int size = snprintf(text, sizeof text,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    if (size < 0 || (size_t)size >= sizeof text ||
        send(socket, text, (size_t)size, MSG_NOSIGNAL) < 0)
        return -1;
    size_t length = 0;
    while (length < sizeof text - 1) {
        ssize_t got = recv(socket, text + length, sizeof text - 1 - length, 0);
        if (got < 0)
            return -1;
        length += (size_t)got;
        if (got == 0 || memchr(text, '\n', length) != NULL)
            break;
    }
    text[length] = '\0';
    if (sscanf(text, "HTTP/1.%*d %d", status) != 1)
        *status = 0;
    return 0;
}

int probe(const char *host, uint16_t port, const char *path, int also_good, int64_t milliseconds,
          char *error, size_t error_size)
{
    const char *node = *host == '\0' ? "127.0.0.1" : host;
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    char service[8];
    char name[ADDRESS_TEXT_SIZE];
    int status = 0;
    snprintf(service, sizeof service, "%u", port);
    address_join(node, port, name, sizeof name);
    if (getaddrinfo(node, service, &hints, &address) != 0) {
        snprintf(error, error_size, "%s is not an address", name);
        return -1;
    }
    struct timeval patience = {.tv_sec = milliseconds / 1000,
                               .tv_usec = milliseconds % 1000 * 1000};
    int asked = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (asked >= 0) {
        setsockopt(asked, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(asked, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    int result = asked < 0 ? -1 : ask(asked, address, path, &status);
    if (result != 0)
        snprintf(error, error_size, "%s does not answer: %s", name,
                 errno == EAGAIN ? "no word within the time allowed" : strerror(errno));
    else if (status == 0)
        snprintf(error, error_size, "%s ended the connection without an HTTP answer", name);
    else if (status != 200 && status != also_good)
        snprintf(error, error_size, "%s answers %d to GET %s", name, status, path);
    if (asked >= 0)
        close(asked);
    freeaddrinfo(address);
    return result == 0 && status != 0 && (status == 200 || status == also_good) ? 0 : -1;
}
