/* The documented sample file, with the handlers that the program has. Runs in the project's root,
   where config/ is; with LASTCALL_WRITE_SAMPLE set it writes the file anew. */
#include "config/keys.h"
#include "handlers/handler.h"
#include "tests/unit/config_support.h"

#define SAMPLE_PATH "config/lastcall.ini"

/* Not inlined: gcc 12 then takes what the stream has allocated for the pointer to it. */
__attribute__((noinline)) static char *sample(const struct option_group *groups)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    config_sample(groups, out);
    fclose(out);
    return text;
}

static char *read_sample(void)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    FILE *file = fopen(SAMPLE_PATH, "r");

    ck_assert_msg(file != NULL, SAMPLE_PATH " is not to be found from here");
    for (int byte = fgetc(file); byte != EOF; byte = fgetc(file))
        fputc(byte, out);
    fclose(file);
    fclose(out);
    return text;
}

static struct outcome load_with(const struct option_group *groups, const char *text)
{
    struct config_source source = {.text = text, .groups = groups};
    struct outcome outcome = load_source(&source);

    ck_assert_str_eq(outcome.errors, "");
    return outcome;
}

/* The sections of a text that begins with them, from the first route on. */
static const char *routes_of(const char *text)
{
    const char *routes = strstr(text, "\n[route ");

    ck_assert_ptr_nonnull(routes);
    return routes;
}

START_TEST(the_sample_file_is_what_the_table_says)
{
    char *expected = sample(handler_groups());

    if (getenv("LASTCALL_WRITE_SAMPLE")) {
        FILE *file = fopen(SAMPLE_PATH, "w");
        ck_assert_ptr_nonnull(file);
        fputs(expected, file);
        fclose(file);
    }
    char *text = read_sample();
    ck_assert_msg(strcmp(text, expected) == 0,
                  SAMPLE_PATH " is out of date; run this test with LASTCALL_WRITE_SAMPLE=1");
    free(text);
    free(expected);
}
END_TEST

START_TEST(the_sample_shows_the_defaults_and_changes_none)
{
    char *text = sample(handler_groups());
    struct outcome written = load_with(handler_groups(), text);
    struct outcome defaults = load_with(handler_groups(), routes_of(written.dump));

    ck_assert_str_eq(written.dump, defaults.dump);
    ck_assert_uint_ge(written.config.route_count, 4);
    outcome_free(&written);
    outcome_free(&defaults);
    free(text);
}
END_TEST

START_TEST(the_sample_has_every_key_that_is_dumped_on_a_line_of_its_own)
{
    char *text = sample(handler_groups());
    struct outcome written = load_with(handler_groups(), text);
    char *rest = NULL;
    bool in_route = false;

    for (char *line = strtok_r(written.dump, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char whole[256];
        in_route = in_route || strncmp(line, "[route ", 7) == 0;
        snprintf(whole, sizeof(whole), "\n%s\n", line);
        bool found = strstr(in_route ? routes_of(text) : text, whole) != NULL;
        /* What every route with WebSockets takes is a comment, once. */
        snprintf(whole, sizeof(whole), "\n;%s\n", line);
        const char *comment = in_route ? strstr(text, whole) : NULL;
        ck_assert_msg(found != (comment != NULL), "%s is not in the sample, or twice", line);
        ck_assert(!comment || !strstr(comment + 1, whole));
    }
    outcome_free(&written);
    free(text);
}
END_TEST

START_TEST(the_first_route_with_websockets_shows_the_keys_that_are_about_them)
{
    static const struct option_group groups[] = {
        {.name = "page", .help = "is looked at"},
        {.name = "talk", .help = "talks", .websockets = true},
        {.name = "chat", .help = "talks to all", .websockets = true},
        {.name = NULL},
    };
    static const char drain[] = "\n; Choice: close or wait. Default: close.\n;drain = close\n";
    char *text = sample(groups);
    const char *second = strstr(text, "\nhandler = talk\n");
    const char *shown = strstr(text, drain);
    const char *third = strstr(text, "\nhandler = chat\n");

    ck_assert(second && shown && third);
    ck_assert(second < shown && shown < third);
    ck_assert_ptr_nonnull(strstr(text, " takes these keys too: talk, chat.\n"));
    ck_assert_ptr_null(strstr(shown + 1, drain));
    free(text);
}
END_TEST

/* Else nobody could tell which of the two is meant. */
START_TEST(no_handler_has_a_key_that_every_route_has)
{
    for (const struct option_group *group = handler_groups(); group->name; group++) {
        for (const struct option *option = group->options; option && option->name; option++) {
            for (const struct config_key *key = config_route_keys; key->option.name; key++)
                ck_assert_str_ne(option->name, key->option.name);
            for (const struct option *own = config_route_options; own->name; own++)
                ck_assert_str_ne(option->name, own->name);
        }
    }
}
END_TEST

/* Takes the semicolon from the lines that are keys and sections behind it. */
static void uncomment(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++)
        if (*from != ';' || from[1] == ' ' || from[1] == '\n' || (from > text && from[-1] != '\n'))
            *to++ = *from;
    *to = '\0';
}

START_TEST(a_handler_that_needs_a_key_is_shown_as_a_comment_that_loads_once_it_is_none)
{
    char *text = sample(test_groups);

    ck_assert_ptr_nonnull(strstr(text, "\n;[route /all]\n"));
    uncomment(text);
    struct outcome outcome = load_with(test_groups, text);
    ck_assert_uint_eq(outcome.config.route_count, 3);
    ck_assert_ptr_nonnull(strstr(text, "\ndrain = close\n"));
    outcome_free(&outcome);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_sample");

    tcase_add_test(tests, the_sample_file_is_what_the_table_says);
    tcase_add_test(tests, the_sample_shows_the_defaults_and_changes_none);
    tcase_add_test(tests, the_sample_has_every_key_that_is_dumped_on_a_line_of_its_own);
    tcase_add_test(tests, the_first_route_with_websockets_shows_the_keys_that_are_about_them);
    tcase_add_test(tests, no_handler_has_a_key_that_every_route_has);
    tcase_add_test(tests,
                   a_handler_that_needs_a_key_is_shown_as_a_comment_that_loads_once_it_is_none);
    return run_case("config_sample", tests);
}
