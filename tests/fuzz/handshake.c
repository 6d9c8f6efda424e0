/*
 * The opening handshake: the checks, the subprotocol and permessage-deflate say of any headers what
 * a slow reading of RFC 6455 and RFC 7692 says, and no byte of the request breaks an answer.
 *
 * Input: lines. The subprotocols of the route; method and version with a blank between; headers.
 */
#include "server/handshake.h"

#include "server/extension.h"
#include "tests/fuzz/headers.h"

enum { NOW = 1795357173, REFUSAL_MAX = 1024 };

/* --- RFC 6455, section 4.2.1 --- */

static bool is_key(const char *key)
{
    size_t length = strlen(key);
    for (size_t i = 0; i + 2 < length; i++) {
        char byte = key[i];
        if (!(byte >= 'A' && byte <= 'Z') && !(byte >= 'a' && byte <= 'z') &&
            !(byte >= '0' && byte <= '9') && byte != '+' && byte != '/')
            return false;
    }
    return length == 24 && strcmp(key + 22, "==") == 0;
}

static bool knows_upgrade(const char *version)
{
    char major = version[0];
    if (strlen(version) < 2 || version[1] != '.' || major < '1' || major > '9')
        return false;
    return major > '1' || (version[2] > '0' && version[2] <= '9');
}

/* What is asked of one header. */
struct facts {
    char *host;
    char *version;
    char *key;
    size_t hosts;
    size_t versions;
    size_t keys;
    bool body;
};

static struct facts facts_of(const struct headers *headers)
{
    struct facts facts = {.body = false};
    char *value;
    facts.hosts = count_of(headers, "host", &facts.host);
    facts.versions = count_of(headers, "sec-websocket-version", &facts.version);
    facts.keys = count_of(headers, "sec-websocket-key", &facts.key);
    facts.body = count_of(headers, "transfer-encoding", &value) > 0;
    free(value);
    for (size_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->list[i].name, "content-length") != 0)
            continue;
        value = trimmed(headers->list[i].value, strlen(headers->list[i].value));
        facts.body = facts.body || strcmp(value, "0") != 0;
        free(value);
    }
    return facts;
}

static int judge(const char *method, const char *version, const struct headers *headers,
                 const struct facts *facts)
{
    if (strcmp(method, "GET") != 0)
        return 405;
    if (!lists(headers, "upgrade", "websocket"))
        return 426;
    if (!knows_upgrade(version))
        return 505;
    if (!lists(headers, "connection", "upgrade") || facts->hosts != 1 || *facts->host == '\0' ||
        facts->versions > 1)
        return 400;
    if (strcmp(facts->version, "13") != 0)
        return 426;
    return facts->keys == 1 && is_key(facts->key) && !facts->body ? 101 : 400;
}

/* --- the subprotocol --- */

/* Returns 101 and its place among `wishes`, or their count for none; or 400. */
static int judge_subprotocol(const struct headers *headers, const struct parts *wishes,
                             const struct parts *supported, size_t *chosen)
{
    size_t names = 0;
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->list[i].name, "sec-websocket-protocol") == 0 &&
            headers->list[i].value[strspn(headers->list[i].value, " \t,")] == '\0')
            return 400;
    *chosen = wishes->count;
    for (size_t i = 0; i < wishes->count; i++) {
        const char *name = wishes->list[i];
        if (*name == '\0')
            continue;
        if (!is_token(name) || ++names > HANDSHAKE_SUBPROTOCOLS_MAX)
            return 400;
        for (size_t j = 0; j < i; j++)
            if (strcmp(wishes->list[j], name) == 0)
                return 400;
        for (size_t j = 0; j < supported->count && *chosen == wishes->count; j++)
            if (strcmp(supported->list[j], name) == 0)
                *chosen = i;
    }
    return 101;
}

static void check_subprotocol(const struct handshake_request *request,
                              const struct headers *headers, const char *supported,
                              char name[TOKEN_SIZE])
{
    const char *why = NULL;
    size_t chosen = 0;
    struct parts wishes = list_of(headers, "sec-websocket-protocol");
    struct parts known = {.count = 0};
    parts_add(&known, supported, ',');
    int expected = judge_subprotocol(headers, &wishes, &known, &chosen);
    MUST(handshake_subprotocol(request, supported, name, &why) == expected);
    MUST((expected == 400) == (why != NULL));
    if (expected == 101)
        MUST(strcmp(name, chosen < wishes.count ? wishes.list[chosen] : "") == 0);
    else
        name[0] = '\0';
    parts_free(&wishes);
    parts_free(&known);
}

/* --- permessage-deflate --- */

/* 8 to 15, written as RFC 7692 has it; 0: anything else. */
static int bits_of(const char *text)
{
    static const char *const numbers[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    for (int i = 0; i < (int)COUNT(numbers); i++)
        if (strcmp(text, numbers[i]) == 0)
            return 8 + i;
    return 0;
}

/* One offer. Returns whether it is an extension at all; *bits: 0 when it cannot be met, else our
   window, 16 for any. */
static bool judge_offer(const char *text, int *bits)
{
    static const char *const names[] = {"server_no_context_takeover", "client_no_context_takeover",
                                        "server_max_window_bits", "client_max_window_bits"};
    struct parts parts = {.count = 0};
    bool given[COUNT(names)] = {false};
    bool right = true;
    parts_add(&parts, text, ';');
    right = is_token(parts.list[0]);
    *bits = strcmp(parts.list[0], "permessage-deflate") == 0 ? 16 : 0;
    for (size_t i = 1; i < parts.count; i++) {
        struct parts pair = {.count = 0};
        parts_add(&pair, parts.list[i], '=');
        char *value = pair.count > 1 ? pair.list[1] : NULL;
        size_t length = value == NULL ? 0 : strlen(value);
        if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
            value[length - 1] = '\0';
            value++;
        }
        right = right && pair.count <= 2 && is_token(pair.list[0]) &&
                (value == NULL || is_token(value));
        size_t name = 0;
        while (name < COUNT(names) && strcmp(names[name], pair.list[0]) != 0)
            name++;
        int number = value == NULL ? 0 : bits_of(value);
        bool fits = name == 3   ? value == NULL || number >= 8
                    : name == 2 ? number >= 9
                                : value == NULL;
        if (name == COUNT(names) || given[name] || !fits)
            *bits = 0;
        else
            given[name] = true;
        if (name == 2 && *bits > 0)
            *bits = number;
        parts_free(&pair);
    }
    parts_free(&parts);
    return right;
}

static void check_extension(const struct headers *headers, char answer[EXTENSION_SIZE])
{
    const char *why = NULL;
    int window = -1;
    int expected = 0;
    bool right = true;
    struct parts offers = list_of(headers, "sec-websocket-extensions");
    for (size_t i = 0; i < offers.count; i++) {
        int bits = 0;
        if (*offers.list[i] == '\0')
            continue;
        right = judge_offer(offers.list[i], &bits) && right;
        expected = expected == 0 ? bits : expected;
    }
    parts_free(&offers);
    int status = extension_negotiate(headers->list, headers->count, &window, answer, &why);
    MUST(status == (right ? 101 : 400) && (why == NULL) == right);
    if (status == 400) {
        answer[0] = '\0';
        return;
    }
    char wanted[EXTENSION_SIZE] = "";
    if (expected != 0)
        snprintf(wanted, sizeof wanted, expected == 16 ? "%s" : "%s; server_max_window_bits=%d",
                 "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                 expected);
    MUST(window == (expected == 16 ? 15 : expected));
    MUST(strcmp(answer, wanted) == 0);
}

/* --- answers --- */

static void check_response(const char *key, const char *subprotocol, const char *extension)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    char text[HANDSHAKE_RESPONSE_SIZE];
    MUST(handshake_accept(key, accept) == 0 && strlen(accept) == HANDSHAKE_ACCEPT_SIZE - 1);
    size_t length = handshake_response(text, sizeof text, accept, subprotocol, extension);
    MUST(length == strlen(text) && length < sizeof text - 1);
    MUST(*behind_head(text) == '\0');
    MUST((strstr(text, "\r\nSec-WebSocket-Protocol: ") != NULL) == (*subprotocol != '\0'));
    MUST((strstr(text, "\r\nSec-WebSocket-Extensions: ") != NULL) == (*extension != '\0'));
}

/* In a buffer of just that size; where all fits, its Content-Length is true. */
static void check_refusal(int status, const char *why, size_t size)
{
    char *text = malloc(size + 1);
    MUST(text != NULL);
    size_t length = handshake_refusal(text, size, status, why, NOW);
    MUST(length < size || size == 0);
    if (size == REFUSAL_MAX) {
        const char *body = behind_head(text);
        const char *announced = strstr(text, "\r\nContent-Length: ");
        MUST(announced != NULL && strtoul(announced + 18, NULL, 10) == strlen(body));
        MUST(length == strlen(text) && strncmp(body, why, strlen(why)) == 0);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *supported = take_text(&input, '\n');
    char *method = take_text(&input, '\n');
    char *version = strchr(method, ' ');
    version = version == NULL ? method + strlen(method) : version;
    if (*version == ' ')
        *version++ = '\0';
    struct headers headers = take_headers(&input);
    const struct handshake_request request = {method, version, headers.list, headers.count};
    const struct option_value names = {.text = supported};
    char subprotocol[TOKEN_SIZE];
    char answer[EXTENSION_SIZE];
    char fault[256];
    const char *key = NULL;
    const char *why = NULL;

    struct facts facts = facts_of(&headers);
    int status = handshake_check(&request, &key, &why);
    MUST(status == judge(method, version, &headers, &facts));
    MUST(handshake_wanted(&request) == lists(&headers, "upgrade", "websocket"));
    check_subprotocol(&request, &headers,
                      tokens_check(&names, fault, sizeof fault) ? supported : "", subprotocol);
    check_extension(&headers, answer);
    if (status == 101) {
        MUST(strncmp(key, facts.key, strlen(facts.key)) == 0);
        check_response(key, subprotocol, answer);
    } else {
        check_refusal(status, why, REFUSAL_MAX);
        check_refusal(status, why, size % REFUSAL_MAX);
    }
    free(facts.host);
    free(facts.version);
    free(facts.key);
    headers_free(&headers);
    free(method);
    free(supported);
    return 0;
}
