#include "server/forwarded.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "config/slice.h"
#include "config/tokens.h"

/* What is known of the client while the list is read from the right. */
struct walk {
    const struct network *trusted;
    size_t trusted_count;
    struct client *client;
    int hops;
    bool host_found;
};

/* One element of Forwarded. */
struct element {
    struct slice node; /* of for=; no text: it is not there */
    struct slice host;
};

static void set_four(struct sockaddr_storage *address, const void *bytes, uint16_t port)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)address;
    *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&four->sin_addr, bytes, 4);
}

static bool set_address(struct sockaddr_storage *address, struct slice host, uint16_t port)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr bytes;
    if (host.length == 0 || host.length >= sizeof text)
        return false;
    memcpy(text, host.text, host.length);
    text[host.length] = '\0';
    if (inet_pton(AF_INET, text, &bytes) == 1) {
        set_four(address, &bytes, port);
        return true;
    }
    if (inet_pton(AF_INET6, text, &bytes) != 1)
        return false;
    if (IN6_IS_ADDR_V4MAPPED(&bytes)) {
        set_four(address, bytes.s6_addr + 12, port);
        return true;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)address;
    *six = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = bytes};
    return true;
}

/* ":80", ":_hidden" (RFC 7239, section 6) or nothing. */
static bool read_port(struct slice text, uint16_t *port)
{
    unsigned number = 0;
    *port = 0;
    if (text.length == 0)
        return true;
    if (text.length < 2 || text.text[0] != ':')
        return false;
    if (text.text[1] == '_')
        return token_span(text.text + 1) >= text.length - 1;
    for (size_t i = 1; i < text.length; i++) {
        if (text.text[i] < '0' || text.text[i] > '9' || i > 5)
            return false;
        number = number * 10 + (unsigned)(text.text[i] - '0');
    }
    *port = (uint16_t)number;
    return number <= 65535;
}

/* 192.0.2.1, 192.0.2.1:80, [2001:db8::1], [2001:db8::1]:80, and without brackets 2001:db8::1. */
static bool read_node(struct slice node, struct sockaddr_storage *address)
{
    uint16_t port;
    bool brackets = node.length > 0 && node.text[0] == '[';
    const char *end = brackets ? memchr(node.text, ']', node.length) : NULL;
    if (brackets) {
        if (end == NULL)
            return false;
        struct slice host = {node.text + 1, (size_t)(end - node.text) - 1};
        struct slice rest = {end + 1, node.length - host.length - 2};
        return memchr(host.text, ':', host.length) != NULL && read_port(rest, &port) &&
               set_address(address, host, port);
    }
    if (set_address(address, node, 0))
        return true;
    end = memchr(node.text, ':', node.length);
    if (end == NULL)
        return false;
    struct slice host = {node.text, (size_t)(end - node.text)};
    return read_port((struct slice){end, node.length - host.length}, &port) &&
           set_address(address, host, port);
}

static bool is_trusted(const struct walk *walk)
{
    return network_contains(walk->trusted, walk->trusted_count,
                            (const struct sockaddr *)&walk->client->address);
}

/* The one whose address is known is trusted: takes the one that it names. Returns whether that is
   trusted in turn. */
static bool walk_on(struct walk *walk, struct slice node)
{
    struct sockaddr_storage address = {0};
    if (node.length == 0 || !read_node(node, &address))
        return false;
    walk->client->address = address;
    walk->hops++;
    return walk->hops < FORWARDED_HOPS_MAX && is_trusted(walk);
}

/* Takes a host that may be one: what is malformed counts as not there. */
static bool take_host(struct client *client, struct slice host)
{
    struct origin parsed;
    if (host.length >= sizeof client->host || !origin_parse_host(host, &parsed))
        return false;
    memcpy(client->host, host.text, host.length);
    client->host[host.length] = '\0';
    return true;
}

/* --- X-Forwarded-For, X-Forwarded-Host --- */

/* All headers of one name, read from the last item to the first; empty items are none. */
struct backwards {
    const struct header *headers;
    const char *name;
    size_t left; /* headers that have not been looked at */
    struct slice rest;
};

static bool take_last(struct slice *list, struct slice *item)
{
    const char *comma = list->length > 0 ? memrchr(list->text, ',', list->length) : NULL;
    const char *begin = comma != NULL ? comma + 1 : list->text;
    *item = slice_trim((struct slice){begin, (size_t)(list->text + list->length - begin)});
    list->length = comma != NULL ? (size_t)(comma - list->text) : 0;
    return item->length > 0;
}

static bool go_back(struct backwards *list, struct slice *item)
{
    for (;;) {
        while (list->rest.length > 0)
            if (take_last(&list->rest, item))
                return true;
        if (list->left == 0)
            return false;
        list->left--;
        if (header_is(&list->headers[list->left], list->name))
            list->rest = slice_of(list->headers[list->left].value);
    }
}

static void read_x_forwarded(struct walk *walk, const struct header *headers, size_t count)
{
    struct backwards hosts = {headers, "X-Forwarded-Host", count, {"", 0}};
    struct backwards nodes = {headers, "X-Forwarded-For", count, {"", 0}};
    struct slice item;
    if (go_back(&hosts, &item))
        walk->host_found = take_host(walk->client, item);
    while (go_back(&nodes, &item) && walk_on(walk, item))
        ;
}

/* --- Forwarded --- */

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

/* Reads a token or a quoted string (RFC 9110, section 5.6.4), without its quotes. A backslash in
   it stays: no address and no host has one, so that such a value counts as none. */
static bool read_value(const char **at, struct slice *value)
{
    if (**at != '"') {
        *value = (struct slice){*at, token_span(*at)};
        *at += value->length;
        return value->length > 0;
    }
    const char *begin = ++*at;
    while (**at != '"') {
        if (**at == '\\' && (*at)[1] != '\0')
            ++*at;
        if (**at == '\0')
            return false;
        ++*at;
    }
    *value = (struct slice){begin, (size_t)(*at - begin)};
    ++*at;
    return true;
}

/* name "=" value; for and host at most once. */
static bool read_pair(const char **at, struct element *element)
{
    struct slice name = {*at, token_span(*at)};
    struct slice value;
    if (name.length == 0 || name.text[name.length] != '=')
        return false;
    *at += name.length + 1;
    if (!read_value(at, &value))
        return false;
    struct slice *place = slice_equals_without_case(name, slice_of("for"))    ? &element->node
                          : slice_equals_without_case(name, slice_of("host")) ? &element->host
                                                                              : NULL;
    if (place == NULL)
        return true;
    if (place->text != NULL)
        return false;
    *place = value;
    return true;
}

/*
 * Reads one line (RFC 7239, section 4) and keeps the last FORWARDED_HOPS_MAX elements, number n at
 * n modulo that. Returns how many there are, 0 when any of it is malformed: an unclosed quote at
 * the left would make the rest mean something else.
 */
static size_t read_line(const char *at, struct element elements[FORWARDED_HOPS_MAX])
{
    size_t count = 0;
    bool pairs = false;
    struct element element = {{NULL, 0}, {NULL, 0}};
    for (;; at++) {
        skip_blanks(&at);
        if (*at != ',' && *at != ';' && *at != '\0') {
            if (!read_pair(&at, &element))
                return 0;
            pairs = true;
            skip_blanks(&at);
        }
        if (pairs && (*at == ',' || *at == '\0')) {
            elements[count++ % FORWARDED_HOPS_MAX] = element;
            element = (struct element){{NULL, 0}, {NULL, 0}};
            pairs = false;
        }
        if (*at == '\0')
            return count;
        if (*at != ',' && *at != ';')
            return 0;
    }
}

/* Returns whether the walk goes on. */
static bool walk_line(struct walk *walk, const char *line)
{
    struct element elements[FORWARDED_HOPS_MAX];
    size_t count = read_line(line, elements);
    bool on = count > 0;
    for (size_t left = count; on && left > 0 && count - left < FORWARDED_HOPS_MAX; left--) {
        const struct element *element = &elements[(left - 1) % FORWARDED_HOPS_MAX];
        if (!walk->host_found && element->host.text != NULL)
            walk->host_found = take_host(walk->client, element->host);
        on = walk_on(walk, element->node);
    }
    return on;
}

static void read_forwarded(struct walk *walk, const struct header *headers, size_t count)
{
    for (size_t left = count; left > 0; left--)
        if (header_is(&headers[left - 1], "Forwarded") && !walk_line(walk, headers[left - 1].value))
            return;
}

/* --- both --- */

static void copy_peer(struct sockaddr_storage *address, const struct sockaddr *peer)
{
    size_t size = peer->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                  : peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                : sizeof peer->sa_family;
    memcpy(address, peer, size);
}

static void copy_host(struct client *client, const struct header *headers, size_t count)
{
    const struct header *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!header_is(&headers[i], "Host"))
            continue;
        if (found != NULL)
            return;
        found = &headers[i];
    }
    if (found == NULL)
        return;
    struct slice host = slice_trim(slice_of(found->value));
    if (host.length < sizeof client->host)
        memcpy(client->host, host.text, host.length);
}

void forwarded_read(const struct sockaddr *peer, const struct header *headers, size_t header_count,
                    const struct network *trusted, size_t trusted_count, struct client *client)
{
    struct walk walk = {.trusted = trusted, .trusted_count = trusted_count, .client = client};
    *client = (struct client){.host = ""};
    copy_peer(&client->address, peer);
    if (is_trusted(&walk)) {
        if (header_find(headers, header_count, "X-Forwarded-For") != NULL ||
            header_find(headers, header_count, "X-Forwarded-Host") != NULL)
            read_x_forwarded(&walk, headers, header_count);
        else
            read_forwarded(&walk, headers, header_count);
    }
    if (!walk.host_found)
        copy_host(client, headers, header_count);
}
