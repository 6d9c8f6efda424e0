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

void address_host(const struct sockaddr *address, char *text, size_t size)
{
    socklen_t length =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if ((address->sa_family != AF_INET && address->sa_family != AF_INET6) ||
        getnameinfo(address, length, text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(text, size, "?");
}

void address_format(const struct sockaddr *address, char *text, size_t size)
{
    char host[NI_MAXHOST];
    address_host(address, host, sizeof host);
    if (address_port(address) == 0)
        snprintf(text, size, "%s", host);
    else
        address_join(host, address_port(address), text, size);
}
