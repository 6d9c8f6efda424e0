#include "server/stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "server/session_private.h"
#include "tests/support/session_peer.h"

/*
 * The handler: a session's stream is one end of what `make_ends` makes, and the test has the other.
 * A text is a command: the words of `commands`. A binary message is written to the stream.
 */

enum { QUEUE = 65536, MANY = 4 << 20 };

static struct {
    int type;                 /* a socket's, or 0: a pipe */
    unsigned directions;      /* of the stream */
    int inner;                /* the stream's descriptor */
    int outer;                /* the test's */
    bool free_in_bytes;       /* what the callback does */
    bool pause_in_bytes;      /* likewise */
    struct stream *stream;    /* of the only session */
    _Atomic size_t came;      /* bytes */
    _Atomic size_t most_came; /* at once */
} scene;

static void on_bytes(void *owner, const uint8_t *data, size_t length)
{
    scene.came += length;
    if (length > scene.most_came)
        scene.most_came = length;
    if (length < 64)
        note("bytes %.*s;", (int)length, (const char *)data);
    if (scene.pause_in_bytes)
        stream_pause(scene.stream, true);
    if (scene.free_in_bytes) {
        stream_free(scene.stream);
        scene.stream = NULL;
        session_close(owner, 1000, "freed");
    }
}

static void on_ended(void *owner, int error)
{
    (void)owner;
    note("ended %d after %zu;", error, scene.came);
}

static void on_room(void *owner)
{
    (void)owner;
    note("room %d;", stream_waiting(scene.stream) < QUEUE / 4);
}

static void on_failed(void *owner, int error)
{
    (void)owner;
    note("failed %d with %zu;", error, stream_waiting(scene.stream));
}

static const struct stream_calls calls = {
    .bytes = on_bytes, .ended = on_ended, .room = on_room, .failed = on_failed};

static void open_stream(struct session *session)
{
    scene.stream = stream_new(session, scene.inner, scene.directions, &calls, session);
    MUST(scene.stream != NULL);
    note("open;");
}

static void command(struct session *session, const char *word)
{
    if (strcmp(word, "pause") == 0)
        stream_pause(scene.stream, true);
    else if (strcmp(word, "go on") == 0)
        stream_pause(scene.stream, false);
    else if (strcmp(word, "finish") == 0)
        stream_finish(scene.stream);
    else
        session_close(session, 1000, word);
}

static void take_message(struct session *session, enum message_kind kind, void *data, size_t length)
{
    char word[16];
    if (kind == MESSAGE_BINARY) {
        MUST(stream_write(scene.stream, data, length) == 0);
        note("wrote %zu, clogged %d;", length, stream_clogged(scene.stream));
        return;
    }
    snprintf(word, sizeof word, "%.*s", (int)length, (const char *)data);
    command(session, word);
    note("did %s;", word);
}

static void free_stream(struct session *session, uint16_t code)
{
    (void)session;
    if (scene.stream != NULL)
        stream_free(scene.stream);
    note("close %u;", code);
}

/* --- the test's side --- */

static void make_ends(void)
{
    int ends[2];
    const int outer = scene.directions == STREAM_WRITES ? 0 : 1; /* of a pipe */
    struct timeval patience = {.tv_sec = PATIENCE};
    if (scene.type != 0) {
        MUST(socketpair(AF_UNIX, scene.type | SOCK_CLOEXEC, 0, ends) == 0);
        setsockopt(ends[outer], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    } else {
        MUST(pipe2(ends, O_CLOEXEC) == 0);
    }
    scene.outer = ends[outer];
    scene.inner = ends[1 - outer];
    MUST(fcntl(scene.inner, F_SETFL, O_NONBLOCK) == 0);
}

static struct host stream_host(int type, unsigned directions)
{
    struct host host = make_host(take_message);
    host.handler.open = open_stream;
    host.handler.close = free_stream;
    host.limits.send_queue = QUEUE;
    scene.type = type;
    scene.directions = directions;
    make_ends();
    return host;
}

static int begin(struct host *host)
{
    host_start(host);
    int peer = host_connect(host);
    notes_wait("open;");
    return peer;
}

static void order(int peer, const char *word)
{
    char done[32];
    peer_say(peer, word);
    snprintf(done, sizeof done, "did %s;", word);
    notes_wait(done);
}

static void end(struct host *host, int peer)
{
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    notes_wait("close 1000;");
    ck_assert_uint_eq(tracker_memory(host->tracker)->held, 0);
    host_end(host, OUTCOME_HANDSHAKE, 1000);
    close(scene.outer);
}

static size_t read_outer(uint8_t *data, size_t size)
{
    size_t length = 0;
    for (ssize_t got; length < size; length += (size_t)got) {
        got = read(scene.outer, data + length, size - length);
        MUST(got >= 0);
        if (got == 0)
            break;
    }
    return length;
}

static const struct {
    int type;
    unsigned directions;
} kinds[] = {{SOCK_STREAM, STREAM_READS | STREAM_WRITES}, {0, STREAM_READS}, {0, STREAM_WRITES}};

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
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
