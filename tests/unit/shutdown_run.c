#include "server/shutdown.h"

#include <check.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/tracker.h"

enum { LONG = 60000, SLACK = 20000 }; /* milliseconds: never reached; a busy machine's lateness */

/* The server that is stopped, and what was asked of it, in order. */
static struct {
    struct tracker *tracker;
    struct tracker_route *route;
    sem_t stop_may_return;
    bool stop_blocks;
    uint64_t leave; /* sessions whose peers answer */
    sem_t drained;
    atomic_size_t requests_at_stop;
    atomic_size_t cut;
    int64_t refuse_deadline;
    bool gate_closed_at_refuse;
    pthread_mutex_t lock;
    char calls[64];
    struct shutdown_options options;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(const char *call)
{
    pthread_mutex_lock(&world.lock);
    size_t length = strlen(world.calls);
    snprintf(world.calls + length, sizeof world.calls - length, "%s", call);
    pthread_mutex_unlock(&world.lock);
}

static void refuse(void *argument, int64_t deadline)
{
    (void)argument;
    world.refuse_deadline = deadline;
    world.gate_closed_at_refuse = tracker_gate_closed(world.tracker);
    note("refuse ");
}

static void drain(void *argument)
{
    (void)argument;
    note("drain ");
    sem_post(&world.drained);
}

static void stop(void *argument)
{
    (void)argument;
    atomic_store(&world.requests_at_stop, tracker_requests(world.tracker));
    note("stop ");
    while (world.stop_blocks)
        sem_wait(&world.stop_may_return);
}

/* As the loops do it: every session that is there ends as forced. */
static void cut(void *argument)
{
    (void)argument;
    note("cut ");
    for (; world.route->open > 0; atomic_fetch_add(&world.cut, 1)) {
        tracker_session_ended(world.route, OUTCOME_FORCED, 1001);
        tracker_leave_session(world.tracker, world.route);
    }
}

static void set_up(void)
{
    world.tracker = tracker_new(100, 1);
    ck_assert_ptr_nonnull(world.tracker);
    world.route = tracker_add_route(world.tracker, "/echo");
    ck_assert_ptr_nonnull(world.route);
    tracker_on_drain(world.tracker, drain, NULL);
    world.leave = UINT64_MAX;
    world.options = (struct shutdown_options){
        .tracker = world.tracker, .refuse = refuse, .stop = stop, .cut = cut};
    sem_init(&world.stop_may_return, 0, 0);
    sem_init(&world.drained, 0, 0);
}

static void enter(int sessions, int requests)
{
    for (int i = 0; i < sessions; i++) {
        ck_assert_int_eq(tracker_enter_session(world.tracker, world.route), 0);
        tracker_session_opened(world.route);
    }
    for (int i = 0; i < requests; i++)
        ck_assert(tracker_enter_request(world.tracker));
}

static struct shutdown_result run(int64_t timeout, int64_t delay, int signals)
{
    world.options.times = (struct shutdown_times){.timeout = timeout, .delay = delay};
    world.options.signals = signals;
    struct shutdown_result result = {.status = -1};
    int64_t began = world.options.signal_at = clock_milliseconds();
    shutdown_run(&world.options, &result);
    int64_t took = clock_milliseconds() - began;
    ck_assert_int_le(result.duration, took);
    ck_assert_int_lt(took, timeout + SLACK);
    return result;
}

START_TEST(with_nothing_in_flight_all_is_done_at_once)
{
    int64_t began = clock_milliseconds();
    struct shutdown_result result = run(LONG, 0, -1);
    ck_assert_int_eq(result.status, 0);
    ck_assert_int_eq(result.stop, STOP_RETURNED);
    ck_assert_uint_eq(result.forced, 0);
    ck_assert_uint_eq(result.requests_cut, 0);
    ck_assert_int_lt(result.duration, LONG / 2);
    ck_assert_str_eq(world.calls, "refuse drain stop ");
    ck_assert(world.gate_closed_at_refuse);
    ck_assert_int_ge(world.refuse_deadline, began + LONG - 500);
    ck_assert_int_le(world.refuse_deadline, clock_milliseconds() + LONG - 500);
    tracker_free(world.tracker);
}
END_TEST

/* What the peers and CivetWeb's threads do once the drain has begun. */
static void *finish_all(void *argument)
{
    size_t requests = tracker_requests(world.tracker);
    (void)argument;
    sem_wait(&world.drained);
    for (uint64_t left = world.leave; world.route->open > 0 && left > 0; left--) {
        tracker_session_ended(world.route, OUTCOME_HANDSHAKE, 1001);
        tracker_leave_session(world.tracker, world.route);
    }
    for (; requests > 0; requests--)
        tracker_leave_request(world.tracker, true);
    return NULL;
}

START_TEST(sessions_and_requests_in_flight_may_finish)
{
    pthread_t thread;
    enter(20, 10);
    ck_assert_int_eq(pthread_create(&thread, NULL, finish_all, NULL), 0);
    struct shutdown_result result = run(LONG, 0, -1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result.status, 0);
    ck_assert_int_lt(result.duration, LONG / 2);
    ck_assert_str_eq(world.calls, "refuse drain stop ");
    ck_assert_uint_eq(world.requests_at_stop, 0); /* it would have cut them */
    ck_assert_uint_eq(tracker_requests_finished(world.tracker), 10);
    struct tracker_report report = tracker_report(world.tracker, NULL);
    ck_assert_uint_eq(report.open, 20);
    ck_assert_uint_eq(report.closed[OUTCOME_HANDSHAKE], 20);
    tracker_free(world.tracker);
}
END_TEST

START_TEST(the_drain_begins_after_the_delay)
{
    struct shutdown_result result = run(LONG, 60, -1);
    ck_assert_int_eq(result.status, 0);
    ck_assert_int_ge(result.duration, 60);
    ck_assert_str_eq(world.calls, "refuse drain stop ");
    tracker_free(world.tracker);
}
END_TEST

START_TEST(sessions_that_are_still_there_at_the_end_are_cut)
{
    enter(3, 0);
    struct shutdown_result result = run(400, 0, -1);
    ck_assert_int_eq(result.status, 1);
    ck_assert_int_eq(result.stop, STOP_RETURNED);
    ck_assert_uint_eq(result.forced, 3);
    ck_assert_uint_eq(world.cut, 3);
    ck_assert_int_ge(result.duration, 300);
    ck_assert_str_eq(world.calls, "refuse drain stop cut ");
    tracker_free(world.tracker);
}
END_TEST

START_TEST(requests_that_take_too_long_are_cut_and_counted)
{
    enter(0, 2);
    struct shutdown_result result = run(400, 0, -1);
    ck_assert_int_eq(result.status, 1);
    ck_assert_uint_eq(result.requests_cut, 2);
    ck_assert_uint_eq(result.forced, 2);
    ck_assert_uint_eq(world.requests_at_stop, 2); /* the server was stopped all the same */
    ck_assert_int_ge(result.duration, 200);
    tracker_leave_request(world.tracker, false);
    tracker_leave_request(world.tracker, false);
    tracker_free(world.tracker);
}
END_TEST

/* Of 10 sessions 7 answer and 3 do not. */
static const struct {
    int64_t tolerate;
    bool percent;
    int status;
} tolerances[] = {{2, false, 1}, {3, false, 0}, {29, true, 1}, {30, true, 0}, {100, true, 0}};

START_TEST(so_many_forced_as_are_tolerated_do_not_show_in_the_status)
{
    world.options.tolerate = tolerances[_i].tolerate;
    world.options.tolerate_percent = tolerances[_i].percent;
    enter(10, 0);
    world.leave = 7;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, finish_all, NULL), 0);
    struct shutdown_result result = run(400, 0, -1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result.status, tolerances[_i].status);
    ck_assert_uint_eq(result.forced, 3);
    ck_assert_uint_eq(world.cut, 3);
    tracker_free(world.tracker);
}
END_TEST

START_TEST(a_time_that_has_passed_since_the_signal_counts)
{
    enter(1, 0);
    world.stop_blocks = true; /* so that it cannot come back just in time */
    world.options.times.timeout = LONG;
    world.options.signals = -1;
    world.options.signal_at = clock_milliseconds() - LONG;
    struct shutdown_result result = {.status = -1};
    shutdown_run(&world.options, &result);
    ck_assert_uint_eq(result.forced, 1);
    ck_assert_int_ge(result.duration, LONG);
    ck_assert_int_lt(result.duration, LONG + SLACK);
}
END_TEST

/* The blocked thread stays until the process ends, and with it the tracker. */
START_TEST(a_stop_that_blocks_does_not_hold_the_process)
{
    pthread_t thread;
    enter(5, 0);
    world.stop_blocks = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, finish_all, NULL), 0);
    struct shutdown_result result = run(400, 0, -1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result.status, 2);
    ck_assert_int_eq(result.stop, STOP_BLOCKED);
    ck_assert_uint_eq(result.forced, 0);
    ck_assert_int_ge(result.duration, 400 - 400 / 50);
}
END_TEST

START_TEST(a_blocked_stop_and_forced_sessions_are_both_told)
{
    enter(1, 0);
    world.stop_blocks = true;
    struct shutdown_result result = run(400, 0, -1);
    ck_assert_int_eq(result.status, 3);
    ck_assert_int_eq(result.stop, STOP_BLOCKED);
    ck_assert_uint_eq(result.forced, 1);
    ck_assert_uint_eq(world.cut, 1);
}
END_TEST

/* --- the second signal --- */

static int watch_signal(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    int signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    ck_assert_int_ge(signals, 0);
    return signals;
}

struct sender {
    int number;
    atomic_bool ends;
};

/* Again and again: which of them is the second one is for shutdown_run to say. */
static void *send_signals(void *argument)
{
    struct sender *sender = argument;
    while (!atomic_load(&sender->ends)) {
        kill(getpid(), sender->number);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

static const struct {
    int number;
    int64_t delay;
} signals_sent[] = {{SIGTERM, 0}, {SIGINT, 0}, {SIGTERM, LONG / 2}};

START_TEST(a_second_signal_ends_it_after_100_ms_and_not_before)
{
    struct sender sender = {.number = signals_sent[_i].number};
    int signals = watch_signal(sender.number);
    pthread_t thread;
    enter(2, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_signals, &sender), 0);
    struct shutdown_result result = run(LONG, signals_sent[_i].delay, signals);
    atomic_store(&sender.ends, true);
    pthread_join(thread, NULL);
    ck_assert_int_eq(result.status, 128 + sender.number);
    ck_assert_int_ge(result.duration, 100);
    ck_assert_int_lt(result.duration, LONG / 2);
    ck_assert_uint_eq(world.cut, 2);
    close(signals);
}
END_TEST

static void note_other(void *argument, int number)
{
    (void)argument;
    note(number == SIGHUP ? "hangup " : "other ");
    tracker_session_ended(world.route, OUTCOME_GONE, 1006);
    tracker_leave_session(world.tracker, world.route);
}

START_TEST(another_signal_is_handed_on_and_ends_nothing)
{
    int signals = watch_signal(SIGHUP);
    enter(1, 0); /* it leaves when the signal has been seen */
    world.options.signal = note_other;
    kill(getpid(), SIGHUP);
    struct shutdown_result result = run(LONG, 0, signals);
    ck_assert_int_eq(result.status, 0);
    ck_assert_ptr_nonnull(strstr(world.calls, "hangup "));
    ck_assert_ptr_null(strstr(world.calls, "cut "));
    close(signals);
    tracker_free(world.tracker);
}
END_TEST

START_TEST(a_signal_that_comes_twice_at_once_counts_once)
{
    int signals = watch_signal(SIGTERM);
    kill(getpid(), SIGTERM);
    struct shutdown_result result = run(LONG, 20, signals);
    ck_assert_int_eq(result.status, 0);
    ck_assert_uint_eq(world.cut, 0);
    close(signals);
    tracker_free(world.tracker);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shutdown_run");
    TCase *tests = tcase_create("shutdown_run");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, with_nothing_in_flight_all_is_done_at_once);
    tcase_add_test(tests, sessions_and_requests_in_flight_may_finish);
    tcase_add_test(tests, the_drain_begins_after_the_delay);
    tcase_add_test(tests, sessions_that_are_still_there_at_the_end_are_cut);
    tcase_add_test(tests, requests_that_take_too_long_are_cut_and_counted);
    tcase_add_loop_test(tests, so_many_forced_as_are_tolerated_do_not_show_in_the_status, 0,
                        (int)(sizeof tolerances / sizeof tolerances[0]));
    tcase_add_test(tests, a_time_that_has_passed_since_the_signal_counts);
    tcase_add_test(tests, a_stop_that_blocks_does_not_hold_the_process);
    tcase_add_test(tests, a_blocked_stop_and_forced_sessions_are_both_told);
    tcase_add_loop_test(tests, a_second_signal_ends_it_after_100_ms_and_not_before, 0,
                        (int)(sizeof signals_sent / sizeof signals_sent[0]));
    tcase_add_test(tests, another_signal_is_handed_on_and_ends_nothing);
    tcase_add_test(tests, a_signal_that_comes_twice_at_once_counts_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
