#include "tests/support/session_peer.h"

enum {
    SHORT = 60,  /* milliseconds: awaited */
    LONG = 1000, /* awaited where something else must happen before it on a busy machine */
    NEVER = PATIENCE_MS,
    IDLE = 300,
    CLOCKS_DIFFER = 5,
};

static void hears_ping(int peer)
{
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_PING);
}

static void check_since(int64_t began, int milliseconds)
{
    ck_assert_int_ge(clock_milliseconds() - began, milliseconds - CLOCKS_DIFFER);
}

START_TEST(a_silent_peer_is_pinged_and_closed_when_it_does_not_answer)
{
    struct host host = make_host(echo);
    host.limits.ping_interval = SHORT;
    host.limits.ping_timeout = SHORT;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    hears_ping(peer);
    check_since(began, SHORT);
    peer_hears_close(peer, 1001, "no answer to a ping");
    check_since(began, SHORT + SHORT);
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(a_peer_that_answers_is_pinged_again)
{
    struct host host = make_host(echo);
    host.limits.ping_interval = SHORT;
    host.limits.ping_timeout = LONG;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    for (int i = 1; i <= 3; i++) {
        hears_ping(peer);
        check_since(began, i * SHORT);
        peer_send(peer, 0x8a, frame.payload, frame.length);
    }
    peer_close(peer, 1001);
    peer_hears_close(peer, 1001, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

START_TEST(whatever_the_peer_sends_answers_a_ping)
{
    struct host host = make_host(echo);
    host.limits.ping_interval = SHORT;
    host.limits.ping_timeout = LONG;
    host_start(&host);
    int peer = host_connect(&host);
    for (int i = 0; i < 2; i++) {
        hears_ping(peer);
        peer_say(peer, "here");
        peer_hears(peer, "here");
    }
    peer_close(peer, 1001);
    peer_read(peer);
    check_close(1001, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

START_TEST(a_session_without_messages_is_closed_at_idle_timeout)
{
    struct host host = make_host(echo);
    host.limits.idle_timeout = SHORT;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    peer_hears_close(peer, 1001, "idle for too long");
    check_since(began, SHORT);
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(a_message_puts_idle_timeout_off)
{
    struct host host = make_host(echo);
    host.limits.idle_timeout = LONG;
    host_start(&host);
    int peer = host_connect(&host);
    for (int i = 0; i < 20; i++) {
        peer_say(peer, "busy");
        peer_hears(peer, "busy");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    int64_t began = clock_milliseconds();
    peer_say(peer, "the last");
    peer_hears(peer, "the last");
    peer_hears_close(peer, 1001, "idle for too long");
    check_since(began, LONG);
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(pings_and_their_answers_do_not_put_idle_timeout_off)
{
    struct host host = make_host(echo);
    host.limits.idle_timeout = IDLE;
    host.limits.ping_interval = SHORT;
    host.limits.ping_timeout = NEVER;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    int pings = 0;
    for (peer_read(peer); frame.opcode == FRAME_PING; peer_read(peer)) {
        peer_send(peer, 0x8a, "", 0);
        pings++;
        ck_assert_int_lt(clock_milliseconds() - began, NEVER / 2);
    }
    ck_assert_int_gt(pings, 0);
    check_close(1001, "idle for too long");
    check_since(began, IDLE);
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(a_peer_that_reads_nothing_is_cut_at_close_timeout_after_its_ping)
{
    struct host host = make_host(echo);
    host.limits.ping_interval = SHORT;
    host.limits.ping_timeout = SHORT;
    host.limits.close_timeout = SHORT;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    notes_wait("close 1001;");
    check_since(began, 3 * SHORT);
    host_end(&host, OUTCOME_FORCED, 1001);
    close(peer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_times");
    TCase *tests = tcase_create("session_times");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_silent_peer_is_pinged_and_closed_when_it_does_not_answer);
    tcase_add_test(tests, a_peer_that_answers_is_pinged_again);
    tcase_add_test(tests, whatever_the_peer_sends_answers_a_ping);
    tcase_add_test(tests, a_session_without_messages_is_closed_at_idle_timeout);
    tcase_add_test(tests, a_message_puts_idle_timeout_off);
    tcase_add_test(tests, pings_and_their_answers_do_not_put_idle_timeout_off);
    tcase_add_test(tests, a_peer_that_reads_nothing_is_cut_at_close_timeout_after_its_ping);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
