/* The static handler against a folder of its own: paths, links, files that change. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/static_support.h"

START_TEST(a_file_comes_whole_with_type_length_and_date)
{
    struct stat about;

    ck_assert_int_eq(stat(at("a b.txt"), &about), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, at("a b.txt"),
                               (struct timespec[]){{.tv_sec = 784111777}, {.tv_sec = 784111777}},
                               0),
                     0);
    ask("GET", "/a b.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.type, "text/plain; charset=utf-8");
    ck_assert_int_eq(answer.length, 6);
    ck_assert_str_eq(answer.body, "blanks");
    ck_assert_ptr_nonnull(
        strstr(answer.headers, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}
END_TEST

START_TEST(a_large_file_comes_whole)
{
    static char bytes[LARGE];
    FILE *file = fopen(at("large.BIN"), "w");

    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = "0123456789abc"[i % 13];
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, LARGE, file), LARGE);
    ck_assert_int_eq(fclose(file), 0);
    ask("GET", "/large.BIN");
    ck_assert_str_eq(answer.type, "application/octet-stream");
    ck_assert_int_eq(answer.length, LARGE);
    ck_assert_uint_eq(answer.size, LARGE);
    ck_assert_mem_eq(answer.body, bytes, LARGE);
}
END_TEST

START_TEST(an_empty_file_says_that_it_is_empty)
{
    ask("GET", "/empty.css");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.type, "text/css; charset=utf-8");
    ck_assert_int_eq(answer.length, 0);
    ck_assert_uint_eq(answer.size, 0);
}
END_TEST

START_TEST(head_has_the_headers_and_no_body)
{
    ask("HEAD", "/a b.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_int_eq(answer.length, 6);
    ck_assert_uint_eq(answer.size, 0);
}
END_TEST

static const char *const other_methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get"};

START_TEST(other_methods_are_told_what_is_allowed)
{
    ask(other_methods[_i], "/a b.txt");
    ck_assert_int_eq(answer.status, 405);
    ck_assert_str_eq(answer.headers, "Allow: GET, HEAD\r\n");
}
END_TEST

START_TEST(a_folder_with_its_slash_answers_with_its_index)
{
    ask("GET", "/");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "<p>home");
    ck_assert_str_eq(answer.type, "text/html; charset=utf-8");
    ask("GET", "/sub/");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "<p>sub");
}
END_TEST

START_TEST(a_folder_without_its_slash_redirects_to_it)
{
    ask("GET", "/sub");
    ck_assert_int_eq(answer.status, 301);
    ck_assert_ptr_nonnull(strstr(answer.headers, "Location: sub/\r\n"));
}
END_TEST

START_TEST(the_route_itself_without_its_slash_redirects_to_it)
{
    const struct http_request request = {.method = "GET", .path = "/files", .rest = ""};

    handler_static.http(state, &request);
    ck_assert_int_eq(answer.status, 301);
    ck_assert_ptr_nonnull(strstr(answer.headers, "Location: files/\r\n"));
}
END_TEST

START_TEST(a_redirect_carries_no_line_break_and_no_other_host)
{
    ck_assert_int_eq(mkdir(at("a\r\nSet-Cookie: x=1"), 0755), 0);
    ask("GET", "/a\r\nSet-Cookie: x=1");
    ck_assert_int_eq(answer.status, 301);
    ck_assert_ptr_nonnull(strstr(answer.headers, "Location: a%0D%0ASet-Cookie%3A%20x%3D1/\r\n"));
    ck_assert_int_eq(mkdir(at("http:"), 0755), 0);
    ask("GET", "/http:");
    ck_assert_ptr_nonnull(strstr(answer.headers, "Location: http%3A/\r\n"));
}
END_TEST

START_TEST(a_redirect_keeps_a_query_that_can_be_part_of_a_header)
{
    static const struct {
        const char *query;
        const char *location;
    } rows[] = {
        {"a=1&b=%20", "Location: sub/?a=1&b=%20\r\n"},
        {"", "Location: sub/?\r\n"},
        {"a\rSet-Cookie: x=1", "Location: sub/\r\n"},
        {"a\nSet-Cookie: x=1", "Location: sub/\r\n"},
        {"a\tb", "Location: sub/\r\n"},
        {"\x7f", "Location: sub/\r\n"},
        {"\xc3\xbc", "Location: sub/\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct http_request request = {
            .method = "GET", .path = "/sub", .rest = "sub", .query = rows[i].query};
        handler_static.http(state, &request);
        ck_assert_int_eq(answer.status, 301);
        ck_assert_str_eq(answer.headers, rows[i].location);
    }
}
END_TEST

START_TEST(a_redirect_leaves_a_query_out_that_is_too_long)
{
    char query[3000];
    const struct http_request request = {
        .method = "GET", .path = "/sub", .rest = "sub", .query = query};

    memset(query, 'q', sizeof query);
    query[sizeof query - 1] = '\0';
    handler_static.http(state, &request);
    ck_assert_str_eq(answer.headers, "Location: sub/\r\n");
}
END_TEST

static const char *const hidden[] = {
    "/.env",
    "/.git/config",
    "/sub/.htaccess",
    "/sub/.d/x",
    "/.",
    "/...",
    "/.well-knownx/a.txt",
    "/.well-know/x",
    "/sub/.well-known/x",
    "/.well-known/.x",
    "/.WELL-KNOWN/a.txt",
    "/.well-known.txt",
};

START_TEST(a_name_that_begins_with_a_dot_is_not_there)
{
    static const char *const folders[] = {".git",         "sub/.d",          ".well-known",
                                          ".well-knownx", "sub/.well-known", ".WELL-KNOWN"};
    static const char *const files[] = {".env",
                                        ".git/config",
                                        "sub/.htaccess",
                                        "sub/.d/x",
                                        "...",
                                        ".well-known.txt",
                                        ".well-knownx/a.txt",
                                        "sub/.well-known/x",
                                        ".well-known/.x",
                                        ".WELL-KNOWN/a.txt"};

    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        ck_assert_int_eq(mkdir(at(folders[i]), 0755), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        write_file(at(files[i]), "secret");
    ask("GET", hidden[_i]);
    ck_assert_int_eq(answer.status, 404);
    ck_assert_ptr_null(strstr(answer.body, "secret"));
}
END_TEST

START_TEST(well_known_is_there_at_the_top_and_as_a_route_of_its_own)
{
    struct http_request request = {.method = "GET", .header = find_asked};

    ck_assert_int_eq(mkdir(at(".well-known"), 0755), 0);
    write_file(at(".well-known/security.txt"), "whom to ask");
    ask("GET", "/.well-known/security.txt");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "whom to ask");
    ask("GET", "/.well-known");
    ck_assert_int_eq(answer.status, 301);
    request.path = "/.well-known/a b.txt";
    request.rest = "a b.txt";
    handler_static.http(state, &request);
    ck_assert_int_eq(answer.status, 200);
    request.path = "/files/.well-known/security.txt";
    request.rest = ".well-known/security.txt";
    handler_static.http(state, &request);
    ck_assert_int_eq(answer.status, 404);
}
END_TEST

static const char *const absent[] = {
    "/nothing",     "/bare/",          "/a b.txt/",
    "/sub/nothing", "/../outside.txt", "/sub/../../outside.txt",
    "//etc/passwd", "//sub",           "/sub\\index.html",
    "/..",          "/proc/self/root", "/a b.txt/x",
};

START_TEST(what_is_not_there_or_not_below_is_404)
{
    ask("GET", absent[_i]);
    ck_assert_int_eq(answer.status, 404);
    ck_assert_ptr_null(strstr(answer.body, "secret"));
}
END_TEST

START_TEST(a_link_may_lead_inside_and_never_outside)
{
    ck_assert_int_eq(symlink("sub/index.html", at("inside")), 0);
    ck_assert_int_eq(symlink("../outside.txt", at("relative")), 0);
    ck_assert_int_eq(symlink("/etc/passwd", at("absolute")), 0);
    ck_assert_int_eq(symlink("..", at("up")), 0);
    ck_assert_int_eq(symlink("/proc/self/fd/0", at("magic")), 0);
    ask("GET", "/inside");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body, "<p>sub");
    for (size_t i = 0; i < 4; i++) {
        ask("GET", (const char *[]){"/relative", "/absolute", "/up/outside.txt", "/magic"}[i]);
        ck_assert_int_eq(answer.status, 404);
    }
}
END_TEST

START_TEST(what_is_not_a_regular_file_is_404_and_blocks_nobody)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(mkfifo(at("fifo"), 0644), 0);
    ck_assert_int_eq(mkfifo(at("bare/index.html"), 0644), 0);
    ck_assert_uint_lt(strlen(at("socket")), sizeof address.sun_path);
    memcpy(address.sun_path, at("socket"), strlen(at("socket")) + 1);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    for (size_t i = 0; i < 3; i++) {
        ask("GET", (const char *[]){"/fifo", "/bare/", "/socket"}[i]);
        ck_assert_int_eq(answer.status, 404);
    }
    close(listener);
}
END_TEST

static void fill(const char *name)
{
    int file = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(ftruncate(file, 100000), 0);
    close(file);
}

static void shrink(void)
{
    ck_assert_int_eq(truncate(at("changing"), 20000), 0);
}

static void grow(void)
{
    ck_assert_int_eq(truncate(at("changing"), 200000), 0);
}

START_TEST(a_file_that_shrinks_meanwhile_is_cut_there)
{
    fill("changing");
    answer.before_write = shrink;
    ask("GET", "/changing");
    ck_assert_int_eq(answer.length, 100000);
    ck_assert_uint_eq(answer.size, 20000);
}
END_TEST

START_TEST(a_file_that_grows_meanwhile_sends_what_was_promised)
{
    fill("changing");
    answer.before_write = grow;
    ask("GET", "/changing");
    ck_assert_int_eq(answer.length, 100000);
    ck_assert_uint_eq(answer.size, 100000);
}
END_TEST

START_TEST(nothing_is_read_on_for_a_peer_that_has_gone)
{
    fill("changing");
    answer.fail_after = 1;
    ask("GET", "/changing");
    ck_assert_uint_lt(answer.size, 100000);
}
END_TEST

START_TEST(no_descriptor_is_left_behind)
{
    int before = dup(0);
    int after;

    close(before);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        ask("GET", absent[i]);
    ask("GET", "/");
    ask("GET", "/sub");
    ask("HEAD", "/a b.txt");
    after = dup(0);
    close(after);
    ck_assert_int_eq(after, before);
}
END_TEST

START_TEST(a_path_of_any_length_is_answered)
{
    static char path[PATH_MAX + 100] = "/";

    for (size_t length = PATH_MAX - 300; length < sizeof path - 1; length++) {
        memset(path + 1, 'x', length - 1);
        for (size_t i = 200; i < length; i += 200)
            path[i] = '/';
        path[length] = '\0';
        ask("GET", path);
        ck_assert_int_eq(answer.status, 404);
    }
}
END_TEST

START_TEST(it_does_not_start_without_its_folder)
{
    const char *const roots[] = {at("a b.txt"), "/nowhere/at/all"};
    const char *const reasons[] = {"is not a folder", "No such file or directory"};
    char error[512];
    void *none = NULL;

    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(start(roots[i], 0, &none, error, sizeof error), -1);
        ck_assert_ptr_nonnull(strstr(error, roots[i]));
        ck_assert_ptr_nonnull(strstr(error, reasons[i]));
        ck_assert_ptr_null(strchr(error, '\n'));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("static");
    TCase *tests = tcase_create("static");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_file_comes_whole_with_type_length_and_date);
    tcase_add_test(tests, a_large_file_comes_whole);
    tcase_add_test(tests, an_empty_file_says_that_it_is_empty);
    tcase_add_test(tests, head_has_the_headers_and_no_body);
    tcase_add_loop_test(tests, other_methods_are_told_what_is_allowed, 0,
                        sizeof other_methods / sizeof *other_methods);
    tcase_add_test(tests, a_folder_with_its_slash_answers_with_its_index);
    tcase_add_test(tests, a_folder_without_its_slash_redirects_to_it);
    tcase_add_test(tests, the_route_itself_without_its_slash_redirects_to_it);
    tcase_add_test(tests, a_redirect_carries_no_line_break_and_no_other_host);
    tcase_add_test(tests, a_redirect_keeps_a_query_that_can_be_part_of_a_header);
    tcase_add_test(tests, a_redirect_leaves_a_query_out_that_is_too_long);
    tcase_add_loop_test(tests, a_name_that_begins_with_a_dot_is_not_there, 0,
                        sizeof hidden / sizeof *hidden);
    tcase_add_test(tests, well_known_is_there_at_the_top_and_as_a_route_of_its_own);
    tcase_add_loop_test(tests, what_is_not_there_or_not_below_is_404, 0,
                        sizeof absent / sizeof *absent);
    tcase_add_test(tests, a_link_may_lead_inside_and_never_outside);
    tcase_add_test(tests, what_is_not_a_regular_file_is_404_and_blocks_nobody);
    tcase_add_test(tests, a_file_that_shrinks_meanwhile_is_cut_there);
    tcase_add_test(tests, a_file_that_grows_meanwhile_sends_what_was_promised);
    tcase_add_test(tests, nothing_is_read_on_for_a_peer_that_has_gone);
    tcase_add_test(tests, no_descriptor_is_left_behind);
    tcase_add_test(tests, a_path_of_any_length_is_answered);
    tcase_add_test(tests, it_does_not_start_without_its_folder);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
