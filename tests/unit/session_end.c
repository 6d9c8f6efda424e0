#include "tests/support/session_peer.h"

enum { CLOSE_TIMEOUT = 150, CLOCKS_DIFFER = 5 }; /* milliseconds */

static void say_goodbye(struct session *session)
{
    session_send(session, MESSAGE_TEXT, "goodbye", 7);
}

/* Notes a message, and what became of its echo. */
static void take_note(struct session *session, enum message_kind kind, void *data, size_t length)
{
    static const char *const results[] = {
        [SESSION_SENT] = "sent", [SESSION_CLOSING] = "closing", [SESSION_FULL] = "full"};
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)length, (const char *)data);
    note("%s %s;", text, results[session_send(session, kind, data, length)]);
}

/* --- from the peer's side --- */

static const uint16_t codes[] = {1000, 1001, 1011, 3000, 4999};

START_TEST(the_peers_close_is_answered_with_its_own_code)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_send(peer, 0x88,
              (const uint8_t[]){(uint8_t)(codes[_i] >> 8), (uint8_t)codes[_i], 'b', 'y', 'e'}, 5);
    peer_hears_close(peer, codes[_i], "");
    peer_hears_end(peer); /* the server ends TCP first */
    host_end(&host, OUTCOME_HANDSHAKE, codes[_i]);
}
END_TEST

START_TEST(a_close_without_a_code_is_answered_without_one)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_send(peer, 0x88, "", 0);
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_CLOSE);
    ck_assert_uint_eq(frame.length, 0);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1005);
}
END_TEST

START_TEST(answers_that_wait_go_out_before_the_answer_to_the_peers_close)
{
    enum { MESSAGES = 60, SIZE = 10000 };
    static const uint8_t payload[SIZE];
    struct host host = make_host(echo);
    host.send_buffer = 4096;
    host_start(&host);
    int peer = host_connect_with(&host, 4096, NULL, 0);
    for (int i = 0; i < MESSAGES; i++)
        peer_send(peer, 0x82, payload, SIZE);
    peer_close(peer, 1000);
    for (int i = 0; i < MESSAGES; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_BINARY);
    }
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_peer_that_resets_is_gone)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

/* --- from the handler's side --- */

static void close_twice(struct session *session, enum message_kind kind, void *data, size_t length)
{
    (void)data;
    (void)length;
    session_send(session, kind, "last", 4);
    session_close(session, 4000, "first");
    session_close(session, 4001, "second");
    note("%s;", session_send(session, kind, "late", 4) == SESSION_CLOSING ? "closing" : "sent");
}

START_TEST(the_first_close_wins_and_nothing_is_sent_after_it)
{
    struct host host = make_host(close_twice);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "go");
    notes_wait("closing;");
    peer_hears(peer, "last");
    peer_hears_close(peer, 4000, "first");
    peer_close(peer, 4000);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 4000);
}
END_TEST

static void close_in_detail(struct session *session, enum message_kind kind, void *data,
                            size_t length)
{
    static char reason[200];
    (void)kind;
    (void)data;
    (void)length;
    memset(reason, 'r', sizeof reason - 1);
    session_close(session, 1000, reason);
}

START_TEST(a_reason_that_is_too_long_is_cut)
{
    struct host host = make_host(close_in_detail);
    char reason[CLOSE_REASON_MAX + 1] = {0};
    memset(reason, 'r', CLOSE_REASON_MAX);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "go");
    peer_hears_close(peer, 1000, reason);
    peer_close(peer, 1000);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

/* --- the drain --- */

START_TEST(the_drain_lets_the_handler_say_its_last_words_before_the_close)
{
    struct host host = make_host(echo);
    host.handler.drain = say_goodbye;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    host_drain(&host);
    peer_hears(peer, "goodbye");
    peer_hears_close(peer, 1001, "server shutting down");
    peer_close(peer, 1001);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

START_TEST(what_the_peer_sends_before_its_own_close_reaches_the_handler_and_is_not_answered)
{
    struct host host = make_host(take_note);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "early");
    peer_hears(peer, "early");
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    peer_say(peer, "late");
    peer_send(peer, 0x89, "ping", 4);
    peer_send(peer, 0x01, "in ", 3);
    peer_send(peer, 0x80, "pieces", 6);
    peer_close(peer, 1001);
    peer_hears_end(peer);
    notes_wait("early sent;late closing;in pieces closing;close 1001;");
    struct tracker_report report = tracker_report(host.tracker, NULL);
    ck_assert_uint_eq(report.received, 2);
    ck_assert_uint_eq(report.open, 1);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

START_TEST(what_is_queued_goes_out_before_the_close_of_the_drain)
{
    enum { MESSAGES = 60, SIZE = 10000 };
    static const uint8_t payload[SIZE];
    struct host host = make_host(take_note);
    host.limits.send_queue = 4 << 20;
    host.send_buffer = 4096;
    host_start(&host);
    int peer = host_connect_with(&host, 4096, NULL, 0);
    for (int i = 0; i < MESSAGES; i++)
        peer_send(peer, 0x82, payload, SIZE);
    peer_say(peer, "all");
    notes_wait("all sent;"); /* most of it waits: the peer has read nothing */
    host_drain(&host);
    for (int i = 0; i < MESSAGES; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_BINARY);
    }
    peer_hears(peer, "all");
    peer_hears_close(peer, 1001, "server shutting down");
    peer_close(peer, 1001);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

START_TEST(a_session_that_comes_after_the_drain_began_gets_its_close_at_once)
{
    struct host host = make_host(echo);
    host.handler.drain = say_goodbye;
    host_start(&host);
    tracker_drain(host.tracker); /* it had entered before the gate was closed */
    int peer = host_connect(&host);
    peer_hears(peer, "goodbye");
    peer_hears_close(peer, 1001, "server shutting down");
    peer_close(peer, 1001);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
}
END_TEST

static void close_as_done(struct session *session)
{
    session_close(session, 1000, "done");
}

START_TEST(a_handler_may_close_in_its_own_way_when_the_drain_begins)
{
    struct host host = make_host(echo);
    host.handler.drain = close_as_done;
    host_start(&host);
    int peer = host_connect(&host);
    host_drain(&host);
    peer_hears_close(peer, 1000, "done");
    peer_close(peer, 1000);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_silent_peer_is_cut_at_close_timeout)
{
    struct host host = make_host(echo);
    host.limits.close_timeout = CLOSE_TIMEOUT;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    int64_t began = clock_milliseconds();
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    peer_hears_end(peer);
    ck_assert_int_ge(clock_milliseconds() - began, CLOSE_TIMEOUT - CLOCKS_DIFFER);
    host_end(&host, OUTCOME_FORCED, 1001);
}
END_TEST

START_TEST(a_peer_that_talks_but_never_closes_is_cut_at_close_timeout)
{
    struct host host = make_host(echo);
    host.limits.close_timeout = CLOSE_TIMEOUT;
    host_start(&host);
    int peer = host_connect(&host);
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    while (send(peer, "\x89\x80\0\0\0", 6, MSG_NOSIGNAL) == 6)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    host_end(&host, OUTCOME_FORCED, 1001);
    close(peer);
}
END_TEST

START_TEST(a_peer_that_hangs_up_without_its_close_is_gone)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    close(peer);
    host_end(&host, OUTCOME_GONE, 1001);
}
END_TEST

START_TEST(a_cut_ends_tcp_at_once)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    loops_cut(host.loops);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_FORCED, 1006);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_end");
    TCase *tests = tcase_create("session_end");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, the_peers_close_is_answered_with_its_own_code, 0,
                        (int)(sizeof codes / sizeof codes[0]));
    tcase_add_test(tests, a_close_without_a_code_is_answered_without_one);
    tcase_add_test(tests, answers_that_wait_go_out_before_the_answer_to_the_peers_close);
    tcase_add_test(tests, a_peer_that_resets_is_gone);
    tcase_add_test(tests, the_first_close_wins_and_nothing_is_sent_after_it);
    tcase_add_test(tests, a_reason_that_is_too_long_is_cut);
    tcase_add_test(tests, the_drain_lets_the_handler_say_its_last_words_before_the_close);
    tcase_add_test(
        tests, what_the_peer_sends_before_its_own_close_reaches_the_handler_and_is_not_answered);
    tcase_add_test(tests, what_is_queued_goes_out_before_the_close_of_the_drain);
    tcase_add_test(tests, a_session_that_comes_after_the_drain_began_gets_its_close_at_once);
    tcase_add_test(tests, a_handler_may_close_in_its_own_way_when_the_drain_begins);
    tcase_add_test(tests, a_silent_peer_is_cut_at_close_timeout);
    tcase_add_test(tests, a_peer_that_talks_but_never_closes_is_cut_at_close_timeout);
    tcase_add_test(tests, a_peer_that_hangs_up_without_its_close_is_gone);
    tcase_add_test(tests, a_cut_ends_tcp_at_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
