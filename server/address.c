#include "server/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

void address_join(const char *host, uint16_t port, char *text, size_t size)
{
    const char *format = strchr(host, ':') == NULL ? "%s:%u" : "[%s]:%u";
    snprintf(text, size, format, *host == '\0' ? "*" : host, port);
}

uint16_t address_port(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}

void address_format(const struct sockaddr *address, char *text, size_t size)
{
    char host[NI_MAXHOST];
    socklen_t length =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (address_port(address) == 0 && address->sa_family != AF_INET &&
        address->sa_family != AF_INET6) {
        snprintf(text, size, "?");
        return;
    }
    if (getnameinfo(address, length, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(host, sizeof host, "?");
    address_join(host, address_port(address), text, size);
}
