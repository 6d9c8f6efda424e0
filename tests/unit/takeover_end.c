#include "server/takeover.h"

#include <netinet/tcp.h>
#include <pthread.h>

#include "tests/support/connections.h"

static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\n\r\n";

static bool is_refused(void)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(client, (struct sockaddr *)&listener_address, sizeof listener_address);
    int error = errno;
    close(client);
    return result != 0 && error == ECONNREFUSED;
}

static bool is_readable(int descriptor)
{
    struct pollfd event = {.fd = descriptor, .events = POLLIN};
    return poll(&event, 1, 0) == 1 && (event.revents & POLLIN) != 0;
}

/* Sends until the peer's window is full. */
static void fill(int descriptor)
{
    static const char filling[4096];
    struct pollfd event = {.fd = descriptor, .events = POLLOUT};
    while (poll(&event, 1, 100) > 0 && send(descriptor, filling, sizeof filling, MSG_DONTWAIT) > 0)
        ;
}

/* --- the listeners --- */

START_TEST(listeners_are_found_with_their_addresses_and_defer_their_connections)
{
    int first = start();
    int second = open_listener(0);
    int idle = socket(AF_INET, SOCK_STREAM, 0);
    int seconds = 0;
    socklen_t length = sizeof seconds;
    struct sockaddr_in address;
    socklen_t address_length = sizeof address;
    ck_assert_uint_eq(takeover_find_listeners(0), 2);
    const struct sockaddr_in *found = (const struct sockaddr_in *)takeover_listener_address(1);
    getsockname(second, (struct sockaddr *)&address, &address_length);
    ck_assert_uint_eq(found->sin_port, address.sin_port);
    found = (const struct sockaddr_in *)takeover_listener_address(0);
    ck_assert_uint_eq(found->sin_port, listener_address.sin_port);
    ck_assert_int_eq(getsockopt(first, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &length), 0);
    ck_assert_int_gt(seconds, 0);
    close(idle);
}
END_TEST

START_TEST(listeners_that_are_taken_refuse_and_leave_the_port_to_another)
{
    int listener = start();
    struct connection open = open_connection(listener, 0, "hello");
    ck_assert(!is_refused());
    takeover_listeners(refusal, sizeof refusal - 1);
    ck_assert(is_refused());
    int other = open_listener(local_port());
    ck_assert(!is_refused());
    ck_assert(has_said(open.accepted, "hello")); /* what was accepted is not touched */
    ck_assert_int_eq(send(open.accepted, "answer", 6, 0), 6);
    ck_assert(has_said(open.peer, "answer"));
    close(other);
}
END_TEST

START_TEST(connections_that_wait_to_be_accepted_are_answered)
{
    enum { WAITING = 20 };
    int peers[WAITING];
    start();
    for (int i = 0; i < WAITING; i++)
        peers[i] = connect_from(0, "GET / HTTP/1.1\r\n\r\n");
    takeover_listeners(refusal, sizeof refusal - 1);
    for (int i = 0; i < WAITING; i++)
        ck_assert_str_eq(read_all(peers[i]), refusal);
}
END_TEST

START_TEST(all_listeners_are_taken)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    start();
    int second = open_listener(0);
    getsockname(second, (struct sockaddr *)&address, &length);
    ck_assert_uint_eq(takeover_find_listeners(0), 2);
    takeover_listeners(refusal, sizeof refusal - 1);
    ck_assert(is_refused());
    listener_address = address;
    ck_assert(is_refused());
}
END_TEST

START_TEST(the_number_of_a_listener_that_was_taken_is_quiet_until_the_master_is_woken)
{
    int listener = start();
    takeover_listeners(refusal, sizeof refusal - 1);
    ck_assert(!is_readable(listener));
    ck_assert_int_eq(accept(listener, NULL, NULL), -1);
    takeover_wake_master();
    ck_assert(is_readable(listener));
}
END_TEST

static void *sleep_on_listener(void *argument)
{
    struct pollfd event = {.fd = *(int *)argument, .events = POLLIN};
    return poll(&event, 1, PATIENCE_MS) == 1 ? argument : NULL;
}

START_TEST(who_sleeps_on_a_listener_wakes_when_the_master_is_woken)
{
    int listener = start();
    pthread_t thread;
    void *woken = NULL;
    int64_t began = clock_milliseconds();
    ck_assert_int_eq(pthread_create(&thread, NULL, sleep_on_listener, &listener), 0);
    takeover_listeners(refusal, sizeof refusal - 1);
    takeover_wake_master();
    pthread_join(thread, &woken);
    ck_assert_ptr_eq(woken, &listener);
    ck_assert_int_lt(clock_milliseconds() - began, PATIENCE_MS / 2);
}
END_TEST

START_TEST(without_a_free_descriptor_a_listener_refuses_all_the_same)
{
    int listener = start();
    int last = -1;
    for (int kept; (kept = fcntl(listener, F_DUPFD_CLOEXEC, FLOOR)) >= 0;)
        last = kept;
    ck_assert_int_ge(last, FLOOR);
    takeover_listeners(refusal, sizeof refusal - 1);
    ck_assert(is_refused());
    takeover_wake_master();
}
END_TEST

/* --- the rest --- */

START_TEST(the_input_of_silent_connections_ends_and_others_are_left_alone)
{
    int listener = start();
    struct connection silent = open_connection(listener, 0, "x");
    struct connection talking = open_connection(listener, 0, "request");
    struct connection dead = open_connection(listener, 0, "y");
    ck_assert(has_said(silent.accepted, "x"));
    ck_assert_uint_eq(takeover_end_silent(), 3);
    ck_assert_str_eq(read_all(silent.accepted), "");
    ck_assert_int_eq(send(silent.accepted, "answer", 6, 0), 6); /* an answer still goes out */
    ck_assert(has_said(silent.peer, "answer"));
    ck_assert(has_said(talking.accepted, "request"));
    ck_assert(!is_readable(talking.accepted));
    reset(&dead);
    close(silent.accepted);
    ck_assert_uint_eq(takeover_end_silent(), 2);
    close(talking.accepted);
    close(dead.accepted);
    ck_assert_uint_eq(takeover_end_silent(), 0);
}
END_TEST

START_TEST(connections_are_named_while_they_are_there)
{
    struct takeover_connection list[4] = {0};
    int listener = start();
    ck_assert_uint_eq(takeover_connections(list, 4), 0);
    struct connection first = open_connection(listener, 0, "one");
    struct connection second = open_connection(listener, 0, "two");
    ck_assert_uint_eq(takeover_connections(list, 4), 2);
    ck_assert_uint_ne(list[0].cookie, list[1].cookie);
    ck_assert_int_eq(list[0].descriptor, first.accepted);
    ck_assert(list[0].spoken);
    ck_assert(list[1].spoken);
    ck_assert_uint_eq(takeover_connections(list + 2, 1), 1);
    ck_assert_uint_eq(list[2].cookie, list[0].cookie);
    ck_assert_uint_eq(list[3].cookie, 0);
    close(first.accepted);
    ck_assert_uint_eq(takeover_connections(list, 4), 1);
    close(second.accepted);
    ck_assert_uint_eq(takeover_connections(list, 4), 0);
}
END_TEST

START_TEST(a_connection_is_ended_only_if_it_is_still_the_same)
{
    struct takeover_connection list[2] = {0};
    int listener = start();
    struct connection one = open_connection(listener, 0, "one");
    ck_assert_uint_eq(takeover_connections(list, 1), 1);
    list[1] = list[0];
    list[1].cookie++;
    takeover_end(&list[1]);
    struct pollfd ended = {.fd = one.peer, .events = POLLIN};
    ck_assert_int_eq(poll(&ended, 1, 0), 0);
    takeover_end(&list[0]);
    ck_assert_int_eq(poll(&ended, 1, PATIENCE_MS), 1);
}
END_TEST

START_TEST(a_cut_ends_what_is_being_said_and_leaves_what_waits_in_the_queue)
{
    int listener = start();
    struct connection answered = open_connection(listener, 0, "one");
    struct connection slow = open_connection(listener, 0, "two");
    struct connection waiting = open_connection(listener, 0, "three");
    ck_assert(has_said(answered.accepted, "one"));
    fill(slow.accepted);
    takeover_cut();
    ck_assert_int_eq(send(answered.accepted, "x", 1, MSG_NOSIGNAL), -1);
    ck_assert_int_eq(send(slow.accepted, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_str_eq(read_all(answered.peer), "");
    ck_assert(has_said(waiting.accepted, "three"));
    ck_assert_int_eq(send(waiting.accepted, "answer", 6, MSG_NOSIGNAL), 6);
    ck_assert(has_said(waiting.peer, "answer"));
}
END_TEST

START_TEST(a_connection_that_was_taken_over_is_not_ended_with_the_rest)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    int taken =
        takeover_connection(&(struct takeover_peer){peer_host, connection.peer_port, local_port()});
    ck_assert(has_said(taken, "hello"));
    ck_assert_uint_eq(takeover_end_silent(), 0);
    takeover_cut();
    takeover_rest(refusal, sizeof refusal - 1);
    ck_assert_int_eq(send(connection.peer, "more", 4, 0), 4);
    ck_assert(has_said(taken, "more"));
    ck_assert_int_eq(send(taken, "answer", 6, 0), 6);
    ck_assert(has_said(connection.peer, "answer"));
}
END_TEST

START_TEST(sockets_on_other_ports_are_never_touched)
{
    start();
    int foreign = open_listener(0); /* opened later, so that it is not one of ours */
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    getsockname(foreign, (struct sockaddr *)&address, &length);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_lt(client, FLOOR);
    ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    int accepted = accept(foreign, NULL, NULL);
    ck_assert_int_lt(accepted, FLOOR);
    ck_assert_uint_eq(takeover_end_silent(), 0);
    takeover_cut();
    takeover_rest(refusal, sizeof refusal - 1);
    ck_assert_int_eq(send(client, "x", 1, MSG_NOSIGNAL), 1);
    ck_assert(has_said(accepted, "x"));
    ck_assert_int_eq(send(accepted, "y", 1, MSG_NOSIGNAL), 1);
    ck_assert(has_said(client, "y"));
}
END_TEST

START_TEST(connections_that_are_left_at_the_end_are_answered_and_closed)
{
    int listener = start();
    struct connection connections[] = {open_connection(listener, 0, "one"),
                                       open_connection(listener, 0, "two"),
                                       open_connection(listener, 0, "dead")};
    reset(&connections[2]);
    takeover_rest(refusal, sizeof refusal - 1);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fcntl(connections[i].accepted, F_GETFD), -1);
        if (i < 2)
            ck_assert_str_eq(read_all(connections[i].peer), refusal);
    }
    ck_assert_int_ge(fcntl(listener, F_GETFD), 0);
}
END_TEST

/* --- what is still on its way --- */

START_TEST(flushing_waits_for_the_peer_until_its_deadline)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    int64_t long_after = clock_milliseconds() + PATIENCE_MS;
    takeover_flush(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                   long_after);
    ck_assert_int_lt(clock_milliseconds(), long_after - PATIENCE_MS / 2);
    fill(connection.accepted);
    int64_t deadline = clock_milliseconds() + 50;
    takeover_flush(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                   deadline);
    ck_assert_int_ge(clock_milliseconds(), deadline);
    reset(&connection);
    takeover_flush(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                   long_after);
    ck_assert_int_lt(clock_milliseconds(), long_after);
}
END_TEST

static void *read_everything(void *argument)
{
    static char text[65536];
    while (recv(*(int *)argument, text, sizeof text, 0) > 0)
        ;
    return NULL;
}

START_TEST(flushing_ends_when_the_peer_has_everything)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    pthread_t thread;
    fill(connection.accepted);
    int64_t deadline = clock_milliseconds() + PATIENCE_MS;
    ck_assert_int_eq(pthread_create(&thread, NULL, read_everything, &connection.peer), 0);
    takeover_flush(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                   deadline);
    ck_assert_int_lt(clock_milliseconds(), deadline);
    shutdown(connection.accepted, SHUT_WR);
    pthread_join(thread, NULL);
}
END_TEST

static void *send_a_body(void *argument)
{
    static const char body[1 << 20];
    int peer = *(int *)argument;
    size_t sent = 0;
    ssize_t got;
    while (sent < sizeof body &&
           (got = send(peer, body + sent, sizeof body - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)got;
    shutdown(peer, SHUT_WR);
    return NULL;
}

START_TEST(lingering_reads_away_what_comes_until_the_peer_ends)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "POST");
    pthread_t thread;
    int64_t deadline = clock_milliseconds() + PATIENCE_MS;
    ck_assert_int_eq(send(connection.accepted, "answer", 6, 0), 6);
    ck_assert_int_eq(pthread_create(&thread, NULL, send_a_body, &connection.peer), 0);
    takeover_linger(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                    deadline);
    ck_assert_int_lt(clock_milliseconds(), deadline - PATIENCE_MS / 2);
    close(connection.accepted);
    pthread_join(thread, NULL);
    ck_assert_str_eq(read_all(connection.peer), "answer"); /* which a reset would have destroyed */
}
END_TEST

START_TEST(lingering_ends_at_its_deadline)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "POST");
    int64_t deadline = clock_milliseconds() + 50;
    takeover_linger(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                    deadline);
    ck_assert_int_ge(clock_milliseconds(), deadline);
    ck_assert_str_eq(read_all(connection.peer), "");
}
END_TEST

enum { ENDLESS = 10000 /* milliseconds, so that a failure comes to its end */ };

static void *send_without_end(void *argument)
{
    static const char body[65536];
    int64_t until = clock_milliseconds() + ENDLESS;
    while (clock_milliseconds() < until &&
           send(*(int *)argument, body, sizeof body, MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

START_TEST(a_peer_that_never_stops_sending_is_left_at_the_deadline)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "POST");
    pthread_t thread;
    int64_t deadline = clock_milliseconds() + 100;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_without_end, &connection.peer), 0);
    takeover_linger(&(struct takeover_peer){peer_host, connection.peer_port, local_port()},
                    deadline);
    int64_t late = clock_milliseconds() - deadline;
    shutdown(connection.accepted, SHUT_RDWR);
    close(connection.accepted);
    pthread_join(thread, NULL);
    ck_assert_int_ge(late, 0);
    ck_assert_int_lt(late, ENDLESS / 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("takeover_end");
    TCase *tests = tcase_create("takeover_end");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, listeners_are_found_with_their_addresses_and_defer_their_connections);
    tcase_add_test(tests, listeners_that_are_taken_refuse_and_leave_the_port_to_another);
    tcase_add_test(tests, connections_that_wait_to_be_accepted_are_answered);
    tcase_add_test(tests, all_listeners_are_taken);
    tcase_add_test(tests,
                   the_number_of_a_listener_that_was_taken_is_quiet_until_the_master_is_woken);
    tcase_add_test(tests, who_sleeps_on_a_listener_wakes_when_the_master_is_woken);
    tcase_add_test(tests, without_a_free_descriptor_a_listener_refuses_all_the_same);
    tcase_add_test(tests, the_input_of_silent_connections_ends_and_others_are_left_alone);
    tcase_add_test(tests, a_connection_that_was_taken_over_is_not_ended_with_the_rest);
    tcase_add_test(tests, sockets_on_other_ports_are_never_touched);
    tcase_add_test(tests, connections_that_are_left_at_the_end_are_answered_and_closed);
    tcase_add_test(tests, flushing_waits_for_the_peer_until_its_deadline);
    tcase_add_test(tests, flushing_ends_when_the_peer_has_everything);
    tcase_add_test(tests, connections_are_named_while_they_are_there);
    tcase_add_test(tests, a_connection_is_ended_only_if_it_is_still_the_same);
    tcase_add_test(tests, a_cut_ends_what_is_being_said_and_leaves_what_waits_in_the_queue);
    tcase_add_test(tests, lingering_reads_away_what_comes_until_the_peer_ends);
    tcase_add_test(tests, lingering_ends_at_its_deadline);
    tcase_add_test(tests, a_peer_that_never_stops_sending_is_left_at_the_deadline);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
