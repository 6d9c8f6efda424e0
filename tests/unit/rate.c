#include "server/rate.h"

#include <check.h>
#include <stdint.h>

static int take(struct rate *rate, int64_t per_second, int64_t now, int times)
{
    int taken = 0;
    for (int i = 0; i < times; i++)
        taken += rate_take(rate, per_second, now);
    return taken;
}

START_TEST(a_second_s_worth_may_be_taken_at_once_and_no_more)
{
    struct rate rate = {0};
    ck_assert_int_eq(take(&rate, 7, 1000, 100), 7);
    ck_assert_int_eq(take(&rate, 7, 1000, 1), 0);
}
END_TEST

START_TEST(what_was_taken_comes_back_evenly)
{
    struct rate rate = {0};
    ck_assert_int_eq(take(&rate, 10, 5000, 10), 10);
    ck_assert_int_eq(take(&rate, 10, 5099, 10), 0);
    ck_assert_int_eq(take(&rate, 10, 5100, 10), 1);
    ck_assert_int_eq(take(&rate, 10, 5400, 10), 3);
    ck_assert_int_eq(take(&rate, 10, 6400, 20), 10);
}
END_TEST

START_TEST(idle_time_is_not_saved_up)
{
    struct rate rate = {0};
    ck_assert_int_eq(take(&rate, 3, 0, 3), 3);
    ck_assert_int_eq(take(&rate, 3, INT64_C(1) << 50, 10), 3);
}
END_TEST

START_TEST(none_is_any_number)
{
    struct rate rate = {0};
    ck_assert_int_eq(take(&rate, 0, 0, 5000), 5000);
}
END_TEST

START_TEST(the_highest_rate_at_the_latest_time_is_reckoned_right)
{
    struct rate rate = {0};
    const int64_t late = INT64_MAX - 1000;
    ck_assert_int_eq(take(&rate, 1000000, late, 1000001), 1000000);
    ck_assert_int_eq(take(&rate, 1000000, late + 1, 1001), 1000);
}
END_TEST

START_TEST(it_has_rested_when_time_has_made_up_for_all)
{
    struct rate rate = {0};
    ck_assert(rate_rested(&rate, 5, 100));
    take(&rate, 5, 100, 2);
    ck_assert(!rate_rested(&rate, 5, 499));
    ck_assert(rate_rested(&rate, 5, 500));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rate");
    TCase *tests = tcase_create("rate");
    tcase_add_test(tests, a_second_s_worth_may_be_taken_at_once_and_no_more);
    tcase_add_test(tests, what_was_taken_comes_back_evenly);
    tcase_add_test(tests, idle_time_is_not_saved_up);
    tcase_add_test(tests, none_is_any_number);
    tcase_add_test(tests, the_highest_rate_at_the_latest_time_is_reckoned_right);
    tcase_add_test(tests, it_has_rested_when_time_has_made_up_for_all);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
