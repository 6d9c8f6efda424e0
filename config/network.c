#include "config/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/slice.h"

#define ITEM_SIZE 64
#define MAPPED_BITS 96 /* the prefix of IPv4 addresses that are written as IPv6 ones */

const char networks_allowed[] =
    "addresses and networks, as 127.0.0.1, 10.0.0.0/8, ::1, fd00::/8; at most 64, comma separated";

static const unsigned char mapped[MAPPED_BITS / 8] = {[10] = 0xFF, [11] = 0xFF};

/* Reads 0 to `most`. Returns -1 for anything else. */
static int read_bits(const char *text, int most)
{
    int bits = 0;

    if (text[0] == '\0' || strlen(text) > 3 || (text[0] == '0' && text[1]))
        return -1;
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return -1;
        bits = bits * 10 + (*digit - '0');
    }
    return bits <= most ? bits : -1;
}

static bool is_mapped(const struct network *network)
{
    return network->six && network->bits >= MAPPED_BITS &&
           memcmp(network->address, mapped, sizeof(mapped)) == 0;
}

/* Sets the bits behind the prefix to zero. Returns whether one was set. */
static bool clear_host(struct network *network)
{
    bool found = false;

    for (unsigned bit = network->bits; bit < (network->six ? 128U : 32U); bit++) {
        unsigned char mask = (unsigned char)(0x80U >> bit % 8);
        found = found || (network->address[bit / 8] & mask);
        network->address[bit / 8] &= (unsigned char)~mask;
    }
    return found;
}

/* What one may have meant by something that is no address. */
static void explain(const char *item, char *why, size_t size)
{
    unsigned char bytes[16];
    char host[ITEM_SIZE];
    const char *colon = strchr(item, ':');
    int length = colon && colon == strrchr(item, ':') ? (int)(colon - item) : (int)strlen(item);

    snprintf(host, sizeof(host), "%.*s", length, item);
    if (item[0] == '[')
        snprintf(host, sizeof(host), "%.*s", (int)strcspn(item + 1, "]"), item + 1);
    if (inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1)
        snprintf(why, size, "an address without brackets and port: write %s", host);
    else if (strcmp(item, "*") == 0)
        snprintf(why, size,
                 "write the address of the proxy: if everybody is believed, each client chooses "
                 "the address that is logged for it");
    else if (strcasecmp(item, "localhost") == 0)
        snprintf(why, size, "names are not looked up: write 127.0.0.1, ::1");
    else if (strchr(item, '%'))
        snprintf(why, size, "an address without a zone: leave out what begins with %%");
    else
        snprintf(why, size,
                 "not a numeric address; names are not looked up: write for example 10.0.0.0/8");
}

/* `item` is changed. */
static bool read_network(char *item, struct network *network, char *why, size_t size)
{
    char text[INET6_ADDRSTRLEN];
    char *slash = strchr(item, '/');

    if (slash)
        *slash = '\0';
    *network = (struct network){.six = inet_pton(AF_INET6, item, network->address) == 1};
    int family = network->six ? AF_INET6 : AF_INET;
    if (inet_pton(family, item, network->address) != 1) {
        explain(item, why, size);
        return false;
    }
    int most = network->six ? 128 : 32;
    int bits = slash ? read_bits(slash + 1, most) : most;
    if (bits < 0) {
        snprintf(why, size, "the length behind / is not a number from 0 to %d", most);
        return false;
    }
    network->bits = (unsigned char)bits;
    if (clear_host(network)) {
        inet_ntop(family, network->address, text, sizeof(text));
        snprintf(why, size, "did you mean %s/%d?", text, bits);
        return false;
    }
    if (is_mapped(network)) {
        memmove(network->address, network->address + sizeof(mapped), 4);
        memset(network->address + 4, 0, sizeof(network->address) - 4);
        network->bits = (unsigned char)(bits - MAPPED_BITS);
        network->six = false;
    }
    return true;
}

static bool is_twice(const struct network *list, int last)
{
    for (int i = 0; i < last; i++)
        if (list[i].six == list[last].six && list[i].bits == list[last].bits &&
            memcmp(list[i].address, list[last].address, sizeof(list[i].address)) == 0)
            return true;
    return false;
}

/* Reads the item at list[count]. */
static bool read_item(struct slice item, struct network *list, int count, char *why, size_t size)
{
    char copy[ITEM_SIZE];

    if (item.length == 0) {
        snprintf(why, size, "an address is missing at a comma");
    } else if (strcspn(item.text, " \t") < item.length) {
        snprintf(why, size, "addresses are separated by commas");
    } else if (item.length >= sizeof(copy)) {
        snprintf(why, size, "an address is not so long");
    } else if (count == NETWORKS_MAX) {
        snprintf(why, size, "more than %d addresses and networks", NETWORKS_MAX);
    } else {
        snprintf(copy, sizeof(copy), "%.*s", (int)item.length, item.text);
        if (!read_network(copy, &list[count], why, size))
            return false;
        if (!is_twice(list, count))
            return true;
        snprintf(why, size, "it is given twice");
    }
    return false;
}

int networks_parse(const char *text, struct network *list, char *why, size_t size)
{
    const char *rest = text[strspn(text, " \t")] ? text : NULL;
    bool several = strchr(text, ',') != NULL;
    struct network own[NETWORKS_MAX];
    char wrong[192];
    struct slice item;
    int count = 0;

    if (!list)
        list = own;
    while (slice_next(&rest, &item)) {
        if (!read_item(item, list, count, wrong, sizeof(wrong))) {
            bool named =
                several && item.length > 0 && item.length < ITEM_SIZE && count < NETWORKS_MAX;
            snprintf(why, size, "%.*s%s%s", named ? (int)item.length : 0, item.text,
                     named ? ": " : "", wrong);
            return -1;
        }
        count++;
    }
    return count;
}

bool networks_check(const struct option_value *value, char *why, size_t size)
{
    return networks_parse(value->text, NULL, why, size) >= 0;
}

/* The address as a network of its own. Returns false for another family. */
static bool read_socket_address(const struct sockaddr *address, struct network *own)
{
    *own = (struct network){.six = address->sa_family == AF_INET6};
    if (address->sa_family == AF_INET) {
        memcpy(own->address, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return true;
    }
    if (!own->six)
        return false;
    memcpy(own->address, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    if (memcmp(own->address, mapped, sizeof(mapped)) == 0) {
        memmove(own->address, own->address + sizeof(mapped), 4);
        own->six = false;
    }
    return true;
}

bool network_contains(const struct network *list, size_t count, const struct sockaddr *address)
{
    struct network own;

    if (!read_socket_address(address, &own))
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = list[i].bits / 8;
        unsigned char mask = (unsigned char)(0xFF00U >> list[i].bits % 8);
        if (list[i].six == own.six && memcmp(list[i].address, own.address, bytes) == 0 &&
            (mask == 0 || (own.address[bytes] & mask) == list[i].address[bytes]))
            return true;
    }
    return false;
}
