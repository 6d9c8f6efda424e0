/* What a peer says last, and the end of its session waits for. */
#include "server/task.h"
#include "tests/support/session_peer.h"

enum { CLOSE_TIMEOUT = 200, CLOCKS_DIFFER = 5 }; /* milliseconds */

static _Atomic(struct session *) lingering;

/* "close": a Close behind which the session lingers; "hold": which is not read from either. */
static void take(struct session *session, enum message_kind kind, void *data, size_t length)
{
    (void)kind;
    note("message %.*s;", (int)length, (const char *)data);
    if (length == 4 || length == 5) {
        lingering = session;
        session_close(session, 1000, "bye");
        session_linger(session, true);
        session_pause(session, length == 4);
    }
}

static int turns; /* of the loop alone */

static void look(struct task *task)
{
    free(task);
    note("turn %d;", ++turns);
}

static void let_go(struct task *task)
{
    free(task);
    session_linger(lingering, false);
}

static void go_on(struct task *task)
{
    free(task);
    session_pause(lingering, false);
}

static void post(struct host *host, void (*run)(struct task *))
{
    struct task *task = calloc(1, sizeof *task);
    MUST(task != NULL);
    task->run = run;
    loops_post(host->loops, 0, task);
}

/* Nothing comes from the server, while its loop turns. Once in a test. */
static void hears_nothing(struct host *host, int peer)
{
    char byte;
    char turn[32];
    for (int i = 1; i <= 3; i++) {
        snprintf(turn, sizeof turn, "turn %d;", i);
        post(host, look);
        notes_wait(turn);
        ck_assert_int_eq(recv(peer, &byte, 1, MSG_DONTWAIT), -1);
        ck_assert_int_eq(errno, EAGAIN);
    }
}

START_TEST(a_session_that_lingers_ends_when_both_closes_have_come_and_it_is_let_go)
{
    struct host host = make_host(take);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "close");
    peer_hears_close(peer, 1000, "bye");
    peer_say(peer, "and this");
    peer_close(peer, 1000);
    if (_i == 1)
        shutdown(peer, SHUT_WR);
    notes_wait("message and this;");
    hears_nothing(&host, peer);
    post(&host, let_go);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(one_that_is_let_go_before_the_peers_close_ends_with_that)
{
    struct host host = make_host(take);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "close");
    peer_hears_close(peer, 1000, "bye");
    post(&host, let_go);
    hears_nothing(&host, peer);
    peer_ends_properly(&host, peer, 1000);
}
END_TEST

START_TEST(nothing_lingers_longer_than_close_timeout)
{
    struct host host = make_host(take);
    host.limits.close_timeout = CLOSE_TIMEOUT;
    host_start(&host);
    int peer = host_connect(&host);
    int64_t began = clock_milliseconds();
    peer_say(peer, "close");
    peer_hears_close(peer, 1000, "bye");
    peer_close(peer, 1000);
    peer_hears_end(peer);
    ck_assert_int_ge(clock_milliseconds() - began, CLOSE_TIMEOUT - CLOCKS_DIFFER);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_peer_may_be_slowed_down_while_its_session_lingers)
{
    struct host host = make_host(take);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hold");
    peer_hears_close(peer, 1000, "bye");
    peer_say(peer, "last words");
    hears_nothing(&host, peer);
    ck_assert_ptr_null(strstr(notes.text, "last words"));
    post(&host, go_on);
    notes_wait("message last words;");
    post(&host, let_go);
    peer_ends_properly(&host, peer, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_linger");
    TCase *tests = tcase_create("session_linger");
    tcase_set_timeout(tests, 2 * PATIENCE);
    tcase_add_loop_test(
        tests, a_session_that_lingers_ends_when_both_closes_have_come_and_it_is_let_go, 0, 2);
    tcase_add_test(tests, one_that_is_let_go_before_the_peers_close_ends_with_that);
    tcase_add_test(tests, nothing_lingers_longer_than_close_timeout);
    tcase_add_test(tests, a_peer_may_be_slowed_down_while_its_session_lingers);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
