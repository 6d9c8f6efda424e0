#include "server/extension.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define NONE "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* What is offered, and what becomes of it: bits 0 is nothing, -1 a refusal. */
static const struct {
    const char *offer;
    int bits;
    const char *answer;
} rows[] = {
    {"permessage-deflate", 15, NONE},
    {"permessage-deflate; client_max_window_bits", 15, NONE},
    {"permessage-deflate;client_max_window_bits=10", 15, NONE},
    {"permessage-deflate; client_max_window_bits=8", 15, NONE},
    {"permessage-deflate; client_max_window_bits=\"15\"", 15, NONE},
    {"permessage-deflate; server_no_context_takeover", 15, NONE},
    {"permessage-deflate; client_no_context_takeover", 15, NONE},
    {"permessage-deflate; client_no_context_takeover; server_no_context_takeover", 15, NONE},
    {"permessage-deflate; server_max_window_bits=9", 9, NONE "; server_max_window_bits=9"},
    {"permessage-deflate; server_max_window_bits=15", 15, NONE "; server_max_window_bits=15"},
    {"permessage-deflate; server_max_window_bits=\"12\"", 12, NONE "; server_max_window_bits=12"},
    {" permessage-deflate ;\tserver_max_window_bits = 10 ", 10, NONE "; server_max_window_bits=10"},
    {"x-other, permessage-deflate", 15, NONE},
    {"x-other; a=b; c; d=\"e\", permessage-deflate", 15, NONE},
    {",, permessage-deflate ,,", 15, NONE},
    /* the first that can be met */
    {"permessage-deflate; server_max_window_bits=8, permessage-deflate", 15, NONE},
    {"permessage-deflate; surprise, permessage-deflate; server_max_window_bits=11", 11,
     NONE "; server_max_window_bits=11"},
    {"permessage-deflate; server_max_window_bits=10, permessage-deflate", 10,
     NONE "; server_max_window_bits=10"},
    /* what cannot be met is passed over */
    {"", 0, ""},
    {",", 0, ""},
    {"x-other", 0, ""},
    {"permessage-deflated", 0, ""},
    {"x-permessage-deflate", 0, ""},
    {"permessage-deflate; server_max_window_bits=8", 0, ""},
    {"permessage-deflate; server_max_window_bits=7", 0, ""},
    {"permessage-deflate; server_max_window_bits=16", 0, ""},
    {"permessage-deflate; server_max_window_bits=015", 0, ""},
    {"permessage-deflate; server_max_window_bits=1x", 0, ""},
    {"permessage-deflate; server_max_window_bits=150", 0, ""},
    {"permessage-deflate; server_max_window_bits", 0, ""},
    {"permessage-deflate; client_max_window_bits=16", 0, ""},
    {"permessage-deflate; client_max_window_bits=0", 0, ""},
    {"permessage-deflate; server_no_context_takeover=1", 0, ""},
    {"permessage-deflate; client_no_context_takeover=\"\x31\"", 0, ""},
    {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", 0, ""},
    {"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", 0, ""},
    {"permessage-deflate; client_max_window_bits; client_max_window_bits", 0, ""},
    {"permessage-deflate; Server_No_Context_Takeover", 0, ""},
    {"permessage-deflate; x", 0, ""},
    /* no list of extensions */
    {"permessage-deflate;", -1, NULL},
    {"permessage-deflate; ;", -1, NULL},
    {"permessage-deflate; =9", -1, NULL},
    {"permessage-deflate; server_max_window_bits=", -1, NULL},
    {"permessage-deflate; server_max_window_bits=\"", -1, NULL},
    {"permessage-deflate; server_max_window_bits=\"9", -1, NULL},
    {"permessage-deflate; server_max_window_bits=\"\"", -1, NULL},
    {"permessage-deflate; server_max_window_bits=\"9 \"", -1, NULL},
    {"permessage-deflate; server_max_window_bits=9=9", -1, NULL},
    {"permessage-deflate server_no_context_takeover", -1, NULL},
    {"permessage deflate", -1, NULL},
    {";", -1, NULL},
    {"=", -1, NULL},
    {"permessage-deflate, \"x\"", -1, NULL},
    {"permessage-deflate, x/y", -1, NULL},
};

START_TEST(an_offer_is_met_passed_over_or_refused)
{
    const struct header header = {.name = "sec-websocket-extensions", .value = rows[_i].offer};
    char answer[EXTENSION_SIZE];
    const char *why = NULL;
    int bits = 99;
    int status = extension_negotiate(&header, 1, &bits, answer, &why);
    ck_assert_int_eq(status, rows[_i].bits < 0 ? 400 : 101);
    ck_assert_int_eq(why != NULL, status == 400);
    if (status == 400)
        return;
    ck_assert_int_eq(bits, rows[_i].bits);
    ck_assert_str_eq(answer, rows[_i].answer);
}
END_TEST

START_TEST(several_header_lines_are_one_list)
{
    const struct header headers[] = {
        {.name = "Host", .value = "permessage-deflate"},
        {.name = "Sec-WebSocket-Extensions", .value = "x-other; a"},
        {.name = "Sec-WebSocket-Extensions",
         .value = "permessage-deflate; server_max_window_bits=9"},
        {.name = "Sec-WebSocket-Extensions", .value = "permessage-deflate"},
    };
    char answer[EXTENSION_SIZE];
    const char *why = NULL;
    int bits;
    ck_assert_int_eq(extension_negotiate(headers, 1, &bits, answer, &why), 101);
    ck_assert_int_eq(bits, 0);
    ck_assert_int_eq(extension_negotiate(headers, COUNT(headers), &bits, answer, &why), 101);
    ck_assert_int_eq(bits, 9);
}
END_TEST

START_TEST(no_text_makes_it_read_or_write_beyond_its_room)
{
    static const char *const pieces[] = {
        "permessage-deflate",
        ";",
        ",",
        "=",
        "\"",
        " ",
        "\t",
        "9",
        "15",
        "server_max_window_bits",
        "client_max_window_bits",
        "server_no_context_takeover",
        "x",
        "\\",
        "\x80",
        "8",
    };
    uint64_t state = 1;
    for (int i = 0; i < 200000; i++) {
        char text[512] = "";
        size_t length = 0;
        for (size_t count = random_below(&state, 12); count > 0; count--)
            length +=
                (size_t)sprintf(text + length, "%s", pieces[random_below(&state, COUNT(pieces))]);
        char *exact = strdup(text); /* so that a sanitizer sees its end */
        const struct header header = {.name = "Sec-WebSocket-Extensions", .value = exact};
        char answer[EXTENSION_SIZE];
        const char *why = NULL;
        int bits = -1;
        int status = extension_negotiate(&header, 1, &bits, answer, &why);
        ck_assert((status == 101 && bits >= 0 && bits <= 15) || (status == 400 && why != NULL));
        free(exact);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("extension");
    TCase *tests = tcase_create("extension");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, an_offer_is_met_passed_over_or_refused, 0, COUNT(rows));
    tcase_add_test(tests, several_header_lines_are_one_list);
    tcase_add_test(tests, no_text_makes_it_read_or_write_beyond_its_room);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
