#include "server/exposition.h"

#include <sys/resource.h>

#include "server/process.h"
#include "tests/support/exposition_parser.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

#define GAUGE "# HELP g a\n# TYPE g gauge\n"
#define COUNTER "# HELP c_total a\n# TYPE c_total counter\n"
#define HISTOGRAM "# HELP h a\n# TYPE h histogram\n"

static struct exposition text;

static void begin(void)
{
    ck_assert_int_eq(exposition_init(&text, 0), 0);
}

static void end(void)
{
    exposition_free(&text);
}

static void check_text(const char *wanted)
{
    ck_assert(exposition_complete(&text));
    ck_assert_msg(text.length == strlen(wanted) && memcmp(text.text, wanted, text.length) == 0,
                  "%.*s\ninstead of\n%s", (int)text.length, text.text, wanted);
}

START_TEST(a_metric_has_its_help_its_type_and_its_samples)
{
    exposition_metric(&text, "a_total", EXPOSITION_COUNTER, "What a is");
    exposition_sample(&text, "");
    exposition_label(&text, "route", "/echo");
    exposition_label_number(&text, "code", 1001);
    exposition_number(&text, 0);
    exposition_metric(&text, "b", EXPOSITION_GAUGE, "What b is");
    exposition_sample(&text, "");
    exposition_number(&text, UINT64_MAX);
    exposition_metric(&text, "c", EXPOSITION_HISTOGRAM, "What c is");
    exposition_sample(&text, "_bucket");
    exposition_label_seconds(&text, "le", 2500);
    exposition_number(&text, 1234567890);
    exposition_sample(&text, "_sum");
    exposition_seconds(&text, 1500000);
    check_text(
        "# HELP a_total What a is\n# TYPE a_total counter\n"
        "a_total{route=\"/echo\",code=\"1001\"} 0\n"
        "# HELP b What b is\n# TYPE b gauge\nb 18446744073709551615\n"
        "# HELP c What c is\n# TYPE c histogram\n"
        "c_bucket{le=\"0.0025\"} 1234567890\nc_sum 1.5\n");
}
END_TEST

static const struct {
    uint64_t microseconds;
    const char *seconds;
} times[] = {
    {0, " 0\n"},
    {1, " 0.000001\n"},
    {250, " 0.00025\n"},
    {999999, " 0.999999\n"},
    {100000, " 0.1\n"},
    {1000000, " 1\n"},
    {1000001, " 1.000001\n"},
    {10500000, " 10.5\n"},
    {604800000000, " 604800\n"},
    {UINT64_MAX, " 18446744073709.551615\n"},
};

START_TEST(microseconds_become_seconds_in_their_shortest_form)
{
    exposition_seconds(&text, times[_i].microseconds);
    check_text(times[_i].seconds);
}
END_TEST

static const struct {
    const char *value;
    const char *written;
} values[] = {
    {"", ""},
    {"/a b/*", "/a b/*"},
    {"\"quoted\"", "\\\"quoted\\\""},
    {"back\\slash\\n", "back\\\\slash\\\\n"},
    {"new\nline\n", "new\\nline\\n"},
    {"\"} 1\nlastcall_evil{x=\"", "\\\"} 1\\nlastcall_evil{x=\\\""},
    {"\t\r\x01\x7f", "\t\r\x01\x7f"},
    {"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8D\xBA", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8D\xBA"},
    {"caf\xE9", "caf%E9"},
    {"\xE9t\xE9", "%E9t%E9"},
    {"\xFF\xFE\x80", "%FF%FE%80"},
    {"cut \xE2\x82", "cut %E2%82"},
    {"cut \xE2\x82\"", "cut %E2%82\\\""},
    {"\xC3\xC3\xA9", "%C3\xC3\xA9"},
    {"overlong \xC0\xAF", "overlong %C0%AF"},
    {"surrogate \xED\xA0\x80", "surrogate %ED%A0%80"},
    {"too high \xF4\x90\x80\x80", "too high %F4%90%80%80"},
    {"five \xF8\x88\x80\x80\x80", "five %F8%88%80%80%80"},
};

START_TEST(a_value_is_escaped_and_what_is_not_UTF_8_is_written_as_in_a_URL)
{
    char wanted[128];
    exposition_label(&text, "route", values[_i].value);
    snprintf(wanted, sizeof wanted, "{route=\"%s\"", values[_i].written);
    check_text(wanted);
}
END_TEST

START_TEST(every_pair_of_bytes_is_a_value_that_can_be_read)
{
    for (unsigned first = 1; first < 256; first++) {
        for (unsigned second = 1; second < 256; second++) {
            const char value[] = {(char)first, (char)second, 'x', '\0'};
            text.length = 0;
            exposition_metric(&text, "g", EXPOSITION_GAUGE, "a");
            exposition_sample(&text, "");
            exposition_label(&text, "route", value);
            exposition_number(&text, 1);
            struct parsed parsed = parse_right(text.text, text.length);
            const char *read = label_of(&parsed.samples[0], "route");
            if (utf8_length((const unsigned char *)value) > 0 &&
                utf8_length((const unsigned char *)value + 1) > 0)
                ck_assert_str_eq(read, value);
            parsed_free(&parsed);
        }
    }
}
END_TEST

START_TEST(a_text_grows_far_beyond_what_was_expected_and_nothing_is_lost)
{
    enum { LINES = 200000 };
    exposition_metric(&text, "g", EXPOSITION_GAUGE, "a");
    size_t head = text.length;
    for (unsigned i = 0; i < LINES; i++) {
        exposition_sample(&text, "");
        exposition_label_number(&text, "number", LINES + i);
        exposition_number(&text, 7);
    }
    ck_assert(exposition_complete(&text));
    ck_assert_uint_eq(text.length, head + LINES * strlen("g{number=\"200000\"} 7\n"));
    for (unsigned i = 0; i < LINES; i++) {
        char wanted[32];
        size_t length = (size_t)snprintf(wanted, sizeof wanted, "g{number=\"%u\"} 7\n", LINES + i);
        ck_assert_mem_eq(text.text + head + i * length, wanted, length);
    }
}
END_TEST

START_TEST(the_memory_goes_back_to_the_system)
{
    static char long_value[1 << 20];
    struct process_figures before;
    struct process_figures grown;
    struct process_figures after;
    memset(long_value, 'x', sizeof long_value - 1);
    process_read(&before);
    exposition_label(&text, "a", long_value);
    process_read(&grown);
    exposition_free(&text);
    process_read(&after);
    ck_assert_uint_ge(grown.virtual_bytes, before.virtual_bytes + sizeof long_value);
    ck_assert_uint_lt(after.virtual_bytes, before.virtual_bytes + sizeof long_value);
}
END_TEST

START_TEST(a_text_that_the_system_has_no_memory_for_is_not_begun)
{
    struct exposition other;
    ck_assert_int_eq(exposition_init(&other, SIZE_MAX / 4), -1);
    ck_assert(!exposition_complete(&other));
    exposition_metric(&other, "g", EXPOSITION_GAUGE, "a");
    exposition_sample(&other, "");
    exposition_label(&other, "route", "/\xFF");
    exposition_number(&other, 1);
    ck_assert_uint_eq(other.length, 0);
    exposition_free(&other);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need address space */
START_TEST(a_text_that_cannot_grow_says_so_and_takes_nothing_more)
{
    static char long_value[8 << 20];
    struct process_figures now;
    memset(long_value, 'x', sizeof long_value - 1);
    process_read(&now);
    const struct rlimit limit = {now.virtual_bytes + sizeof long_value, RLIM_INFINITY};
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    exposition_sample(&text, "before");
    exposition_label(&text, "a", long_value);
    size_t length = text.length;
    ck_assert(!exposition_complete(&text));
    exposition_number(&text, 1);
    ck_assert_uint_eq(text.length, length);
    ck_assert(!exposition_complete(&text));
}
END_TEST
#endif

static const char *const right[] = {
    GAUGE,
    GAUGE "g 1\n",
    GAUGE "g{a=\"1\"} 1\ng{a=\"2\"} 0.5\n" COUNTER "c_total 18446744073709551615\n",
    HISTOGRAM "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.1\nh_count 1\n",
    HISTOGRAM
    "h_bucket{a=\"1\",le=\"1\"} 0\nh_bucket{a=\"1\",le=\"+Inf\"} 0\nh_sum{a=\"1\"} 0\n"
    "h_count{a=\"1\"} 0\nh_bucket{a=\"2\",le=\"1\"} 1\nh_bucket{a=\"2\",le=\"+Inf\"} 3\n"
    "h_sum{a=\"2\"} 9\nh_count{a=\"2\"} 3\n",
};

static const char *const wrong[] = {
    "",
    "g 1\n",
    "# HELP g a\ng 1\n",
    "# TYPE g gauge\ng 1\n",
    "# HELP g\n# TYPE g gauge\ng 1\n",
    "# HELP g a\n# TYPE g guage\ng 1\n",
    "# HELP g a\n# HELP h a\n# TYPE h gauge\n",
    "# HELP c a\n# TYPE c counter\nc 1\n",
    "# HELP g_total a\n# TYPE g_total gauge\n",
    GAUGE "g 1",
    GAUGE "g 1\n" GAUGE,
    GAUGE "\ng 1\n",
    GAUGE "g 1 \n",
    GAUGE "g  1\n",
    GAUGE "g -1\n",
    GAUGE "g NaN\n",
    GAUGE "g\n",
    GAUGE "h 1\n",
    GAUGE "gg 1\n",
    GAUGE "g 1\ng 1\n",
    GAUGE "g{a=\"1\"} 1\ng{a=\"1\"} 2\n",
    GAUGE "g{a=\"1\",b=\"2\"} 1\ng{b=\"2\",a=\"1\"} 2\n",
    GAUGE "g{a=\"1\" 1\n",
    GAUGE "g{a=1} 1\n",
    GAUGE "g{a=\"1\"b=\"1\"} 1\n",
    GAUGE "g{1a=\"1\"} 1\n",
    GAUGE "g{a=\"\\x\"} 1\n",
    GAUGE "g{a=\"\xFF\"} 1\n",
    GAUGE "g{a=\"\xC3\"} 1\n",
    GAUGE "g{a=\"1\n\"} 1\n",
    HISTOGRAM "h 1\n",
    HISTOGRAM "h_sum 1\nh_count 1\n",
    HISTOGRAM "h_bucket 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 1\n" GAUGE,
    HISTOGRAM "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    HISTOGRAM "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 1\n",
    HISTOGRAM
    "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\n"
    "h_count 1\n",
    HISTOGRAM "h_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{a=\"2\",le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
};

START_TEST(the_parser_of_these_tests_takes_what_is_right)
{
    struct parsed parsed = parse_right(right[_i], strlen(right[_i]));
    parsed_free(&parsed);
}
END_TEST

START_TEST(the_parser_of_these_tests_refuses_what_is_wrong)
{
    struct parsed parsed;
    ck_assert_msg(!parse_exposition(&parsed, wrong[_i], strlen(wrong[_i])), "%s", wrong[_i]);
    ck_assert_str_ne(parsed.complaint, "");
    parsed_free(&parsed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exposition");
    TCase *tests = tcase_create("exposition");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, a_metric_has_its_help_its_type_and_its_samples);
    tcase_add_loop_test(tests, microseconds_become_seconds_in_their_shortest_form, 0, COUNT(times));
    tcase_add_loop_test(tests, a_value_is_escaped_and_what_is_not_UTF_8_is_written_as_in_a_URL, 0,
                        COUNT(values));
    tcase_add_test(tests, every_pair_of_bytes_is_a_value_that_can_be_read);
    tcase_add_test(tests, a_text_grows_far_beyond_what_was_expected_and_nothing_is_lost);
    tcase_add_test(tests, the_memory_goes_back_to_the_system);
    tcase_add_test(tests, a_text_that_the_system_has_no_memory_for_is_not_begun);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    tcase_add_test(tests, a_text_that_cannot_grow_says_so_and_takes_nothing_more);
#endif
    tcase_add_loop_test(tests, the_parser_of_these_tests_takes_what_is_right, 0, COUNT(right));
    tcase_add_loop_test(tests, the_parser_of_these_tests_refuses_what_is_wrong, 0, COUNT(wrong));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
