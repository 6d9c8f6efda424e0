#include "server/log.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/clock.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LONG = 60000 }; /* milliseconds that no test reaches */

static const char *format(enum log_format kind, bool colour, const char *time, enum log_level level,
                          const char *message, const struct log_field *fields, size_t count)
{
    static char line[LOG_LINE_MAX + 1];
    size_t length =
        log_format_line(line, LOG_LINE_MAX, kind, colour, time, level, message, fields, count);
    ck_assert_uint_le(length, LOG_LINE_MAX);
    line[length] = '\0';
    return line;
}

static const struct log_field some[] = {
    LOG_TEXT("address", "127.0.0.1:8080"),
    LOG_NUMBER("status", 503),
    LOG_TEXT("why", "the house is \"full\""),
    LOG_TEXT("nothing", NULL),
    LOG_NUMBER("less", -7),
};

START_TEST(a_line_of_text_is_a_level_a_message_and_fields)
{
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, false, NULL, LOG_INFO, "ready", NULL, 0),
                     "info ready\n");
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, false, "T", LOG_WARNING, "refused", some, COUNT(some)),
                     "T warning refused address=127.0.0.1:8080 status=503 "
                     "why=\"the house is \\\"full\\\"\" nothing=\"\" less=-7\n");
}
END_TEST

START_TEST(a_line_of_json_is_one_object)
{
    ck_assert_str_eq(format(LOG_FORMAT_JSON, false, NULL, LOG_DEBUG, "ready", NULL, 0),
                     "{\"level\":\"debug\",\"message\":\"ready\"}\n");
    ck_assert_str_eq(format(LOG_FORMAT_JSON, false, "T", LOG_ERROR, "refused", some, COUNT(some)),
                     "{\"time\":\"T\",\"level\":\"error\",\"message\":\"refused\","
                     "\"address\":\"127.0.0.1:8080\",\"status\":503,"
                     "\"why\":\"the house is \\\"full\\\"\",\"nothing\":\"\",\"less\":-7}\n");
}
END_TEST

START_TEST(colour_is_on_the_level_alone_and_never_in_json)
{
    static const char *const texts[] = {
        "T \033[31merror\033[0m x a=1\n", "T \033[33mwarning\033[0m x a=1\n",
        "T \033[32minfo\033[0m x a=1\n", "T \033[2mdebug\033[0m x a=1\n"};
    static const struct log_field field = LOG_NUMBER("a", 1);
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, true, "T", (enum log_level)_i, "x", &field, 1),
                     texts[_i]);
    ck_assert_ptr_null(
        strchr(format(LOG_FORMAT_JSON, true, "T", (enum log_level)_i, "x", &field, 1), '\033'));
}
END_TEST

static const struct {
    const char *value;
    const char *text;
    const char *json;
} values[] = {
    {"plain", "plain", "\"plain\""},
    {"", "\"\"", "\"\""},
    {"two words", "\"two words\"", "\"two words\""},
    {"a=b", "\"a=b\"", "\"a=b\""},
    {"\"", "\"\\\"\"", "\"\\\"\""},
    {"back\\slash", "\"back\\\\slash\"", "\"back\\\\slash\""},
    {"line\nbreak", "\"line\\u000abreak\"", "\"line\\u000abreak\""},
    {"\r\n", "\"\\u000d\\u000a\"", "\"\\u000d\\u000a\""},
    {"\t", "\"\\u0009\"", "\"\\u0009\""},
    {"\001", "\"\\u0001\"", "\"\\u0001\""},
    {"\033[31m", "\"\\u001b[31m\"", "\"\\u001b[31m\""},
    {"\177", "\"\\u007f\"", "\"\\u007f\""},
    {"caf\303\251", "caf\303\251", "\"caf\303\251\""},
    {"caf\351", "\"caf\\ufffd\"", "\"caf\\ufffd\""},
    {"\302\2332J", "\"\\u009b2J\"", "\"\\u009b2J\""},
    {"/path?query#x", "/path?query#x", "\"/path?query#x\""},
    {"503", "503", "\"503\""},
};

START_TEST(no_value_breaks_out_of_its_field)
{
    const struct log_field field = LOG_TEXT("v", values[_i].value);
    char expected[128];
    snprintf(expected, sizeof expected, "info m v=%s\n", values[_i].text);
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, false, NULL, LOG_INFO, "m", &field, 1), expected);
    snprintf(expected, sizeof expected, "{\"level\":\"info\",\"message\":\"m\",\"v\":%s}\n",
             values[_i].json);
    ck_assert_str_eq(format(LOG_FORMAT_JSON, false, NULL, LOG_INFO, "m", &field, 1), expected);
}
END_TEST

START_TEST(the_largest_numbers_are_written_whole)
{
    static const struct log_field fields[] = {LOG_NUMBER("a", INT64_MAX),
                                              LOG_NUMBER("b", INT64_MIN)};
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, false, NULL, LOG_INFO, "m", fields, 2),
                     "info m a=9223372036854775807 b=-9223372036854775808\n");
}
END_TEST

/* The end of a JSON string that begins at `p`, or NULL. */
static const char *skip_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < ' ')
            return NULL;
        if (*p == '\\') {
            p++;
            if (*p == 'u' && strspn(p + 1, "0123456789abcdef") >= 4)
                p += 4;
            else if (*p != '"' && *p != '\\')
                return NULL;
        }
    }
    return p + 1;
}

/* Whether it is one flat object of strings and whole numbers, a newline and nothing more. */
static bool is_json_line(const char *p)
{
    char before = *p == '{' ? ',' : '\0';
    while (before == ',') {
        p = skip_string(p + 1);
        if (p == NULL || *p++ != ':')
            return false;
        if (*p == '"')
            p = skip_string(p);
        else
            p += strspn(p, "-0123456789");
        if (p == NULL)
            return false;
        before = *p;
    }
    return strcmp(p, "}\n") == 0;
}

START_TEST(the_check_for_json_can_fail)
{
    static const char *const wrong[] = {"",
                                        "{}\n",
                                        "{\"a\":1}",
                                        "{\"a\":1\n",
                                        "{\"a\":\"1}\n",
                                        "{\"a\":\"\\x\"}\n",
                                        "{\"a\":\"\\u00\"}\n",
                                        "{\"a\":\"\n\"}\n",
                                        "{\"a\":1,}\n",
                                        "{\"a\":1}}\n",
                                        "{\"a\"}\n"};
    ck_assert(is_json_line("{\"a\":1,\"b\":\"x\\u000a\\\"\"}\n"));
    for (size_t i = 0; i < COUNT(wrong); i++)
        ck_assert_msg(!is_json_line(wrong[i]), "passes: %s", wrong[i]);
}
END_TEST

/* Values of every length around the line's, with and without escapes at the cut. */
START_TEST(a_line_that_is_too_long_is_cut_and_json_still_parses)
{
    static const char *const fillings[] = {"a", "\"", "\n", "\\"};
    char value[1200];
    for (size_t kind = 0; kind < COUNT(fillings); kind++) {
        for (size_t length = kind == 2 ? 100 : 400; length < sizeof value; length++) {
            memset(value, fillings[kind][0], length);
            value[length] = '\0';
            const struct log_field fields[] = {LOG_NUMBER("first", 1), LOG_TEXT("long", value),
                                               LOG_NUMBER("last", 2)};
            const char *json = format(LOG_FORMAT_JSON, false, "T", LOG_INFO, "m", fields, 3);
            if (!is_json_line(json) || strstr(json, "\"first\":1") == NULL)
                ck_abort_msg("length %zu: %s", length, json);
            const char *text = format(LOG_FORMAT_TEXT, false, "T", LOG_INFO, "m", fields, 3);
            if (strncmp(text, "T info m first=1 long=", 22) != 0 ||
                strcspn(text, "\n") != strlen(text) - 1)
                ck_abort_msg("length %zu: %s", length, text);
        }
    }
}
END_TEST

START_TEST(fields_that_fit_are_written_whole)
{
    char value[900];
    memset(value, 'a', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const struct log_field fields[] = {LOG_TEXT("long", value), LOG_NUMBER("last", 2)};
    ck_assert_ptr_nonnull(
        strstr(format(LOG_FORMAT_TEXT, false, "T", LOG_INFO, "m", fields, 2), "a last=2\n"));
    ck_assert_ptr_nonnull(
        strstr(format(LOG_FORMAT_JSON, false, "T", LOG_INFO, "m", fields, 2), "a\",\"last\":2}\n"));
}
END_TEST

START_TEST(a_line_never_exceeds_its_room)
{
    for (size_t size = 40; size < 140; size++) {
        char *line = malloc(size);
        ck_assert_ptr_nonnull(line);
        for (int kind = 0; kind < 2; kind++) {
            size_t length = log_format_line(line, size, (enum log_format)kind, false, NULL,
                                            LOG_INFO, "m", some, COUNT(some));
            ck_assert_uint_le(length, size);
            ck_assert_int_eq(line[length - 1], '\n');
        }
        free(line);
    }
}
END_TEST

/* --- the limit --- */

START_TEST(after_a_burst_one_line_a_second_is_written_and_the_others_are_counted)
{
    struct log_limit limit = {.burst = 3};
    static const struct {
        int64_t now;
        bool pass;
        int64_t left_out;
    } rows[] = {
        {1000, true, 0},    {1000, true, 0},    {1999, true, 0},    {1999, false, 0},
        {1999, false, 0},   {2000, true, 2},    {2000, false, 0},   {2999, false, 0},
        {3000, true, 2},    {3500, false, 0},   {9500, true, 1},    {9500, true, 0},
        {9500, true, 0},    {9500, false, 0},   {10000, true, 1},   {10000, false, 0},
        {3600000, true, 1}, {3600000, true, 0}, {3600000, true, 0}, {3600000, false, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t left_out = -1;
        bool pass = log_limit_pass(&limit, rows[i].now, &left_out);
        ck_assert_msg(pass == rows[i].pass, "row %zu", i);
        if (pass)
            ck_assert_msg(left_out == rows[i].left_out, "row %zu: %lld left out", i,
                          (long long)left_out);
    }
}
END_TEST

/* --- the queue --- */

enum { LINES = 5000 };

/* A pipe in the place of standard error; returns the end that is read. */
static int catch_errors(void)
{
    int pair[2];
    ck_assert_int_eq(pipe2(pair, O_CLOEXEC), 0);
    ck_assert_int_eq(dup2(pair[1], STDERR_FILENO), STDERR_FILENO);
    close(pair[1]);
    return pair[0];
}

struct reading {
    int descriptor;
    long numbered; /* lines of ours */
    long lost;     /* as told by the lines about loss */
    long last;     /* number of the last line */
    long others;
};

static void take_line(struct reading *reading, const char *line)
{
    const char *number = strstr(line, "info numbered line=");
    const char *lost = strstr(line, "warning log lines lost: nobody read them fast enough lines=");
    if (number != NULL) {
        long value = atol(strchr(number, '=') + 1);
        reading->numbered++;
        reading->others += value <= reading->last;
        reading->last = value;
    } else if (lost != NULL) {
        reading->lost += atol(strchr(lost, '=') + 1);
    } else {
        reading->others++;
    }
}

static void *read_lines(void *argument)
{
    struct reading *reading = argument;
    char line[2 * LOG_LINE_MAX];
    FILE *file = fdopen(reading->descriptor, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        take_line(reading, line);
    if (file != NULL)
        fclose(file);
    return NULL;
}

static void log_numbers(void)
{
    for (int i = 1; i <= LINES; i++)
        log_event(LOG_INFO, "numbered", LOG_NUMBER("line", i), LOG_TEXT("filling", "0123456789"));
}

START_TEST(who_logs_is_never_held_up_and_lost_lines_are_counted)
{
    struct reading reading = {.descriptor = catch_errors()};
    pthread_t reader;
    ck_assert_int_eq(log_start(LOG_INFO, LOG_FORMAT_TEXT), 0);
    log_numbers(); /* nobody reads: a line that waited for the pipe would wait for ever */
    ck_assert_int_eq(pthread_create(&reader, NULL, read_lines, &reading), 0);
    log_stop(LONG);
    close(STDERR_FILENO);
    pthread_join(reader, NULL);
    ck_assert_int_gt(reading.lost, 0);
    ck_assert_int_ge(reading.numbered, 1024);
    ck_assert_int_eq(reading.numbered + reading.lost, LINES);
    ck_assert_uint_eq(log_lost(), (uint64_t)reading.lost);
    ck_assert_int_eq(reading.others, 0);
}
END_TEST

START_TEST(what_is_said_seldom_has_room_where_frequent_lines_are_lost)
{
    static const char access[] = "a line of which there are very many\n";
    struct reading reading = {.descriptor = catch_errors()};
    pthread_t reader;
    ck_assert_int_eq(log_start(LOG_DEBUG, LOG_FORMAT_TEXT), 0);
    for (int i = 0; i < LINES; i++) {
        log_frequent(access, strlen(access));
        log_fields(LOG_DEBUG, "so is this", NULL, 0);
    }
    for (int i = 1; i <= 100; i++)
        log_event(LOG_INFO, "numbered", LOG_NUMBER("line", i));
    ck_assert_int_eq(pthread_create(&reader, NULL, read_lines, &reading), 0);
    log_stop(LONG);
    close(STDERR_FILENO);
    pthread_join(reader, NULL);
    ck_assert_int_eq(reading.numbered, 100);
    ck_assert_int_gt(reading.lost, 0);
    ck_assert_int_eq(reading.others + reading.lost, 2L * LINES);
}
END_TEST

START_TEST(stopping_the_log_waits_no_longer_than_it_was_told)
{
    catch_errors();
    ck_assert_int_eq(log_start(LOG_INFO, LOG_FORMAT_TEXT), 0);
    log_numbers();
    int64_t began = clock_milliseconds();
    log_stop(50);
    int64_t took = clock_milliseconds() - began;
    ck_assert_int_ge(took, 50);
    ck_assert_int_lt(took, LONG / 2);
}
END_TEST

START_TEST(lines_are_written_directly_before_the_start_and_after_the_stop)
{
    char text[1024];
    int errors = catch_errors();
    log_event(LOG_INFO, "before", LOG_NUMBER("a", 1));
    text[read(errors, text, sizeof text - 1)] = '\0';
    ck_assert_str_eq(text, "info before a=1\n");
    setenv("JOURNAL_STREAM", "0:0", 1); /* somebody else's */
    ck_assert_int_eq(log_start(LOG_INFO, LOG_FORMAT_JSON), 0);
    log_stop(LONG);
    log_event(LOG_INFO, "after", LOG_NUMBER("a", 2));
    text[read(errors, text, sizeof text - 1)] = '\0';
    ck_assert_msg(strncmp(text, "{\"time\":\"20", 11) == 0, "%s", text);
    ck_assert_ptr_nonnull(strstr(text, "Z\",\"level\":\"info\",\"message\":\"after\",\"a\":2}\n"));
}
END_TEST

static void *log_behind(void *argument)
{
    log_event(LOG_ERROR, argument, LOG_NUMBER("a", 1));
    log_frequent("frequent\n", strlen("frequent\n"));
    return NULL;
}

START_TEST(what_one_thread_says_alone_is_the_end_of_the_log)
{
    static char others[] = "others";
    char text[1024];
    pthread_t thread;
    int errors = catch_errors();
    ck_assert_int_eq(log_start(LOG_INFO, LOG_FORMAT_TEXT), 0);
    log_alone();
    log_event(LOG_INFO, "last", LOG_NUMBER("a", 2));
    ck_assert_int_eq(pthread_create(&thread, NULL, log_behind, others), 0);
    pthread_join(thread, NULL);
    log_stop(LONG);
    ck_assert_int_eq(pthread_create(&thread, NULL, log_behind, others), 0);
    pthread_join(thread, NULL);
    close(STDERR_FILENO);
    text[read(errors, text, sizeof text - 1)] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "last a=2\n"));
    ck_assert_ptr_null(strstr(text, "others"));
    ck_assert_ptr_null(strstr(text, "frequent"));
}
END_TEST

START_TEST(lines_above_the_level_are_not_written)
{
    char text[4096];
    int errors = catch_errors();
    ck_assert_int_eq(log_start((enum log_level)_i, LOG_FORMAT_TEXT), 0);
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        ck_assert_int_eq(log_wanted((enum log_level)level), level <= _i);
        log_event((enum log_level)level, "said", LOG_NUMBER("level", level));
    }
    log_stop(LONG);
    close(STDERR_FILENO);
    size_t length = 0;
    ssize_t got;
    while ((got = read(errors, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        char part[32];
        snprintf(part, sizeof part, "said level=%d\n", level);
        ck_assert_int_eq(strstr(text, part) != NULL, level <= _i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_line_of_text_is_a_level_a_message_and_fields);
    tcase_add_test(tests, a_line_of_json_is_one_object);
    tcase_add_loop_test(tests, colour_is_on_the_level_alone_and_never_in_json, 0, LOG_DEBUG + 1);
    tcase_add_loop_test(tests, no_value_breaks_out_of_its_field, 0, COUNT(values));
    tcase_add_test(tests, the_largest_numbers_are_written_whole);
    tcase_add_test(tests, the_check_for_json_can_fail);
    tcase_add_test(tests, a_line_that_is_too_long_is_cut_and_json_still_parses);
    tcase_add_test(tests, fields_that_fit_are_written_whole);
    tcase_add_test(tests, a_line_never_exceeds_its_room);
    tcase_add_test(tests, after_a_burst_one_line_a_second_is_written_and_the_others_are_counted);
    tcase_add_test(tests, who_logs_is_never_held_up_and_lost_lines_are_counted);
    tcase_add_test(tests, what_is_said_seldom_has_room_where_frequent_lines_are_lost);
    tcase_add_test(tests, stopping_the_log_waits_no_longer_than_it_was_told);
    tcase_add_test(tests, lines_are_written_directly_before_the_start_and_after_the_stop);
    tcase_add_test(tests, what_one_thread_says_alone_is_the_end_of_the_log);
    tcase_add_loop_test(tests, lines_above_the_level_are_not_written, 0, LOG_DEBUG + 1);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
