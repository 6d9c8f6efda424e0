/* The static handler: the .gz beside a file. */
#include "tests/unit/static_support.h"

static void write_gzip(int64_t seconds, long nanoseconds)
{
    write_file(at("ten.txt.gz"), "packed");
    date_file("ten.txt.gz", seconds, nanoseconds);
    asked[0] = "Accept-Encoding";
    asked[1] = "gzip";
}

START_TEST(the_gz_beside_a_file_goes_to_those_who_take_it)
{
    const char *plain = tag_of("/ten.txt");

    write_gzip(THEN_SECONDS, 0);
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "packed");
    ck_assert_int_eq(answer.length, 6);
    ck_assert_str_eq(answer.type, "text/plain; charset=utf-8");
    ck_assert(has("Content-Encoding: gzip"));
    ck_assert(has("Vary: Accept-Encoding"));
    ck_assert_str_ne(value_of("ETag"), plain);
    asked[1] = "gzip;q=0";
    ask("GET", "/ten.txt");
    ck_assert_str_eq(answer.body, "0123456789");
    ck_assert(has("Vary: Accept-Encoding"));
    ck_assert_str_eq(value_of("Content-Encoding"), "");
    ck_assert_str_eq(value_of("ETag"), plain);
}
END_TEST

START_TEST(conditions_and_ranges_are_about_what_would_be_sent)
{
    write_gzip(THEN_SECONDS + 1, 0);
    const char *packed = tag_of("/ten.txt");
    asked[2] = "If-None-Match";
    asked[3] = packed;
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 304);
    ck_assert_int_eq(answer.length, 6);
    ck_assert(has("Vary: Accept-Encoding"));
    asked[1] = "identity";
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 200);
    asked[1] = "gzip";
    asked[2] = "Range";
    asked[3] = "bytes=4-";
    ask("GET", "/ten.txt");
    ck_assert_int_eq(answer.status, 206);
    ck_assert_str_eq(answer.body, "ed");
    ck_assert_str_eq(value_of("Content-Range"), "bytes 4-5/6");
    ck_assert(has("Content-Encoding: gzip"));
}
END_TEST

START_TEST(a_gz_that_is_older_than_its_file_is_as_none)
{
    date_file("ten.txt", THEN_SECONDS, 1);
    write_gzip(THEN_SECONDS, 0);
    ask("GET", "/ten.txt");
    ck_assert_str_eq(answer.body, "0123456789");
    ck_assert_ptr_null(strstr(answer.headers, "Vary"));
    ck_assert_ptr_null(strstr(answer.headers, "Content-Encoding"));
}
END_TEST

START_TEST(only_a_regular_gz_inside_counts)
{
    asked[0] = "Accept-Encoding";
    asked[1] = "gzip";
    write_file(at("../outside.gz"), "secret");
    ck_assert_int_eq(symlink("../outside.gz", at("ten.txt.gz")), 0);
    ask("GET", "/ten.txt");
    ck_assert_str_eq(answer.body, "0123456789");
    ck_assert_ptr_null(strstr(answer.headers, "Vary"));
    ck_assert_int_eq(unlink(at("ten.txt.gz")), 0);
    ck_assert_int_eq(mkdir(at("ten.txt.gz"), 0755), 0);
    ask("GET", "/ten.txt");
    ck_assert_str_eq(answer.body, "0123456789");
    ck_assert_int_eq(rmdir(at("ten.txt.gz")), 0);
    ck_assert_int_eq(mkfifo(at("ten.txt.gz"), 0644), 0);
    ask("GET", "/ten.txt");
    ck_assert_str_eq(answer.body, "0123456789");
}
END_TEST

START_TEST(a_gz_alone_answers_for_nothing_but_itself)
{
    asked[0] = "Accept-Encoding";
    asked[1] = "gzip";
    write_file(at("alone.txt.gz"), "packed");
    ask("GET", "/alone.txt");
    ck_assert_int_eq(answer.status, 404);
    ask("GET", "/alone.txt.gz");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.type, "application/gzip");
    ck_assert_str_eq(value_of("Content-Encoding"), "");
}
END_TEST

START_TEST(an_index_may_have_its_gz_as_well)
{
    asked[0] = "Accept-Encoding";
    asked[1] = "gzip";
    write_file(at("sub/index.html.gz"), "packed");
    ask("GET", "/sub/");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "packed");
    ck_assert_str_eq(answer.type, "text/html; charset=utf-8");
}
END_TEST

START_TEST(no_descriptor_is_left_behind_by_any_answer)
{
    static const char *const headers[][2] = {
        {"Range", "bytes=1-2"}, {"Range", "bytes=99-"},      {"If-None-Match", "*"},
        {"If-Match", "\"x\""},  {"Accept-Encoding", "gzip"}, {"Accept-Encoding", "identity"},
    };
    int before = dup(0);
    int after;

    close(before);
    write_gzip(THEN_SECONDS, 0);
    for (size_t i = 0; i < 2 * sizeof headers / sizeof *headers; i++) {
        asked[0] = headers[i / 2][0];
        asked[1] = headers[i / 2][1];
        ask(i % 2 == 0 ? "GET" : "HEAD", "/ten.txt");
    }
    date_file("ten.txt", THEN_SECONDS + 1, 0);
    ask("GET", "/ten.txt");
    after = dup(0);
    close(after);
    ck_assert_int_eq(after, before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("static_gzip");
    TCase *tests = tcase_create("static_gzip");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, set_up_files, tear_down);
    tcase_add_test(tests, the_gz_beside_a_file_goes_to_those_who_take_it);
    tcase_add_test(tests, conditions_and_ranges_are_about_what_would_be_sent);
    tcase_add_test(tests, a_gz_that_is_older_than_its_file_is_as_none);
    tcase_add_test(tests, only_a_regular_gz_inside_counts);
    tcase_add_test(tests, a_gz_alone_answers_for_nothing_but_itself);
    tcase_add_test(tests, an_index_may_have_its_gz_as_well);
    tcase_add_test(tests, no_descriptor_is_left_behind_by_any_answer);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
