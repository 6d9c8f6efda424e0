#include "server/command_line.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { WORDS_MAX = 12 };

/* A call's words, without the program's name. */
static int parse(struct command_line *line, const char *const *words, FILE *errors)
{
    static char program[] = "lastcall";
    char *copy[WORDS_MAX + 2] = {program};
    int count = 1;
    for (; words[count - 1] != NULL; count++)
        copy[count] = (char *)(uintptr_t)words[count - 1];
    return command_line_parse(line, count, copy, errors);
}

/* getopt's own messages go to standard error whatever we pass, so the tests look there. */
static FILE *errors_caught;

static void catch_errors(void)
{
    errors_caught = tmpfile();
    ck_assert_ptr_nonnull(errors_caught);
    ck_assert_int_eq(dup2(fileno(errors_caught), STDERR_FILENO), STDERR_FILENO);
}

static const char *errors_said(void)
{
    static char said[1024];
    fflush(stderr);
    rewind(errors_caught);
    said[fread(said, 1, sizeof said - 1, errors_caught)] = '\0';
    fclose(errors_caught);
    return said;
}

static const struct {
    const char *words[WORDS_MAX];
    enum command command;
    const char *path;
    const char *topic;
    const char *settings[4];
} good[] = {
    {{NULL}, COMMAND_RUN, NULL, NULL, {NULL}},
    {{"-c", "f.ini"}, COMMAND_RUN, "f.ini", NULL, {NULL}},
    {{"-cf.ini"}, COMMAND_RUN, "f.ini", NULL, {NULL}},
    {{"--config", "f.ini"}, COMMAND_RUN, "f.ini", NULL, {NULL}},
    {{"--config=f.ini"}, COMMAND_RUN, "f.ini", NULL, {NULL}},
    {{"-c", "-"}, COMMAND_RUN, "-", NULL, {NULL}},
    {{"-c", "-t"}, COMMAND_RUN, "-t", NULL, {NULL}},
    {{"-s", "a.b=c"}, COMMAND_RUN, NULL, NULL, {"a.b=c"}},
    {{"--set=a.b=c", "-s", "d.e=f", "-c", "g"}, COMMAND_RUN, "g", NULL, {"a.b=c", "d.e=f"}},
    {{"-s", "a.b=c", "-s", "a.b=c"}, COMMAND_RUN, NULL, NULL, {"a.b=c", "a.b=c"}},
    {{"-s", ""}, COMMAND_RUN, NULL, NULL, {""}},
    {{"-t"}, COMMAND_TEST, NULL, NULL, {NULL}},
    {{"-c", "f", "-t"}, COMMAND_TEST, "f", NULL, {NULL}},
    {{"-tc", "f"}, COMMAND_TEST, "f", NULL, {NULL}},
    {{"-t", "--test", "-t"}, COMMAND_TEST, NULL, NULL, {NULL}},
    {{"-T", "-s", "x.y=z"}, COMMAND_DUMP, NULL, NULL, {"x.y=z"}},
    {{"--dump", "-c", "f"}, COMMAND_DUMP, "f", NULL, {NULL}},
    {{"-c", "f", "--health"}, COMMAND_HEALTH, "f", NULL, {NULL}},
    {{"-V"}, COMMAND_VERSION, NULL, NULL, {NULL}},
    {{"--version"}, COMMAND_VERSION, NULL, NULL, {NULL}},
    {{"-h"}, COMMAND_HELP, NULL, NULL, {NULL}},
    {{"--help"}, COMMAND_HELP, NULL, NULL, {NULL}},
    {{"-h", "config"}, COMMAND_HELP, NULL, "config", {NULL}},
    {{"--help", "handlers"}, COMMAND_HELP, NULL, "handlers", {NULL}},
    {{"config", "--help"}, COMMAND_HELP, NULL, "config", {NULL}},
    {{"-t", "--"}, COMMAND_TEST, NULL, NULL, {NULL}},
};

START_TEST(a_right_call_is_understood)
{
    struct command_line line;
    catch_errors();
    int result = parse(&line, good[_i].words, stderr);
    ck_assert_str_eq(errors_said(), "");
    ck_assert_int_eq(result, 0);
    ck_assert_int_eq(line.command, good[_i].command);
    ck_assert_pstr_eq(line.path, good[_i].path);
    ck_assert_pstr_eq(line.topic, good[_i].topic);
    size_t count = 0;
    for (; good[_i].settings[count] != NULL; count++) {
        ck_assert_uint_lt(count, line.setting_count);
        ck_assert_str_eq(line.settings[count], good[_i].settings[count]);
    }
    ck_assert_uint_eq(line.setting_count, count);
}
END_TEST

static const struct {
    const char *words[WORDS_MAX];
    const char *said; /* a part of it */
} bad[] = {
    {{"-x"}, "x"},
    {{"-H"}, "H"},
    {{"--nonsense"}, "nonsense"},
    {{"--he"}, "--he"},
    {{"-c"}, "c"},
    {{"-s"}, "s"},
    {{"--config"}, "config"},
    {{"--test=yes"}, "test"},
    {{"-c", "a", "-c", "b"}, "-c was given twice: a, b"},
    {{"-c", "a", "--config=a"}, "-c was given twice: a, a"},
    {{"-t", "-T"}, "only one of"},
    {{"-V", "-h"}, "only one of"},
    {{"-t", "--health"}, "only one of"},
    {{"f.ini"}, "'f.ini' is not understood; a file is given with -c FILE"},
    {{"-t", "f.ini"}, "'f.ini' is not understood; a file is given with -c FILE"},
    {{"-c", "a", "b"}, "'b' is not understood"},
    {{"config"}, "'config' is not understood"},
    {{"--", "-t"}, "'-t' is not understood"},
    {{"-h", "routes"}, "'routes' is not understood; help has: config, handlers"},
    {{"-h", "config", "handlers"}, "is not understood"},
    {{"-h", ""}, "'' is not understood"},
};

START_TEST(a_wrong_call_is_refused_and_says_what_was_wrong)
{
    struct command_line line;
    catch_errors();
    int result = parse(&line, bad[_i].words, stderr);
    const char *said = errors_said();
    ck_assert_int_eq(result, -1);
    ck_assert_msg(strstr(said, bad[_i].said) != NULL, "said: %s", said);
    ck_assert_int_eq(said[strlen(said) - 1], '\n');
}
END_TEST

START_TEST(as_many_settings_as_there_is_room_for_are_taken_and_no_more)
{
    static char program[] = "lastcall";
    static char setting[] = "-sa.b=c";
    char *words[COMMAND_SETTINGS_MAX + 3] = {program};
    struct command_line line;
    for (int i = 1; i <= COMMAND_SETTINGS_MAX + 1; i++)
        words[i] = setting;
    catch_errors();
    int all = command_line_parse(&line, COMMAND_SETTINGS_MAX + 1, words, stderr);
    ck_assert_uint_eq(line.setting_count, COMMAND_SETTINGS_MAX);
    int more = command_line_parse(&line, COMMAND_SETTINGS_MAX + 2, words, stderr);
    const char *said = errors_said();
    ck_assert_int_eq(all, 0);
    ck_assert_int_eq(more, -1);
    ck_assert_ptr_nonnull(strstr(said, "more than 256 times -s"));
}
END_TEST

START_TEST(the_help_names_every_option_and_every_exit_status)
{
    static const char *const parts[] = {
        "-c, --config FILE",
        "-s, --set SECTION.KEY=VALUE",
        "-t, --test",
        "-T, --dump",
        "    --health",
        "-V, --version",
        "-h, --help [config|handlers]",
        "\n   0  ",
        "\n   1  ",
        "\n   2  ",
        "\n   3  ",
        "\n  64  ",
        "69  ",
        "\n  71  ",
        "78  ",
        "\n  128 ",
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    command_line_help(out);
    fclose(out);
    for (size_t i = 0; i < COUNT(parts); i++)
        ck_assert_msg(strstr(text, parts[i]) != NULL, "the help lacks '%s'", parts[i]);
    for (const char *row = text; *row != '\0'; row += strcspn(row, "\n") + 1)
        ck_assert_msg(strcspn(row, "\n") <= 100, "too long: %.*s", (int)strcspn(row, "\n"), row);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("command_line");
    TCase *tests = tcase_create("command_line");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_right_call_is_understood, 0, COUNT(good));
    tcase_add_loop_test(tests, a_wrong_call_is_refused_and_says_what_was_wrong, 0, COUNT(bad));
    tcase_add_test(tests, as_many_settings_as_there_is_room_for_are_taken_and_no_more);
    tcase_add_test(tests, the_help_names_every_option_and_every_exit_status);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
