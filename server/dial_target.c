#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "server/dial.h"

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char how[] = "write HOST:PORT, [IPV6]:PORT or unix:/PATH";

enum { PORT_MAX = 65535 };

/* A path is ended by a zero; an abstract name begins with one, and is as long as it is. */
static int parse_path(const char *path, struct dial_target *target, char *why, size_t size)
{
    struct sockaddr_un *address = &target->address.path;
    const bool abstract = path[0] == '@';
    const size_t length = strlen(path);
    const size_t most = sizeof address->sun_path - !abstract;
    if ((path[0] != '/' && !abstract) || length < 2) {
        snprintf(why, size, "behind unix: comes a path that begins with a slash, or @NAME");
        return -1;
    }
    if (length > most) {
        snprintf(why, size, "the path of a Unix socket has at most %zu bytes, and this one has %zu",
                 most, length);
        return -1;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    if (abstract)
        address->sun_path[0] = '\0';
    target->length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
    return 0;
}

static int parse_port(const char *text, struct dial_target *target, char *why, size_t size)
{
    unsigned long port = 0;
    size_t digits = strspn(text, DIGITS);
    for (size_t i = 0; i < digits && port <= PORT_MAX; i++)
        port = port * 10 + (unsigned long)(text[i] - '0');
    if (digits == 0 || text[digits] != '\0' || port == 0 || port > PORT_MAX) {
        snprintf(why, size, "'%s' is no port: write a number from 1 to %d", text, PORT_MAX);
        return -1;
    }
    target->port = (uint16_t)port;
    return 0;
}

/* `host` has come without its brackets. */
static int take_ipv6(struct dial_target *target, char *why, size_t size)
{
    struct sockaddr_in6 *address = &target->address.v6;
    if (inet_pton(AF_INET6, target->host, &address->sin6_addr) != 1) {
        snprintf(why, size, "'%s' is no IPv6 address", target->host);
        return -1;
    }
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(target->port);
    target->length = sizeof *address;
    memset(target->host, 0, sizeof target->host);
    return 0;
}

static int take_ipv4_or_name(struct dial_target *target, char *why, size_t size)
{
    struct sockaddr_in *address = &target->address.v4;
    const char *host = target->host;
    if (inet_pton(AF_INET, host, &address->sin_addr) == 1) {
        address->sin_family = AF_INET;
        address->sin_port = htons(target->port);
        target->length = sizeof *address;
        memset(target->host, 0, sizeof target->host);
        return 0;
    }
    if (host[strspn(host, DIGITS ".")] == '\0') {
        snprintf(why, size, "'%s' is no IPv4 address", host);
        return -1;
    }
    if (host[strspn(host, LETTERS DIGITS "-._")] != '\0') {
        snprintf(why, size, "'%s' is no host name: it has letters, digits, dots and hyphens", host);
        return -1;
    }
    return 0;
}

int dial_parse(const char *text, struct dial_target *target, char *why, size_t size)
{
    *target = (struct dial_target){.port = 0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_path(text + 5, target, why, size);
    if (strstr(text, "://") != NULL) {
        snprintf(why, size, "this is no URL: %s", how);
        return -1;
    }
    const char *colon = strrchr(text, ':');
    const bool bracket = text[0] == '[';
    const size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    if (length == 0 || (bracket && (length < 2 || colon[-1] != ']'))) {
        snprintf(why, size, "there is no host, or no port: %s", how);
        return -1;
    }
    if (!bracket && memchr(text, ':', length) != NULL) {
        snprintf(why, size, "an IPv6 address is written in brackets: [::1]:80");
        return -1;
    }
    const char *host = bracket ? text + 1 : text;
    const size_t host_length = bracket ? length - 2 : length;
    if (host_length > DIAL_HOST_MAX) {
        snprintf(why, size, "a host name has at most %d bytes", DIAL_HOST_MAX);
        return -1;
    }
    memcpy(target->host, host, host_length);
    if (parse_port(colon + 1, target, why, size) != 0)
        return -1;
    return bracket ? take_ipv6(target, why, size) : take_ipv4_or_name(target, why, size);
}
