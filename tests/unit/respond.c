/* The respond handler through its functions; what it answers is caught. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/answer.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char plain[] = "text/plain; charset=utf-8";

/* The values as the configuration hands them over; what is NULL or 0 has its default. */
struct given {
    int64_t status;
    const char *type;
    const char *body;
    const char *file;
    const char *header;
};

static int start(const struct given *given, void **state, char *error, size_t size)
{
    const struct option_value values[] = {
        {.number = given->status == 0 ? 200 : given->status},
        {.text = given->type == NULL ? plain : given->type},
        {.text = given->body == NULL ? "" : given->body},
        {.text = given->file == NULL ? "" : given->file},
        {.text = given->header == NULL ? "" : given->header},
    };
    return handler_respond.start(values, state, error, size);
}

/* Starts it, asks once, and ends it. */
static void respond(const struct given *given)
{
    const struct http_request request = {.method = "POST", .path = "/", .rest = ""};
    char error[256] = "";
    void *state = NULL;

    ck_assert_msg(start(given, &state, error, sizeof error) == 0, "%s", error);
    ask(&handler_respond, state, &request);
    handler_respond.stop(state);
}

static void check_refused(const struct given *given, const char *expected)
{
    char error[256] = "";
    void *state = NULL;

    ck_assert_int_eq(start(given, &state, error, sizeof error), -1);
    ck_assert_str_eq(error, expected);
}

/* A file of `length` bytes, all of them different from their neighbours. */
static const char *file_of(size_t length)
{
    static char path[] = "/tmp/lastcall-respond-XXXXXX";
    static int descriptor = -1;

    if (descriptor < 0)
        descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(ftruncate(descriptor, 0), 0);
    for (size_t i = 0; i < length; i++) {
        const char byte = (char)i;
        ck_assert_int_eq(pwrite(descriptor, &byte, 1, (off_t)i), 1);
    }
    return path;
}

START_TEST(without_options_it_is_an_empty_200)
{
    respond(&(struct given){0});
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.type, plain);
    ck_assert_str_eq(answer.headers, "");
    ck_assert_int_eq(answer.length, 0);
}
END_TEST

START_TEST(it_answers_with_what_is_configured)
{
    respond(&(struct given){.status = 503,
                            .type = "text/html",
                            .body = "<p>later",
                            .header = "Retry-After: 60|Cache-Control:no-store  |  X-A: b: c "});
    ck_assert_int_eq(answer.status, 503);
    ck_assert_str_eq(answer.type, "text/html");
    ck_assert_str_eq(answer.body, "<p>later");
    ck_assert_str_eq(answer.headers, "Retry-After: 60\r\nCache-Control: no-store\r\nX-A: b: c\r\n");
}
END_TEST

START_TEST(a_file_is_sent_as_it_was_at_the_start)
{
    const struct http_request request = {.method = "GET", .path = "/", .rest = ""};
    const char *path = file_of(1000);
    char error[256];
    void *state = NULL;

    ck_assert_int_eq(start(&(struct given){.file = path}, &state, error, sizeof error), 0);
    ck_assert_int_eq(unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        ask(&handler_respond, state, &request);
        ck_assert_int_eq(answer.length, 1000);
        for (size_t j = 0; j < 1000; j++)
            ck_assert(answer.body[j] == (char)j);
    }
    handler_respond.stop(state);
}
END_TEST

START_TEST(an_empty_file_is_an_empty_body)
{
    const char *path = file_of(0);

    respond(&(struct given){.file = path});
    ck_assert_int_eq(answer.length, 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_file_may_hold_1M_and_not_a_byte_more)
{
    const char *path = file_of(1);
    char error[256] = "";
    void *state = NULL;

    ck_assert_int_eq(truncate(path, 1 << 20), 0);
    respond(&(struct given){.file = path});
    ck_assert_int_eq(answer.length, 1 << 20);
    ck_assert_int_eq(truncate(path, (1 << 20) + 1), 0);
    ck_assert_int_eq(start(&(struct given){.file = path}, &state, error, sizeof error), -1);
    ck_assert_ptr_nonnull(strstr(error, path));
    ck_assert_ptr_nonnull(strstr(error, "is larger than 1048576 bytes"));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

static const int bodiless[] = {204, 205, 304};

START_TEST(an_answer_that_has_no_body_has_no_type_either)
{
    respond(&(struct given){.status = bodiless[_i], .header = "ETag: \"a\""});
    ck_assert_int_eq(answer.status, bodiless[_i]);
    ck_assert_str_eq(answer.type, "");
    ck_assert_str_eq(answer.headers, "ETag: \"a\"\r\n");
    ck_assert_int_eq(answer.length, 0);
}
END_TEST

START_TEST(a_body_where_none_can_be_is_a_mistake)
{
    const char *path = file_of(0);
    char expected[256];

    snprintf(expected, sizeof expected,
             "status = %d: such an answer has no body; leave body and file out, or write another "
             "status",
             bodiless[_i]);
    check_refused(&(struct given){.status = bodiless[_i], .body = "x"}, expected);
    check_refused(&(struct given){.status = bodiless[_i], .file = path}, expected);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

#define NO_HEADER                                                                                  \
    "no header: write Name: value, without a blank before the colon, and | between two"
#define ASCII_ONLY "only the letters, digits and marks of ASCII can stand in a header"
#define NO_TYPE                                                                                    \
    "no media type: write TYPE/SUBTYPE, and parameters behind a semicolon, as in "                 \
    "text/html; charset=utf-8"

static const struct {
    struct given given;
    const char *error;
} mistakes[] = {
    {{.body = "x", .file = "/x"}, "file = /x: body is given too; leave one of the two out"},
    {{.file = "/nowhere/at/all"}, "file = /nowhere/at/all: does not exist"},
    {{.file = "/tmp"}, "file = /tmp: is a directory, not a file"},
    {{.file = "/dev/zero"}, "file = /dev/zero: is a device, not a file"},

    {{.type = "html"}, "type = html: " NO_TYPE},
    {{.type = "/html"}, "type = /html: " NO_TYPE},
    {{.type = "text/"}, "type = text/: " NO_TYPE},
    {{.type = "text/html, text/plain"}, "type = text/html, text/plain: " NO_TYPE},
    {{.type = "text/html\r\nX: y"}, "type = text/html\\x0D\\x0AX: y: " ASCII_ONLY},
    {{.type = "text/html; a=\tb"}, "type = text/html; a=\\x09b: " ASCII_ONLY},
    {{.type = "text/html; a=\xC3\xBC"}, "type = text/html; a=\xC3\xBC: " ASCII_ONLY},

    {{.header = "X"}, "header = X: " NO_HEADER},
    {{.header = ": y"}, "header = : y: " NO_HEADER},
    {{.header = "X : y"}, "header = X : y: " NO_HEADER},
    {{.header = "X Y: z"}, "header = X Y: z: " NO_HEADER},
    {{.header = "X: y||Z: z"}, "header = X: y||Z: z: nothing is written on one side of a |"},
    {{.header = "|X: y"}, "header = |X: y: nothing is written on one side of a |"},
    {{.header = "X: y, Z\\: z | W"}, "header = W: " NO_HEADER},
    {{.header = "X: y|"}, "header = X: y|: nothing is written on one side of a |"},
    {{.header = "X:"}, "header = X:: nothing is written behind the colon"},
    {{.header = "X:  | Y: y"}, "header = X:: nothing is written behind the colon"},
    {{.header = "X: a\r\nY: b"}, "header = X: a\\x0D\\x0AY: b: " ASCII_ONLY},
    {{.header = "X: a\tb"}, "header = X: a\\x09b: " ASCII_ONLY},
    {{.header = "X: \x7F"}, "header = X: \\x7F: " ASCII_ONLY},
    {{.header = "X: \xC3\xBC"}, "header = X: \xC3\xBC: " ASCII_ONLY},
    {{.header = "content-type: a/b"}, "header = content-type: write the key type instead"},
    {{.header = "A: b | Content-Length: 5"}, "header = Content-Length: the server sets it"},
    {{.header = "TRANSFER-ENCODING: chunked"}, "header = TRANSFER-ENCODING: the server sets it"},
    {{.header = "Connection: keep-alive"}, "header = Connection: the server sets it"},
    {{.header = "Date: today"}, "header = Date: the server sets it"},
};

START_TEST(a_mistake_is_named_with_what_is_allowed)
{
    check_refused(&mistakes[_i].given, mistakes[_i].error);
}
END_TEST

START_TEST(names_that_only_begin_like_taken_ones_are_free)
{
    respond(&(struct given){.header = "Content-Type-Options: x|Dat: y|Date2: z"});
    ck_assert_str_eq(answer.headers, "Content-Type-Options: x\r\nDat: y\r\nDate2: z\r\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("respond");
    TCase *tests = tcase_create("respond");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, without_options_it_is_an_empty_200);
    tcase_add_test(tests, it_answers_with_what_is_configured);
    tcase_add_test(tests, a_file_is_sent_as_it_was_at_the_start);
    tcase_add_test(tests, an_empty_file_is_an_empty_body);
    tcase_add_test(tests, a_file_may_hold_1M_and_not_a_byte_more);
    tcase_add_loop_test(tests, an_answer_that_has_no_body_has_no_type_either, 0, COUNT(bodiless));
    tcase_add_loop_test(tests, a_body_where_none_can_be_is_a_mistake, 0, COUNT(bodiless));
    tcase_add_loop_test(tests, a_mistake_is_named_with_what_is_allowed, 0, COUNT(mistakes));
    tcase_add_test(tests, names_that_only_begin_like_taken_ones_are_free);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
