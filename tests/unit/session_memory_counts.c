#include "server/tcp.h"
#include "tests/support/queue_peer.h"

/* --- loops --- */

/* Waits until the kernel's buffers are full: nothing more happens to what is queued. */
static void settle(struct host *host)
{
    size_t before;
    do {
        before = memory_of(host)->held;
        nanosleep(&(struct timespec){.tv_nsec = 1000000L * SHORT}, NULL);
    } while (memory_of(host)->held != before);
}

START_TEST(a_loop_that_sleeps_closes_its_largest_when_another_one_sees_that_it_is_too_much)
{
    enum { MUCH = 700000, MORE = 270000 };
    struct host host = memory_host(1000000);
    host.loop_count = 2;
    host_start(&host);
    int much = slow_peer(&host); /* one on each loop */
    int more = slow_peer(&host);
    queue(much, "queue", MUCH);
    settle(&host);
    ck_assert_uint_eq(memory_of(&host)->relieved, 0);
    queue(more, "later", MORE);
    reads_some_and_1013(much, MUCH);
    notes_wait("close 1013;");
    reads_all(more, MORE);
    leave(more);
    end_host(&host, 2, 0, 1);
}
END_TEST

static void (*ask_loop)(void *argument, size_t share);

static void ask_late(void *argument, size_t share)
{
    note("asking;");
    nanosleep(&(struct timespec){.tv_nsec = 3000000L * SHORT}, NULL);
    ask_loop(argument, share);
    note("asked;");
}

START_TEST(a_loop_can_still_be_asked_when_it_has_ended_before_the_one_that_asks)
{
    struct host host = memory_host(1000000);
    host.loop_count = 2;
    host_start(&host);
    ask_loop = memory_of(&host)->ask;
    memory_of(&host)->ask = ask_late;
    int much = slow_peer(&host); /* one on each loop */
    int more = slow_peer(&host);
    queue(much, "queue", 700000);
    settle(&host);
    peer_say(more, "later 270000");
    notes_wait("asking;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    notes_wait("asked;");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    peer_is_cut(much);
    peer_is_cut(more);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

/* Each session's last words are too much for two. */
static void say_last_words(struct session *session)
{
    send_messages(session, 200000);
}

START_TEST(last_words_that_are_too_much_are_taken_back_when_their_turn_has_come)
{
    struct host host = memory_host(600000);
    host.handler.drain = say_last_words;
    host_start(&host);
    loops_plan_drain(host.loops,
                     &(struct drain_plan){.spread = (int64_t)3 * SHORT,
                                          .wait_until = clock_milliseconds() + PATIENCE_MS});
    int first = slow_peer(&host);
    int second = slow_peer(&host);
    queue(first, "queue", 100000);
    queue(second, "queue", 100001);
    settle(&host);
    host_drain(&host);
    notes_wait("close 1001;"); /* and neither of them has said anything */
    ck_assert_uint_le(memory_of(&host)->held, memory_of(&host)->limit);
    loops_cut(host.loops);
    peer_is_cut(first);
    peer_is_cut(second);
    end_host(&host, 0, 2, 1);
}
END_TEST

START_TEST(more_loops_than_there_are_shares_are_refused)
{
    struct tracker *tracker = tracker_new(1, MEMORY_SHARES_MAX + 1);
    ck_assert_ptr_null(loops_start(MEMORY_SHARES_MAX + 1, tracker));
    ck_assert_int_eq(errno, EINVAL);
    struct loops *loops = loops_start(MEMORY_SHARES_MAX, tracker);
    ck_assert_ptr_nonnull(loops);
    ck_assert_int_eq(loops_stop(loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(tracker);
}
END_TEST

/* --- what is counted --- */

START_TEST(a_queue_counts_with_what_the_kernel_holds_and_so_does_who_is_not_read_from)
{
    enum { BUFFER = 100000, BYTES = 300000, TAKEN = 100000 };
    struct host host = memory_host(0);
    host.limits.receive_buffer = BUFFER;
    host.limits.send_queue = BYTES;
    host_start(&host);
    int peer = slow_peer(&host);
    int other = host_connect(&host);
    queue(peer, "queue", BYTES);
    echoes(other, "it waits");
    const size_t least = TCP_UNREAD_COST + 2 * (size_t)BUFFER + BYTES - TAKEN;
    ck_assert_uint_ge(memory_of(&host)->held, least);
    ck_assert_uint_le(memory_of(&host)->held, least + TAKEN + BYTES / 10);
    reads_all(peer, BYTES);
    echoes(other, "and then not");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    leave(peer);
    leave(other);
    end_host(&host, 2, 0, 0);
}
END_TEST

static void hold_queue(struct host *host, int peer)
{
    (void)host;
    queue(peer, "queue", 200000);
}

static void hold_half(struct host *host, int peer)
{
    static const uint8_t half[50000];
    size_t held = memory_of(host)->held;
    peer_send(peer, 0x02, half, sizeof half);
    while (memory_of(host)->held < held + sizeof half)
        sched_yield();
}

static void hold_both(struct host *host, int peer)
{
    queue(peer, "queue", 70000); /* less than half of what may wait: it is still read from */
    hold_half(host, peer);
}

/* A drain, and a peer that answers it once it has read everything, or reads and answers nothing. */
static void end_by_drain(struct host *host, int peer)
{
    host_drain(host);
    for (peer_read(peer); frame.opcode == FRAME_BINARY;)
        peer_read(peer);
    check_close(1001, "server shutting down");
    peer_close(peer, 1001);
}

static void end_by_timeout(struct host *host, int peer)
{
    (void)peer;
    host_drain(host);
}

static void end_by_cut(struct host *host, int peer)
{
    (void)peer;
    loops_cut(host->loops);
}

static void end_by_reset(struct host *host, int peer)
{
    (void)host;
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    ck_assert_int_eq(connect(peer, &nobody, sizeof nobody), 0);
}

static void end_by_fin(struct host *host, int peer)
{
    (void)host;
    shutdown(peer, SHUT_WR);
}

static void end_by_close(struct host *host, int peer)
{
    (void)host;
    peer_close(peer, 1000);
    peer_is_cut(dup(peer));
}

static void end_by_nonsense(struct host *host, int peer)
{
    (void)host;
    peer_write(peer, "\xff\xff\xff", 3);
    peer_is_cut(dup(peer));
}

static void (*const holds[])(struct host *host, int peer) = {hold_queue, hold_half, hold_both};
static void (*const endings[])(struct host *host, int peer) = {
    end_by_drain, end_by_timeout, end_by_cut,      end_by_reset,
    end_by_fin,   end_by_close,   end_by_nonsense,
};
enum { HOLDS = sizeof holds / sizeof holds[0], ENDINGS = sizeof endings / sizeof endings[0] };

START_TEST(however_a_session_ends_nothing_is_counted_for_it_any_more)
{
    struct host host = memory_host(0);
    int ending = _i / (2 * HOLDS);
    host.limits.send_queue = 150000; /* more than half of it waits: it is not read from */
    host.limits.receive_buffer = 10000;
    host.window_bits = _i % 2 == 0 ? 0 : 15;
    frame.may_be_compressed = true;
    if (endings[ending] == end_by_timeout || endings[ending] == end_by_nonsense ||
        endings[ending] == end_by_close || endings[ending] == end_by_fin)
        host.limits.close_timeout = SHORT;
    host_start(&host);
    int peer = slow_peer(&host);
    holds[_i / 2 % HOLDS](&host, peer);
    ck_assert_uint_gt(memory_of(&host)->held, 0);
    endings[ending](&host, peer);
    if (endings[ending] == end_by_fin)
        peer_is_cut(dup(peer));
    notes_wait("close ");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    ck_assert_uint_eq(host.route.counts->traffic[0].queued, 0);
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host.tracker);
    close(host.listener);
    close(peer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_memory_counts");
    TCase *tests = tcase_create("session_memory_counts");
    tcase_set_timeout(tests, 2 * PATIENCE);
    tcase_add_test(tests,
                   a_loop_that_sleeps_closes_its_largest_when_another_one_sees_that_it_is_too_much);
    tcase_add_test(tests, a_loop_can_still_be_asked_when_it_has_ended_before_the_one_that_asks);
    tcase_add_test(tests, last_words_that_are_too_much_are_taken_back_when_their_turn_has_come);
    tcase_add_test(tests, more_loops_than_there_are_shares_are_refused);
    tcase_add_test(tests,
                   a_queue_counts_with_what_the_kernel_holds_and_so_does_who_is_not_read_from);
    tcase_add_loop_test(tests, however_a_session_ends_nothing_is_counted_for_it_any_more, 0,
                        2 * HOLDS * ENDINGS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
