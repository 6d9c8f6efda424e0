#include "server/handshake.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define THEN 784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */

/* A good request, from which each row takes one header away, or to which it adds two. */
static const struct header good[] = {
    {"Host", "example.com"},    {"Upgrade", "websocket"},        {"Connection", "Upgrade"},
    {"Sec-WebSocket-Key", KEY}, {"Sec-WebSocket-Version", "13"}, {"Origin", "http://example.com"},
};

static const struct {
    int status;
    const char *without;
    struct header with[2];
    const char *method;
    const char *version;
} requests[] = {
    {101, "", {{0}}, "GET", "1.1"},
    {101, "Origin", {{0}}, "GET", "1.1"},
    {101, "", {{0}}, "GET", "1.2"},
    {101, "", {{0}}, "GET", "1.9"},
    {101, "", {{0}}, "GET", "2.0"},
    {101, "", {{0}}, "GET", "9.0"},
    {405, "", {{0}}, "POST", "1.1"},
    {405, "", {{0}}, "HEAD", "1.1"},
    {405, "", {{0}}, "get", "1.1"},
    {405, "", {{0}}, "GETS", "1.1"},
    {505, "", {{0}}, "GET", "1.0"},
    {505, "", {{0}}, "GET", "0.9"},
    {505, "", {{0}}, "GET", ""},
    {505, "", {{0}}, "GET", "1"},
    {505, "", {{0}}, "GET", "2"},
    {505, "", {{0}}, "GET", "11"},
    {505, "", {{0}}, "GET", "1.x"},
    {505, "", {{0}}, "GET", "one"},
    {505, "", {{0}}, "GET", ":.1"},
    {505, "", {{0}}, "GET", NULL},
    {400, "Host", {{0}}, "GET", "1.1"},
    {400, "Host", {{"Host", ""}}, "GET", "1.1"},
    {400, "Host", {{"Host", " \t"}}, "GET", "1.1"},
    {400, "", {{"host", "example.com"}}, "GET", "1.1"},
    {101, "Host", {{"hOST", "[::1]:80"}}, "GET", "1.1"},
    {426, "Upgrade", {{0}}, "GET", "1.1"},
    {426, "Upgrade", {{"Upgrade", "h2c"}}, "GET", "1.1"},
    {426, "Upgrade", {{"Upgrade", ""}}, "GET", "1.1"},
    {426, "Upgrade", {{"Upgrade", "websockets"}}, "GET", "1.1"},
    {426, "Upgrade", {{"Upgrade", "web socket"}}, "GET", "1.1"},
    {426, "Upgrade", {{"Upgrade", "xwebsocket"}}, "GET", "1.1"},
    {101, "Upgrade", {{"UPGRADE", "WebSocket"}}, "GET", "1.1"},
    {101, "Upgrade", {{"Upgrade", "h2c,websocket"}}, "GET", "1.1"},
    {101, "Upgrade", {{"Upgrade", "h2c"}, {"Upgrade", "\t websocket \t"}}, "GET", "1.1"},
    {400, "Connection", {{0}}, "GET", "1.1"},
    {400, "Connection", {{"Connection", "notupgrade"}}, "GET", "1.1"},
    {400, "Connection", {{"Connection", "upgrade-not, keep-alive"}}, "GET", "1.1"},
    {400, "Connection", {{"Connection", "keep-alive"}}, "GET", "1.1"},
    {400, "Connection", {{"Connection", ""}, {"Connection", ","}}, "GET", "1.1"},
    {101, "Connection", {{"Connection", "keep-alive, Upgrade"}}, "GET", "1.1"},
    {101, "Connection", {{"Connection", ",, upgrade ,"}}, "GET", "1.1"},
    {101, "Connection", {{"Connection", "keep-alive"}, {"connection", "UPGRADE"}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{0}}, "GET", "1.1"},
    {400, "", {{"Sec-WebSocket-Key", KEY}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", ""}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ"}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ="}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTE="}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTEy"}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q=="}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "dGhlIHNhbXBs=SBub25jZQ=="}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", KEY KEY}}, "GET", "1.1"},
    {400, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", KEY ", " KEY}}, "GET", "1.1"},
    {101, "Sec-WebSocket-Key", {{"sec-websocket-key", " " KEY "\t"}}, "GET", "1.1"},
    {101, "Sec-WebSocket-Key", {{"Sec-WebSocket-Key", "+/+/AZaz09+/+/AZaz09+A=="}}, "GET", "1.1"},
    {426, "Sec-WebSocket-Version", {{0}}, "GET", "1.1"},
    {426, "Sec-WebSocket-Version", {{"Sec-WebSocket-Version", "8"}}, "GET", "1.1"},
    {426, "Sec-WebSocket-Version", {{"Sec-WebSocket-Version", "130"}}, "GET", "1.1"},
    {426, "Sec-WebSocket-Version", {{"Sec-WebSocket-Version", "13, 8"}}, "GET", "1.1"},
    {426, "Sec-WebSocket-Version", {{"Sec-WebSocket-Version", ""}}, "GET", "1.1"},
    {400, "", {{"Sec-WebSocket-Version", "13"}}, "GET", "1.1"},
    {400, "", {{"Content-Length", "1"}}, "GET", "1.1"},
    {400, "", {{"Content-Length", "00x"}}, "GET", "1.1"},
    {400, "", {{"Content-Length", ""}}, "GET", "1.1"},
    {400, "", {{"Content-Length", "0"}, {"content-length", "5"}}, "GET", "1.1"},
    {400, "", {{"Transfer-Encoding", "chunked"}}, "GET", "1.1"},
    {400, "", {{"transfer-encoding", "identity"}}, "GET", "1.1"},
    {101, "", {{"Content-Length", " 0"}}, "GET", "1.1"},
};

static size_t make_headers(struct header headers[8], const char *without, const struct header *with)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT(good); i++)
        if (strcmp(good[i].name, without) != 0)
            headers[count++] = good[i];
    for (size_t i = 0; i < 2 && with[i].name != NULL; i++)
        headers[count++] = with[i];
    return count;
}

START_TEST(a_request_is_taken_or_refused_with_the_right_status_and_a_reason)
{
    struct header headers[8];
    size_t count = make_headers(headers, requests[_i].without, requests[_i].with);
    struct handshake_request request = {requests[_i].method, requests[_i].version, headers, count};
    const char *key = NULL;
    const char *why = NULL;
    ck_assert_int_eq(handshake_check(&request, &key, &why), requests[_i].status);
    ck_assert_int_eq(key != NULL, requests[_i].status == 101);
    ck_assert_int_eq(why != NULL, requests[_i].status != 101);
}
END_TEST

START_TEST(the_order_of_the_headers_does_not_matter)
{
    struct header headers[8];
    struct header turned[8];
    size_t count = make_headers(headers, requests[_i].without, requests[_i].with);
    for (size_t i = 0; i < count; i++)
        turned[i] = headers[count - 1 - i];
    struct handshake_request request = {requests[_i].method, requests[_i].version, turned, count};
    const char *key = NULL;
    const char *why = NULL;
    ck_assert_int_eq(handshake_check(&request, &key, &why), requests[_i].status);
}
END_TEST

START_TEST(an_upgrade_is_wanted_when_the_token_websocket_is_there)
{
    static const struct {
        const char *value;
        bool wanted;
    } rows[] = {
        {"websocket", true}, {"WEBSOCKET", true},   {"h2c , websocket", true}, {"h2c", false},
        {"", false},         {"websocket2", false}, {"websocket/13", false},   {",", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct header headers[] = {{"Host", "websocket"}, {"upgrade", rows[i].value}};
        const struct handshake_request request = {"POST", "1.0", headers, COUNT(headers)};
        ck_assert_int_eq(handshake_wanted(&request), rows[i].wanted);
    }
    const struct handshake_request none = {"GET", "1.1", NULL, 0};
    ck_assert(!handshake_wanted(&none));
}
END_TEST

START_TEST(a_header_is_found_by_its_name_in_any_case_and_the_first_counts)
{
    static const struct header headers[] = {{"A", "1"}, {"Ab", "2"}, {"AB", "3"}};
    ck_assert_str_eq(header_find(headers, COUNT(headers), "aB"), "2");
    ck_assert_str_eq(header_find(headers, COUNT(headers), "a"), "1");
    ck_assert_ptr_null(header_find(headers, COUNT(headers), "b"));
    ck_assert_ptr_null(header_find(headers, COUNT(headers), "Abc"));
    ck_assert_ptr_null(header_find(NULL, 0, "a"));
}
END_TEST

START_TEST(the_sample_key_of_section_1_3_gives_its_accept)
{
    char accept[HANDSHAKE_ACCEPT_SIZE];
    memset(accept, 'x', sizeof accept);
    ck_assert_int_eq(handshake_accept(KEY, accept), 0);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(the_key_that_the_check_returns_may_be_followed_by_blanks)
{
    struct header headers[8];
    const struct header with[2] = {{"Sec-WebSocket-Key", "\t " KEY " \t"}};
    size_t count = make_headers(headers, "Sec-WebSocket-Key", with);
    const struct handshake_request request = {"GET", "1.1", headers, count};
    const char *key = NULL;
    const char *why = NULL;
    char accept[HANDSHAKE_ACCEPT_SIZE];
    ck_assert_int_eq(handshake_check(&request, &key, &why), 101);
    ck_assert_int_eq(handshake_accept(key, accept), 0);
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}
END_TEST

START_TEST(the_101_response_is_what_section_4_2_2_asks_for)
{
    static const char expected[] =
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "\r\n";
    char buffer[256];
    size_t length =
        handshake_response(buffer, sizeof buffer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", "");
    ck_assert_str_eq(buffer, expected);
    ck_assert_uint_eq(length, sizeof expected - 1);
}
END_TEST

START_TEST(a_refusal_carries_the_headers_that_its_status_asks_for)
{
    static const struct {
        int status;
        const char *first_line;
        const char *headers;
    } rows[] = {
        {400, "400 Bad Request", ""},
        {403, "403 Forbidden", ""},
        {404, "404 Not Found", ""},
        {405, "405 Method Not Allowed", "Allow: GET\r\n"},
        {426, "426 Upgrade Required",
         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"},
        {503, "503 Service Unavailable", "Retry-After: 1\r\n"},
        {505, "505 HTTP Version Not Supported", ""},
        {599, "599 Unknown", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char buffer[512];
        char expected[512];
        snprintf(expected, sizeof expected,
                 "HTTP/1.1 %s\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; "
                 "charset=utf-8\r\n"
                 "Content-Length: 14\r\nConnection: close\r\n%s\r\nnot this time\n",
                 rows[i].first_line, rows[i].headers);
        size_t length =
            handshake_refusal(buffer, sizeof buffer, rows[i].status, "not this time", THEN);
        ck_assert_str_eq(buffer, expected);
        ck_assert_uint_eq(length, strlen(expected));
    }
}
END_TEST

START_TEST(a_refusal_never_writes_beyond_its_buffer_and_its_length_is_true)
{
    char why[300] = {0};
    memset(why, 'w', sizeof why - 1);
    unsigned cut = 0;
    for (size_t size = 0; size <= 600; size++) {
        char *buffer = malloc(size + 1); /* one more, which must stay as it is */
        ck_assert_ptr_nonnull(buffer);
        memset(buffer, '#', size + 1);
        size_t length = handshake_refusal(buffer, size, 426, why, THEN);
        ck_assert_int_eq(buffer[size], '#');
        ck_assert_uint_le(length, size == 0 ? 0 : size - 1);
        ck_assert(size == 0 || buffer[length] == '\0');
        const char *body = size == 0 ? NULL : strstr(buffer, "\r\n\r\n");
        if (body != NULL && body[4] != '\0') {
            const char *claimed = strstr(buffer, "Content-Length: ") + strlen("Content-Length: ");
            ck_assert_uint_eq(strtoul(claimed, NULL, 10), strlen(body + 4));
            ck_assert_int_eq(buffer[length - 1], '\n');
            cut += strlen(body + 4) < sizeof why;
        }
        free(buffer);
    }
    ck_assert_uint_gt(cut, 0);
}
END_TEST

START_TEST(a_status_has_its_standard_phrase)
{
    ck_assert_str_eq(http_reason(100), "Continue");
    ck_assert_str_eq(http_reason(101), "Switching Protocols");
    ck_assert_str_eq(http_reason(200), "OK");
    ck_assert_str_eq(http_reason(304), "Not Modified");
    ck_assert_str_eq(http_reason(404), "Not Found");
    ck_assert_str_eq(http_reason(426), "Upgrade Required");
    ck_assert_str_eq(http_reason(511), "Network Authentication Required");
    ck_assert_str_eq(http_reason(0), "Unknown");
    ck_assert_str_eq(http_reason(299), "Unknown");
    ck_assert_str_eq(http_reason(-1), "Unknown");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handshake");
    TCase *tests = tcase_create("handshake");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_request_is_taken_or_refused_with_the_right_status_and_a_reason, 0,
                        COUNT(requests));
    tcase_add_loop_test(tests, the_order_of_the_headers_does_not_matter, 0, COUNT(requests));
    tcase_add_test(tests, an_upgrade_is_wanted_when_the_token_websocket_is_there);
    tcase_add_test(tests, a_header_is_found_by_its_name_in_any_case_and_the_first_counts);
    tcase_add_test(tests, the_sample_key_of_section_1_3_gives_its_accept);
    tcase_add_test(tests, the_key_that_the_check_returns_may_be_followed_by_blanks);
    tcase_add_test(tests, the_101_response_is_what_section_4_2_2_asks_for);
    tcase_add_test(tests, a_refusal_carries_the_headers_that_its_status_asks_for);
    tcase_add_test(tests, a_refusal_never_writes_beyond_its_buffer_and_its_length_is_true);
    tcase_add_test(tests, a_status_has_its_standard_phrase);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
