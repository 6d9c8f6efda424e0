#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/task.h"
#include "tests/support/session_peer.h"

enum { COUNT = 5, AGAIN = 3 };

static struct work {
    struct task begin;
    struct later later;
    struct loops *loops;
    int64_t wait;
    int64_t due;
    char name;
    int again;
} works[COUNT];

static void run_late(struct task *task)
{
    struct work *work = (struct work *)((char *)task - offsetof(struct work, later.task));
    if (clock_milliseconds() + 2 < work->due) /* the loop's clock stands still during a turn */
        note("too early: ");
    note("%c", work->name);
    if (work->again-- > 0)
        loops_post_later(work->loops, 0, &work->later, work->wait);
}

static void begin(struct task *task)
{
    struct work *work = (struct work *)task;
    work->due = clock_milliseconds() + work->wait;
    work->later.task.run = run_late;
    loops_post_later(work->loops, 0, &work->later, work->wait);
}

static void start_work(struct host *host, size_t number, int64_t wait, int again)
{
    works[number] = (struct work){
        .begin.run = begin,
        .loops = host->loops,
        .wait = wait,
        .name = (char)('a' + number),
        .again = again,
    };
    loops_post(host->loops, 0, &works[number].begin);
}

static void stop_loops(struct host *host)
{
    ck_assert_int_eq(loops_stop(host->loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host->tracker);
    close(host->listener);
}

START_TEST(what_is_posted_for_later_is_run_by_its_time_and_not_before)
{
    struct host host = make_host(echo);
    host_start(&host);
    start_work(&host, 0, 300, 0);
    start_work(&host, 1, 100, 0);
    start_work(&host, 2, 200, 0);
    start_work(&host, 3, 0, 0);
    start_work(&host, 4, 100, 0);
    notes_wait("dbeca");
    stop_loops(&host);
}
END_TEST

START_TEST(it_may_be_posted_again_while_it_is_run)
{
    struct host host = make_host(echo);
    host_start(&host);
    start_work(&host, 0, 0, AGAIN);
    notes_wait("aaaa");
    start_work(&host, 1, 10, AGAIN);
    notes_wait("bbbb");
    stop_loops(&host);
}
END_TEST

START_TEST(it_is_not_run_once_the_loop_has_ended_and_does_not_hold_it_up)
{
    struct host host = make_host(echo);
    host_start(&host);
    start_work(&host, 0, 3600000, 0);
    start_work(&host, 1, 0, 0);
    notes_wait("b");
    int64_t began = clock_milliseconds();
    start_work(&host, 2, 3600000, 0); /* perhaps only when the loop has ended */
    stop_loops(&host);
    ck_assert_int_lt(clock_milliseconds() - began, PATIENCE_MS / 2);
    ck_assert_ptr_null(strchr(notes.text, 'a'));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop_later");
    TCase *tests = tcase_create("loop_later");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, what_is_posted_for_later_is_run_by_its_time_and_not_before);
    tcase_add_test(tests, it_may_be_posted_again_while_it_is_run);
    tcase_add_test(tests, it_is_not_run_once_the_loop_has_ended_and_does_not_hold_it_up);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
