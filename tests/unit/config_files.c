/* Where a configuration is read from: what is no file, and limits of lines and files. */
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/file.h"
#include "config/routes.h"
#include "tests/unit/config_support.h"

static char folder[64];
static char path[80];

static void set_up(void)
{
    strcpy(folder, "/tmp/lastcall_config_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/some.ini", folder);
}

static void tear_down(void)
{
    unlink(path);
    rmdir(folder);
}

static struct outcome load_file(const char *name)
{
    struct config_source source = {.path = name, .groups = test_groups};
    return load_source(&source);
}

/* Loads `name` and compares what is said behind its name. */
static void check_refused(const char *name, const char *why)
{
    char expected[1024];
    struct outcome outcome = load_file(name);

    snprintf(expected, sizeof(expected), "%s:%s\n", name, why);
    ck_assert_int_eq(outcome.result, -1);
    ck_assert_str_eq(outcome.errors, expected);
    outcome_free(&outcome);
}

static void write_file(const char *text, size_t length)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(a_file_is_read_and_its_mistakes_have_its_name)
{
    write_file(ECHO_ROUTE, strlen(ECHO_ROUTE));
    struct outcome outcome = load_file(path);
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_uint_eq(outcome.config.route_count, 1);
    outcome_free(&outcome);

    write_file(ECHO_ROUTE "x = 1", strlen(ECHO_ROUTE) + 5);
    check_refused(path, "3: x: no such key for the handler echo; allowed: handler, " COMMON_NAMES);
}
END_TEST

START_TEST(what_does_not_exist_is_said_to)
{
    check_refused(path, " does not exist");
    check_refused("", " does not exist");
}
END_TEST

START_TEST(what_is_no_file_is_said_to_be_what_it_is_without_waiting)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    check_refused(folder, " is a directory, not a file");
    check_refused("/dev/null", " is a device, not a file");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_refused(path, " is a pipe (FIFO), not a file: write what it would give into a file");
    unlink(path);

    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    ck_assert_int_eq(bind(descriptor, (struct sockaddr *)&name, sizeof(name)), 0);
    check_refused(path, " is a socket, not a file");
    close(descriptor);
}
END_TEST

START_TEST(what_may_not_be_read_is_said_to_be_so)
{
    bool root = geteuid() == 0;

    write_file(ECHO_ROUTE, strlen(ECHO_ROUTE));
    ck_assert_int_eq(chmod(path, 0), 0);
    ck_assert_int_eq(chmod(folder, 0755), 0);
    if (root)
        ck_assert_int_eq(seteuid(65534), 0);
    check_refused(path, " cannot be read: Permission denied");
    if (root) {
        ck_assert_int_eq(seteuid(0), 0);
        prctl(PR_SET_DUMPABLE, 1); /* the change took it, and the leak check needs it */
    }
}
END_TEST

START_TEST(a_file_of_the_largest_size_is_read_and_a_byte_more_is_too_much)
{
    static const char route[] = ECHO_ROUTE;
    char *text = malloc(FILE_MAX + 1);

    memset(text, ';', FILE_MAX + 1);
    memcpy(text, route, sizeof(route) - 1);
    write_file(text, FILE_MAX);
    struct outcome outcome = load_file(path);
    ck_assert_str_eq(outcome.errors, "");
    outcome_free(&outcome);
    write_file(text, FILE_MAX + 1);
    check_refused(path, " is larger than 1048576 bytes: is it the right file?");
    free(text);
}
END_TEST

START_TEST(a_nul_byte_is_named_with_its_line)
{
    write_file("[log]\nlevel\0 = info\n", 20);
    check_refused(path, "2: a NUL byte: this is no text file");
}
END_TEST

START_TEST(an_empty_file_has_no_routes)
{
    write_file("", 0);
    check_refused(path,
                  " no routes, so there is nothing to serve; write for example [route /echo] "
                  "on a line and handler = echo on the next");
}
END_TEST

/* A route whose root makes a line of `length` bytes as inih sees it. */
static struct outcome load_line(size_t length)
{
    char text[512] = "[route /f]\nhandler = all\nroot=";
    size_t used = strlen(text);

    memset(text + used, 'x', length - 5);
    snprintf(text + used + length - 5, sizeof(text) - used - length + 5, "  ; a comment\n");
    return load(text, NULL, NULL);
}

START_TEST(a_line_of_198_bytes_is_read_whole_and_199_are_refused)
{
    struct outcome outcome = load_line(198);
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_uint_eq(strlen(outcome.config.routes[0].values[0].text), 193);
    outcome_free(&outcome);
    outcome = load_line(199);
    ck_assert_ptr_nonnull(strstr(outcome.errors,
                                 "(default):3: 199 bytes on a line, at most 198 are read: continue "
                                 "the value on the next line, which then begins with a blank\n"));
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_comment_may_be_of_any_length)
{
    char text[1024];

    memset(text, ';', sizeof(text));
    memcpy(text + sizeof(text) - strlen(ECHO_ROUTE) - 2, "\n" ECHO_ROUTE, strlen(ECHO_ROUTE) + 2);
    struct outcome outcome = load(text, NULL, NULL);
    ck_assert_str_eq(outcome.errors, "");
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_name_of_49_bytes_is_whole_to_its_end)
{
    char text[256];
    char section[64] = "route /";

    memset(section + 7, 'x', 42);
    section[49] = '\0';
    snprintf(text, sizeof(text), "[%s]\nhandler = echo\n", section);
    struct outcome outcome = load(text, NULL, NULL);
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_str_eq(outcome.config.routes[0].section, section);
    ck_assert_str_eq(outcome.config.routes[0].path, section + 6);
    outcome_free(&outcome);
}
END_TEST

/* `count` routes, each with `line` below its head. */
static char *repeat(const char *line, int count)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (int i = 0; i < count; i++)
        fprintf(out, "[route /%d]\n%s", i, line);
    fclose(out);
    return text;
}

START_TEST(a_thousand_routes_are_taken_and_one_more_is_too_many)
{
    char *text = repeat("handler = echo\n", ROUTES_MAX);
    struct outcome outcome = load(text, NULL, NULL);
    ck_assert_uint_eq(outcome.config.route_count, ROUTES_MAX);
    outcome_free(&outcome);
    free(text);
    text = repeat("handler = echo\n", ROUTES_MAX + 1);
    outcome = load(text, NULL, NULL);
    ck_assert_str_eq(outcome.errors,
                     "(default): 1001 routes are too many; allowed: at most 1000\n");
    outcome_free(&outcome);
    free(text);
}
END_TEST

START_TEST(after_a_thousand_mistakes_the_rest_are_counted)
{
    char *text = repeat("junk\nhandler = echo\njunk\n", 600);
    struct outcome outcome = load(text, NULL, NULL);
    const char *last = strstr(outcome.errors, "(default): and 200 more mistakes\n");

    ck_assert_ptr_nonnull(last);
    ck_assert_ptr_nonnull(strstr(outcome.errors, "(default):2: junk: "));
    ck_assert_ptr_null(strchr(last, '\n')[1] ? last : NULL);
    outcome_free(&outcome);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_files");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_file_is_read_and_its_mistakes_have_its_name);
    tcase_add_test(tests, what_does_not_exist_is_said_to);
    tcase_add_test(tests, what_is_no_file_is_said_to_be_what_it_is_without_waiting);
    tcase_add_test(tests, what_may_not_be_read_is_said_to_be_so);
    tcase_add_test(tests, a_file_of_the_largest_size_is_read_and_a_byte_more_is_too_much);
    tcase_add_test(tests, a_nul_byte_is_named_with_its_line);
    tcase_add_test(tests, an_empty_file_has_no_routes);
    tcase_add_test(tests, a_line_of_198_bytes_is_read_whole_and_199_are_refused);
    tcase_add_test(tests, a_comment_may_be_of_any_length);
    tcase_add_test(tests, a_name_of_49_bytes_is_whole_to_its_end);
    tcase_add_test(tests, a_thousand_routes_are_taken_and_one_more_is_too_many);
    tcase_add_test(tests, after_a_thousand_mistakes_the_rest_are_counted);
    return run_case("config_files", tests);
}
