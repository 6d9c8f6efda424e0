#include "server/arrivals.h"

#include "tests/support/connections.h"

/* Which requests that take long to arrive, and which answers that take long to leave, are ended.
   The connections are real, the times are not. */

enum { HALVES = 5, MOST = 2, NOW = 1000000 };

static struct tracker *tracker;

/* Connections of one address that have sent half a request, `age` milliseconds ago. */
static void make_halves(struct arrival halves[HALVES], int64_t age)
{
    const struct addresses_limits limits = {.requests = MOST};
    static struct arrivals_options options;
    int listener = start();
    for (int i = 0; i < HALVES; i++) {
        char half[8];
        struct connection open = open_connection(listener, 0, "GET");
        ck_assert_int_eq(recv(open.accepted, half, sizeof half, 0), 3);
    }
    struct takeover_connection connections[HALVES + 1];
    ck_assert_uint_eq(takeover_connections(connections, HALVES + 1), HALVES);
    for (int i = 0; i < HALVES; i++)
        halves[i] = (struct arrival){.connection = connections[i], .since = NOW - age};
    tracker = tracker_new(1, 1);
    options = (struct arrivals_options){.addresses = addresses_new(&limits, 1),
                                        .counts = tracker_add_route(tracker, "(none)")};
    ck_assert_ptr_nonnull(options.addresses);
    arrivals_init(&options);
}

START_TEST(requests_may_take_a_while_to_arrive_as_long_as_there_are_threads)
{
    struct arrival halves[HALVES];
    make_halves(halves, 200);
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, false), 0);
}
END_TEST

START_TEST(while_threads_are_scarce_the_slow_requests_of_one_address_are_ended_sooner)
{
    struct arrival halves[HALVES];
    make_halves(halves, 200);
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, true), HALVES - MOST);
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, true), 0);
}
END_TEST

START_TEST(a_request_that_has_just_come_is_not_ended_even_then)
{
    struct arrival halves[HALVES];
    make_halves(halves, 50);
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, true), 0);
}
END_TEST

START_TEST(what_takes_over_a_second_is_ended_although_there_are_threads)
{
    struct arrival halves[HALVES];
    make_halves(halves, 1000);
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, false), HALVES - MOST);
}
END_TEST

START_TEST(what_has_waited_for_a_thread_is_not_slow_when_it_gets_one)
{
    struct arrival halves[HALVES];
    make_halves(halves, 5000);
    for (int i = 0; i < HALVES; i++)
        halves[i].waited = NOW - 50;
    ck_assert_uint_eq(arrivals_judge(halves, HALVES, NOW, true), 0);
}
END_TEST

START_TEST(while_threads_are_scarce_one_half_request_after_the_other_is_ended_the_oldest_first)
{
    struct arrival halves[HALVES];
    make_halves(halves, 1500);
    halves[3].since = NOW - 3000;
    ck_assert_uint_eq(arrivals_judge(halves, MOST, NOW, false), 0);
    ck_assert_uint_eq(arrivals_judge(halves + 2, MOST, NOW, true), 1);
    ck_assert(halves[3].ended && !halves[2].ended);
    ck_assert_uint_eq(arrivals_judge(halves + 2, MOST, NOW, true), 1);
    ck_assert(halves[2].ended);
    ck_assert_uint_eq(arrivals_judge(halves + 2, MOST, NOW, true), 0);
    ck_assert_uint_eq(arrivals_judge(halves, 1, NOW - 600, true), 0);
    ck_assert(!halves[0].ended);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arrivals");
    TCase *tests = tcase_create("arrivals");
    tcase_add_test(tests, requests_may_take_a_while_to_arrive_as_long_as_there_are_threads);
    tcase_add_test(tests,
                   while_threads_are_scarce_the_slow_requests_of_one_address_are_ended_sooner);
    tcase_add_test(tests, a_request_that_has_just_come_is_not_ended_even_then);
    tcase_add_test(tests, what_takes_over_a_second_is_ended_although_there_are_threads);
    tcase_add_test(tests, what_has_waited_for_a_thread_is_not_slow_when_it_gets_one);
    tcase_add_test(
        tests, while_threads_are_scarce_one_half_request_after_the_other_is_ended_the_oldest_first);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
