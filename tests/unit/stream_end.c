/* How streams end: by failures, resets, inside of callbacks, and with their session. */
#include <sys/ioctl.h>

#include "tests/support/stream_scene.h"

START_TEST(a_write_to_nobody_fails_once_and_what_waits_is_dropped)
{
    enum { LENGTH = 1 << 20 };
    struct host host = stream_host(kinds[_i].type, kinds[_i].directions);
    uint8_t *data = calloc(1, LENGTH);
    int peer = begin(&host);
    peer_send(peer, 0x82, data, LENGTH);
    notes_wait("clogged 1;");
    close(scene.outer);
    scene.outer = -1;
    notes_wait("failed");
    const char *first = notes_wait(" with 0;");
    peer_send(peer, 0x82, data, 100);
    notes_wait("wrote 100, clogged 0;");
    order(peer, "finish");
    ck_assert_ptr_null(strstr(first, "failed"));
    ck_assert_ptr_null(strstr(notes.text, "room"));
    end(&host, peer);
    free(data);
}
END_TEST

START_TEST(a_socket_that_takes_nothing_any_more_is_read_to_what_has_come)
{
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    int peer = begin(&host);
    order(peer, "pause");
    MUST(write(scene.outer, "last words", 10) == 10);
    shutdown(scene.outer, SHUT_RD);
    peer_send(peer, 0x82, "lost", 4);
    notes_wait("failed");
    order(peer, "go on");
    notes_wait("bytes last words;ended 0 after 10;");
    end(&host, peer);
}
END_TEST

START_TEST(a_failure_in_stream_write_itself_is_said_from_the_loop)
{
    struct host host = stream_host(0, STREAM_WRITES);
    int peer = begin(&host);
    close(scene.outer);
    scene.outer = -1;
    peer_send(peer, 0x82, "lost", 4);
    char both[64];
    snprintf(both, sizeof both, "wrote 4, clogged 0;failed %d with 0;", EPIPE);
    notes_wait(both);
    end(&host, peer);
}
END_TEST

/* Instead of the Unix sockets: only TCP resets. */
static void make_tcp_ends(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    close(scene.inner);
    close(scene.outer);
    MUST(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
    MUST(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    scene.inner = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(scene.inner, SOL_SOCKET, SO_RCVBUF, &(int){MANY}, sizeof(int)); /* it may wait */
    MUST(connect(scene.inner, (struct sockaddr *)&address, length) == 0);
    MUST(fcntl(scene.inner, F_SETFL, O_NONBLOCK) == 0);
    scene.outer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    MUST(scene.outer >= 0);
    close(listener);
}

static void reset_outer(void)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(scene.outer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(scene.outer);
    scene.outer = -1;
}

START_TEST(what_came_before_a_reset_is_said_before_it)
{
    enum { LENGTH = 100000 };
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    uint8_t *data = calloc(1, LENGTH);
    int available = 0;
    char ended[64];
    make_tcp_ends();
    int peer = begin(&host);
    order(peer, "pause");
    MUST(send(scene.outer, data, LENGTH, 0) == LENGTH);
    while (available < LENGTH)
        MUST(ioctl(scene.inner, FIONREAD, &available) == 0);
    reset_outer();
    if (_i == 1) { /* a write meets the reset first */
        peer_send(peer, 0x82, "lost", 4);
        snprintf(ended, sizeof ended, "failed %d with 0;", ECONNRESET);
        notes_wait(ended);
    }
    order(peer, "go on");
    snprintf(ended, sizeof ended, "ended %d after 100000;", ECONNRESET);
    notes_wait(ended);
    end(&host, peer);
    free(data);
}
END_TEST

START_TEST(it_may_be_freed_inside_of_its_callback)
{
    struct host host = stream_host(kinds[_i].type, kinds[_i].directions);
    int peer = begin(&host);
    scene.free_in_bytes = true;
    MUST(write(scene.outer, "bye", 3) == 3);
    peer_hears_close(peer, 1000, "freed");
    peer_ends_properly(&host, peer, 1000);
    close(scene.outer);
}
END_TEST

START_TEST(with_its_session_goes_what_waits_and_its_memory)
{
    enum { LENGTH = 1 << 20 };
    struct host host = stream_host(SOCK_STREAM, STREAM_READS | STREAM_WRITES);
    uint8_t *data = calloc(1, LENGTH);
    int peer = begin(&host);
    peer_send(peer, 0x82, data, LENGTH);
    notes_wait("clogged 1;");
    close(peer);
    notes_wait("close 1006;");
    ck_assert_uint_eq(tracker_memory(host.tracker)->held, 0);
    ck_assert_uint_lt(read_outer(data, LENGTH), LENGTH);
    host_end(&host, OUTCOME_GONE, 1006);
    close(scene.outer);
    free(data);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_waited_for_is_refused_and_closed)
{
    struct session_home home = {.place = 0};
    struct session session = {.home = &home};
    MUST(uv_loop_init(&home.uv) == 0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_ptr_null(stream_new(&session, file, STREAM_READS, &calls, NULL));
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(fcntl(file, F_GETFD), -1);
    MUST(uv_loop_close(&home.uv) == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream_end");
    TCase *all = tcase_create("all");
    signal(SIGPIPE, SIG_IGN);
    tcase_set_timeout(all, 2 * PATIENCE);
    tcase_add_loop_test(all, a_write_to_nobody_fails_once_and_what_waits_is_dropped, 0, 1);
    tcase_add_loop_test(all, a_write_to_nobody_fails_once_and_what_waits_is_dropped, 2, 3);
    tcase_add_test(all, a_socket_that_takes_nothing_any_more_is_read_to_what_has_come);
    tcase_add_test(all, a_failure_in_stream_write_itself_is_said_from_the_loop);
    tcase_add_loop_test(all, what_came_before_a_reset_is_said_before_it, 0, 2);
    tcase_add_loop_test(all, it_may_be_freed_inside_of_its_callback, 0, 2);
    tcase_add_test(all, with_its_session_goes_what_waits_and_its_memory);
    tcase_add_test(all, a_descriptor_that_cannot_be_waited_for_is_refused_and_closed);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
