/* Which subprotocol is spoken, and how the 101 says it. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "server/handshake.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
    const char *supported;
    const char *wanted[3]; /* the values of as many headers */
    const char *answer;    /* "" none in common; NULL: refused */
} subprotocols[] = {
    {"chat", {NULL}, ""},
    {NULL, {NULL}, ""},
    {NULL, {"chat"}, ""},
    {"", {"chat"}, ""},
    {"chat", {"chat"}, "chat"},
    {"chat, superchat", {"superchat, chat"}, "superchat"},
    {"superchat,chat", {"soap,\tchat ,superchat"}, "chat"},
    {"chat", {"soap", "wamp", "chat"}, "chat"},
    {"b, a", {"x, a", "b"}, "a"},
    {"chat", {"Chat"}, ""},
    {"chat", {"chats, cha, hat"}, ""},
    {"chat, v1.json", {"v1.json"}, "v1.json"},
    {"!#$%&'*+-.^_`|~", {"!#$%&'*+-.^_`|~"}, "!#$%&'*+-.^_`|~"},
    {"chat", {", ,chat,,"}, "chat"},
    {"chat", {""}, NULL},
    {"chat", {" , "}, NULL},
    {"chat", {"chat", ""}, NULL},
    {"chat", {"chat, chat"}, NULL},
    {"chat", {"chat", "soap", "chat"}, NULL},
    {"", {"soap, soap"}, NULL},
    {"chat", {"chat soap"}, NULL},
    {"chat", {"chat;q=1"}, NULL},
    {"chat", {"\"chat\""}, NULL},
    {"chat", {"chat, so/ap"}, NULL},
    {"chat", {"chat, \xC3\xA4"}, NULL},
    {"chat", {"chat, so\x01p"}, NULL},
    {NULL, {"so@p"}, NULL},
};

START_TEST(the_first_subprotocol_of_the_client_that_the_route_has_is_spoken)
{
    struct header headers[4] = {{"Host", "chat"}};
    size_t count = 1;
    for (size_t i = 0; i < 3 && subprotocols[_i].wanted[i] != NULL; i++)
        headers[count++] = (struct header){"sec-websocket-PROTOCOL", subprotocols[_i].wanted[i]};
    const struct handshake_request request = {"GET", "1.1", headers, count};
    const char *why = NULL;
    char name[TOKEN_SIZE] = "#";
    int status = handshake_subprotocol(&request, subprotocols[_i].supported, name, &why);
    ck_assert_int_eq(status, subprotocols[_i].answer != NULL ? 101 : 400);
    if (status == 101)
        ck_assert_str_eq(name, subprotocols[_i].answer);
    else
        ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(a_client_may_ask_for_as_many_subprotocols_as_the_bound_and_no_more)
{
    char list[2000];
    char name[TOKEN_SIZE];
    const struct header header = {"Sec-WebSocket-Protocol", list};
    const struct handshake_request request = {"GET", "1.1", &header, 1};
    const char *why = NULL;
    size_t used = 0;
    for (int i = 1; i <= HANDSHAKE_SUBPROTOCOLS_MAX + 1; i++) {
        used += (size_t)snprintf(list + used, sizeof list - used, "%sv%d", i > 1 ? "," : "", i);
        int status = handshake_subprotocol(&request, "v64", name, &why);
        ck_assert_int_eq(status, i > HANDSHAKE_SUBPROTOCOLS_MAX ? 400 : 101);
        if (status == 101)
            ck_assert_str_eq(name, i == 64 ? "v64" : "");
    }
}
END_TEST

START_TEST(a_subprotocol_of_any_length_is_compared_whole)
{
    char longest[TOKEN_SIZE] = "";
    char longer[2 * TOKEN_SIZE] = "";
    char name[TOKEN_SIZE];
    const struct header headers[] = {{"Sec-WebSocket-Protocol", longer},
                                     {"Sec-WebSocket-Protocol", longest}};
    const struct handshake_request request = {"GET", "1.1", headers, 2};
    const char *why = NULL;
    memset(longest, 'p', sizeof longest - 1);
    memset(longer, 'p', sizeof longer - 1);
    ck_assert_int_eq(handshake_subprotocol(&request, longest, name, &why), 101);
    ck_assert_str_eq(name, longest);
    ck_assert_int_eq(handshake_subprotocol(&request, "p", name, &why), 101);
    ck_assert_str_eq(name, "");
}
END_TEST

START_TEST(the_101_response_names_the_subprotocol_and_fits_with_the_longest)
{
    char longest[TOKEN_SIZE] = "";
    char buffer[HANDSHAKE_RESPONSE_SIZE];
    char expected[HANDSHAKE_RESPONSE_SIZE + 100];
    memset(longest, 'p', sizeof longest - 1);
    size_t length =
        handshake_response(buffer, sizeof buffer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", longest, "");
    snprintf(expected, sizeof expected,
             "HTTP/1.1 101 Switching Protocols\r\n"
             "Upgrade: websocket\r\n"
             "Connection: Upgrade\r\n"
             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
             "Sec-WebSocket-Protocol: %s\r\n"
             "\r\n",
             longest);
    ck_assert_str_eq(buffer, expected);
    ck_assert_uint_eq(length, strlen(expected));
    handshake_response(buffer, sizeof buffer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", "");
    ck_assert_ptr_null(strstr(buffer, "Protocol:"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("subprotocol");
    TCase *tests = tcase_create("subprotocol");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, the_first_subprotocol_of_the_client_that_the_route_has_is_spoken, 0,
                        COUNT(subprotocols));
    tcase_add_test(tests, a_client_may_ask_for_as_many_subprotocols_as_the_bound_and_no_more);
    tcase_add_test(tests, a_subprotocol_of_any_length_is_compared_whole);
    tcase_add_test(tests, the_101_response_names_the_subprotocol_and_fits_with_the_longest);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
