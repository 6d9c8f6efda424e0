#include "server/media_type.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define UNKNOWN "application/octet-stream"

enum { RANDOM_ROUNDS = 1000, TEXT_MAX = 2000 };

static const char system_table[] =
    "# a comment\n"
    "\n"
    "application/one\t\t\tone uno\n"
    "text/two two\n"
    "  text/blank   blank \r\n"
    "Text/Upper UPPER\n"
    "application/css css\n"
    "application/first twice\n"
    "application/second twice\n"
    "application/none\n"
    "application/c  c # d\n"
    "application/g  #e f\n"
    "notype wrong1\n"
    "/nohalf wrong2\n"
    "nohalf/ wrong3\n"
    "two/many/halves wrong4\n"
    "te xt/plain wrong5\n"
    "bad/ty\x01pe wrong6\n"
    "bad/ty:pe wrong7\n"
    "a/b \x80right right\n"
    "a/long 0123456789012345678901234567890 "
    "01234567890123456789012345678901\n"
    "last/line last";

static const struct {
    const char *name;
    const char *type;
} rows[] = {
    {"a.one", "application/one"},
    {"a.uno", "application/one"},
    {"a.ONE", "application/one"},
    {"a.b.one", "application/one"},
    {"folder/a.one", "application/one"},
    {"folder.two/a.one", "application/one"},
    {"a.two", "text/two; charset=utf-8"},
    {"a.blank", "text/blank; charset=utf-8"},
    {"a.upper", "Text/Upper; charset=utf-8"},
    {"a.twice", "application/first"},
    {"a.c", "application/c"},
    {"a.right", "a/b"},
    {"a.0123456789012345678901234567890", "a/long"},
    {"a.last", "last/line"},
    {".one", "application/one"},

    /* the system's word counts, and ours where it has none */
    {"a.css", "application/css"},
    {"a.html", "text/html; charset=utf-8"},
    {"a.js", "text/javascript; charset=utf-8"},
    {"a.mjs", "text/javascript; charset=utf-8"},
    {"a.json", "application/json"},
    {"a.wasm", "application/wasm"},
    {"a.svg", "image/svg+xml"},
    {"a.woff2", "font/woff2"},
    {"a.webmanifest", "application/manifest+json"},
    {"a.ico", "image/vnd.microsoft.icon"},

    {"", UNKNOWN},
    {".", UNKNOWN},
    {"a", UNKNOWN},
    {"a.", UNKNOWN},
    {"one", UNKNOWN},
    {"a.one.", UNKNOWN},
    {"a.one/", UNKNOWN},
    {"a.one/b", UNKNOWN},
    {"a.onee", UNKNOWN},
    {"a.on", UNKNOWN},
    {"a. one", UNKNOWN},
    {"a.d", UNKNOWN},
    {"a.e", UNKNOWN},
    {"a.f", UNKNOWN},
    {"a.#", UNKNOWN},
    {"a.wrong1", UNKNOWN},
    {"a.wrong2", UNKNOWN},
    {"a.wrong3", UNKNOWN},
    {"a.wrong4", UNKNOWN},
    {"a.wrong5", UNKNOWN},
    {"a.wrong6", UNKNOWN},
    {"a.wrong7", UNKNOWN},
    {"a.\x80right", UNKNOWN},
    {"a.01234567890123456789012345678901", UNKNOWN},
    {"\xff\xfe.\xfd", UNKNOWN},
};

START_TEST(a_type_follows_the_last_ending_of_the_name)
{
    struct media_types *types = media_types_parse(system_table, strlen(system_table));
    ck_assert_ptr_nonnull(types);
    ck_assert_str_eq(media_type_find(types, rows[_i].name), rows[_i].type);
    media_types_free(types);
}
END_TEST

START_TEST(without_a_table_of_the_system_ours_is_there)
{
    struct media_types *types = media_types_read("/nowhere/mime.types");
    ck_assert_ptr_nonnull(types);
    ck_assert_str_eq(media_type_find(types, "index.html"), "text/html; charset=utf-8");
    ck_assert_str_eq(media_type_find(types, "font.woff2"), "font/woff2");
    ck_assert_str_eq(media_type_find(types, "thing"), UNKNOWN);
    media_types_free(types);
    types = media_types_read("/tmp");
    ck_assert_str_eq(media_type_find(types, "index.html"), "text/html; charset=utf-8");
    media_types_free(types);
}
END_TEST

/* Writes `count` lines of the form "x/N  .....  eN" into a file, of `width` bytes each. */
static void write_lines(char *path, size_t count, size_t width)
{
    int descriptor = mkstemp(path);
    FILE *file = fdopen(descriptor, "w");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "x/%-8zu%*s e%-8zu\n", i, (int)width - 21, "", i);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(of_a_table_without_end_only_the_beginning_is_read)
{
    char path[] = "/tmp/lastcall-types-XXXXXX";
    char name[32];
    size_t width = 1000;
    size_t fit = MEDIA_TYPES_MAX / width;
    write_lines(path, 2 * fit, width);
    struct media_types *types = media_types_read(path);
    ck_assert_ptr_nonnull(types);
    ck_assert_str_eq(media_type_find(types, "a.e0"), "x/0");
    snprintf(name, sizeof name, "a.e%zu", fit - 1);
    ck_assert_str_ne(media_type_find(types, name), UNKNOWN);
    snprintf(name, sizeof name, "a.e%zu", fit + 1);
    ck_assert_str_eq(media_type_find(types, name), UNKNOWN);
    media_types_free(types);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(a_table_of_a_hundred_thousand_endings_is_searched_as_well)
{
    size_t count = 100000;
    char *text = malloc(count * 16);
    ck_assert_ptr_nonnull(text);
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += (size_t)sprintf(text + length, "t/%zx e%zx\n", i, count - i);
    struct media_types *types = media_types_parse(text, length);
    ck_assert_ptr_nonnull(types);
    ck_assert_str_eq(media_type_find(types, "a.e1"), "t/1869f");
    ck_assert_str_eq(media_type_find(types, "a.e186a0"), "t/0");
    media_types_free(types);
    free(text);
}
END_TEST

/* The shortest lines that keep most, so that a sanitizer sees it if the room does not suffice. */
START_TEST(the_lines_that_need_most_room_fit)
{
    char text[9 * 400 + 1] = "";
    size_t length = 0;
    for (size_t i = 0; i < 400; i++)
        length += (size_t)sprintf(text + length, "text/a %c\n", (char)('a' + i % 26));
    struct media_types *types = media_types_parse(text, length - 1);
    ck_assert_ptr_nonnull(types);
    ck_assert_str_eq(media_type_find(types, "x.z"), "text/a; charset=utf-8");
    media_types_free(types);
}
END_TEST

START_TEST(a_random_table_gives_no_type_that_would_break_a_header)
{
    static const char letters[] = "//aabbcc  \t\n\n\r\":;#.\x01\x7f\x80\xff";
    uint64_t state = 1;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[TEXT_MAX];
        size_t length = random_below(&state, TEXT_MAX);
        for (size_t i = 0; i < length; i++) /* the table's own zero is one of the bytes */
            text[i] = letters[random_below(&state, sizeof letters)];
        struct media_types *types = media_types_parse(text, length);
        ck_assert_ptr_nonnull(types);
        static const char *const names[] = {"x.a", "x.b", "x.c", "x.aa", "x.ab", "x.abc"};
        for (size_t i = 0; i < COUNT(names); i++) {
            const char *type = media_type_find(types, names[i]);
            ck_assert_uint_eq(strcspn(type, " \t\r\n\":;\x01\x7f\x80\xff"), strlen(type));
            ck_assert_ptr_nonnull(strchr(type, '/'));
        }
        media_types_free(types);
    }
}
END_TEST

START_TEST(nothing_is_a_table_too)
{
    struct media_types *types = media_types_parse("", 0);
    ck_assert_str_eq(media_type_find(types, "a.txt"), "text/plain; charset=utf-8");
    media_types_free(types);
    media_types_free(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("media_type");
    TCase *tests = tcase_create("media_type");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_type_follows_the_last_ending_of_the_name, 0, COUNT(rows));
    tcase_add_test(tests, without_a_table_of_the_system_ours_is_there);
    tcase_add_test(tests, of_a_table_without_end_only_the_beginning_is_read);
    tcase_add_test(tests, a_table_of_a_hundred_thousand_endings_is_searched_as_well);
    tcase_add_test(tests, the_lines_that_need_most_room_fit);
    tcase_add_test(tests, a_random_table_gives_no_type_that_would_break_a_header);
    tcase_add_test(tests, nothing_is_a_table_too);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
