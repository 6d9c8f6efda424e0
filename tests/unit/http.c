#include "server/http.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
    const char *raw;
    const char *path;
} good[] = {
    {"/", "/"},
    {"/a", "/a"},
    {"/a/", "/a/"},
    {"/a/b", "/a/b"},
    {"//", "/"},
    {"///", "/"},
    {"//a", "/a"},
    {"/a//b", "/a/b"},
    {"/a/b//", "/a/b/"},
    {"/.", "/"},
    {"/./", "/"},
    {"/./a", "/a"},
    {"/a/.", "/a/"},
    {"/a/./b", "/a/b"},
    {"/a/..", "/"},
    {"/a/../", "/"},
    {"/a/../b", "/b"},
    {"/a/b/..", "/a/"},
    {"/a/b/../..", "/"},
    {"/a/b/../../c", "/c"},
    {"/a//../b", "/b"},
    {"/...", "/..."},
    {"/.a", "/.a"},
    {"/..a", "/..a"},
    {"/a..", "/a.."},
    {"/a.", "/a."},
    {"/%41%6a%6A", "/Ajj"},
    {"/a%20b.txt", "/a b.txt"},
    {"/a+b", "/a+b"},
    {"/a%2Fb", "/a/b"},
    {"/a/%2e/b", "/a/b"},
    {"/a/%2E%2e/b", "/b"},
    {"/a%2f%2e%2e%2fb", "/b"},
    {"/%252e%252e", "/%2e%2e"},
    {"/%c3%a9", "/\303\251"},
    {"/%01", "/\001"},
};

START_TEST(a_path_is_decoded_and_its_dot_segments_and_empty_ones_are_removed)
{
    char path[64];
    ck_assert_int_eq(http_clean_path(good[_i].raw, path, sizeof path), 0);
    ck_assert_str_eq(path, good[_i].path);
}
END_TEST

static const char *const bad[] = {
    "",          "a",        "a/b",          "*",    "%2f",       "http://h/", "/..",
    "/../a",     "/a/../..", "/./..",        "//..", "/%2e%2e",   "/%2e./a",   "/.%2e",
    "/a/../../", "/..%2fa",  "/a%2f..%2f..", "/%",   "/a%",       "/%4",       "/%zz",
    "/%4g",      "/%g4",     "/%-1",         "/%00", "/a%00.txt", "/% 1",      "/%%41",
};

START_TEST(what_is_no_path_or_leads_above_the_root_is_refused)
{
    char path[64];
    ck_assert_int_eq(http_clean_path(bad[_i], path, sizeof path), -1);
}
END_TEST

/* The block has just the size that is told, so that a sanitizer sees a byte too many. */
START_TEST(a_path_may_be_as_long_as_its_room_and_no_longer)
{
    enum { SIZE = 16 };
    char *path = malloc(SIZE);
    ck_assert_ptr_nonnull(path);
    ck_assert_int_eq(http_clean_path("/23456789012345", path, SIZE), 0);
    ck_assert_str_eq(path, "/23456789012345");
    ck_assert_int_eq(http_clean_path("/234567890123456", path, SIZE), -1);
    ck_assert_int_eq(http_clean_path("/23456789012%3345", path, SIZE), 0);
    ck_assert_str_eq(path, "/23456789012345");
    ck_assert_int_eq(http_clean_path("/23456789012%33456", path, SIZE), -1);
    free(path);
}
END_TEST

static const struct {
    const char *version;
    struct header headers[3];
    int status;
} hosts[] = {
    {"1.1", {{"Host", "example.com"}}, 0},
    {"1.1", {{"A", "b"}, {"hOST", "example.com:8080"}}, 0},
    {"1.1", {{"Host", "[2001:db8::1]:80"}}, 0},
    {"1.1", {{"Host", "my_service"}}, 0},
    {"1.1", {{"Host", ""}}, 0},
    {"1.1", {{"Host", " example.com\t"}}, 0},
    {"1.1", {{0}}, 400},
    {"1.1", {{"Hosts", "example.com"}}, 400},
    {"1.1", {{"X-Forwarded-Host", "example.com"}}, 400},
    {"1.1", {{"Host", "one"}, {"Host", "two"}}, 400},
    {"1.1", {{"Host", "one"}, {"host", "one"}}, 400},
    {"1.1", {{"Host", "one"}, {"A", "b"}, {"HOST", ""}}, 400},
    {"1.1", {{"Host", "example.com, evil.com"}}, 400},
    {"1.1", {{"Host", "http://example.com"}}, 400},
    {"1.1", {{"Host", "user@example.com"}}, 400},
    {"1.0", {{0}}, 0},
    {"1.0", {{"Host", "example.com"}}, 0},
    {"1.0", {{"Host", "one"}, {"Host", "one"}}, 400},
    {"1.0", {{"Host", "example.com/"}}, 400},
};

START_TEST(a_request_of_http_1_1_has_one_host_and_no_other_has_two)
{
    const char *why = NULL;
    size_t count = 0;
    while (count < COUNT(hosts[_i].headers) && hosts[_i].headers[count].name != NULL)
        count++;
    int status = http_check_host(hosts[_i].headers, count, hosts[_i].version, &why);
    ck_assert_int_eq(status, hosts[_i].status);
    ck_assert_int_eq(why != NULL, status != 0);
}
END_TEST

START_TEST(a_host_holds_nothing_that_ends_one_in_a_url_or_a_list)
{
    for (int byte = 1; byte < 256; byte++) {
        const char value[] = {'a', (char)byte, 'b', '\0'};
        const struct header header = {"Host", value};
        const char *why = NULL;
        bool wrong = byte <= ' ' || byte == 127 || strchr("/?#@\\,\"<>", byte) != NULL;
        ck_assert_int_eq(http_check_host(&header, 1, "1.1", &why), wrong ? 400 : 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tests = tcase_create("http");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_path_is_decoded_and_its_dot_segments_and_empty_ones_are_removed, 0,
                        COUNT(good));
    tcase_add_loop_test(tests, what_is_no_path_or_leads_above_the_root_is_refused, 0, COUNT(bad));
    tcase_add_test(tests, a_path_may_be_as_long_as_its_room_and_no_longer);
    tcase_add_loop_test(tests, a_request_of_http_1_1_has_one_host_and_no_other_has_two, 0,
                        COUNT(hosts));
    tcase_add_test(tests, a_host_holds_nothing_that_ends_one_in_a_url_or_a_list);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
