/*
 * Texts that nobody would write, in everything that the door reads: whatever they are, the answer
 * is one of those there are, and what is let in is what the list names. Each text stands in memory
 * of its own size, so that AddressSanitizer sees a byte read too far.
 */
#include <arpa/inet.h>
#include <check.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/forwarded.h"
#include "server/origin.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define ROUNDS 300000
#define TEXT_MAX 400

/* A passed ck_assert writes where it was; millions of them take longer than all the rest. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg(__VA_ARGS__);                                                             \
    } while (0)

/* Marsaglia's xorshift: the same numbers on every machine. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void change_byte(char *text, uint32_t *state)
{
    size_t length = strlen(text);
    if (length == 0)
        return;
    size_t at = next_random(state) % length;
    switch (next_random(state) % 4) {
    case 0: /* another byte */
        text[at] = (char)(1 + next_random(state) % 255);
        break;
    case 1: /* a byte less */
        memmove(text + at, text + at + 1, length - at);
        break;
    case 2: /* another case */
        text[at] = (char)(isalpha((unsigned char)text[at]) ? text[at] ^ 0x20 : text[at]);
        break;
    default: /* shorter */
        text[at] = '\0';
    }
}

/* Some of the pieces in a row, or one of them, with a few bytes changed. To be freed. */
static char *make_text(const char *const *pieces, size_t count, uint32_t *state)
{
    char text[TEXT_MAX] = "";
    size_t used = 0;
    for (uint32_t left = 1 + next_random(state) % 6; left > 0; left--) {
        const char *piece = pieces[next_random(state) % count];
        size_t length = strlen(piece);
        if (used + length < sizeof text)
            memcpy(text + used, piece, length + 1);
        used = strlen(text);
        if (next_random(state) % 3 == 0)
            break;
    }
    for (uint32_t left = next_random(state) % 4; left > 1; left--)
        change_byte(text, state);
    char *own = strdup(text);
    REQUIRE(own != NULL, "out of memory");
    return own;
}

#define MAKE(pieces, state) make_text(pieces, COUNT(pieces), state)

static const char *const origin_pieces[] = {
    "https://",
    "http://",
    "https://example.org",
    "https://a.example.net",
    "https://a.b.example.net:443",
    "http://localhost:3000",
    "https://[2001:db8::1]:8443",
    "example.org",
    ".example.net",
    ".example.net",
    "evil.com",
    "https://evil.com",
    "a.",
    "*.",
    "[::1]",
    "127.0.0.1",
    "0x7f",
    ":443",
    ":80",
    ":",
    "@",
    "/",
    "\\",
    "?",
    "#",
    ".",
    "..",
    "-",
    "%00",
    "null",
    "same",
    ", ",
    " ",
    "\t",
    "xn--a",
    "\xC3\xA4",
    "https://a_b.example.net",
};

/* Whether all of it stands before the end, and is letters, digits, - and _ between single dots. */
static bool is_name_before(const char *text, const char *begin, const char *end)
{
    size_t first = strlen(begin);
    size_t length = strlen(text);
    size_t last = strlen(end);
    if (length <= first + last || strncmp(text, begin, first) != 0 ||
        strcmp(text + length - last, end) != 0)
        return false;
    for (size_t i = first; i < length - last; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_' &&
            (text[i] != '.' || i == first || text[i - 1] == '.'))
            return false;
    return text[length - last - 1] != '.';
}

/* The same question, asked in another way: a slow one, of whole texts. */
static bool is_named(const char *page)
{
    static const char *const exact[] = {"https://example.org", "http://localhost:3000",
                                        "https://[2001:db8::1]:8443", "https://example.org:443"};
    char small[TEXT_MAX];
    size_t length = strlen(page);
    for (size_t i = 0; i <= length; i++)
        small[i] = (char)tolower((unsigned char)page[i]);
    for (size_t i = 0; i < COUNT(exact); i++)
        if (strcmp(small, exact[i]) == 0)
            return true;
    return is_name_before(small, "https://", ".example.net") ||
           is_name_before(small, "https://", ".example.net:443");
}

START_TEST(a_page_is_let_in_when_the_list_names_it_and_never_else)
{
    uint32_t state = 20110412;
    struct origin list[ORIGINS_MAX];
    char why[256];
    int allowed = 0;
    int count = origins_parse(
        "https://example.org, http://localhost:3000, https://*.example.net, "
        "https://[2001:db8::1]:8443",
        list, why, sizeof why);
    ck_assert_int_eq(count, 4);
    for (int round = 0; round < ROUNDS; round++) {
        char *page = MAKE(origin_pieces, &state);
        const struct header header = {"Origin", page};
        bool in = origin_allowed(list, (size_t)count, &header, 1, "") == ORIGIN_ALLOWED;
        /* 2001:db8::1 has more spellings than are worth a second parser. */
        if (strstr(page, "://[") == NULL)
            REQUIRE(in == is_named(page), "\"%s\" was %s", page, in ? "let in" : "refused");
        allowed += in;
        free(page);
    }
    ck_assert_int_gt(allowed, ROUNDS / 100);
    ck_assert_int_lt(allowed, ROUNDS / 2);
}
END_TEST

START_TEST(a_page_at_its_own_host_has_the_same_text_there)
{
    uint32_t state = 19981231;
    const struct origin same = {.kind = ORIGIN_SAME};
    int allowed = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *page = MAKE(origin_pieces, &state);
        const char *slashes = strstr(page, "://");
        char *host = slashes != NULL && next_random(&state) % 2 ? strdup(slashes + 3)
                                                                : MAKE(origin_pieces, &state);
        const struct header header = {"Origin", page};
        if (origin_allowed(&same, 1, &header, 1, host) == ORIGIN_ALLOWED) {
            allowed++;
            REQUIRE(slashes != NULL, "%s at %s", page, host);
            size_t alike = strcspn(host, ":[");
            REQUIRE(strncasecmp(slashes + 3, host, alike) == 0, "%s at %s", page, host);
            REQUIRE(host[strcspn(host, "@/\\?#*%, \t")] == '\0', "%s at %s", page, host);
        }
        free(host);
        free(page);
    }
    ck_assert_int_gt(allowed, ROUNDS / 100);
    ck_assert_int_lt(allowed, ROUNDS / 2);
}
END_TEST

static const char *const list_pieces[] = {
    "same",
    "*",
    "null",
    "https://example.org",
    "https://*.example.org",
    "example.org",
    ", ",
    ",",
    "https://[::1]:8443",
    "http://localhost:3000",
    "file://",
    "wss://a.b",
    "https://a@b",
    "https://example.org/x",
    "https://127.1",
    "127.0.0.1",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "fd00::/8",
    "::ffff:10.0.0.0/104",
    "/32",
    "/0",
    "/129",
    "[::1]:80",
    "fe80::1%eth0",
    "localhost",
    "0.0.0.0/0",
    "::/0",
    "::1",
    "10.1.2.3",
    "chat",
    "v1.json, v2",
    "superchat, a",
    "a b",
    "\"x\"",
    " ",
    "\t",
    ".",
    ":",
    "\xC3\xA4",
};

START_TEST(a_list_is_taken_or_refused_with_a_reason)
{
    static bool (*const checks[])(const struct option_value *, char *,
                                  size_t) = {origins_check, networks_check, tokens_check};
    uint32_t state = 20140607;
    int taken[COUNT(checks)] = {0};
    for (int round = 0; round < ROUNDS; round++) {
        char *text = MAKE(list_pieces, &state);
        const struct option_value value = {.text = text};
        for (size_t i = 0; i < COUNT(checks); i++) {
            char why[256] = "";
            bool right = checks[i](&value, why, sizeof why);
            REQUIRE(right == (why[0] == '\0'), "\"%s\": \"%s\"", text, why);
            taken[i] += right;
        }
        free(text);
    }
    for (size_t i = 0; i < COUNT(checks); i++) {
        ck_assert_int_gt(taken[i], ROUNDS / 100);
        ck_assert_int_lt(taken[i], ROUNDS / 2);
    }
}
END_TEST

static const char *const hop_pieces[] = {
    "203.0.113.7",
    "10.0.0.1, ",
    "10.0.0.2",
    "127.0.0.1",
    "fd00::1",
    "[fd00::1]:80",
    "::ffff:10.0.0.1",
    ", ",
    ",",
    "for=203.0.113.7",
    "for=10.0.0.1",
    "for=10.0.0.2;host=a.example, ",
    "for=\"[fd00::1]:80\"",
    "for=unknown",
    "for=_x",
    "host=a.example:80",
    "host=\"b.example\"",
    "proto=https",
    "by=\"a, b; \\\" c\"",
    ";",
    "=",
    "\"",
    "\\",
    "\\\"",
    " ",
    "a.example",
    "a.example:8443",
    ":80",
    "[",
    "]",
    "\xFF",
};

/* Whether what is told of the client can be: the peer or an address from the text; a host that is
   one. */
static void check_client(const struct client *client)
{
    struct origin parsed;
    REQUIRE(client->address.ss_family == AF_INET || client->address.ss_family == AF_INET6,
            "family %d", client->address.ss_family);
    REQUIRE(origin_parse_host(slice_of(client->host), &parsed), "%s", client->host);
}

START_TEST(a_client_is_told_from_any_headers)
{
    static const char *const names[] = {"X-Forwarded-For", "X-Forwarded-Host", "Forwarded"};
    uint32_t state = 20140630;
    struct network trusted[NETWORKS_MAX];
    char why[256];
    const struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {htonl(0x7F000001)}};
    int moved = 0;
    int named = 0;
    ck_assert_int_eq(networks_parse("127.0.0.1, 10.0.0.0/8, fd00::/8", trusted, why, sizeof why),
                     3);
    for (int round = 0; round < ROUNDS; round++) {
        struct header headers[4] = {{"Host", "own.example"}};
        size_t count = 1 + next_random(&state) % 4;
        const char *name = names[next_random(&state) % COUNT(names)];
        for (size_t i = 1; i < count; i++)
            headers[i] = (struct header){
                next_random(&state) % 4 != 0 ? name : names[next_random(&state) % COUNT(names)],
                MAKE(hop_pieces, &state)};
        struct client client;
        forwarded_read((const struct sockaddr *)&peer, headers, count, trusted, 3, &client);
        check_client(&client);
        moved += memcmp(&client.address, &peer, sizeof peer) != 0;
        named += strcmp(client.host, "own.example") != 0;
        for (size_t i = 1; i < count; i++)
            free((char *)(uintptr_t)headers[i].value);
    }
    ck_assert_int_gt(moved, ROUNDS / 100);
    ck_assert_int_gt(named, ROUNDS / 100);
}
END_TEST

START_TEST(a_subprotocol_is_one_of_the_routes_or_none_or_refused)
{
    static const char supported[] = "chat, v1.json, a";
    uint32_t state = 20111209;
    int spoken = 0;
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const struct header headers[] = {{"Sec-WebSocket-Protocol", MAKE(list_pieces, &state)},
                                         {"Sec-WebSocket-Protocol", MAKE(list_pieces, &state)}};
        const struct handshake_request request = {"GET", "1.1", headers,
                                                  1 + next_random(&state) % 2};
        char name[TOKEN_SIZE];
        const char *why = NULL;
        int status = handshake_subprotocol(&request, supported, name, &why);
        REQUIRE(status == (why == NULL ? 101 : 400), "%d, %s", status, why);
        if (status == 101) {
            REQUIRE(name[0] == '\0' || tokens_hold(supported, slice_of(name)), "%s", name);
            spoken += name[0] != '\0';
        } else {
            refused++;
        }
        for (size_t i = 0; i < COUNT(headers); i++)
            free((char *)(uintptr_t)headers[i].value);
    }
    ck_assert_int_gt(spoken, ROUNDS / 100);
    ck_assert_int_gt(refused, ROUNDS / 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("door_random");
    TCase *tests = tcase_create("door_random");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, a_page_is_let_in_when_the_list_names_it_and_never_else);
    tcase_add_test(tests, a_page_at_its_own_host_has_the_same_text_there);
    tcase_add_test(tests, a_list_is_taken_or_refused_with_a_reason);
    tcase_add_test(tests, a_client_is_told_from_any_headers);
    tcase_add_test(tests, a_subprotocol_is_one_of_the_routes_or_none_or_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
