#include "server/date.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RANDOM_ROUNDS = 50000, YEAR = 31556952 };

static const int64_t in_2026 = 1795359600;
static const int64_t end_of_9999 = 253402300799;

static const struct {
    const char *text;
    int64_t seconds;
} dates[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Wed, 16 Nov 1994 08:49:37 GMT", 784975777},
    {"Wednesday, 16-Nov-94 08:49:37 GMT", 784975777},
    {"Wed Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Fri, 31 Dec 9999 23:59:59 GMT", end_of_9999},
    {"Mon, 06 Nov 1994 08:49:37 GMT", 784111777}, /* the day's name tells nothing new */
};

START_TEST(each_of_the_three_forms_is_read)
{
    int64_t seconds = 1;
    ck_assert_int_eq(date_parse(dates[_i].text, in_2026, &seconds), 0);
    ck_assert_int_eq(seconds, dates[_i].seconds);
}
END_TEST

static const struct {
    const char *text;
    int64_t years; /* from 1970 */
} short_years[] = {
    {"Thursday, 01-Jan-26 00:00:00 GMT", 56}, {"Thursday, 01-Jan-76 00:00:00 GMT", 106},
    {"Thursday, 01-Jan-77 00:00:00 GMT", 7},  {"Thursday, 01-Jan-99 00:00:00 GMT", 29},
    {"Thursday, 01-Jan-00 00:00:00 GMT", 30},
};

START_TEST(a_year_of_two_digits_is_at_most_50_years_ahead)
{
    int64_t seconds = 1;
    ck_assert_int_eq(date_parse(short_years[_i].text, in_2026, &seconds), 0);
    int64_t years = (seconds + YEAR / 2) / YEAR;
    ck_assert_int_eq(years, short_years[_i].years);
}
END_TEST

static const char *const broken[] = {
    "",
    " ",
    "0",
    "784111777",
    "now",
    "Sun, 06 Nov 1994 08:49:37",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 +0000",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    "Sun, 06 Nov 1994 08:49:37 GMTX",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun,06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun, 06  Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "Son, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06 Nov 94 08:49:37 GMT",
    "Sun, 06 Nov 19940 08:49:37 GMT",
    "Sun, 06 Nov 1994 8:49:37 GMT",
    "Sun, 06 Nov 1994 08:49 GMT",
    "Sun, 06 Nov 1994 08:49:3 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08.49.37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Dec 1994 08:49:37 GMT",
    "Sun, 99 Dec 1994 08:49:37 GMT",
    "Wed, 29 Feb 2023 12:00:00 GMT",
    "Thu, 29 Feb 1900 12:00:00 GMT",
    "Sun, -6 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov -994 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  06 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun Nov  6 08:49:37 94",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37 GMT; length=1024",
    "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
};

START_TEST(anything_else_is_no_date)
{
    int64_t seconds;
    ck_assert_int_eq(date_parse(broken[_i], in_2026, &seconds), -1);
}
END_TEST

START_TEST(a_date_is_written_as_the_first_form)
{
    char text[DATE_SIZE];
    ck_assert_int_eq(date_write(784111777, text), 0);
    ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    ck_assert_uint_eq(strlen(text), DATE_SIZE - 1);
    ck_assert_int_eq(date_write(end_of_9999, text), 0);
    ck_assert_str_eq(text, "Fri, 31 Dec 9999 23:59:59 GMT");
}
END_TEST

START_TEST(a_year_without_four_digits_is_not_written)
{
    char text[DATE_SIZE];
    ck_assert_int_eq(date_write(end_of_9999 + 1, text), -1);
    ck_assert_int_eq(date_write(INT64_MAX, text), -1);
    ck_assert_int_eq(date_write(INT64_MIN, text), -1);
}
END_TEST

START_TEST(the_time_zone_of_the_machine_changes_nothing)
{
    char text[DATE_SIZE];
    int64_t seconds = 0;
    ck_assert_int_eq(setenv("TZ", "Asia/Tokyo", 1), 0);
    tzset();
    ck_assert_int_eq(date_write(784111777, text), 0);
    ck_assert_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    ck_assert_int_eq(date_parse(text, in_2026, &seconds), 0);
    ck_assert_int_eq(seconds, 784111777);
}
END_TEST

START_TEST(what_is_written_is_read_again)
{
    uint64_t state = 1;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        int64_t seconds = (int64_t)random_below(&state, INT32_MAX) * 118;
        int64_t again = -1;
        char text[DATE_SIZE];
        ck_assert_int_eq(date_write(seconds, text), 0);
        ck_assert_int_eq(date_parse(text, in_2026, &again), 0);
        ck_assert_int_eq(again, seconds);
    }
}
END_TEST

START_TEST(a_date_with_one_wrong_byte_is_refused_or_another_date)
{
    uint64_t state = 2;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[64];
        char again[DATE_SIZE];
        int64_t seconds = 0;
        snprintf(text, sizeof text, "%s", dates[random_below(&state, 3)].text);
        text[random_below(&state, strlen(text))] = (char)(1 + random_below(&state, 255));
        if (date_parse(text, in_2026, &seconds) == 0)
            ck_assert_int_eq(date_write(seconds, again), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("date");
    TCase *tests = tcase_create("date");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, each_of_the_three_forms_is_read, 0, COUNT(dates));
    tcase_add_loop_test(tests, a_year_of_two_digits_is_at_most_50_years_ahead, 0,
                        COUNT(short_years));
    tcase_add_loop_test(tests, anything_else_is_no_date, 0, COUNT(broken));
    tcase_add_test(tests, a_date_is_written_as_the_first_form);
    tcase_add_test(tests, a_year_without_four_digits_is_not_written);
    tcase_add_test(tests, the_time_zone_of_the_machine_changes_nothing);
    tcase_add_test(tests, what_is_written_is_read_again);
    tcase_add_test(tests, a_date_with_one_wrong_byte_is_refused_or_another_date);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
