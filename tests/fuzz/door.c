/*
 * What the door reads of any request before a handler sees it: the path, the Host, who the client
 * behind trusted proxies is, and which page asks.
 *
 * Input: lines. The path as it is sent, the version, a list of origins as one configures it;
 * headers.
 */
#include <arpa/inet.h>
#include <ctype.h>

#include "server/forwarded.h"
#include "server/http.h"
#include "server/origin.h"
#include "tests/fuzz/headers.h"

/* --- the path --- */

/* The byte that two digits of hexadecimal say; -1: they are none. */
static int hex_byte(const char *text)
{
    static const char digits[] = "00112233445566778899aAbBcCdDeEfF";
    const char *high = text[0] == '\0' ? NULL : strchr(digits, text[0]);
    const char *low = high == NULL || text[1] == '\0' ? NULL : strchr(digits, text[1]);
    return low == NULL ? -1 : (int)((high - digits) / 2 * 16 + (low - digits) / 2);
}

/* Decodes it. Returns its length, or -1. */
static int decode(const char *raw, char *decoded)
{
    int length = 0;
    for (; *raw != '\0'; raw++) {
        int byte = *raw == '%' ? hex_byte(raw + 1) : (unsigned char)*raw;
        if (byte <= 0)
            return -1;
        decoded[length++] = (char)byte;
        raw += *raw == '%' ? 2 : 0;
    }
    decoded[length] = '\0';
    return length;
}

/* Segment by segment onto a stack (RFC 3986, section 5.2.4), where empty ones count for nothing.
   Returns false for a path that leads above the root. */
static bool resolve(const char *decoded, char *clean)
{
    size_t *stack = calloc(strlen(decoded) + 1, sizeof *stack);
    size_t depth = 0;
    bool inside = true;
    bool folder = false;
    MUST(stack != NULL);
    for (const char *at = decoded; inside && *at == '/';) {
        size_t length = strcspn(at + 1, "/");
        bool up = length == 2 && strncmp(at + 1, "..", 2) == 0;
        folder = up || length == 0 || (length == 1 && at[1] == '.');
        inside = !up || depth > 0;
        if (up && depth > 0)
            depth--;
        if (!folder)
            stack[depth++] = (size_t)(at - decoded);
        at += 1 + length;
    }
    for (size_t i = 0; inside && i < depth; i++)
        for (const char *at = decoded + stack[i];
             *at != '\0' && (at == decoded + stack[i] || *at != '/'); at++)
            *clean++ = *at;
    if (folder)
        *clean++ = '/';
    *clean = '\0';
    free(stack);
    return inside;
}

static void check_path(const char *raw, size_t size)
{
    char *decoded = malloc(strlen(raw) + 1);
    char *expected = malloc(strlen(raw) + 2);
    char *path = malloc(size);
    MUST(decoded != NULL && expected != NULL && path != NULL);
    int length = *raw == '/' ? decode(raw, decoded) : -1;
    bool good = length >= 0 && (size_t)length < size && resolve(decoded, expected);
    MUST(http_clean_path(raw, path, size) == (good ? 0 : -1));
    if (good)
        MUST(strcmp(path, expected) == 0 && path[0] == '/');
    free(path);
    free(expected);
    free(decoded);
}

/* --- Host --- */

static bool may_be_host(const char *host)
{
    for (; *host != '\0'; host++)
        if ((!isgraph((unsigned char)*host) && (unsigned char)*host < 0x80) ||
            strchr("/?#@\\,\"<>", *host) != NULL)
            return false;
    return true;
}

static void check_host(const struct headers *headers, const char *version)
{
    const char *why = NULL;
    size_t hosts = 0;
    bool good = true;
    for (size_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->list[i].name, "host") != 0)
            continue;
        char *host = trimmed(headers->list[i].value, strlen(headers->list[i].value));
        good = good && may_be_host(host);
        free(host);
        hosts++;
    }
    good = good && (hosts == 1 || (hosts == 0 && strcmp(version, "1.1") != 0));
    MUST(http_check_host(headers->list, headers->count, version, &why) == (good ? 0 : 400));
    MUST((why == NULL) == good);
}

/* --- the client --- */

static const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = 7};
static struct network trusted[NETWORKS_MAX];
static size_t trusted_count;

static struct client client_of(const struct header *headers, size_t count, size_t networks)
{
    struct client client;
    forwarded_read((const struct sockaddr *)&peer, headers, count, trusted, networks, &client);
    return client;
}

static bool same_address(const struct client *one, const struct client *other)
{
    return memcmp(&one->address, &other->address, sizeof one->address) == 0;
}

/* The list one item at a time, from the right: each is read as if it were the only one. */
static struct client walk(const struct parts *items)
{
    struct client client = client_of(NULL, 0, 0);
    const struct client nobody = client;
    int hops = 0;
    for (size_t i = items->count; i > 0 && hops < FORWARDED_HOPS_MAX; i--) {
        const struct header one = {"X-Forwarded-For", items->list[i - 1]};
        if (*items->list[i - 1] == '\0')
            continue;
        struct client next = client_of(&one, 1, trusted_count);
        if (same_address(&next, &nobody))
            break; /* it is no address */
        client = next;
        hops++;
        if (!network_contains(trusted, trusted_count, (const struct sockaddr *)&next.address))
            break;
    }
    return client;
}

static void check_client(const struct headers *headers)
{
    char *value;
    struct origin parsed;
    const struct client stranger = client_of(headers->list, headers->count, 0);
    const struct client client = client_of(headers->list, headers->count, trusted_count);
    size_t hosts = count_of(headers, "host", &value);
    MUST(memcmp(&stranger.address, &peer, sizeof peer) == 0); /* he is not believed */
    MUST(strcmp(stranger.host, hosts == 1 && strlen(value) < ORIGIN_HOST_SIZE ? value : "") == 0);
    MUST(strcmp(client.host, stranger.host) == 0 ||
         origin_parse_host(slice_of(client.host), &parsed));
    MUST(client.address.ss_family == AF_INET || client.address.ss_family == AF_INET6);
    free(value);
    struct parts items = list_of(headers, "x-forwarded-for");
    struct parts told = list_of(headers, "x-forwarded-host");
    if (items.count > 0 || told.count > 0) {
        const struct client expected = walk(&items);
        MUST(same_address(&client, &expected));
    }
    parts_free(&items);
    parts_free(&told);
}

/* --- the page --- */

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    return length > strlen(end) && strcasecmp(text + length - strlen(end), end) == 0;
}

static bool allows(const char *list, const struct header *page, const char *host)
{
    struct origin origins[ORIGINS_MAX];
    char why[256];
    int count = origins_parse(list, origins, why, sizeof why);
    return count > 0 && origin_allowed(origins, (size_t)count, page, 1, host) == ORIGIN_ALLOWED;
}

/* What is let in must have the very text that lets it in. */
static void check_page(const char *text, const char *list)
{
    const struct header page = {"Origin", text};
    const char *host = strstr(text, "://");
    struct origin origin;
    char why[256];
    if (allows("https://*.example.org", &page, ""))
        MUST(strncasecmp(text, "https://", 8) == 0 &&
             (ends_with(text, ".example.org") || ends_with(text, ".example.org:443")));
    if (allows("https://example.org", &page, ""))
        MUST(strcasecmp(text, "https://example.org") == 0 ||
             strcasecmp(text, "https://example.org:443") == 0);
    MUST(allows("*", &page, ""));
    MUST(!allows("same", &page, ""));
    if (allows("same", &page, "example.org:8080"))
        MUST(host != NULL && strcasecmp(host, "://example.org:8080") == 0);
    if (!origin_parse(slice_of(text), &origin)) {
        MUST(!allows("same", &page, host == NULL ? text : host + 3));
        return;
    }
    MUST(strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._:/[]") ==
         strlen(text));
    if (host != NULL && origin_default_port(origin.scheme) != 0)
        MUST(allows("same", &page, host + 3));
    if (origins_parse(text, NULL, why, sizeof why) == 1 && origin.kind != ORIGIN_NULL)
        MUST(allows(text, &page, ""));
    allows(list, &page, "example.org");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char why[256];
    char *path = take_text(&input, '\n');
    char *version = take_text(&input, '\n');
    char *origins = take_text(&input, '\n');
    struct headers headers = take_headers(&input);
    trusted_count =
        (size_t)networks_parse("0.0.0.0/8, 10.0.0.0/8, fd00::/8", trusted, why, sizeof why);
    MUST(trusted_count == 3);
    check_path(path, HTTP_PATH_MAX);
    check_path(path, 1 + size % 64);
    check_host(&headers, version);
    check_client(&headers);
    for (size_t i = 0; i < headers.count; i++)
        if (strcasecmp(headers.list[i].name, "origin") == 0)
            check_page(headers.list[i].value, origins);
    headers_free(&headers);
    free(origins);
    free(version);
    free(path);
    return 0;
}
