/* The static handler against a folder of its own; what it answers is caught by fakes. */
#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "handlers/handler.h"

#define LARGE 1000000

static char folder[64]; /* holds outside.txt and root/ */
static char root[sizeof folder + 8];
static void *state;

/* What the handler has answered. */
static struct {
    int begun;
    int status;
    char type[64];
    char headers[2048];
    int64_t length;
    char body[LARGE + 1];
    size_t size;
    size_t fail_after;          /* the peer has gone after so many bytes; 0: it stays */
    void (*before_write)(void); /* called once, before the first piece is taken */
} answer;

int http_begin(const struct http_request *request, const struct http_answer *begin)
{
    (void)request;
    answer.begun++;
    answer.status = begin->status;
    answer.length = begin->length;
    snprintf(answer.type, sizeof answer.type, "%s", begin->type == NULL ? "" : begin->type);
    snprintf(answer.headers, sizeof answer.headers, "%s",
             begin->headers == NULL ? "" : begin->headers);
    return 0;
}

int http_write(const struct http_request *request, const void *data, size_t length)
{
    (void)request;
    if (answer.before_write != NULL)
        answer.before_write();
    answer.before_write = NULL;
    ck_assert_uint_le(answer.size + length, LARGE);
    memcpy(answer.body + answer.size, data, length);
    answer.size += length;
    return answer.fail_after != 0 && answer.size >= answer.fail_after ? -1 : 0;
}

int http_respond(const struct http_request *request, int status, const char *type, const char *text)
{
    struct http_answer begin = {.status = status, .type = type, .length = (int64_t)strlen(text)};

    http_begin(request, &begin);
    return http_write(request, text, strlen(text));
}

int http_refuse_method(const struct http_request *request, const char *allowed)
{
    char headers[64];
    struct http_answer begin = {.status = 405, .headers = headers};

    snprintf(headers, sizeof headers, "Allow: %s\r\n", allowed);
    return http_begin(request, &begin);
}

/* Asks on the route named by a slash and a star. */
static void ask(const char *method, const char *path)
{
    struct http_request request = {.method = method, .path = path, .rest = path + 1};

    answer.begun = 0;
    answer.size = 0;
    memset(answer.body, 0, sizeof answer.body);
    handler_static.http(state, &request);
    ck_assert_int_eq(answer.begun, 1);
    if (answer.fail_after == 0 && strcmp(method, "HEAD") != 0)
        ck_assert_uint_le(answer.size, (size_t)answer.length);
}

static const char *at(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void set_up(void)
{
    const struct option_value values[] = {{.text = root}, {.text = "index.html"}};
    char error[256];

    snprintf(folder, sizeof folder, "/tmp/lastcall-static-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(root, sizeof root, "%s/root", folder);
    ck_assert_int_eq(mkdir(root, 0755), 0);
    write_file(at("../outside.txt"), "secret");
    write_file(at("index.html"), "<p>home");
    write_file(at("a b.txt"), "blanks");
    write_file(at("empty.css"), "");
    ck_assert_int_eq(mkdir(at("sub"), 0755), 0);
    write_file(at("sub/index.html"), "<p>sub");
    ck_assert_int_eq(mkdir(at("bare"), 0755), 0);
    ck_assert_int_eq(handler_static.start(values, &state, error, sizeof error), 0);
    memset(&answer, 0, sizeof answer);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static void tear_down(void)
{
    handler_static.stop(state);
    ck_assert_int_eq(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

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

START_TEST(it_does_not_start_without_its_folder)
{
    const char *const roots[] = {at("a b.txt"), "/nowhere/at/all"};
    const char *const reasons[] = {"is not a folder", "No such file or directory"};
    char error[512];
    void *none = NULL;

    for (size_t i = 0; i < 2; i++) {
        const struct option_value values[] = {{.text = roots[i]}, {.text = "index.html"}};
        ck_assert_int_eq(handler_static.start(values, &none, error, sizeof error), -1);
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
    tcase_add_loop_test(tests, what_is_not_there_or_not_below_is_404, 0,
                        sizeof absent / sizeof *absent);
    tcase_add_test(tests, a_link_may_lead_inside_and_never_outside);
    tcase_add_test(tests, what_is_not_a_regular_file_is_404_and_blocks_nobody);
    tcase_add_test(tests, a_file_that_shrinks_meanwhile_is_cut_there);
    tcase_add_test(tests, a_file_that_grows_meanwhile_sends_what_was_promised);
    tcase_add_test(tests, nothing_is_read_on_for_a_peer_that_has_gone);
    tcase_add_test(tests, no_descriptor_is_left_behind);
    tcase_add_test(tests, it_does_not_start_without_its_folder);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
