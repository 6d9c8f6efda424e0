#include "server/tracker.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "server/clock.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LONG = 60000 }; /* milliseconds that no test reaches */

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
    ck_assert_int_eq(tracker_enter_session(tracker), 0);
    tracker_session_opened(route);
}

static void close_session(struct tracker_route *route, enum tracker_outcome outcome, uint16_t code)
{
    tracker_session_ended(route, outcome, code);
    tracker_leave_session(tracker);
}

START_TEST(a_new_tracker_is_empty_and_open)
{
    ck_assert_uint_eq(tracker_sessions(tracker), 0);
    ck_assert_uint_eq(tracker_requests(tracker), 0);
    ck_assert_uint_eq(tracker_limit(tracker), 3);
    ck_assert_uint_eq(tracker_loops(tracker), 2);
    ck_assert_int_eq(tracker_slowest_answer(tracker), 0);
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
    ck_assert_int_eq(tracker_enter_session(tracker), -1 - REFUSED_DRAINING);
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
    ck_assert_int_eq(tracker_enter_session(tracker), 0); /* on its way counts as well */
    ck_assert_int_eq(tracker_enter_session(tracker), -1 - REFUSED_FULL);
    ck_assert_int_eq(tracker_enter_session(tracker), -1 - REFUSED_FULL);
    ck_assert_uint_eq(tracker_sessions(tracker), 3);
    tracker_leave_session(tracker);
    ck_assert_int_eq(tracker_enter_session(tracker), 0);
    ck_assert_int_eq(tracker_enter_session(tracker), -1 - REFUSED_FULL);
    close_session(echo, OUTCOME_GONE, 1006);
    ck_assert_int_eq(tracker_enter_session(tracker), 0);
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
    ck_assert_int_eq(tracker_enter_session(tracker), -1 - REFUSED_DRAINING);
}
END_TEST

static const struct {
    uint16_t code;
    size_t place;
} codes[] = {
    {1000, 0},  {1001, 1},  {1002, 2},  {1003, 3},  {1005, 4},  {1006, 5},
    {1007, 6},  {1008, 7},  {1009, 8},  {1011, 9},  {1013, 10}, {1014, 11},
    {1012, 12}, {3000, 12}, {4999, 12}, {1015, 12}, {0, 12},    {1010, 12},
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

START_TEST(the_slowest_answer_is_kept)
{
    static const int64_t answers[] = {5, 40, 3, 39, 0};
    for (size_t i = 0; i < COUNT(answers); i++)
        tracker_answered(tracker, answers[i]);
    ck_assert_int_eq(tracker_slowest_answer(tracker), 40);
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
    ck_assert_int_eq(tracker_enter_session(tracker), 0);
    tracker_close_gate(tracker);
    ck_assert(!readable());
    tracker_leave_session(tracker);
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

/* --- waiting for requests --- */

START_TEST(without_requests_nothing_is_waited_for)
{
    open_session(echo); /* sessions do not matter here */
    tracker_close_gate(tracker);
    int64_t began = clock_milliseconds();
    ck_assert_uint_eq(tracker_wait_requests(tracker, began + LONG), 0);
    ck_assert_int_lt(clock_milliseconds() - began, LONG / 2);
}
END_TEST

static void *leave_all_requests(void *argument)
{
    (void)argument;
    close_session(echo, OUTCOME_GONE, 1006); /* must not end the wait */
    for (size_t left = tracker_requests(tracker); left > 0; left--) {
        ck_assert(!tracker_enter_request(tracker)); /* nor a refusal */
        tracker_leave_request(tracker, true);
    }
    return NULL;
}

START_TEST(the_wait_ends_with_the_last_request)
{
    pthread_t thread;
    open_session(echo);
    for (int i = 0; i < 100; i++)
        ck_assert(tracker_enter_request(tracker));
    tracker_close_gate(tracker);
    int64_t began = clock_milliseconds();
    ck_assert_int_eq(pthread_create(&thread, NULL, leave_all_requests, NULL), 0);
    ck_assert_uint_eq(tracker_wait_requests(tracker, began + LONG), 0);
    ck_assert_int_lt(clock_milliseconds() - began, LONG / 2);
    ck_assert_uint_eq(tracker_requests_finished(tracker), 100);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(the_wait_ends_at_its_deadline_and_tells_how_many_are_left)
{
    ck_assert(tracker_enter_request(tracker));
    ck_assert(tracker_enter_request(tracker));
    tracker_close_gate(tracker);
    int64_t deadline = clock_milliseconds() + 50;
    ck_assert_uint_eq(tracker_wait_requests(tracker, deadline), 2);
    ck_assert_int_ge(clock_milliseconds(), deadline);
    ck_assert_uint_eq(tracker_wait_requests(tracker, deadline - LONG), 2);
    tracker_leave_request(tracker, true);
    tracker_leave_request(tracker, true);
}
END_TEST

static atomic_bool knocking_ends;

static void *knock(void *argument)
{
    uint64_t *let_in = argument;
    while (!atomic_load(&knocking_ends))
        *let_in += tracker_enter_request(tracker);
    return NULL;
}

START_TEST(who_is_being_refused_does_not_count_as_left)
{
    pthread_t threads[2];
    uint64_t let_in[2] = {0};
    size_t left = 0;
    tracker_close_gate(tracker);
    for (size_t i = 0; i < COUNT(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, knock, &let_in[i]), 0);
    for (int i = 0; i < 20000; i++)
        left += tracker_wait_requests(tracker, clock_milliseconds() + LONG);
    atomic_store(&knocking_ends, true);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(left, 0);
    ck_assert_uint_eq(let_in[0] + let_in[1], 0);
}
END_TEST

/* --- the race --- */

enum { THREADS = 8, ROUNDS = 20 };

/* What one thread did, and saw of the gate before it tried. */
struct guest {
    pthread_t thread;
    unsigned seed;
    uint64_t opened[2];
    uint64_t closed[2][OUTCOME_COUNT];
    uint64_t finished;
    uint64_t full;
    uint64_t let_in_late;
    uint64_t refused_early;
};

static atomic_int guests_inside;
static atomic_bool gate_was_closed; /* set when tracker_close_gate has returned */
static atomic_bool gate_may_close;  /* set before it is called */

static void visit_as_session(struct guest *guest, int choice)
{
    struct tracker_route *const routes[] = {echo, chat};
    int route = choice & 1;
    bool late = atomic_load(&gate_was_closed);
    int entered = tracker_enter_session(tracker);
    if (entered == -1 - REFUSED_DRAINING) {
        guest->refused_early += !atomic_load(&gate_may_close);
        return;
    }
    if (entered == -1 - REFUSED_FULL) {
        guest->full++;
        return;
    }
    guest->let_in_late += late;
    if ((choice & 2) != 0) {
        tracker_leave_session(tracker);
        return;
    }
    enum tracker_outcome outcome = (enum tracker_outcome)(choice / 4 % OUTCOME_COUNT);
    tracker_session_opened(routes[route]);
    guest->opened[route]++;
    if ((choice & 16) != 0)
        sched_yield();
    guest->closed[route][outcome]++;
    close_session(routes[route], outcome, 1000);
}

static void visit_as_request(struct guest *guest, int choice)
{
    bool late = atomic_load(&gate_was_closed);
    if (!tracker_enter_request(tracker)) {
        guest->refused_early += !atomic_load(&gate_may_close);
        return;
    }
    guest->let_in_late += late;
    bool finished = (choice & 2) != 0;
    guest->finished += finished;
    tracker_leave_request(tracker, finished);
}

static void *enter_and_leave(void *argument)
{
    struct guest *guest = argument;
    int after = 0;
    atomic_fetch_add(&guests_inside, 1);
    while (after < 50) {
        int choice = rand_r(&guest->seed) >> 4;
        if ((choice & 64) != 0)
            visit_as_session(guest, choice);
        else
            visit_as_request(guest, choice);
        after += atomic_load(&gate_was_closed);
    }
    return NULL;
}

static void check_guests(const struct guest *guests)
{
    struct tracker_route *const routes[] = {echo, chat};
    uint64_t finished = 0;
    for (int i = 0; i < THREADS; i++) {
        ck_assert_uint_eq(guests[i].let_in_late, 0);
        ck_assert_uint_eq(guests[i].refused_early, 0);
        ck_assert_uint_eq(guests[i].full, 0);
        finished += guests[i].finished;
    }
    ck_assert_uint_eq(tracker_requests_finished(tracker), finished);
    for (size_t route = 0; route < 2; route++) {
        uint64_t opened = 0;
        uint64_t closed[OUTCOME_COUNT] = {0};
        for (int i = 0; i < THREADS; i++) {
            opened += guests[i].opened[route];
            for (size_t j = 0; j < OUTCOME_COUNT; j++)
                closed[j] += guests[i].closed[route][j];
        }
        ck_assert_uint_eq(routes[route]->opened, opened);
        ck_assert_uint_eq(routes[route]->open, 0);
        for (size_t j = 0; j < OUTCOME_COUNT; j++)
            ck_assert_uint_eq(routes[route]->closed[j], closed[j]);
        check_report(routes[route], closed[0], closed[1], closed[2], 0, 0);
    }
}

START_TEST(whoever_races_with_the_gate_is_counted_or_refused)
{
    static struct guest guests[THREADS];
    tracker_free(tracker);
    tracker = tracker_new(THREADS, 2);
    echo = tracker_add_route(tracker, "/echo");
    chat = tracker_add_route(tracker, "/chat");
    for (int i = 0; i < THREADS; i++) {
        guests[i].seed = (unsigned)(_i * THREADS + i + 1);
        ck_assert_int_eq(pthread_create(&guests[i].thread, NULL, enter_and_leave, &guests[i]), 0);
    }
    while (atomic_load(&guests_inside) < THREADS)
        sched_yield();
    atomic_store(&gate_may_close, true);
    tracker_close_gate(tracker);
    atomic_store(&gate_was_closed, true);
    ck_assert_uint_eq(tracker_wait_requests(tracker, clock_milliseconds() + LONG), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(guests[i].thread, NULL);
    ck_assert_uint_eq(tracker_sessions(tracker), 0);
    ck_assert_uint_eq(tracker_requests(tracker), 0);
    check_guests(guests);
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
    tcase_add_test(tests, requests_have_no_limit);
    tcase_add_test(tests, a_full_house_behind_the_closed_gate_is_refused_as_draining);
    tcase_add_loop_test(tests, closes_are_counted_by_code_and_outcome, 0, COUNT(codes));
    tcase_add_test(tests, refusals_are_counted_by_reason);
    tcase_add_test(tests, the_slowest_answer_is_kept);
    tcase_add_test(tests, the_report_adds_up_from_the_mark_on);
    tcase_add_test(tests, requests_finished_are_counted_from_the_mark_on);
    tcase_add_test(tests, the_descriptor_is_readable_behind_the_closed_gate_only);
    tcase_add_test(tests, a_session_that_never_came_to_be_wakes_the_drain_too);
    tcase_add_test(tests, all_who_registered_are_told_once_that_the_drain_begins);
    tcase_add_test(tests, without_requests_nothing_is_waited_for);
    tcase_add_test(tests, the_wait_ends_with_the_last_request);
    tcase_add_test(tests, the_wait_ends_at_its_deadline_and_tells_how_many_are_left);
    tcase_add_test(tests, who_is_being_refused_does_not_count_as_left);
    tcase_add_loop_test(tests, whoever_races_with_the_gate_is_counted_or_refused, 0, ROUNDS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
