#include "server/session.h"

#include "server/session_private.h"
#include "tests/support/session_peer.h"

#include <poll.h>

enum { QUEUE = 65536, SMALL_BUFFER = 4096 };

START_TEST(an_idle_session_takes_no_more_than_1024_bytes)
{
    ck_assert_uint_le(sizeof(struct session), 1024);
}
END_TEST

static const size_t lengths[] = {0, 1, 125, 126, 4096, 65535, 65536, 300000, 1 << 20};

START_TEST(a_message_of_any_length_is_echoed)
{
    struct host host = make_host(echo);
    char *text = malloc(lengths[_i] + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'e', lengths[_i]);
    host_start(&host);
    int peer = host_connect(&host);
    for (int i = 0; i < 3; i++) {
        peer_send(peer, i == 1 ? 0x81 : 0x82, text, lengths[_i]);
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, i == 1 ? FRAME_TEXT : FRAME_BINARY);
        ck_assert_uint_eq(frame.length, lengths[_i]);
        ck_assert(memcmp(frame.payload, text, lengths[_i]) == 0);
    }
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    notes_wait("close 1000;");
    ck_assert_uint_eq(host.route.counts->traffic->received, 3);
    ck_assert_uint_eq(host.route.counts->traffic->sent, 3);
    ck_assert_uint_eq(host.route.counts->traffic->received_bytes, 3 * lengths[_i]);
    ck_assert_uint_eq(host.route.counts->traffic->sent_bytes, 3 * lengths[_i]);
    ck_assert_uint_eq(host.route.counts->traffic->received_draining, 0);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
    free(text);
}
END_TEST

START_TEST(a_message_in_pieces_is_put_together_and_pings_in_between_are_answered)
{
    struct host host = make_host(echo);
    host_start(&host);
    int peer = host_connect(&host);
    peer_send(peer, 0x01, "one ", 4);
    peer_send(peer, 0x89, "first", 5);
    peer_send(peer, 0x00, "", 0);
    peer_send(peer, 0x00, "two ", 4);
    peer_send(peer, 0x89, "", 0);
    peer_send(peer, 0x80, "three", 5);
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_PONG);
    ck_assert_str_eq((const char *)frame.payload, "first");
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_PONG);
    ck_assert_uint_eq(frame.length, 0);
    peer_hears(peer, "one two three");
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

START_TEST(a_message_that_comes_byte_by_byte_is_echoed)
{
    struct host host = make_host(echo);
    uint8_t bytes[64];
    size_t length = put_frame(bytes, 0x81, 0, 0x01020304, "slowly", 6);
    host_start(&host);
    int peer = host_connect(&host);
    setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    for (size_t i = 0; i < length; i++)
        peer_write(peer, bytes + i, 1);
    peer_hears(peer, "slowly");
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

START_TEST(many_messages_in_one_write_are_all_answered_in_their_order)
{
    enum { MESSAGES = 2000 };
    struct host host = make_host(echo);
    static uint8_t bytes[MESSAGES * 16];
    size_t length = 0;
    char text[16];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof text, "%d", i);
        length += put_frame(bytes + length, 0x81, 0, 0x0a0b0c0d, text, strlen(text));
    }
    host_start(&host);
    int peer = host_connect(&host);
    peer_write(peer, bytes, length);
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(text, sizeof text, "%d", i);
        peer_hears(peer, text);
    }
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

START_TEST(a_message_over_the_limit_is_refused_from_its_header_alone)
{
    struct host host = make_host(echo);
    uint8_t bytes[16];
    host.limits.message = 1000;
    host_start(&host);
    int peer = host_connect(&host);
    peer_write(peer, bytes, put_frame(bytes, 0x82, 2, 0, NULL, 1001));
    peer_read(peer);
    ck_assert_int_eq(frame.opcode, FRAME_CLOSE);
    ck_assert_uint_eq(frame.payload[0] * 256U + frame.payload[1], 1009);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_GONE, 1009);
}
END_TEST

/* --- what a handler can ask --- */

static void look_at_headers(struct session *session)
{
    note("%s, %s;", session_header(session, "x-NAME"),
         session_header(session, "X-Other") == NULL ? "none" : "some");
    note("state %s;", (const char *)session_route_state(session));
    session_set_data(session, "mine");
}

static void look_again(struct session *session, enum message_kind kind, void *data, size_t length)
{
    (void)kind;
    (void)data;
    (void)length;
    note("data %s, header %s;", (const char *)session_data(session),
         session_header(session, "X-Name") == NULL ? "gone" : "there");
}

START_TEST(headers_can_be_read_while_the_session_opens_and_not_later)
{
    const struct header headers[] = {{"Host", "h"}, {"X-Name", "value"}};
    struct host host = make_host(look_again);
    host.handler.open = look_at_headers;
    host_start(&host);
    host.route.state = "ours";
    int peer = host_connect_with(&host, 0, headers, 2);
    notes_wait("value, none;state ours;");
    peer_say(peer, "?");
    notes_wait("data mine, header gone;");
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

/* --- the send queue --- */

static void flood(struct session *session, enum message_kind kind, void *data, size_t length)
{
    static const char filling[1000] = {0};
    long sent = 0;
    (void)data;
    (void)length;
    enum session_sent result;
    while ((result = session_send(session, kind, filling, sizeof filling)) == SESSION_SENT)
        sent++;
    note("%s after %ld, then %s;", result == SESSION_FULL ? "full" : "closing", sent,
         session_send(session, kind, "x", 1) == SESSION_CLOSING ? "closing" : "something else");
}

START_TEST(a_handler_that_sends_more_than_the_peer_reads_is_stopped_with_1013)
{
    struct host host = make_host(flood);
    host.limits.send_queue = QUEUE;
    host.send_buffer = SMALL_BUFFER;
    host_start(&host);
    int peer = host_connect_with(&host, SMALL_BUFFER, NULL, 0);
    peer_say(peer, "go");
    long promised = strtol(notes_wait("full after "), NULL, 10);
    notes_wait("then closing;");
    ck_assert_int_ge(promised, QUEUE / 1000);
    long heard = 0;
    for (peer_read(peer); frame.opcode == FRAME_TEXT; peer_read(peer))
        heard++;
    ck_assert_int_eq(heard, promised); /* what was accepted arrives */
    check_close(1013, "too much waits to be read by the peer");
    peer_close(peer, 1013);
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1013);
}
END_TEST

START_TEST(one_message_always_fits)
{
    struct host host = make_host(echo);
    static const uint8_t message[500000];
    host.limits.send_queue = 1000;
    host.send_buffer = SMALL_BUFFER;
    host_start(&host);
    int peer = host_connect_with(&host, SMALL_BUFFER, NULL, 0);
    for (int i = 0; i < 3; i++) {
        peer_send(peer, 0x82, message, sizeof message);
        peer_read(peer);
        ck_assert_int_eq(frame.opcode, FRAME_BINARY);
        ck_assert_uint_eq(frame.length, sizeof message);
    }
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

/* Sends until nothing is taken any more. Returns the bytes that were. */
static size_t send_until_blocked(int peer, const uint8_t *data, size_t length)
{
    size_t sent = 0;
    struct pollfd event = {.fd = peer, .events = POLLOUT};
    while (sent < length && poll(&event, 1, 300) > 0) {
        ssize_t got = send(peer, data + sent, length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got > 0)
            sent += (size_t)got;
    }
    return sent;
}

START_TEST(a_peer_that_does_not_read_its_echoes_is_not_read_from_and_loses_nothing)
{
    enum { SIZE = 1000, MESSAGES = 20000, FRAME_SIZE = SIZE + 8 };
    struct host host = make_host(echo);
    static uint8_t stream[MESSAGES * FRAME_SIZE];
    static uint8_t payload[SIZE];
    for (size_t i = 0; i < MESSAGES; i++) {
        memcpy(payload, &i, sizeof i);
        put_frame(stream + i * FRAME_SIZE, 0x82, 2, 0x55aa55aa, payload, SIZE);
    }
    host.limits.send_queue = QUEUE;
    host.send_buffer = SMALL_BUFFER;
    host_start(&host);
    int peer = host_connect_with(&host, SMALL_BUFFER, NULL, 0);
    size_t sent = send_until_blocked(peer, stream, sizeof stream);
    ck_assert_uint_lt(sent, sizeof stream); /* TCP has slowed it down */
    size_t whole = sent / FRAME_SIZE;
    ck_assert_uint_gt(whole, QUEUE / 2 / SIZE);
    for (size_t i = 0; i < MESSAGES; i++) {
        if (i == whole) /* the server has room again: the rest, which is small enough to wait */
            peer_write(peer, stream + sent, (whole + 1) * FRAME_SIZE - sent);
        else if (i > whole)
            peer_write(peer, stream + i * FRAME_SIZE, FRAME_SIZE);
        peer_read(peer);
        MUST(frame.opcode == FRAME_BINARY && frame.length == SIZE);
        MUST(memcmp(frame.payload, &i, sizeof i) == 0);
    }
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

START_TEST(pings_that_a_peer_does_not_read_the_answers_of_are_held_back_too)
{
    enum { PINGS = 100000, PING_SIZE = 6 + 100 };
    struct host host = make_host(echo);
    static uint8_t stream[PINGS * PING_SIZE];
    static const uint8_t payload[100];
    for (size_t i = 0; i < PINGS; i++)
        put_frame(stream + i * PING_SIZE, 0x89, 0, 0x55aa55aa, payload, sizeof payload);
    host.limits.send_queue = QUEUE;
    host.send_buffer = SMALL_BUFFER;
    host_start(&host);
    int peer = host_connect_with(&host, SMALL_BUFFER, NULL, 0);
    size_t sent = send_until_blocked(peer, stream, sizeof stream);
    ck_assert_uint_lt(sent, sizeof stream);
    for (size_t i = 0; i < sent / PING_SIZE; i++) {
        peer_read(peer);
        MUST(frame.opcode == FRAME_PONG && frame.length == sizeof payload);
    }
    close(peer);
    host_end(&host, OUTCOME_GONE, 1006);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tests = tcase_create("session");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, an_idle_session_takes_no_more_than_1024_bytes);
    tcase_add_loop_test(tests, a_message_of_any_length_is_echoed, 0,
                        (int)(sizeof lengths / sizeof lengths[0]));
    tcase_add_test(tests, a_message_in_pieces_is_put_together_and_pings_in_between_are_answered);
    tcase_add_test(tests, a_message_that_comes_byte_by_byte_is_echoed);
    tcase_add_test(tests, many_messages_in_one_write_are_all_answered_in_their_order);
    tcase_add_test(tests, a_message_over_the_limit_is_refused_from_its_header_alone);
    tcase_add_test(tests, headers_can_be_read_while_the_session_opens_and_not_later);
    tcase_add_test(tests, a_handler_that_sends_more_than_the_peer_reads_is_stopped_with_1013);
    tcase_add_test(tests, one_message_always_fits);
    tcase_add_test(tests, a_peer_that_does_not_read_its_echoes_is_not_read_from_and_loses_nothing);
    tcase_add_test(tests, pings_that_a_peer_does_not_read_the_answers_of_are_held_back_too);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
