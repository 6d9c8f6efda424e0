#include "tests/support/session_peer.h"

enum {
    SHORT = 60,        /* milliseconds */
    AGE = 600,         /* of max_age */
    CLOCKS_DIFFER = 5, /* the loop's and ours */
};

static const char too_many[] = "more messages a second than are allowed here";

static void say(int peer, int from, int to)
{
    uint8_t frames[256];
    size_t size = 0;
    for (int i = from; i <= to; i++) {
        char text[16];
        int length = snprintf(text, sizeof text, "m%d", i);
        size += put_frame(frames + size, 0x81, shortest((size_t)length), 7, text, (size_t)length);
    }
    peer_write(peer, frames, size);
}

static void hear(int peer, int from, int to)
{
    for (int i = from; i <= to; i++) {
        char text[16];
        snprintf(text, sizeof text, "m%d", i);
        peer_hears(peer, text);
    }
}

START_TEST(a_message_over_the_rate_is_closed_with_1008_and_reaches_nobody)
{
    struct host host = make_host(note_and_echo);
    host.limits.rate = 3;
    host_start(&host);
    int peer = host_connect(&host);
    say(peer, 1, 5);
    hear(peer, 1, 3);
    peer_hears_close(peer, 1008, too_many);
    say(peer, 6, 6);
    peer_ends_properly(&host, peer, 1008);
    ck_assert_ptr_null(strstr(notes.text, "message m4;"));
    ck_assert_ptr_null(strstr(notes.text, "message m6;"));
}
END_TEST

START_TEST(a_second_later_as_many_messages_may_come_again)
{
    struct host host = make_host(note_and_echo);
    host.limits.rate = 3;
    host_start(&host);
    int peer = host_connect(&host);
    say(peer, 1, 3);
    hear(peer, 1, 3);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
    say(peer, 4, 7);
    hear(peer, 4, 6);
    peer_hears_close(peer, 1008, too_many);
    peer_ends_properly(&host, peer, 1008);
}
END_TEST

START_TEST(idle_seconds_do_not_allow_more_than_one_second_s_worth)
{
    struct host host = make_host(note_and_echo);
    host.limits.rate = 2;
    host_start(&host);
    int peer = host_connect(&host);
    nanosleep(&(struct timespec){.tv_sec = 2, .tv_nsec = 500000000}, NULL);
    say(peer, 1, 3);
    hear(peer, 1, 2);
    peer_hears_close(peer, 1008, too_many);
    peer_ends_properly(&host, peer, 1008);
}
END_TEST

START_TEST(what_comes_after_our_close_is_taken_at_any_rate)
{
    struct host host = make_host(note_and_echo);
    host.limits.rate = 1;
    host_start(&host);
    int peer = host_connect(&host);
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    say(peer, 1, 9);
    peer_ends_properly(&host, peer, 1001);
    for (int i = 1; i <= 9; i++) {
        char text[32];
        snprintf(text, sizeof text, "message m%d;", i);
        ck_assert_ptr_nonnull(strstr(notes.text, text));
    }
}
END_TEST

START_TEST(an_old_session_is_closed_at_most_a_tenth_before_max_age)
{
    struct host host = make_host(note_and_echo);
    host.limits.max_age = AGE;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    say(peer, 1, 1);
    hear(peer, 1, 1);
    peer_hears_close(peer, 1001, "open for long enough: please connect again");
    ck_assert_int_ge(clock_milliseconds() - began, AGE - AGE / 10 - CLOCKS_DIFFER);
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

static void ask_to_be_woken(struct session *session)
{
    session_wake(session, SHORT);
}

static void say_awake(struct session *session)
{
    session_send(session, MESSAGE_TEXT, "m1", 2);
}

START_TEST(a_handler_is_woken_once_when_it_has_asked_for_it)
{
    struct host host = make_host(note_and_echo);
    host.handler.open = ask_to_be_woken;
    host.handler.wake = say_awake;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    hear(peer, 1, 1);
    ck_assert_int_ge(clock_milliseconds() - began, SHORT - CLOCKS_DIFFER);
    nanosleep(&(struct timespec){.tv_nsec = 3000000L * SHORT}, NULL);
    say(peer, 2, 2);
    hear(peer, 2, 2); /* and not another m1 before it */
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

static void take_it_back(struct session *session)
{
    session_wake(session, 0);
    session_wake(session, -1);
}

START_TEST(a_handler_can_take_back_that_it_wants_to_be_woken)
{
    struct host host = make_host(note_and_echo);
    host.handler.open = take_it_back;
    host.handler.wake = say_awake;
    host_start(&host);
    int peer = host_connect(&host);
    nanosleep(&(struct timespec){.tv_nsec = 1000000L * SHORT}, NULL);
    say(peer, 2, 2);
    hear(peer, 2, 2);
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

static void note_drain(struct session *session)
{
    note("drain;");
    session_send(session, MESSAGE_TEXT, "m1", 2);
}

START_TEST(a_session_that_watches_the_others_is_closed_when_these_have_gone)
{
    struct host host = make_host(note_and_echo);
    host.handler.last = true;
    host.handler.drain = note_drain;
    host_start(&host);
    host.route.counts->last = true;
    loops_plan_drain(host.loops,
                     &(struct drain_plan){.wait_until = clock_milliseconds() + PATIENCE_MS});
    int peer = host_connect(&host);
    say(peer, 0, 0);
    hear(peer, 0, 0);
    ck_assert(tracker_enter_request(host.tracker)); /* somebody else */
    host_drain(&host);
    hear(peer, 1, 1);
    say(peer, 2, 3);
    hear(peer, 2, 3); /* it is open as before */
    tracker_leave_request(host.tracker, true);
    hear(peer, 1, 1); /* it says how that ended */
    peer_hears_close(peer, 1001, "server shutting down");
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(a_session_that_epoll_refuses_is_counted_and_leaves)
{
    struct host host = make_host(note_and_echo);
    host_start(&host);
    struct sockaddr_in nobody = {.sin_family = AF_INET};
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* EPERM, as ENOSPC would be */
    ck_assert_int_eq(tracker_enter_session(host.tracker, host.route.counts), 0);
    struct session *session =
        session_new(file, &host.route,
                    &(struct session_opening){.client = (struct sockaddr *)&nobody,
                                              .request = &(struct http_request){.method = "GET"}});
    ck_assert_ptr_nonnull(session);
    loops_add(host.loops, session);
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_uint_eq(tracker_sessions(host.tracker), 0);
    ck_assert_uint_eq(host.route.counts->refused[REFUSED_DESCRIPTORS], 1);
    ck_assert_uint_eq(host.route.counts->opened, 0);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_limits");
    TCase *tests = tcase_create("session_limits");
    tcase_set_timeout(tests, 2 * PATIENCE);
    tcase_add_test(tests, a_message_over_the_rate_is_closed_with_1008_and_reaches_nobody);
    tcase_add_test(tests, a_second_later_as_many_messages_may_come_again);
    tcase_add_test(tests, idle_seconds_do_not_allow_more_than_one_second_s_worth);
    tcase_add_test(tests, what_comes_after_our_close_is_taken_at_any_rate);
    tcase_add_test(tests, an_old_session_is_closed_at_most_a_tenth_before_max_age);
    tcase_add_test(tests, a_handler_is_woken_once_when_it_has_asked_for_it);
    tcase_add_test(tests, a_handler_can_take_back_that_it_wants_to_be_woken);
    tcase_add_test(tests, a_session_that_watches_the_others_is_closed_when_these_have_gone);
    tcase_add_test(tests, a_session_that_epoll_refuses_is_counted_and_leaves);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
