#include "server/tracker.h"

#include <check.h>
#include <poll.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct tracker *tracker;
static struct tracker_route *echo;
static struct tracker_route *chat;

static void set_up(void)
{
    tracker = tracker_new(3, 2);
    ck_assert_ptr_nonnull(tracker);
    echo = tracker_add_route(tracker, "/echo");
    chat = tracker_add_route(tracker, "/chat");
    ck_assert_ptr_nonnull(echo);
    ck_assert_ptr_nonnull(chat);
}

static void tear_down(void)
{
    tracker_free(tracker);
}

static bool readable(void)
{
    struct pollfd event = {.fd = tracker_descriptor(tracker), .events = POLLIN};
    return poll(&event, 1, 0) == 1;
}

static void open_session(struct tracker_route *route)
{
    ck_assert_int_eq(tracker_enter_session(tracker, route), 0);
    tracker_session_opened(route);
}

static void close_session(struct tracker_route *route, enum tracker_outcome outcome, uint16_t code)
{
    tracker_session_ended(route, outcome, code);
    tracker_leave_session(tracker, route);
}

START_TEST(a_new_tracker_is_empty_and_open)
{
    ck_assert_uint_eq(tracker_sessions(tracker), 0);
    ck_assert_uint_eq(tracker_requests(tracker), 0);
    ck_assert_uint_eq(tracker_limit(tracker), 3);
    ck_assert_uint_eq(tracker_loops(tracker), 2);
    ck_assert(!tracker_gate_closed(tracker));
    ck_assert(!readable());
}
END_TEST

START_TEST(routes_are_listed_in_the_order_in_which_they_were_added)
{
    const struct tracker_route *route = tracker_routes(tracker);
    ck_assert_ptr_eq(route, echo);
    ck_assert_str_eq(route->name, "/echo");
    ck_assert_ptr_eq(route->next, chat);
    ck_assert_ptr_null(route->next->next);
}
END_TEST

START_TEST(the_closed_gate_refuses_requests_and_sessions)
{
    ck_assert(tracker_enter_request(tracker));
    tracker_close_gate(tracker);
    ck_assert(tracker_gate_closed(tracker));
    ck_assert(!tracker_enter_request(tracker));
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_DRAINING);
    ck_assert_uint_eq(tracker_requests(tracker), 1);
    ck_assert_uint_eq(tracker_sessions(tracker), 0);
    tracker_leave_request(tracker, true);
    ck_assert_uint_eq(tracker_requests(tracker), 0);
}
END_TEST

START_TEST(sessions_over_the_limit_are_refused_until_one_has_left)
{
    open_session(echo);
    open_session(echo);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), 0); /* on its way counts as well */
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_FULL);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_FULL);
    ck_assert_uint_eq(tracker_sessions(tracker), 3);
    tracker_leave_session(tracker, echo);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), 0);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_FULL);
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), 0);
}
END_TEST

START_TEST(sessions_over_the_limit_of_their_route_are_refused_and_others_are_not)
{
    echo->limit = 1;
    open_session(echo);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_ROUTE_FULL);
    ck_assert_uint_eq(tracker_sessions(tracker), 1);
    open_session(chat);
    close_session(echo, OUTCOME_GONE, 1006);
    open_session(echo);
    open_session(chat);
    ck_assert_int_eq(tracker_enter_session(tracker, chat), -1 - REFUSED_FULL);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_FULL);
}
END_TEST

START_TEST(only_those_who_are_drained_last_are_there_when_all_others_have_left)
{
    chat->last = true;
    ck_assert(tracker_only_last(tracker));
    open_session(chat);
    ck_assert(tracker_only_last(tracker));
    open_session(echo);
    ck_assert(!tracker_only_last(tracker));
    ck_assert(tracker_enter_request(tracker));
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert(!tracker_only_last(tracker));
    tracker_leave_request(tracker, true);
    ck_assert(tracker_only_last(tracker));
    close_session(chat, OUTCOME_HANDSHAKE, 1001);
    ck_assert(tracker_only_last(tracker));
}
END_TEST

START_TEST(answers_are_counted_by_status)
{
    tracker_answered(echo, 200);
    tracker_answered(echo, 200);
    tracker_answered(echo, 599);
    tracker_answered(echo, 100);
    tracker_answered(echo, 99); /* no status: counted nowhere */
    tracker_answered(echo, 600);
    tracker_answered(echo, -1);
    uint64_t all = 0;
    for (size_t i = 0; i < TRACKER_STATUSES; i++)
        all += echo->answered[i];
    ck_assert_uint_eq(all, 4);
    ck_assert_uint_eq(echo->answered[200 - TRACKER_STATUS_FIRST], 2);
    ck_assert_uint_eq(echo->answered[599 - TRACKER_STATUS_FIRST], 1);
    ck_assert_uint_eq(echo->answered[0], 1);
}
END_TEST

START_TEST(a_duration_is_counted_at_the_first_bound_that_it_does_not_exceed)
{
    const int64_t *tables[] = {tracker_handshake_bounds, tracker_session_bounds};
    for (size_t table = 0; table < COUNT(tables); table++) {
        const int64_t *bounds = tables[table];
        struct tracker_durations durations = {0};
        int64_t sum = 0;
        for (size_t i = 0; i < TRACKER_BOUNDS; i++) {
            ck_assert(i == 0 || bounds[i] > bounds[i - 1]);
            tracker_duration(&durations, bounds, bounds[i]);
            tracker_duration(&durations, bounds, bounds[i] + 1);
            sum += 2 * bounds[i] + 1;
        }
        tracker_duration(&durations, bounds, -5); /* counts as 0 */
        for (size_t i = 0; i <= TRACKER_BOUNDS; i++)
            ck_assert_uint_eq(durations.counts[i], i == TRACKER_BOUNDS ? 1 : 2);
        ck_assert_int_eq((int64_t)durations.microseconds, sum);
    }
}
END_TEST

START_TEST(requests_have_no_limit)
{
    for (int i = 0; i < 1000; i++)
        ck_assert(tracker_enter_request(tracker));
    ck_assert_uint_eq(tracker_requests(tracker), 1000);
}
END_TEST

START_TEST(a_full_house_behind_the_closed_gate_is_refused_as_draining)
{
    open_session(echo);
    open_session(echo);
    open_session(echo);
    tracker_close_gate(tracker);
    ck_assert_int_eq(tracker_enter_session(tracker, echo), -1 - REFUSED_DRAINING);
}
END_TEST

static const struct {
    uint16_t code;
    size_t place;
} codes[] = {
    {1000, 0},  {1001, 1},  {1002, 2},  {1003, 3},  {1005, 4},  {1006, 5},
    {1007, 6},  {1008, 7},  {1009, 8},  {1011, 9},  {1012, 10}, {1013, 11},
    {1014, 12}, {3000, 13}, {4999, 13}, {1015, 13}, {0, 13},    {1010, 13},
};

START_TEST(closes_are_counted_by_code_and_outcome)
{
    enum tracker_outcome outcome = (enum tracker_outcome)(_i % OUTCOME_COUNT);
    open_session(echo);
    ck_assert_uint_eq(echo->open, 1);
    close_session(echo, outcome, codes[_i].code);
    ck_assert_uint_eq(echo->open, 0);
    ck_assert_uint_eq(echo->opened, 1);
    for (size_t place = 0; place < TRACKER_CODES; place++)
        for (size_t i = 0; i < OUTCOME_COUNT; i++)
            ck_assert_uint_eq(echo->codes[place][i], place == codes[_i].place && i == outcome);
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        ck_assert_uint_eq(echo->closed[i], i == outcome);
        ck_assert_uint_eq(chat->closed[i], 0);
    }
}
END_TEST

START_TEST(refusals_are_counted_by_reason)
{
    for (int reason = 0; reason < REFUSAL_COUNT; reason++)
        for (int i = 0; i <= reason; i++)
            tracker_refused(chat, (enum tracker_refusal)reason);
    for (size_t reason = 0; reason < REFUSAL_COUNT; reason++) {
        ck_assert_uint_eq(chat->refused[reason], reason + 1);
        ck_assert_uint_eq(echo->refused[reason], 0);
        ck_assert_ptr_nonnull(tracker_refusal_names[reason]);
    }
}
END_TEST

START_TEST(times_of_all_loops_are_added_up)
{
    static struct tracker_timing sum;
    histogram_add(&tracker_timing(tracker, 0)->close_to_answer, 5000);
    histogram_add(&tracker_timing(tracker, 1)->close_to_answer, 40000);
    histogram_add(&tracker_timing(tracker, 1)->signal_to_close, 300);
    tracker_timings(tracker, &sum);
    ck_assert_uint_eq(histogram_count(&sum.close_to_answer), 2);
    ck_assert_int_eq(histogram_min(&sum.close_to_answer), 5000);
    ck_assert_int_eq(histogram_max(&sum.close_to_answer), 40000);
    ck_assert_uint_eq(histogram_count(&sum.signal_to_close), 1);
    ck_assert_int_eq(histogram_max(&sum.signal_to_close), 300);
}
END_TEST

static void check_report(const struct tracker_route *route, uint64_t handshake, uint64_t gone,
                         uint64_t forced, uint64_t refused, uint64_t received)
{
    struct tracker_report report = tracker_report(tracker, route);
    ck_assert_uint_eq(report.closed[OUTCOME_HANDSHAKE], handshake);
    ck_assert_uint_eq(report.closed[OUTCOME_GONE], gone);
    ck_assert_uint_eq(report.closed[OUTCOME_FORCED], forced);
    ck_assert_uint_eq(report.open, handshake + gone + forced);
    ck_assert_uint_eq(report.refused, refused);
    ck_assert_uint_eq(report.received, received);
}

START_TEST(the_report_adds_up_from_the_mark_on)
{
    open_session(echo);
    open_session(echo);
    open_session(chat);
    close_session(echo, OUTCOME_FORCED, 1001);
    tracker_refused(echo, REFUSED_FULL);
    tracker_mark(tracker);
    check_report(echo, 0, 0, 1, 0, 0); /* what is still open would be cut */
    check_report(chat, 0, 0, 1, 0, 0);

    open_session(echo); /* between the mark and the drain */
    tracker_refused(chat, REFUSED_DRAINING);
    tracker_refused(chat, REFUSED_HANDSHAKE);
    tracker_close_gate(tracker);
    tracker_drain(tracker);
    echo->traffic[0].received_draining = 2;
    echo->traffic[1].received_draining = 3;
    close_session(echo, OUTCOME_HANDSHAKE, 1001);
    check_report(echo, 1, 0, 1, 0, 5);
    close_session(echo, OUTCOME_GONE, 1001);
    close_session(chat, OUTCOME_FORCED, 1001);
    check_report(echo, 1, 1, 0, 0, 5);
    check_report(chat, 0, 0, 1, 2, 0);
    check_report(NULL, 1, 1, 1, 2, 5);
}
END_TEST

START_TEST(requests_finished_are_counted_from_the_mark_on)
{
    for (int i = 0; i < 6; i++)
        ck_assert(tracker_enter_request(tracker));
    tracker_leave_request(tracker, true);
    tracker_leave_request(tracker, false);
    tracker_mark(tracker);
    ck_assert_uint_eq(tracker_requests_finished(tracker), 0);
    tracker_leave_request(tracker, true);
    tracker_leave_request(tracker, false);
    tracker_leave_request(tracker, true);
    ck_assert_uint_eq(tracker_requests_finished(tracker), 2);
    ck_assert_uint_eq(tracker_requests(tracker), 1);
}
END_TEST

START_TEST(the_descriptor_is_readable_behind_the_closed_gate_only)
{
    open_session(echo);
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert(tracker_enter_request(tracker));
    tracker_leave_request(tracker, true);
    ck_assert(!readable());

    open_session(echo);
    open_session(echo);
    ck_assert(tracker_enter_request(tracker));
    tracker_close_gate(tracker);
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert(!readable()); /* not the last one */
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert(readable());
    tracker_acknowledge(tracker);
    ck_assert(!readable());
    tracker_acknowledge(tracker); /* does not block */
    tracker_leave_request(tracker, true);
    ck_assert(readable());
}
END_TEST

START_TEST(a_session_that_never_came_to_be_wakes_the_drain_too)
{
    ck_assert_int_eq(tracker_enter_session(tracker, echo), 0);
    tracker_close_gate(tracker);
    ck_assert(!readable());
    tracker_leave_session(tracker, echo);
    ck_assert(readable());
    check_report(NULL, 0, 0, 0, 0, 0);
}
END_TEST

static void add_one(void *argument)
{
    int *count = argument;
    ck_assert(tracker_gate_closed(tracker));
    ++*count;
}

START_TEST(all_who_registered_are_told_once_that_the_drain_begins)
{
    int counts[8] = {0};
    for (size_t i = 0; i < COUNT(counts); i++)
        tracker_on_drain(tracker, add_one, &counts[i]);
    tracker_close_gate(tracker);
    for (size_t i = 0; i < COUNT(counts); i++)
        ck_assert_int_eq(counts[i], 0);
    tracker_drain(tracker);
    for (size_t i = 0; i < COUNT(counts); i++)
        ck_assert_int_eq(counts[i], 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tracker");
    TCase *tests = tcase_create("tracker");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_new_tracker_is_empty_and_open);
    tcase_add_test(tests, routes_are_listed_in_the_order_in_which_they_were_added);
    tcase_add_test(tests, the_closed_gate_refuses_requests_and_sessions);
    tcase_add_test(tests, sessions_over_the_limit_are_refused_until_one_has_left);
    tcase_add_test(tests, sessions_over_the_limit_of_their_route_are_refused_and_others_are_not);
    tcase_add_test(tests, only_those_who_are_drained_last_are_there_when_all_others_have_left);
    tcase_add_test(tests, answers_are_counted_by_status);
    tcase_add_test(tests, a_duration_is_counted_at_the_first_bound_that_it_does_not_exceed);
    tcase_add_test(tests, requests_have_no_limit);
    tcase_add_test(tests, a_full_house_behind_the_closed_gate_is_refused_as_draining);
    tcase_add_loop_test(tests, closes_are_counted_by_code_and_outcome, 0, COUNT(codes));
    tcase_add_test(tests, refusals_are_counted_by_reason);
    tcase_add_test(tests, times_of_all_loops_are_added_up);
    tcase_add_test(tests, the_report_adds_up_from_the_mark_on);
    tcase_add_test(tests, requests_finished_are_counted_from_the_mark_on);
    tcase_add_test(tests, the_descriptor_is_readable_behind_the_closed_gate_only);
    tcase_add_test(tests, a_session_that_never_came_to_be_wakes_the_drain_too);
    tcase_add_test(tests, all_who_registered_are_told_once_that_the_drain_begins);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
