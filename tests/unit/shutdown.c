#include "server/shutdown.h"

#include <check.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/*
 * A world without threads or sleep: the clock jumps to the next event, which is either the moment
 * that the plan asked to be woken at or something that happens by itself.
 */
enum { HANDLERS_MAX = 4, NEVER = 1000000000 };

static const int64_t UNIT = 1000;
static const int64_t END_MARGIN = 20; /* what is left of the time for freeing and the log */

struct world {
    int64_t signal_at;
    struct shutdown_times times;
    int64_t ends[HANDLERS_MAX]; /* when each handler is done */
    size_t handlers;
    int64_t request_ends;
    int64_t stop_takes; /* from the drain on */
    int64_t hurry_at;
    bool cut_fails; /* a cut session does not go */
};

struct history {
    int64_t drained_at; /* -1: never, as for the two below */
    int64_t cut_at;
    int64_t exited_at;
    size_t cut;  /* handlers that were cut */
    size_t left; /* handlers that were there at the exit */
    bool stopped;
};

static void sooner(int64_t *next, int64_t now, int64_t event)
{
    if (event > now && event < *next)
        *next = event;
}

static struct shutdown_view look(const struct world *world, const struct history *past, int64_t now)
{
    struct shutdown_view view = {.now = now, .hurry = now >= world->hurry_at};
    for (size_t i = 0; i < world->handlers; i++)
        if (world->ends[i] > now && (past->cut_at < 0 || world->cut_fails))
            view.sessions++;
    view.requests = now < world->request_ends ? 1 : 0;
    view.stopped = past->drained_at >= 0 && now >= past->drained_at + world->stop_takes;
    return view;
}

static int64_t next_event(const struct world *world, const struct history *past, int64_t now,
                          int64_t wake_at)
{
    int64_t next = wake_at;
    for (size_t i = 0; i < world->handlers; i++)
        sooner(&next, now, world->ends[i]);
    if (past->drained_at >= 0)
        sooner(&next, now, past->drained_at + world->stop_takes);
    sooner(&next, now, world->hurry_at);
    sooner(&next, now, world->request_ends);
    return next;
}

static struct history simulate(const struct world *world)
{
    struct shutdown_plan plan = {.times = world->times, .began = world->signal_at};
    struct history past = {.drained_at = -1, .cut_at = -1, .exited_at = -1};
    int64_t now = world->signal_at;
    for (int steps = 0; steps < 100; steps++) {
        int64_t wake_at = -1;
        struct shutdown_view view = look(world, &past, now);
        switch (shutdown_next(&plan, &view, &wake_at)) {
        case SHUTDOWN_WAIT:
            ck_assert_int_gt(wake_at, now); /* or it would spin */
            now = next_event(world, &past, now, wake_at);
            break;
        case SHUTDOWN_DRAIN:
            ck_assert_int_eq(past.drained_at, -1);
            past.drained_at = now;
            break;
        case SHUTDOWN_CUT:
            ck_assert_int_eq(past.cut_at, -1);
            past.cut_at = now;
            past.cut = view.sessions;
            break;
        case SHUTDOWN_EXIT:
            past.exited_at = now;
            past.left = view.sessions;
            past.stopped = view.stopped;
            return past;
        }
    }
    ck_abort_msg("the shutdown does not come to its end");
    return past;
}

static struct world make_world(size_t handlers, int64_t takes)
{
    struct world world = {.handlers = handlers, .hurry_at = NEVER};
    for (size_t i = 0; i < handlers; i++)
        world.ends[i] = takes;
    return world;
}

/* In units: how long each handler takes, how much later the shutdown begins, and its deadline. */
static const struct {
    size_t handlers;
    int64_t takes;
    int64_t later;
    int64_t deadline;
    bool exceeded;
} rows[] = {
    {1, 5, 0, 10, false},
    {1, 10, 0, 5, true},
    {1, 5, 10, 5, false},
    {1, 5, 10, 10, false},
    {1, 10, 10, 5, false},
    {1, 10, 10, 10, false},
    {3, 5, 0, 10, false},
    {3, 10, 0, 5, true},
    {3, 5, 10, 5, false},
    {3, 5, 10, 10, false},
    {3, 10, 10, 5, false},
    {3, 10, 10, 10, false},
    /* A handler that would take the whole time cannot: some of it is kept for the end. */
    {1, 5, 0, 5, true},
    {1, 10, 0, 10, true},
    {3, 5, 0, 5, true},
    {3, 10, 0, 10, true},
};

static void check_row(const struct world *world, int64_t began, int row)
{
    struct history past = simulate(world);
    int64_t deadline = began + rows[row].deadline * UNIT;
    int64_t done = rows[row].takes * UNIT;
    ck_assert_int_eq(past.drained_at, began);
    ck_assert_int_eq(past.cut_at >= 0, rows[row].exceeded);
    ck_assert_uint_eq(past.cut, rows[row].exceeded ? rows[row].handlers : 0);
    ck_assert_uint_eq(past.left, 0);
    if (rows[row].exceeded)
        ck_assert(past.exited_at > deadline - UNIT / 10 && past.exited_at <= deadline);
    else
        ck_assert_int_eq(past.exited_at, done > began ? done : began);
}

START_TEST(a_deadline_is_exceeded_by_handlers_that_take_longer_and_by_no_others)
{
    struct world world = make_world(rows[_i].handlers, rows[_i].takes * UNIT);
    world.signal_at = rows[_i].later * UNIT;
    world.times.timeout = rows[_i].deadline * UNIT;
    check_row(&world, world.signal_at, _i);
}
END_TEST

START_TEST(a_delay_gives_handlers_as_much_more_time)
{
    struct world world = make_world(rows[_i].handlers, rows[_i].takes * UNIT);
    world.times.delay = rows[_i].later * UNIT;
    world.times.timeout = world.times.delay + rows[_i].deadline * UNIT;
    check_row(&world, world.times.delay, _i);
}
END_TEST

START_TEST(the_slowest_handler_decides)
{
    struct world world = make_world(3, 2 * UNIT);
    world.times.timeout = 10 * UNIT;
    world.ends[1] = 7 * UNIT;
    ck_assert_int_eq(simulate(&world).exited_at, 7 * UNIT);
    world.ends[1] = 11 * UNIT;
    ck_assert_uint_eq(simulate(&world).cut, 1);
}
END_TEST

START_TEST(with_nothing_in_flight_the_end_comes_with_the_stop)
{
    struct world world = make_world(0, 0);
    world.times.timeout = 8 * UNIT;
    ck_assert_int_eq(simulate(&world).exited_at, 0);
    world.stop_takes = 20;
    struct history past = simulate(&world);
    ck_assert_int_eq(past.exited_at, 20);
    ck_assert_int_eq(past.cut_at, -1);
    ck_assert(past.stopped);
}
END_TEST

START_TEST(nothing_is_drained_during_the_delay_even_when_nothing_is_there)
{
    struct world world = make_world(0, 0);
    world.times = (struct shutdown_times){.timeout = 8 * UNIT, .delay = 3 * UNIT};
    struct history past = simulate(&world);
    ck_assert_int_eq(past.drained_at, 3 * UNIT);
    ck_assert_int_eq(past.exited_at, 3 * UNIT);
}
END_TEST

START_TEST(a_blocked_stop_is_not_waited_for_beyond_the_timeout)
{
    struct world world = make_world(1, UNIT);
    world.times.timeout = 8 * UNIT;
    world.stop_takes = NEVER;
    struct history past = simulate(&world);
    ck_assert(!past.stopped);
    ck_assert_uint_eq(past.cut, 0);
    ck_assert_int_eq(past.exited_at, 8 * UNIT - END_MARGIN);
}
END_TEST

START_TEST(a_stop_that_comes_back_after_the_cut_ends_it_early)
{
    struct world world = make_world(1, NEVER);
    world.times.timeout = 10 * UNIT;
    world.stop_takes = 10 * UNIT - END_MARGIN - 10;
    struct history past = simulate(&world);
    ck_assert(past.stopped);
    ck_assert_uint_eq(past.cut, 1);
    ck_assert_int_eq(past.exited_at, 10 * UNIT - END_MARGIN - 10);
}
END_TEST

START_TEST(a_session_that_cannot_be_cut_is_left_at_the_timeout)
{
    struct world world = make_world(2, NEVER);
    world.times.timeout = 10 * UNIT;
    world.cut_fails = true;
    struct history past = simulate(&world);
    ck_assert_int_eq(past.exited_at, 10 * UNIT - END_MARGIN);
    ck_assert_uint_eq(past.left, 2);
}
END_TEST

/* In units: when the second signal comes, and whether the drain had begun. */
static const struct {
    int64_t hurry_at;
    bool drained;
} hurries[] = {{0, false}, {1, false}, {2, true}, {4, true}, {7, true}};

START_TEST(a_second_signal_cuts_everything_at_once)
{
    struct world world = make_world(2, NEVER);
    world.times = (struct shutdown_times){.timeout = 8 * UNIT, .delay = 2 * UNIT};
    world.request_ends = NEVER;
    world.stop_takes = NEVER;
    world.hurry_at = hurries[_i].hurry_at * UNIT + 1;
    struct history past = simulate(&world);
    ck_assert_int_eq(past.drained_at, hurries[_i].drained ? 2 * UNIT : -1);
    ck_assert_int_eq(past.cut_at, world.hurry_at);
    ck_assert_int_eq(past.exited_at, world.hurry_at);
}
END_TEST

START_TEST(after_a_second_signal_a_cut_that_takes_time_is_waited_for_a_moment)
{
    struct world world = make_world(2, NEVER);
    world.times.timeout = 8 * UNIT;
    world.hurry_at = 3 * UNIT;
    world.cut_fails = true;
    ck_assert_int_eq(simulate(&world).exited_at, 3 * UNIT + 100);
    world.ends[0] = world.ends[1] = 3 * UNIT + 40;
    ck_assert_int_eq(simulate(&world).exited_at, 3 * UNIT + 40);
}
END_TEST

START_TEST(a_second_signal_during_the_last_cut_ends_that)
{
    struct world world = make_world(1, UNIT);
    world.times.timeout = 8 * UNIT;
    world.stop_takes = NEVER;
    world.hurry_at = 8 * UNIT - 20;
    struct history past = simulate(&world);
    ck_assert_int_lt(past.cut_at, world.hurry_at);
    ck_assert_int_eq(past.exited_at, world.hurry_at);
}
END_TEST

START_TEST(a_request_is_waited_for_like_a_session)
{
    struct world world = make_world(1, UNIT);
    world.times.timeout = 8 * UNIT;
    world.request_ends = 5 * UNIT;
    struct history past = simulate(&world);
    ck_assert_int_eq(past.exited_at, 5 * UNIT);
    ck_assert_int_eq(past.cut_at, -1);
    world.request_ends = NEVER;
    ck_assert_int_eq(simulate(&world).exited_at, 8 * UNIT - END_MARGIN);
}
END_TEST

/* Every combination of these: whatever happens, the end is not later than the timeout. */
START_TEST(the_end_never_comes_later_than_the_timeout)
{
    static const int64_t timeouts[] = {1, 2, 20, 100, 999, 8000, 3600000};
    static const int64_t takes[] = {0, 1, 19, 500, 7950, 7999, 8000, NEVER};
    for (size_t i = 0; i < COUNT(timeouts) * COUNT(takes) * COUNT(takes) * 4; i++) {
        struct world world = make_world(i % 3, takes[i % COUNT(takes)]);
        world.times.timeout = timeouts[i / COUNT(takes) % COUNT(timeouts)];
        world.stop_takes = takes[i / COUNT(takes) / COUNT(timeouts) % COUNT(takes)];
        world.times.delay = world.times.timeout * (_i % 3) / 3;
        world.cut_fails = _i / 3 == 1;
        world.hurry_at = i % 5 == 4 ? world.times.timeout / 2 : NEVER;
        struct history past = simulate(&world);
        ck_assert_int_ge(past.exited_at, 0);
        ck_assert_int_le(past.exited_at, world.times.timeout);
    }
}
END_TEST

static const struct {
    int64_t timeout;
    int64_t stop_at;
} stops[] = {{8000, 7500}, {1001, 501}, {1000, 500}, {600, 300}, {100, 50}, {1, 1}};

START_TEST(requests_may_take_until_500_ms_before_the_timeout_or_half_of_a_short_one)
{
    struct shutdown_plan plan = {.times = {.timeout = stops[_i].timeout}, .began = 1234};
    ck_assert_int_eq(shutdown_stop_at(&plan), 1234 + stops[_i].stop_at);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shutdown");
    TCase *tests = tcase_create("shutdown");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_deadline_is_exceeded_by_handlers_that_take_longer_and_by_no_others,
                        0, COUNT(rows));
    tcase_add_loop_test(tests, a_delay_gives_handlers_as_much_more_time, 0, COUNT(rows));
    tcase_add_test(tests, the_slowest_handler_decides);
    tcase_add_test(tests, with_nothing_in_flight_the_end_comes_with_the_stop);
    tcase_add_test(tests, nothing_is_drained_during_the_delay_even_when_nothing_is_there);
    tcase_add_test(tests, a_blocked_stop_is_not_waited_for_beyond_the_timeout);
    tcase_add_test(tests, a_stop_that_comes_back_after_the_cut_ends_it_early);
    tcase_add_test(tests, a_session_that_cannot_be_cut_is_left_at_the_timeout);
    tcase_add_loop_test(tests, a_second_signal_cuts_everything_at_once, 0, COUNT(hurries));
    tcase_add_test(tests, after_a_second_signal_a_cut_that_takes_time_is_waited_for_a_moment);
    tcase_add_test(tests, a_second_signal_during_the_last_cut_ends_that);
    tcase_add_test(tests, a_request_is_waited_for_like_a_session);
    tcase_add_loop_test(tests, the_end_never_comes_later_than_the_timeout, 0, 6);
    tcase_add_loop_test(tests,
                        requests_may_take_until_500_ms_before_the_timeout_or_half_of_a_short_one, 0,
                        COUNT(stops));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
