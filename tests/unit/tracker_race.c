#include "server/tracker.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "server/clock.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LONG = 60000, KNOCKING = 300 }; /* milliseconds; the first is never reached */

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
    uint64_t *let_in = argument;
    close_session(echo, OUTCOME_GONE, 1006); /* must not end the wait */
    for (size_t left = tracker_requests(tracker); left > 0; left--) {
        *let_in += tracker_enter_request(tracker); /* nor must a refusal */
        tracker_leave_request(tracker, true);
    }
    return NULL;
}

START_TEST(the_wait_ends_with_the_last_request)
{
    pthread_t thread;
    uint64_t let_in = 0;
    open_session(echo);
    for (int i = 0; i < 100; i++)
        ck_assert(tracker_enter_request(tracker));
    tracker_close_gate(tracker);
    int64_t began = clock_milliseconds();
    ck_assert_int_eq(pthread_create(&thread, NULL, leave_all_requests, &let_in), 0);
    ck_assert_uint_eq(tracker_wait_requests(tracker, began + LONG), 0);
    ck_assert_int_lt(clock_milliseconds() - began, LONG / 2);
    ck_assert_uint_eq(tracker_requests_finished(tracker), 100);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(let_in, 0);
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
    uint64_t let_in[COUNT(threads)] = {0};
    size_t left = 0;
    tracker_close_gate(tracker);
    for (size_t i = 0; i < COUNT(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, knock, &let_in[i]), 0);
    for (int64_t end = clock_milliseconds() + KNOCKING; clock_milliseconds() < end;)
        for (int i = 0; i < 1000; i++)
            left += tracker_wait_requests(tracker, end + LONG);
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
    int entered = tracker_enter_session(tracker, routes[route]);
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
        tracker_leave_session(tracker, routes[route]);
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
        struct tracker_report report = tracker_report(tracker, routes[route]);
        ck_assert_uint_eq(report.open, opened);
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
    Suite *suite = suite_create("tracker_race");
    TCase *tests = tcase_create("tracker_race");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
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
