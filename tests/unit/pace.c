#include "server/pace.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define DAY INT64_C(86400000)

/* From one close in a blink to the most sessions over the longest time that can be configured. */
static const struct {
    size_t total;
    int64_t spread;
} plans[] = {
    {1, 1},        {1, 5000},        {2, 1000},    {3, 1000},      {7, 100},
    {100, 2000},   {1000, 999},      {9000, 5000}, {999, 1000},    {100000, 100},
    {12345, 6789}, {1000000, 60000}, {10, DAY},    {1000000, DAY},
};

/* Check's own assertions write to a file each time, also when they hold: too slow for a loop. */
static void must_be(size_t found, size_t expected, size_t plan, int64_t elapsed)
{
    if (found != expected)
        ck_abort_msg("%zu instead of %zu due after %lld of %lld ms, of %zu", found, expected,
                     (long long)elapsed, (long long)plans[plan].spread, plans[plan].total);
}

/* Every millisecond of a short plan, some thousand moments of a long one. */
static int64_t step_of(int64_t spread)
{
    return spread < 20000 ? 1 : spread / 4999;
}

START_TEST(without_a_spread_all_are_due_at_once)
{
    ck_assert_uint_eq(pace_due(1, 0, 0), 1);
    ck_assert_uint_eq(pace_due(100, 0, 0), 100);
    ck_assert_uint_eq(pace_due(1000000, 5, 0), 1000000);
}
END_TEST

START_TEST(of_none_none_is_due)
{
    ck_assert_uint_eq(pace_due(0, 0, 0), 0);
    ck_assert_uint_eq(pace_due(0, 0, 1000), 0);
    ck_assert_uint_eq(pace_due(0, 999, 1000), 0);
    ck_assert_uint_eq(pace_due(0, 5000, 1000), 0);
}
END_TEST

START_TEST(none_is_due_before_the_beginning)
{
    ck_assert_uint_eq(pace_due(100, -1, 1000), 0);
    ck_assert_uint_eq(pace_due(1, -1000, 1), 0);
}
END_TEST

START_TEST(the_first_and_no_more_is_due_at_once)
{
    ck_assert_uint_eq(pace_due(plans[_i].total, 0, plans[_i].spread), 1);
}
END_TEST

START_TEST(all_are_due_when_the_time_has_passed_and_for_ever_after)
{
    size_t total = plans[_i].total;
    ck_assert_uint_eq(pace_due(total, plans[_i].spread, plans[_i].spread), total);
    ck_assert_uint_eq(pace_due(total, plans[_i].spread + 1, plans[_i].spread), total);
    ck_assert_uint_eq(pace_due(total, INT64_MAX, plans[_i].spread), total);
}
END_TEST

START_TEST(each_is_due_as_far_into_the_time_as_it_is_into_the_row)
{
    size_t total = plans[_i].total;
    int64_t spread = plans[_i].spread;
    for (int64_t elapsed = 0; elapsed < spread; elapsed += step_of(spread)) {
        size_t due = 1 + (size_t)((uint64_t)elapsed * total / (uint64_t)spread);
        must_be(pace_due(total, elapsed, spread), due < total ? due : total, (size_t)_i, elapsed);
    }
}
END_TEST

START_TEST(what_is_due_stays_due)
{
    size_t before = 0;
    int64_t spread = plans[_i].spread;
    for (int64_t elapsed = 0; elapsed <= spread; elapsed += step_of(spread)) {
        size_t due = pace_due(plans[_i].total, elapsed, spread);
        if (due < before)
            must_be(due, before, (size_t)_i, elapsed);
        before = due;
    }
}
END_TEST

START_TEST(each_quarter_of_the_time_has_a_quarter_of_them)
{
    size_t total = plans[_i].total;
    size_t before = 0;
    for (int64_t quarter = 1; quarter <= 4; quarter++) {
        int64_t elapsed = quarter * plans[_i].spread / 4;
        size_t due = pace_due(total, elapsed, plans[_i].spread);
        /* a millisecond is the finest that the clock has: what it brings may fall to either side */
        size_t blur = 2 + total / (size_t)plans[_i].spread;
        size_t here = due - before;
        if (here > total / 4 + blur || here + blur < total / 4)
            must_be(here, total / 4, (size_t)_i, elapsed);
        before = due;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pace");
    TCase *tests = tcase_create("pace");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, without_a_spread_all_are_due_at_once);
    tcase_add_test(tests, of_none_none_is_due);
    tcase_add_test(tests, none_is_due_before_the_beginning);
    tcase_add_loop_test(tests, the_first_and_no_more_is_due_at_once, 0, COUNT(plans));
    tcase_add_loop_test(tests, all_are_due_when_the_time_has_passed_and_for_ever_after, 0,
                        COUNT(plans));
    tcase_add_loop_test(tests, each_is_due_as_far_into_the_time_as_it_is_into_the_row, 0,
                        COUNT(plans));
    tcase_add_loop_test(tests, what_is_due_stays_due, 0, COUNT(plans));
    tcase_add_loop_test(tests, each_quarter_of_the_time_has_a_quarter_of_them, 0, COUNT(plans));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
