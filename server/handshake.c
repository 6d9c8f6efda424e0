#include "server/handshake.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/slice.h"
#include "server/date.h"

#define KEY_LENGTH 24 /* base64 of 16 bytes: 22 characters and "==" */

/* The first letter alone rules out most names; strcasecmp, with its locale, is much slower. */
bool header_is(const struct header *header, const char *name)
{
    return (header->name[0] | 0x20) == (name[0] | 0x20) && strcasecmp(header->name, name) == 0;
}

static struct slice value_of(const struct header *header)
{
    return slice_trim(slice_of(header->value));
}

static bool token_is(struct slice token, const char *text)
{
    return slice_equals_without_case(token, slice_of(text));
}

/* Whether a comma-separated list holds the token (RFC 9110, section 5.6.1). */
static bool list_holds(const char *list, const char *wanted)
{
    struct slice item;
    while (slice_next(&list, &item))
        if (token_is(item, wanted))
            return true;
    return false;
}

/* Several headers of one name are one list (RFC 9110, section 5.3). */
static bool headers_hold(const struct handshake_request *request, const char *name,
                         const char *wanted)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (header_is(&request->headers[i], name) && list_holds(request->headers[i].value, wanted))
            return true;
    return false;
}

/* How many headers have that name; the value of the last of them in *value. */
static size_t count_headers(const struct handshake_request *request, const char *name,
                            struct slice *value)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!header_is(&request->headers[i], name))
            continue;
        *value = value_of(&request->headers[i]);
        count++;
    }
    return count;
}

const char *header_find(const struct header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (header_is(&headers[i], name))
            return headers[i].value;
    return NULL;
}

bool handshake_wanted(const struct handshake_request *request)
{
    return headers_hold(request, "Upgrade", "websocket");
}

/* "1.1" or a higher number: 1.0 knows no upgrade. */
static bool version_suffices(const char *version)
{
    if (version == NULL || version[0] < '1' || version[0] > '9' || version[1] != '.')
        return false;
    return version[0] > '1' || (version[2] >= '1' && version[2] <= '9');
}

static bool has_body(const struct handshake_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const struct header *header = &request->headers[i];
        if (header_is(header, "Transfer-Encoding"))
            return true;
        if (header_is(header, "Content-Length") && !token_is(value_of(header), "0"))
            return true;
    }
    return false;
}

static bool is_key(struct slice value)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return value.length == KEY_LENGTH && strspn(value.text, alphabet) == KEY_LENGTH - 2 &&
           strncmp(value.text + KEY_LENGTH - 2, "==", 2) == 0;
}

static int refuse(int status, const char *reason, const char **why)
{
    *why = reason;
    return status;
}

/*
 * The order says the most helpful thing first: a browser that merely opened the address learns
 * that it takes a WebSocket, a client of an older draft learns which version is spoken.
 */
int handshake_check(const struct handshake_request *request, const char **key, const char **why)
{
    struct slice value = {"", 0};
    if (strcmp(request->method, "GET") != 0)
        return refuse(405, "a WebSocket is opened with GET, no other method", why);
    if (!handshake_wanted(request))
        return refuse(426, "this address takes WebSockets: \"Upgrade: websocket\" is missing", why);
    if (!version_suffices(request->http_version))
        return refuse(505, "a WebSocket is opened with HTTP/1.1, this request is older", why);
    if (!headers_hold(request, "Connection", "upgrade"))
        return refuse(400, "\"Connection: Upgrade\" is missing; does a proxy remove it?", why);
    if (count_headers(request, "Host", &value) != 1 || value.length == 0)
        return refuse(400, "exactly one Host header is needed, not an empty one", why);
    size_t versions = count_headers(request, "Sec-WebSocket-Version", &value);
    if (versions > 1)
        return refuse(400, "exactly one Sec-WebSocket-Version header is needed", why);
    if (versions == 0 || !token_is(value, "13"))
        return refuse(426, "\"Sec-WebSocket-Version: 13\" is needed, no other is spoken", why);
    if (count_headers(request, "Sec-WebSocket-Key", &value) != 1)
        return refuse(400, "exactly one Sec-WebSocket-Key header is needed", why);
    if (!is_key(value))
        return refuse(400, "Sec-WebSocket-Key must be 16 bytes in base64", why);
    if (has_body(request))
        return refuse(400, "a request that opens a WebSocket must not have a body", why);
    *key = value.text;
    return 101;
}

/* The subprotocols that a client asks for, in its order. */
struct wishes {
    struct slice names[HANDSHAKE_SUBPROTOCOLS_MAX];
    size_t count;
};

/* Adds those of one header; empty elements are none (RFC 9110, section 5.6.1.2). Returns what is
   wrong with it, or NULL. */
static const char *add_wishes(struct wishes *wishes, const char *list)
{
    struct slice name;
    bool empty = true;
    while (slice_next(&list, &name)) {
        if (name.length == 0)
            continue;
        empty = false;
        if (token_span(name.text) < name.length)
            return "Sec-WebSocket-Protocol must be a list of tokens";
        for (size_t i = 0; i < wishes->count; i++)
            if (slice_equals(wishes->names[i], name))
                return "Sec-WebSocket-Protocol has a name twice";
        if (wishes->count == HANDSHAKE_SUBPROTOCOLS_MAX)
            return "Sec-WebSocket-Protocol has too many names";
        wishes->names[wishes->count++] = name;
    }
    return empty ? "Sec-WebSocket-Protocol is empty" : NULL;
}

int handshake_subprotocol(const struct handshake_request *request, const char *supported,
                          char subprotocol[TOKEN_SIZE], const char **why)
{
    struct wishes wishes = {.count = 0};
    for (size_t i = 0; i < request->header_count; i++) {
        if (!header_is(&request->headers[i], "Sec-WebSocket-Protocol"))
            continue;
        const char *fault = add_wishes(&wishes, request->headers[i].value);
        if (fault != NULL)
            return refuse(400, fault, why);
    }
    subprotocol[0] = '\0';
    for (size_t i = 0; i < wishes.count; i++) {
        struct slice name = wishes.names[i];
        if (name.length >= TOKEN_SIZE || !tokens_hold(supported, name))
            continue;
        memcpy(subprotocol, name.text, name.length);
        subprotocol[name.length] = '\0';
        break;
    }
    return 101;
}

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* section 1.3 */
static EVP_MD *sha1;

static void fetch_sha1(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

int handshake_prepare(void)
{
    static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* section 1.3 */
    char accept[HANDSHAKE_ACCEPT_SIZE];
    if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
        OSSL_LIB_CTX_get0_global_default() == NULL)
        return -1;
    return handshake_accept(key, accept);
}

int handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_SIZE])
{
    /* Looking an algorithm up by name takes longer than the digest itself: once is enough. */
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (pthread_once(&once, fetch_sha1) != 0)
        return -1;
    unsigned char text[KEY_LENGTH + sizeof guid];
    size_t length = strnlen(key, KEY_LENGTH);
    memcpy(text, key, length);
    memcpy(text + length, guid, sizeof guid - 1);
    length += sizeof guid - 1;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    const EVP_MD *found = sha1 == NULL ? EVP_sha1() : sha1; /* there was no memory that once */
    if (EVP_Digest(text, length, digest, &size, found, NULL) != 1)
        return -1;
    EVP_EncodeBlock((unsigned char *)accept, digest, (int)size);
    return 0;
}

/* What snprintf has written, from what it would have liked to write. */
static size_t written(int length, size_t size)
{
    if (length < 0 || size == 0)
        return 0;
    return (size_t)length < size ? (size_t)length : size - 1;
}

/* A header line, or nothing when there is no value. */
static int put_header(char *buffer, size_t size, const char *name, const char *value)
{
    return *value == '\0' ? 0 : snprintf(buffer, size, "%s: %s\r\n", name, value);
}

size_t handshake_response(char *buffer, size_t size, const char *accept, const char *subprotocol,
                          const char *extension)
{
    char chosen[2 * TOKEN_SIZE] = "";
    char extended[2 * EXTENSION_SIZE] = "";
    put_header(chosen, sizeof chosen, "Sec-WebSocket-Protocol", subprotocol);
    put_header(extended, sizeof extended, "Sec-WebSocket-Extensions", extension);
    int length = snprintf(buffer, size,
                          "HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n"
                          "%s%s\r\n",
                          accept, chosen, extended);
    return written(length, size);
}

/* RFC 9110, section 15, and RFC 6585; `headers` is what a refusal with that status adds. */
static const struct status {
    int status;
    const char *reason;
    const char *headers;
} statuses[] = {
    {100, "Continue", NULL},
    {101, "Switching Protocols", NULL},
    {200, "OK", NULL},
    {201, "Created", NULL},
    {202, "Accepted", NULL},
    {203, "Non-Authoritative Information", NULL},
    {204, "No Content", NULL},
    {205, "Reset Content", NULL},
    {206, "Partial Content", NULL},
    {300, "Multiple Choices", NULL},
    {301, "Moved Permanently", NULL},
    {302, "Found", NULL},
    {303, "See Other", NULL},
    {304, "Not Modified", NULL},
    {305, "Use Proxy", NULL},
    {307, "Temporary Redirect", NULL},
    {308, "Permanent Redirect", NULL},
    {400, "Bad Request", NULL},
    {401, "Unauthorized", NULL},
    {402, "Payment Required", NULL},
    {403, "Forbidden", NULL},
    {404, "Not Found", NULL},
    {405, "Method Not Allowed", "Allow: GET\r\n"},
    {406, "Not Acceptable", NULL},
    {407, "Proxy Authentication Required", NULL},
    {408, "Request Timeout", NULL},
    {409, "Conflict", NULL},
    {410, "Gone", NULL},
    {411, "Length Required", NULL},
    {412, "Precondition Failed", NULL},
    {413, "Content Too Large", NULL},
    {414, "URI Too Long", NULL},
    {415, "Unsupported Media Type", NULL},
    {416, "Range Not Satisfiable", NULL},
    {417, "Expectation Failed", NULL},
    {421, "Misdirected Request", NULL},
    {422, "Unprocessable Content", NULL},
    {426, "Upgrade Required",
     "Upgrade: websocket\r\n"
     "Connection: Upgrade\r\n"
     "Sec-WebSocket-Version: 13\r\n"},
    {428, "Precondition Required", NULL},
    {429, "Too Many Requests", "Retry-After: 1\r\n"},
    {431, "Request Header Fields Too Large", NULL},
    {500, "Internal Server Error", NULL},
    {501, "Not Implemented", NULL},
    {502, "Bad Gateway", NULL},
    {503, "Service Unavailable", "Retry-After: 1\r\n"},
    {504, "Gateway Timeout", NULL},
    {505, "HTTP Version Not Supported", NULL},
    {511, "Network Authentication Required", NULL},
};

static const struct status *find_status(int status)
{
    static const struct status unknown = {0, "Unknown", NULL};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (statuses[i].status == status)
            return &statuses[i];
    return &unknown;
}

const char *http_reason(int status)
{
    return find_status(status)->reason;
}

static size_t refusal_head(char *buffer, size_t size, int status, size_t body, const char *date)
{
    const struct status *row = find_status(status);
    int length =
        snprintf(buffer, size,
                 "HTTP/1.1 %d %s\r\n"
                 "Date: %s\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Length: %zu\r\n"
                 "Connection: close\r\n"
                 "%s\r\n",
                 status, row->reason, date, body, row->headers != NULL ? row->headers : "");
    return written(length, size);
}

size_t handshake_refusal(char *buffer, size_t size, int status, const char *why, int64_t now)
{
    char date[DATE_SIZE] = "";
    date_write(now, date);
    /* What does not fit is cut from the text, so that Content-Length stays true. */
    size_t text = strlen(why);
    size_t head = refusal_head(buffer, size, status, text + 1, date);
    size_t room = size > head + 2 ? size - head - 2 : 0;
    if (text > room) {
        text = room;
        head = refusal_head(buffer, size, status, text + 1, date);
    }
    return head +
           written(snprintf(buffer + head, size - head, "%.*s\n", (int)text, why), size - head);
}
