#include "server/message.h"
#include "server/memory.h"
#include "server/task.h"
#include "tests/support/session_peer.h"

enum { LARGE = 60000, TWO_LARGE = 120000, FOUR_LARGE = 240000, MANY = 200, ALL = 40000 };

static struct message *make(struct session *session, const char *text)
{
    const struct iovec parts[] = {{.iov_base = (char *)(uintptr_t) "<", .iov_len = 1},
                                  {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)},
                                  {.iov_base = (char *)(uintptr_t) "", .iov_len = 0},
                                  {.iov_base = (char *)(uintptr_t) ">", .iov_len = 1}};
    struct message *message = message_new(session_memory(session), MESSAGE_TEXT, parts, 4);
    ck_assert_ptr_nonnull(message);
    return message;
}

/* Sends what it is told three times, with an answer of the usual kind between. */
static void send_shared(struct session *session, enum message_kind kind, void *data, size_t length)
{
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)length, (const char *)data);
    struct message *message = make(session, text);
    ck_assert_uint_eq(message_length(message), length + 2);
    ck_assert_int_eq(session_send_message(session, message), SESSION_SENT);
    ck_assert_int_eq(session_send(session, kind, "between", 7), SESSION_SENT);
    ck_assert_int_eq(session_send_message(session, message), SESSION_SENT);
    ck_assert_int_eq(session_send_message(session, message), SESSION_SENT);
    message_release(message);
}

START_TEST(it_reaches_the_peer_in_order_with_what_is_sent_otherwise)
{
    struct host host = make_host(send_shared);
    host_start(&host);
    int peer = host_connect(&host);
    for (int i = 0; i < 3; i++) {
        peer_say(peer, "hello");
        peer_hears(peer, "<hello>");
        peer_hears(peer, "between");
        peer_hears(peer, "<hello>");
        peer_hears(peer, "<hello>");
    }
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

static struct memory *memory_of_host;

static void send_and_close(struct session *session, enum message_kind kind, void *data,
                           size_t length)
{
    send_shared(session, kind, data, length);
    session_close(session, 1000, "");
    struct message *late = make(session, "late");
    ck_assert_int_eq(session_send_message(session, late), SESSION_CLOSING);
    message_release(late);
}

START_TEST(what_is_queued_goes_out_before_the_close_and_all_memory_is_given_back)
{
    struct host host = make_host(send_and_close);
    host_start(&host);
    memory_of_host = tracker_memory(host.tracker);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "<hello>");
    peer_hears(peer, "between");
    peer_hears(peer, "<hello>");
    peer_hears(peer, "<hello>");
    peer_hears_close(peer, 1000, "");
    peer_close(peer, 1000);
    peer_hears_end(peer);
    notes_wait("close 1000;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_uint_eq(atomic_load(&memory_of_host->held), 0);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

/* --- peers that do not read --- */

static void send_until_full(struct session *session, enum message_kind kind, void *data,
                            size_t length)
{
    static char payload[LARGE];
    const struct iovec part = {.iov_base = payload, .iov_len = LARGE};
    struct memory *memory = session_memory(session);
    (void)kind;
    (void)data;
    (void)length;
    struct message *message = message_new(memory, MESSAGE_BINARY, &part, 1);
    ck_assert_ptr_nonnull(message);
    size_t before = atomic_load(&memory->held);
    enum session_sent sent = SESSION_SENT;
    int count = 0;
    for (; sent == SESSION_SENT && count < MANY; count++)
        sent = session_send_message(session, message);
    note("%s after %s;", sent == SESSION_FULL ? "full" : "not full",
         count > 4 && count < MANY ? "some" : "none or all");
    /* However often it waits, it is there once. */
    note("held %s;", atomic_load(&memory->held) < before + TWO_LARGE ? "once" : "more often");
    message_release(message);
}

START_TEST(who_does_not_read_is_closed_with_1013_and_what_waits_counts_once)
{
    struct host host = make_host(send_until_full);
    host.limits.send_queue = FOUR_LARGE;
    host.limits.message = LARGE;
    host.limits.close_timeout = 100;
    host.send_buffer = 4096;
    host_start(&host);
    memory_of_host = tracker_memory(host.tracker);
    int peer = host_connect_with(&host, 4096, NULL, 0);
    peer_say(peer, "go");
    notes_wait("full after some;held once;");
    notes_wait("close 1013;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_uint_eq(atomic_load(&memory_of_host->held), 0);
    tracker_free(host.tracker);
    close(host.listener);
    close(peer);
}
END_TEST

/* --- compressed --- */

START_TEST(who_has_agreed_on_it_gets_it_compressed)
{
    static char text[900];
    char expected[1024];
    struct host host = make_host(send_shared);
    memset(text, 'x', sizeof text - 1);
    snprintf(expected, sizeof expected, "<%s>", text);
    host.window_bits = _i;
    host_start(&host);
    frame.may_be_compressed = true;
    int peer = host_connect(&host);
    peer_say(peer, text);
    for (int i = 0; i < 4; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_TEXT);
        ck_assert_int_eq(frame.compressed, i != 1);
        ck_assert(i == 1 || frame.length < 100);
    }
    peer_say(peer, "short ones are sent as they are");
    peer_hears(peer, "<short ones are sent as they are>");
    for (int i = 0; i < 3; i++)
        peer_read(peer);
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

/* --- tasks --- */

struct numbered {
    struct task task;
    struct loops *loops;
    int number;
};

static int last_number;

static void take_number(struct task *task)
{
    struct numbered *numbered = (struct numbered *)task;
    ck_assert_int_eq(numbered->number, last_number + 1);
    last_number = numbered->number;
    if (numbered->number == MANY)
        note("all;");
    free(numbered);
}

static void post_number(struct loops *loops, int number, void (*run)(struct task *))
{
    struct numbered *numbered = malloc(sizeof *numbered);
    ck_assert_ptr_nonnull(numbered);
    *numbered = (struct numbered){.task = {.run = run}, .loops = loops, .number = number};
    loops_post(loops, 0, &numbered->task);
}

START_TEST(tasks_run_in_the_order_in_which_they_were_posted)
{
    struct host host = make_host(echo);
    host.loop_count = 2;
    host_start(&host);
    ck_assert_uint_eq(loops_count(host.loops), 2);
    for (int i = 1; i <= MANY; i++)
        post_number(host.loops, i, take_number);
    notes_wait("all;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

/* Posts the next one; the loop may have ended at any of them. */
static void pass_on(struct task *task)
{
    struct numbered *numbered = (struct numbered *)task;
    last_number = numbered->number;
    if (numbered->number < ALL)
        post_number(numbered->loops, numbered->number + 1, pass_on);
    free(numbered);
}

START_TEST(tasks_that_a_loop_has_not_got_to_are_run_when_it_ends)
{
    struct host host = make_host(echo);
    host_start(&host);
    post_number(host.loops, 1, pass_on);
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    ck_assert_int_eq(last_number, ALL);
    tracker_free(host.tracker);
    close(host.listener);
}
END_TEST

/* Takes a while. */
static void work(struct task *task)
{
    struct numbered *numbered = (struct numbered *)task;
    int64_t began = clock_milliseconds();
    while (clock_milliseconds() - began < 2)
        ;
    last_number = numbered->number;
    if (numbered->number == MANY)
        note("all;");
    free(numbered);
}

START_TEST(much_to_do_for_a_loop_does_not_keep_its_sessions_waiting)
{
    struct host host = make_host(note_and_echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_say(peer, "hello");
    peer_hears(peer, "hello");
    for (int i = 1; i <= MANY; i++)
        post_number(host.loops, i, work);
    for (int i = 0; i < 3; i++) {
        peer_say(peer, "between");
        peer_hears(peer, "between");
    }
    host_drain(&host);
    peer_hears_close(peer, 1001, "server shutting down");
    note("closed;");
    peer_close(peer, 1001);
    peer_hears_end(peer);
    notes_wait("all;");
    host_end(&host, OUTCOME_HANDSHAKE, 1001);
    ck_assert_ptr_nonnull(strstr(strstr(notes.text, "closed;"), "all;"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tests = tcase_create("message");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, it_reaches_the_peer_in_order_with_what_is_sent_otherwise);
    tcase_add_test(tests, what_is_queued_goes_out_before_the_close_and_all_memory_is_given_back);
    tcase_add_test(tests, who_does_not_read_is_closed_with_1013_and_what_waits_counts_once);
    tcase_add_loop_test(tests, who_has_agreed_on_it_gets_it_compressed, 9, 16);
    tcase_add_test(tests, tasks_run_in_the_order_in_which_they_were_posted);
    tcase_add_test(tests, tasks_that_a_loop_has_not_got_to_are_run_when_it_ends);
    tcase_add_test(tests, much_to_do_for_a_loop_does_not_keep_its_sessions_waiting);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
