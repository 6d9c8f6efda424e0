/* The static handler: what the headers of a request change: tags, dates, ranges, caches. */
#include "tests/unit/static_support.h"

START_TEST(a_file_comes_with_all_that_caches_need)
{
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert(has("Last-Modified: " THEN));
    ck_assert(has("Cache-Control: no-cache"));
    ck_assert(has("Accept-Ranges: bytes"));
    ck_assert(has("X-Content-Type-Options: nosniff"));
    ck_assert_ptr_null(strstr(answer.headers, "Vary"));
    ck_assert_ptr_null(strstr(answer.headers, "Content-Encoding"));
    const char *tag = value_of("ETag");
    ck_assert_int_eq(tag[0], '"');
    ck_assert_int_eq(tag[strlen(tag) - 1], '"');
    ck_assert_uint_eq(strcspn(tag + 1, "\""), strlen(tag) - 2);
}
END_TEST

START_TEST(the_tag_changes_with_time_and_size_and_is_the_same_for_a_copy)
{
    const char *first = tag_of("/ten.txt");

    ck_assert_str_eq(tag_of("/ten.txt"), first);
    date_file("ten.txt", THEN_SECONDS, 1);
    ck_assert_str_ne(tag_of("/ten.txt"), first);
    date_file("ten.txt", THEN_SECONDS, 0);
    ck_assert_str_eq(tag_of("/ten.txt"), first);
    write_file(at("same"), "9876543210");
    date_file("same", THEN_SECONDS, 0);
    ck_assert_str_eq(tag_of("/same"), first); /* as on another server with the same files */
    write_file(at("ten.txt"), "01234567890");
    date_file("ten.txt", THEN_SECONDS, 0);
    ck_assert_str_ne(tag_of("/ten.txt"), first);
}
END_TEST

START_TEST(a_time_that_is_still_to_come_counts_as_now)
{
    char last[VALUE_SIZE];

    date_file("ten.txt", 4102444800, 0); /* 2100 */
    ask("GET", "/ten.txt");
    snprintf(last, sizeof last, "%s", value_of("Last-Modified"));
    ck_assert_uint_eq(strlen(last), strlen(THEN));
    ck_assert_ptr_null(strstr(last, "2100"));
    asked[0] = "If-Modified-Since";
    asked[1] = THEN;
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
}
END_TEST

/* Builds that are to be the same each time date all files alike: the next version has the time of
   this one, and maybe the size. */
START_TEST(a_time_that_many_builds_share_tells_nothing)
{
    static const struct {
        int64_t seconds;
        bool tells;
    } rows[] = {
        {-86400, false},    {0, false},         {1, false},
        {315532800, false}, {631151999, false}, {631152000, true}, /* 1990 */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        date_file("ten.txt", rows[i].seconds, 0);
        asked[0] = NULL;
        ask("GET", "/ten.txt");
        ck_assert_int_eq(answer.status, 200);
        ck_assert_int_eq(*value_of("ETag") != '\0', rows[i].tells);
        ck_assert_int_eq(*value_of("Last-Modified") != '\0', rows[i].tells);
        ck_assert(has("Cache-Control: no-cache"));
    }
}
END_TEST

START_TEST(a_file_without_tag_and_time_is_sent_whole_unless_a_star_is_asked_for)
{
    static const struct {
        const char *name;
        const char *value;
        int status;
    } rows[] = {
        {"If-None-Match", "\"0-0-a\"", 206},
        {"If-None-Match", "*", 304},
        {"If-Match", "\"0-0-a\"", 412},
        {"If-Match", "*", 206},
        {"If-Modified-Since", THEN, 206},
        {"If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 206},
        {"If-Range", "\"0-0-a\"", 200},
        {"If-Range", "Thu, 01 Jan 1970 00:00:00 GMT", 200},
    };
    date_file("ten.txt", 0, 0);
    asked[2] = "Range";
    asked[3] = "bytes=2-4";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        asked[0] = rows[i].name;
        asked[1] = rows[i].value;
        ask("GET", "/ten.txt");
        ck_assert_int_eq(answer.status, rows[i].status);
        ck_assert_str_eq(value_of("ETag"), "");
        ck_assert_str_eq(value_of("Last-Modified"), "");
    }
}
END_TEST

START_TEST(cache_is_said_in_whole_seconds)
{
    static const struct {
        int64_t milliseconds;
        const char *line;
    } rows[] = {
        {0, "Cache-Control: no-cache"},           {1, "Cache-Control: max-age=1"},
        {1000, "Cache-Control: max-age=1"},       {1001, "Cache-Control: max-age=2"},
        {3600000, "Cache-Control: max-age=3600"}, {31536000000, "Cache-Control: max-age=31536000"}};
    char error[256];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        handler_static.stop(state);
        ck_assert_int_eq(start(root, rows[i].milliseconds, &state, error, sizeof error), 0);
        ask("GET", "/ten.txt");
        ck_assert(has(rows[i].line));
    }
}
END_TEST

START_TEST(what_the_peer_has_is_not_sent_again)
{
    const char *tag = tag_of("/ten.txt");
    const char *const conditions[][2] = {
        {"If-None-Match", tag}, {"If-None-Match", "*"}, {"If-Modified-Since", THEN}};

    for (size_t i = 0; i < 6; i++) {
        asked[0] = conditions[i % 3][0];
        asked[1] = conditions[i % 3][1];
        ask(i < 3 ? "GET" : "HEAD", "/ten.txt");
        ck_assert_int_eq(answer.status, 304);
        ck_assert_uint_eq(answer.size, 0);
        ck_assert_int_eq(answer.length, 10); /* as 200 would say */
        ck_assert_str_eq(answer.type, "");
        ck_assert_str_eq(value_of("ETag"), tag);
        ck_assert(has("Cache-Control: no-cache"));
        ck_assert_ptr_null(strstr(answer.headers, "Last-Modified"));
        ck_assert_ptr_null(strstr(answer.headers, "Content-"));
    }
}
END_TEST

START_TEST(what_the_peer_does_not_want_is_412)
{
    const char *const conditions[][2] = {{"If-Match", "\"other\""},
                                         {"If-Unmodified-Since", EARLIER}};

    for (size_t i = 0; i < 2; i++) {
        asked[0] = conditions[i][0];
        asked[1] = conditions[i][1];
        ask("GET", "/ten.txt");
        ck_assert_int_eq(answer.status, 412);
        ck_assert_ptr_null(strstr(answer.body, "0123456789"));
    }
    asked[0] = NULL;
    asked[1] = tag_of("/ten.txt");
    asked[0] = "If-Match";
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
}
END_TEST

START_TEST(a_condition_on_what_is_not_there_is_404)
{
    asked[0] = "If-None-Match";
    asked[1] = "*";
    ask("GET", "/nothing");
    ck_assert_int_eq(answer.status, 404);
    asked[0] = "Range";
    asked[1] = "bytes=0-0";
    ask("GET", "/nothing");
    ck_assert_int_eq(answer.status, 404);
}
END_TEST

static const struct {
    const char *range;
    int status;
    const char *body;
    const char *content_range;
} ranges[] = {
    {"bytes=0-0", 206, "0", "bytes 0-0/10"},
    {"bytes=2-4", 206, "234", "bytes 2-4/10"},
    {"bytes=7-", 206, "789", "bytes 7-9/10"},
    {"bytes=-3", 206, "789", "bytes 7-9/10"},
    {"bytes=0-", 206, "0123456789", "bytes 0-9/10"},
    {"bytes=5-500", 206, "56789", "bytes 5-9/10"},
    {"bytes=10-", 416, NULL, "bytes */10"},
    {"bytes=-0", 416, NULL, "bytes */10"},
    {"bytes=0-1,4-5", 200, "0123456789", ""},
    {"lines=0-1", 200, "0123456789", ""},
    {"bytes=4-2", 200, "0123456789", ""},
};

START_TEST(one_range_is_one_part)
{
    asked[0] = "Range";
    asked[1] = ranges[_i].range;
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, ranges[_i].status);
    ck_assert_str_eq(value_of("Content-Range"), ranges[_i].content_range);
    ck_assert_int_eq(answer.length, (int64_t)answer.size);
    if (ranges[_i].body != NULL)
        ck_assert_str_eq(answer.body, ranges[_i].body);
    else
        ck_assert_ptr_null(strstr(answer.body, "0123"));
    if (answer.status == 206) {
        ck_assert(has("Last-Modified: " THEN));
        ck_assert(has("Cache-Control: no-cache"));
        ck_assert_str_ne(value_of("ETag"), "");
        ck_assert_str_eq(answer.type, "text/plain; charset=utf-8");
    }
}
END_TEST

START_TEST(only_get_knows_ranges)
{
    asked[0] = "Range";
    asked[1] = "bytes=2-4";
    ask("HEAD", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_int_eq(answer.length, 10);
    ck_assert_str_eq(value_of("Content-Range"), "");
}
END_TEST

START_TEST(a_range_is_for_the_file_that_if_range_names)
{
    const char *tag = tag_of("/ten.txt");
    char weak[VALUE_SIZE + 2];
    const struct {
        const char *if_range;
        int status;
    } rows[] = {{tag, 206}, {weak, 200}, {"\"other\"", 200}, {THEN, 206}, {EARLIER, 200}};

    snprintf(weak, sizeof weak, "W/%s", tag);
    asked[0] = "Range";
    asked[1] = "bytes=2-4";
    asked[2] = "If-Range";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        asked[3] = rows[i].if_range;
        ask("GET", "/ten.txt");
        ck_assert_int_eq(answer.status, rows[i].status);
    }
}
END_TEST

START_TEST(a_condition_comes_before_the_range)
{
    asked[0] = "Range";
    asked[1] = "bytes=99-";
    asked[2] = "If-None-Match";
    asked[3] = "*";
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 304);
    asked[2] = "If-Match";
    asked[3] = "\"other\"";
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 412);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("static_conditions");
    TCase *tests = tcase_create("static_conditions");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, set_up_files, tear_down);
    tcase_add_test(tests, a_file_comes_with_all_that_caches_need);
    tcase_add_test(tests, the_tag_changes_with_time_and_size_and_is_the_same_for_a_copy);
    tcase_add_test(tests, a_time_that_is_still_to_come_counts_as_now);
    tcase_add_test(tests, a_time_that_many_builds_share_tells_nothing);
    tcase_add_test(tests, a_file_without_tag_and_time_is_sent_whole_unless_a_star_is_asked_for);
    tcase_add_test(tests, cache_is_said_in_whole_seconds);
    tcase_add_test(tests, what_the_peer_has_is_not_sent_again);
    tcase_add_test(tests, what_the_peer_does_not_want_is_412);
    tcase_add_test(tests, a_condition_on_what_is_not_there_is_404);
    tcase_add_loop_test(tests, one_range_is_one_part, 0, sizeof ranges / sizeof *ranges);
    tcase_add_test(tests, only_get_knows_ranges);
    tcase_add_test(tests, a_range_is_for_the_file_that_if_range_names);
    tcase_add_test(tests, a_condition_comes_before_the_range);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
