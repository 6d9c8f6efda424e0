#include "server/stream.h"

#include "tests/support/stream_scene.h"

START_TEST(what_comes_is_said_in_order_and_then_the_end)
{
    struct host host = stream_host(kinds[_i].type, kinds[_i].directions);
    int peer = begin(&host);
    MUST(write(scene.outer, "one", 3) == 3);
    notes_wait("bytes one;");
    MUST(write(scene.outer, "two", 3) == 3);
    close(scene.outer);
    scene.outer = -1;
    notes_wait("bytes one;bytes two;ended 0 after 6;");
    end(&host, peer);
}
END_TEST

START_TEST(one_reading_takes_no_more_than_its_bound_and_a_flood_comes_whole)
{
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    uint8_t *flood = calloc(1, MANY);
    int peer = begin(&host);
    for (size_t sent = 0; sent < MANY;) {
        ssize_t put = write(scene.outer, flood + sent, MANY - sent);
        MUST(put > 0);
        sent += (size_t)put;
    }
    shutdown(scene.outer, SHUT_WR);
    notes_wait("ended 0 after 4194304;");
    ck_assert_uint_le(scene.most_came, STREAM_READ_MAX);
    end(&host, peer);
    free(flood);
}
END_TEST

START_TEST(while_paused_nothing_is_read_and_nothing_is_lost)
{
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    int peer = begin(&host);
    order(peer, "pause");
    MUST(write(scene.outer, "early", 5) == 5);
    close(scene.outer);
    scene.outer = -1;
    order(peer, "pause"); /* the loop has turned in between */
    ck_assert_uint_eq(scene.came, 0);
    order(peer, "go on");
    notes_wait("bytes early;ended 0 after 5;");
    end(&host, peer);
}
END_TEST

START_TEST(a_pause_inside_of_the_callback_holds)
{
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    int peer = begin(&host);
    scene.pause_in_bytes = true;
    MUST(write(scene.outer, "first", 5) == 5);
    notes_wait("bytes first;");
    MUST(write(scene.outer, "second", 6) == 6);
    order(peer, "nothing");
    ck_assert_uint_eq(scene.came, 5);
    peer_hears_close(peer, 1000, "nothing");
    peer_close(peer, 1000);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
    close(scene.outer);
}
END_TEST

START_TEST(what_cannot_be_written_waits_counts_as_memory_and_arrives_whole)
{
    enum { LENGTH = 1 << 20 };
    struct host host = stream_host(kinds[_i].type, kinds[_i].directions);
    uint8_t *data = malloc(LENGTH);
    uint8_t *came = malloc(LENGTH);
    for (size_t i = 0; i < LENGTH; i++)
        data[i] = (uint8_t)(i * 7 / 3);
    int peer = begin(&host);
    peer_send(peer, 0x82, data, LENGTH);
    notes_wait("wrote 1048576, clogged 1;");
    peer_send(peer, 0x82, "the rest", 8);
    notes_wait("wrote 8, clogged 1;");
    ck_assert_uint_ge(tracker_memory(host.tracker)->held, QUEUE / 2);
    ck_assert_uint_eq(read_outer(came, LENGTH), LENGTH);
    ck_assert(memcmp(data, came, LENGTH) == 0);
    notes_wait("room 1;");
    ck_assert_uint_eq(read_outer(came, 8), 8);
    ck_assert(memcmp(came, "the rest", 8) == 0);
    end(&host, peer);
    free(data);
    free(came);
}
END_TEST

START_TEST(our_side_ends_when_what_waits_has_been_written)
{
    enum { LENGTH = 1 << 20 };
    struct host host = stream_host(kinds[_i].type, kinds[_i].directions);
    uint8_t *data = calloc(2, LENGTH);
    int peer = begin(&host);
    peer_send(peer, 0x82, data, LENGTH);
    notes_wait("clogged 1;");
    order(peer, "finish");
    peer_send(peer, 0x82, "too late", 8);
    notes_wait("wrote 8, clogged 1;");
    ck_assert_uint_eq(read_outer(data, (size_t)2 * LENGTH), LENGTH);
    if (scene.type != 0) { /* half-closed: it still reads */
        MUST(write(scene.outer, "answer", 6) == 6);
        notes_wait("bytes answer;");
    }
    end(&host, peer);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *all = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_set_timeout(all, 2 * PATIENCE);
    tcase_add_loop_test(all, what_comes_is_said_in_order_and_then_the_end, 0, 2);
    tcase_add_test(all, one_reading_takes_no_more_than_its_bound_and_a_flood_comes_whole);
    tcase_add_test(all, while_paused_nothing_is_read_and_nothing_is_lost);
    tcase_add_test(all, a_pause_inside_of_the_callback_holds);
    tcase_add_loop_test(all, what_cannot_be_written_waits_counts_as_memory_and_arrives_whole, 0, 1);
    tcase_add_loop_test(all, what_cannot_be_written_waits_counts_as_memory_and_arrives_whole, 2, 3);
    tcase_add_loop_test(all, our_side_ends_when_what_waits_has_been_written, 0, 1);
    tcase_add_loop_test(all, our_side_ends_when_what_waits_has_been_written, 2, 3);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
