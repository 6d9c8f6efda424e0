#include "config/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/slice.h"

#define ITEM_SIZE 80

const char addresses_allowed[] =
    "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; "
    "at most 16, comma separated";

/* Reads 0 to 65535. Returns -1 for anything else. */
static int port_parse(const char *text)
{
    int port = 0;

    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || digit - text > 5)
            return -1;
        port = port * 10 + (*digit - '0');
    }
    return *text && port <= 65535 ? port : -1;
}

/* Checks that `host` is numeric and puts it into its usual spelling. */
static int host_parse(int family, const char *host, struct config_address *address)
{
    unsigned char bytes[16];

    if (inet_pton(family, host, bytes) != 1)
        return -1;
    return inet_ntop(family, bytes, address->host, sizeof(address->host)) ? 0 : -1;
}

/* Says what is wrong with a host that stands before a colon. */
static int refuse_host(const char *item, const char *host, const char *port, char *why, size_t size)
{
    unsigned char bytes[16];

    if (host[0] == '[')
        snprintf(why, size, "not an IPv6 address; write for example [::1]:8080");
    else if (inet_pton(AF_INET6, host, bytes) == 1)
        snprintf(why, size, "an IPv6 address is written in brackets: [%s]:%s", host, port);
    else if (inet_pton(AF_INET6, item, bytes) == 1)
        snprintf(why, size, "an IPv6 address is written in brackets: [%s]:8080", item);
    else if (host[0] == '\0')
        snprintf(why, size, "write *:%s for every address", port);
    else if (strcasecmp(host, "localhost") == 0)
        snprintf(why, size, "names are not looked up; write 127.0.0.1:%s", port);
    else
        snprintf(why, size,
                 "not a numeric address; names are not looked up, write the address "
                 "or *:%s for every address",
                 port);
    return -1;
}

static int refuse_without_port(const char *item, char *why, size_t size)
{
    struct config_address address;

    if (host_parse(AF_INET, item, &address) == 0 || strcmp(item, "*") == 0 || item[0] == '[')
        snprintf(why, size, "the port is missing; write for example %s:8080", item);
    else
        snprintf(why, size, "neither a port of 0 to 65535 nor ADDRESS:PORT");
    return -1;
}

/* `item` has no blanks around it and is changed. */
static int address_parse(char *item, struct config_address *address, char *why, size_t size)
{
    char whole[ITEM_SIZE];
    char *colon = strrchr(item, ':');
    bool only_host = item[0] == '[' && item[strlen(item) - 1] == ']';
    int port = port_parse(colon ? colon + 1 : item);

    snprintf(whole, sizeof(whole), "%s", item);
    if (only_host || (!colon && port < 0))
        return refuse_without_port(whole, why, size);
    *address = (struct config_address){.port = (uint16_t)port};
    if (!colon)
        return 0;
    if (port < 0) {
        snprintf(why, size, "the port is not a number from 0 to 65535");
        return -1;
    }
    *colon = '\0';
    if (strcmp(item, "*") == 0 || host_parse(AF_INET, item, address) == 0)
        return 0;
    if (item[0] == '[' && colon > item && colon[-1] == ']') {
        colon[-1] = '\0';
        if (host_parse(AF_INET6, item + 1, address) == 0)
            return 0;
        colon[-1] = ']';
    }
    return refuse_host(whole, item, colon + 1, why, size);
}

/* Whether listening on `a` takes the address of `b` as well. */
static bool address_covers(const struct config_address *a, const struct config_address *b)
{
    bool six = strchr(b->host, ':') != NULL;

    return a->host[0] == '\0' || strcmp(a->host, b->host) == 0 ||
           (strcmp(a->host, "0.0.0.0") == 0 && !six && b->host[0]) ||
           (strcmp(a->host, "::") == 0 && six);
}

static int check_conflict(const struct config_address *list, int count, char *why, size_t size)
{
    const struct config_address *last = &list[count - 1];
    char one[ADDRESS_SIZE];
    char other[ADDRESS_SIZE];

    for (int i = 0; i < count - 1; i++) {
        if (list[i].port != last->port || last->port == 0)
            continue;
        if (strcmp(list[i].host, last->host) == 0) {
            snprintf(why, size, "%s is given twice", address_write(last, one));
            return -1;
        }
        if (address_covers(&list[i], last) || address_covers(last, &list[i])) {
            bool first = address_covers(&list[i], last);
            snprintf(why, size, "%s already includes %s",
                     address_write(first ? &list[i] : last, one),
                     address_write(first ? last : &list[i], other));
            return -1;
        }
    }
    return 0;
}

/* Copies the item at *text without the blanks around it, and moves *text behind its comma. */
static int next_item(const char **text, char item[ITEM_SIZE], char *why, size_t size)
{
    struct slice found;

    slice_next(text, &found);
    if (found.length > 0 && found.length < ITEM_SIZE) {
        memcpy(item, found.text, found.length);
        item[found.length] = '\0';
        return 0;
    }
    snprintf(why, size,
             found.length ? "an address is not so long" : "an address is missing at a comma");
    return -1;
}

int addresses_parse(const char *text, struct config_address *list, char *why, size_t size)
{
    struct config_address own[ADDRESSES_MAX];
    bool several = strchr(text, ',') != NULL;
    char item[ITEM_SIZE];
    char written[ITEM_SIZE];
    char wrong[256];
    int count = 0;

    if (!list)
        list = own;
    while (text) {
        if (next_item(&text, item, why, size) < 0)
            return -1;
        if (count == ADDRESSES_MAX) {
            snprintf(why, size, "more than %d addresses", ADDRESSES_MAX);
            return -1;
        }
        snprintf(written, sizeof(written), "%s", item);
        if (address_parse(item, &list[count], wrong, sizeof(wrong)) < 0) {
            snprintf(why, size, "%s%s%s", several ? written : "", several ? ": " : "", wrong);
            return -1;
        }
        count++;
        if (check_conflict(list, count, why, size) < 0)
            return -1;
    }
    return count;
}

const char *address_write(const struct config_address *address, char text[ADDRESS_SIZE])
{
    const char *host = address->host[0] ? address->host : "*";
    bool brackets = strchr(host, ':') != NULL;

    snprintf(text, ADDRESS_SIZE, "%s%.45s%s:%u", brackets ? "[" : "", host, brackets ? "]" : "",
             (unsigned)address->port);
    return text;
}
