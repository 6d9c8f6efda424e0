#include "tests/support/session_peer.h"

enum { CLOSE_TIMEOUT = 300, CLOCKS_DIFFER = 5 }; /* milliseconds */
enum { LARGE = 60000, FOUR_LARGE = 240000 };     /* bytes */

static void finish_later(struct session *session)
{
    note("finish %lld;", (long long)session_time_to_finish(session));
    session_wake(session, 50);
}

static void say_last(struct session *session)
{
    session_send(session, MESSAGE_TEXT, "the last", 8);
    session_close(session, 1000, "what I would say myself");
}

static void never_finish(struct session *session)
{
    (void)session;
    note("finish;");
}

static struct host finishing(void (*finish)(struct session *))
{
    struct host host = make_host(note_and_echo);
    host.handler.finish = finish;
    host.handler.wake = say_last;
    return host;
}

START_TEST(what_is_behind_it_is_heard_before_the_close_of_the_shutdown)
{
    struct host host = finishing(finish_later);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    host_drain(&host);
    notes_wait("finish 40000;");
    peer_say(peer, "meanwhile");
    peer_hears(peer, "meanwhile");
    peer_hears(peer, "the last");
    peer_hears_close(peer, 1001, "server shutting down");
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

START_TEST(what_is_behind_it_is_heard_before_the_peers_close_is_answered)
{
    struct host host = finishing(finish_later);
    host_start(&host);
    int peer = host_connect(&host);
    peer_close(peer, 3210);
    peer_say(peer, "nobody may say anything behind a Close");
    if (_i == 1)
        shutdown(peer, SHUT_WR);
    peer_hears(peer, "the last");
    peer_hears_close(peer, 3210, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 3210);
    ck_assert_ptr_null(strstr(notes.text, "message"));
}
END_TEST

START_TEST(a_peer_that_resets_meanwhile_is_gone)
{
    struct host host = finishing(never_finish);
    host_start(&host);
    int peer = host_connect(&host);
    peer_close(peer, 1000);
    notes_wait("finish;");
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    close(peer);
    host_end(&host, OUTCOME_GONE, 1000);
}
END_TEST

START_TEST(what_never_finishes_is_closed_after_two_thirds_of_the_time_and_cut_after_all_of_it)
{
    struct host host = finishing(never_finish);
    host.limits.close_timeout = CLOSE_TIMEOUT;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    int64_t began = clock_milliseconds();
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    ck_assert_int_ge(clock_milliseconds() - began, CLOSE_TIMEOUT * 2 / 3 - CLOCKS_DIFFER);
    host_end(&host, OUTCOME_FORCED, 1001);
    ck_assert_int_ge(clock_milliseconds() - began, CLOSE_TIMEOUT - CLOCKS_DIFFER);
    ck_assert_int_lt(clock_milliseconds() - began, PATIENCE_MS);
    close(peer);
}
END_TEST

START_TEST(idle_and_old_sessions_finish_as_well)
{
    struct host host = finishing(finish_later);
    *(_i == 0 ? &host.limits.idle_timeout : &host.limits.max_age) = 100;
    host_start(&host);
    int peer = host_connect(&host);
    peer_hears(peer, "the last");
    peer_hears_close(peer, 1001,
                     _i == 0 ? "idle for too long" : "open for long enough: please connect again");
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

static void close_at_once(struct session *session, enum message_kind kind, void *data,
                          size_t length)
{
    (void)kind;
    (void)data;
    (void)length;
    session_close(session, 1000, "");
}

START_TEST(an_answer_to_a_close_of_before_the_drain_is_no_time_of_the_drain)
{
    struct host host = make_host(close_at_once);
    static struct tracker_timing timing;
    host_start(&host);
    int peer = host_connect(&host);
    int other = host_connect(&host);
    peer_say(peer, "close");
    peer_hears_close(peer, 1000, "");
    host_drain(&host);
    peer_hears_close(other, 1001, "server shutting down"); /* the drain has come to the loop */
    peer_close(peer, 1000);
    peer_hears_end(peer);
    notes_wait("close 1000;");
    tracker_timings(host.tracker, &timing);
    ck_assert_uint_eq(histogram_count(&timing.close_to_answer), 0);
    close(other);
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

/* --- back-pressure --- */

static int64_t pause_time = 100; /* milliseconds */

static void pause_at_first(struct session *session, enum message_kind kind, void *data,
                           size_t length)
{
    (void)kind;
    note("message %.*s;", (int)length, (const char *)data);
    if (length == 5) {
        session_pause(session, true);
        session_wake(session, pause_time);
    }
}

static void go_on(struct session *session)
{
    note("on;");
    session_pause(session, false);
}

START_TEST(a_paused_session_is_not_read_from_until_it_goes_on)
{
    struct host host = make_host(pause_at_first);
    host.handler.wake = go_on;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "first");
    notes_wait("message first;");
    peer_say(peer, "second");
    notes_wait("on;message second;");
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_paused_session_is_kept_while_the_side_of_its_peer_takes_pings)
{
    struct host host = make_host(pause_at_first);
    host.limits.ping_interval = 50;
    host.limits.ping_timeout = 250;
    host.limits.message_timeout = 40;
    host.handler.wake = go_on;
    pause_time = 1500; /* five times as long as one that is not there is kept */
    host_start(&host);
    int peer = host_connect(&host);
    peer_write(peer, (const uint8_t[]){0x81, 0x85, 0, 0, 0, 0, 'f', 'i', 'r', 's', 't', 0x81}, 12);
    notes_wait("message first;on;");
    close(peer);
    notes_wait("close 1006;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

static void never_go_on(struct session *session)
{
    (void)session;
}

START_TEST(a_peer_that_vanishes_while_it_is_paused_is_noticed)
{
    struct host host = make_host(pause_at_first);
    host.handler.wake = never_go_on;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "first");
    notes_wait("message first;");
    peer_say(peer, "what nobody has read yet");
    if (_i == 1)
        setsockopt(peer, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

START_TEST(a_paused_session_is_read_from_once_its_close_is_queued)
{
    struct host host = make_host(pause_at_first);
    host.handler.wake = never_go_on;
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "first");
    notes_wait("message first;");
    host_drain(&host);
    peer_say(peer, "second");
    peer_hears_close(peer, 1001, "server shutting down");
    notes_wait("message second;");
    peer_ends_properly(&host, peer, 1001);
}
END_TEST

/* Sends until it is enough, and on when there is room. */
static void send_much(struct session *session)
{
    static const uint8_t payload[LARGE];
    int *left = session_data(session);
    while (*left > 0 && !session_clogged(session)) {
        ck_assert_int_eq(session_send(session, MESSAGE_BINARY, payload, LARGE), SESSION_SENT);
        --*left;
    }
    note(*left > 0 ? "clogged;" : "done;");
}

static int many_left;

static void begin_to_send(struct session *session, enum message_kind kind, void *data,
                          size_t length)
{
    (void)kind;
    (void)data;
    (void)length;
    session_set_data(session, &many_left);
    session_wake(session, 0);
}

START_TEST(a_handler_that_asks_whether_it_is_clogged_never_overruns_the_queue)
{
    enum { MANY = 100 };
    struct host host = make_host(begin_to_send);
    many_left = MANY;
    host.limits.send_queue = FOUR_LARGE;
    host.send_buffer = 4096;
    host.handler.wake = send_much;
    host.handler.room = send_much;
    host_start(&host);
    int peer = host_connect_with(&host, 4096, NULL, 0);
    peer_say(peer, "go");
    notes_wait("clogged;");
    for (int i = 0; i < MANY; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_BINARY);
        ck_assert_uint_eq(frame.length, LARGE);
    }
    notes_wait("done;");
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_finish");
    TCase *finish = tcase_create("finish");
    TCase *pressure = tcase_create("back-pressure");
    tcase_set_timeout(finish, 120);
    tcase_set_timeout(pressure, 120);
    tcase_add_test(finish, what_is_behind_it_is_heard_before_the_close_of_the_shutdown);
    tcase_add_loop_test(finish, what_is_behind_it_is_heard_before_the_peers_close_is_answered, 0,
                        2);
    tcase_add_test(finish, a_peer_that_resets_meanwhile_is_gone);
    tcase_add_test(
        finish, what_never_finishes_is_closed_after_two_thirds_of_the_time_and_cut_after_all_of_it);
    tcase_add_loop_test(finish, idle_and_old_sessions_finish_as_well, 0, 2);
    tcase_add_test(finish, an_answer_to_a_close_of_before_the_drain_is_no_time_of_the_drain);
    tcase_add_test(pressure, a_paused_session_is_not_read_from_until_it_goes_on);
    tcase_add_test(pressure, a_paused_session_is_kept_while_the_side_of_its_peer_takes_pings);
    tcase_add_loop_test(pressure, a_peer_that_vanishes_while_it_is_paused_is_noticed, 0, 2);
    tcase_add_test(pressure, a_paused_session_is_read_from_once_its_close_is_queued);
    tcase_add_test(pressure, a_handler_that_asks_whether_it_is_clogged_never_overruns_the_queue);
    suite_add_tcase(suite, finish);
    suite_add_tcase(suite, pressure);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
