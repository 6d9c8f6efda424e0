#include <poll.h>

#include "tests/support/session_peer.h"

enum {
    SHORT = 100, /* milliseconds */
    TIMEOUT = 10 * SHORT,
    LONG = 3 * TIMEOUT,
    CLOCKS_DIFFER = 5,
    SMALL_BUFFER = 4096,
};

static const char too_many[] = "more pings, pongs or empty fragments than are allowed";
static const char too_slow[] = "a message has not arrived whole in time";

/* --- control frames and empty fragments --- */

static void send_many(int peer, uint8_t first, int times)
{
    for (int i = 0; i < times; i++)
        peer_send(peer, first, "", 0);
}

START_TEST(pings_over_the_limit_are_closed_with_1008_and_those_within_it_answered)
{
    struct host host = make_host(note_and_echo);
    host.limits.control_frames = 5;
    host_start(&host);
    int peer = host_connect(&host);
    send_many(peer, 0x89, 9);
    for (int i = 0; i < 5; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_PONG);
    }
    peer_hears_close(peer, 1008, too_many);
    peer_ends_properly(&host, peer, 1008);
}
END_TEST

START_TEST(pongs_over_the_limit_are_closed_with_1008)
{
    struct host host = make_host(note_and_echo);
    host.limits.control_frames = 5;
    host_start(&host);
    int peer = host_connect(&host);
    send_many(peer, 0x8a, 6);
    peer_hears_close(peer, 1008, too_many);
    peer_ends_properly(&host, peer, 1008);
}
END_TEST

START_TEST(empty_fragments_over_the_limit_are_closed_with_1008_and_their_message_reaches_nobody)
{
    struct host host = make_host(note_and_echo);
    host.limits.control_frames = 5;
    host_start(&host);
    int peer = host_connect(&host);
    send_many(peer, 0x01, 1);
    send_many(peer, 0x00, 5);
    peer_hears_close(peer, 1008, too_many);
    peer_send(peer, 0x80, "lost", 4);
    peer_ends_properly(&host, peer, 1008);
    ck_assert_ptr_null(strstr(notes.text, "message"));
}
END_TEST

START_TEST(messages_and_fragments_with_something_in_them_are_not_counted_with_the_empty_ones)
{
    struct host host = make_host(note_and_echo);
    host.limits.control_frames = 1;
    host_start(&host);
    int peer = host_connect(&host);
    for (int i = 0; i < 50; i++) {
        peer_send(peer, 0x01, "a", 1);
        peer_send(peer, 0x80, "b", 1);
        peer_hears(peer, "ab");
        peer_say(peer, "");
        peer_hears(peer, "");
    }
    peer_send(peer, 0x89, "", 0);
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_PONG);
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_close_is_taken_at_any_rate)
{
    struct host host = make_host(note_and_echo);
    host.limits.control_frames = 1;
    host_start(&host);
    int peer = host_connect(&host);
    send_many(peer, 0x8a, 1);
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

/* --- what never becomes whole --- */

/* Each begins something, and is followed by what keeps the peer from being taken for dead. */
static const struct {
    const char *name;
    uint8_t bytes[16];
    size_t length;
} halves[] = {
    {"half a header", {0x81}, 1},
    {"half a mask", {0x81, 0x85, 1, 2}, 4},
    {"half a frame", {0x81, 0x85, 0, 0, 0, 0, 'h', 'a'}, 8},
    {"half a message", {0x01, 0x82, 0, 0, 0, 0, 'h', 'a'}, 8},
    {"half a ping", {0x89, 0x85, 0, 0, 0, 0, 'h', 'a'}, 8},
    {"a ping inside half a message", {0x01, 0x80, 0, 0, 0, 0, 0x89, 0x80, 0, 0, 0, 0}, 12},
};

START_TEST(what_does_not_arrive_whole_in_time_is_closed_with_1008)
{
    struct host host = make_host(note_and_echo);
    host.limits.message_timeout = SHORT;
    host_start(&host);
    int64_t began = clock_milliseconds();
    int peer = host_connect(&host);
    peer_write(peer, halves[_i].bytes, halves[_i].length);
    peer_read(peer);
    if (frame.opcode == FRAME_PONG)
        peer_read(peer);
    check_close(1008, too_slow);
    ck_assert_int_ge(clock_milliseconds() - began, SHORT - CLOCKS_DIFFER);
    close(peer);
    host_end(&host, OUTCOME_GONE, 1008);
}
END_TEST

START_TEST(pings_between_do_not_put_the_end_of_a_message_off)
{
    struct host host = make_host(note_and_echo);
    host.limits.message_timeout = SHORT;
    host_start(&host);
    int peer = host_connect(&host);
    peer_send(peer, 0x01, "begun", 5);
    do {
        peer_send(peer, 0x89, "", 0);
        peer_send(peer, 0x00, "more", 4);
        peer_read(peer);
    } while (frame.opcode == FRAME_PONG);
    check_close(1008, too_slow);
    peer_close(peer, 1008);
    do
        peer_read(peer);
    while (frame.opcode == FRAME_PONG);
    ck_assert_int_eq(frame.opcode, FRAME_END);
    close(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1008);
}
END_TEST

START_TEST(messages_that_arrive_whole_in_time_may_go_on_for_longer)
{
    struct host host = make_host(note_and_echo);
    host.limits.message_timeout = TIMEOUT;
    host_start(&host);
    int peer = host_connect(&host);
    static const uint8_t end_and_begin[] = {0x80, 0x81, 0, 0, 0, 0, 'b',
                                            0x01, 0x81, 0, 0, 0, 0, 'a'};
    int64_t began = clock_milliseconds();
    peer_send(peer, 0x01, "a", 1);
    while (clock_milliseconds() - began < LONG) { /* half a message at any moment */
        peer_write(peer, end_and_begin, sizeof end_and_begin);
        peer_hears(peer, "ab");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    peer_send(peer, 0x80, "c", 1);
    peer_hears(peer, "ac");
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

/* Sends pings, and reads nothing, until the server does not read either. Returns how many. */
static int stall(int peer)
{
    static const uint8_t payload[125];
    struct pollfd event = {.fd = peer, .events = POLLOUT};
    int sent = 0;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &(int){SMALL_BUFFER}, sizeof(int));
    for (; poll(&event, 1, SHORT) > 0; sent++)
        peer_send(peer, 0x89, payload, sizeof payload);
    return sent;
}

enum {
    BEFORE = 15 * SHORT,
    HELD = 20 * SHORT, /* the message_timeout */
    BEHIND = 25 * SHORT,
    QUEUE = 2 * SMALL_BUFFER,
};

static void wait_until(int64_t time)
{
    while (clock_milliseconds() < time)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

START_TEST(the_time_in_which_nobody_reads_from_a_peer_does_not_count_against_its_message)
{
    struct host host = make_host(note_and_echo);
    host.limits.message_timeout = HELD;
    host.limits.send_queue = QUEUE;
    host.send_buffer = SMALL_BUFFER;
    host_start(&host);
    setsockopt(host.listener, SOL_SOCKET, SO_RCVBUF, &(int){SMALL_BUFFER}, sizeof(int));
    int peer = host_connect_with(&host, SMALL_BUFFER, NULL, 0);
    int64_t began = clock_milliseconds();
    peer_send(peer, 0x01, "be", 2);
    int pings = stall(peer);
    wait_until(began + BEFORE);
    for (int i = 0; i < pings; i++) {
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_PONG);
    }
    wait_until(began + BEHIND);
    peer_send(peer, 0x80, "gun", 3);
    peer_hears(peer, "begun");
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_floods");
    TCase *tests = tcase_create("session_floods");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, pings_over_the_limit_are_closed_with_1008_and_those_within_it_answered);
    tcase_add_test(tests, pongs_over_the_limit_are_closed_with_1008);
    tcase_add_test(
        tests,
        empty_fragments_over_the_limit_are_closed_with_1008_and_their_message_reaches_nobody);
    tcase_add_test(
        tests, messages_and_fragments_with_something_in_them_are_not_counted_with_the_empty_ones);
    tcase_add_test(tests, a_close_is_taken_at_any_rate);
    tcase_add_loop_test(tests, what_does_not_arrive_whole_in_time_is_closed_with_1008, 0,
                        sizeof halves / sizeof halves[0]);
    tcase_add_test(tests, pings_between_do_not_put_the_end_of_a_message_off);
    tcase_add_test(tests, messages_that_arrive_whole_in_time_may_go_on_for_longer);
    tcase_add_test(tests,
                   the_time_in_which_nobody_reads_from_a_peer_does_not_count_against_its_message);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
