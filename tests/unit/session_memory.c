#include "tests/support/queue_peer.h"

/* --- who is closed, and what it can still read --- */

static const struct {
    const char *how; /* queue: while its input is read; later: at any other time */
    size_t shortest;
    size_t longest;
    int window_bits;
} kinds[] = {
    {"queue", 1, 1000, 0},       {"later", 1, 1000, 0},        {"queue", 300, 300, 0},
    {"queue", 1023, 1025, 0},    {"later", 1023, 1025, 0},     {"queue", 4090, 4100, 0},
    {"queue", 16370, 16390, 0},  {"later", 16370, 16390, 0},   {"queue", 65530, 65540, 0},
    {"later", 65530, 65540, 0},  {"queue", 300000, 300000, 0}, {"later", 300000, 300000, 0},
    {"queue", 1, 60000, 0},      {"later", 1, 60000, 0},       {"queue", 100, 300, 15},
    {"queue", 65530, 65540, 15}, {"later", 1, 60000, 9},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void begin_kind(struct host *host, int kind)
{
    messages.shortest = kinds[kind].shortest;
    messages.longest = kinds[kind].longest;
    host->window_bits = kinds[kind].window_bits;
    frame.may_be_compressed = kinds[kind].window_bits != 0;
    host_start(host);
}

START_TEST(the_largest_queue_is_closed_with_1013_nothing_in_it_is_torn_and_others_are_untouched)
{
    enum { LITTLE = 90000, MUCH = 600000, MORE = 300000 };
    struct host host = memory_host(1080000);
    begin_kind(&host, _i);
    int little = slow_peer(&host);
    int much = slow_peer(&host);
    int more = slow_peer(&host);
    int other = host_connect(&host);
    queue(little, kinds[_i].how, LITTLE);
    queue(much, kinds[_i].how, MUCH);
    echoes(other, "all is within the limit");
    ck_assert_uint_eq(memory_of(&host)->relieved, 0);
    queue(more, kinds[_i].how, MORE);
    echoes(other, "and now it was not");
    ck_assert_uint_eq(memory_of(&host)->relieved, 1);
    ck_assert_uint_le(memory_of(&host)->held, memory_of(&host)->limit);
    reads_some_and_1013(much, MUCH);
    notes_wait("close 1013;");
    reads_all(little, LITTLE);
    reads_all(more, MORE);
    echoes(other, "they are open, and at rest");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    leave(little);
    leave(more);
    leave(other);
    end_host(&host, 4, 0, 1);
}
END_TEST

/* Reads the rest of a stream, of which `length` bytes are there already, and looks through it. */
static void check_stream(int peer, uint8_t *stream, size_t size, size_t length)
{
    ssize_t got;
    while ((got = recv(peer, stream + length, size - length, 0)) > 0)
        length += (size_t)got;
    MUST(got == 0);
    size_t number = 0;
    size_t at = 0;
    while (stream[at] == 0x82) {
        size_t form = stream[at + 1];
        size_t header = form < 126 ? 2 : 4;
        size_t payload = form < 126 ? form : stream[at + 2] * 256U + stream[at + 3];
        MUST(form < 127 && at + header + payload < length);
        check_message(number++, stream + at + header, payload);
        at += header + payload;
    }
    MUST(stream[at] == 0x88 && at + 2 + stream[at + 1] == length);
    MUST(stream[at + 2] * 256U + stream[at + 3] == 1013);
}

START_TEST(wherever_a_peer_has_stopped_reading_what_it_reads_then_fits)
{
    enum { MUCH = 400000, MORE = 150000, READ_MAX = 60000, SIZE = 2 * MUCH };
    uint64_t random = (uint64_t)_i;
    struct host host = memory_host(540000);
    uint8_t *stream = malloc(SIZE);
    MUST(stream != NULL);
    host_start(&host);
    messages.shortest = 1;
    messages.longest = 100 + random_below(&random, _i % 2 == 0 ? 200 : 30000);
    int stalled = slow_peer(&host);
    int other = slow_peer(&host);
    queue(stalled, _i % 4 < 2 ? "queue" : "later", MUCH);
    size_t length = random_below(&random, READ_MAX);
    MUST(length == 0 || peer_read_bytes(stalled, stream, length));
    queue(other, "later", MORE);
    peer_close(stalled, 1013);
    check_stream(stalled, stream, SIZE, length);
    close(stalled);
    reads_all(other, MORE);
    leave(other);
    free(stream);
    end_host(&host, 2, 0, 1);
}
END_TEST

START_TEST(the_largest_half_message_is_closed_with_1013_and_its_rest_reaches_nobody)
{
    enum { PART = 100000, MUCH = 600000, REST = 50000 };
    static uint8_t data[MUCH + REST];
    static uint8_t begun[sizeof data + 14];
    struct host host = memory_host(1200000);
    host_start(&host);
    int little = host_connect(&host);
    int much = host_connect(&host);
    int more = host_connect(&host);
    int other = host_connect(&host);
    peer_send(little, 0x02, data, PART);
    peer_send(much, 0x02, data, 7);
    size_t size = put_frame(begun, 0x00, 8, 0, data, MUCH + REST);
    peer_write(much, begun, size - REST);
    while (memory_of(&host)->held < MUCH + PART)
        sched_yield();
    echoes(other, "all is within the limit");
    ck_assert_uint_eq(memory_of(&host)->relieved, 0);
    peer_send(more, 0x02, data, PART);
    peer_hears_close(much, 1013, too_much);
    peer_write(much, begun + size - REST, REST);
    peer_send(much, 0x80, data, PART);
    peer_say(much, "lost");
    peer_close(much, 1013);
    peer_hears_end(much);
    notes_wait("close 1013;");
    ck_assert_ptr_null(strstr(notes.text, "message of"));
    ck_assert_ptr_null(strstr(notes.text, "lost"));
    peer_send(little, 0x80, data, 1);
    notes_wait("message of 100001;");
    peer_send(more, 0x80, data, 2);
    notes_wait("message of 100002;");
    echoes(little, "little");
    echoes(more, "more");
    echoes(other, "all are at rest");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    leave(little);
    leave(more);
    leave(other);
    end_host(&host, 4, 0, 1);
}
END_TEST

/* --- the second time --- */

START_TEST(one_whose_frame_is_too_large_even_for_the_wait_is_cut_at_once)
{
    struct host host = memory_host(400000);
    host_start(&host);
    messages.shortest = messages.longest = 900000;
    int peer = slow_peer(&host);
    queue(peer, "queue", 900000);
    notes_wait("close 1013;");
    ck_assert_uint_eq(memory_of(&host)->held, 0);
    peer_is_cut(peer);
    end_host(&host, 0, 1, 1);
}
END_TEST

START_TEST(one_that_was_told_and_still_holds_the_most_is_cut_and_counted_once)
{
    struct host host = memory_host(600000);
    host_start(&host);
    messages.shortest = messages.longest = 300000;
    int told = slow_peer(&host);
    int good = slow_peer(&host);
    int other = host_connect(&host);
    queue(told, "queue", 600000);
    echoes(other, "told");
    ck_assert_uint_eq(memory_of(&host)->relieved, 1);
    ck_assert_ptr_null(strstr(notes.text, "close"));
    messages.shortest = messages.longest = 270000;
    queue(good, "later", 270000);
    notes_wait("close 1013;");
    peer_is_cut(told);
    reads_all(good, 270000);
    leave(good);
    leave(other);
    end_host(&host, 2, 1, 1);
}
END_TEST

START_TEST(nothing_stays_with_the_kernel_for_one_that_is_cut)
{
    struct host host = memory_host(400000);
    uint8_t data[4096];
    ssize_t got;
    host_start(&host);
    messages.shortest = messages.longest = 900000;
    int peer = slow_peer(&host);
    queue(peer, "queue", 900000);
    notes_wait("close 1013;");
    while ((got = recv(peer, data, sizeof data, 0)) > 0)
        ;
    ck_assert_int_eq(got, -1); /* and not 0: it was told that there will be no more */
    ck_assert_int_eq(errno, ECONNRESET);
    close(peer);
    end_host(&host, 0, 1, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_memory");
    TCase *tests = tcase_create("session_memory");
    tcase_set_timeout(tests, 2 * PATIENCE);
    tcase_add_loop_test(
        tests, the_largest_queue_is_closed_with_1013_nothing_in_it_is_torn_and_others_are_untouched,
        0, KINDS);
    tcase_add_loop_test(tests, wherever_a_peer_has_stopped_reading_what_it_reads_then_fits, 0, 24);
    tcase_add_test(tests, the_largest_half_message_is_closed_with_1013_and_its_rest_reaches_nobody);
    tcase_add_test(tests, one_whose_frame_is_too_large_even_for_the_wait_is_cut_at_once);
    tcase_add_test(tests, nothing_stays_with_the_kernel_for_one_that_is_cut);
    tcase_add_test(tests, one_that_was_told_and_still_holds_the_most_is_cut_and_counted_once);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
