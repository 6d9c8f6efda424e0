#include "server/takeover.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "tests/support/connections.h"

enum { MANY = 50, WAIT = 100 /* milliseconds that a search waits for the dead */ };

static int take(const struct connection *connection)
{
    return takeover_connection(
        &(struct takeover_peer){peer_host, connection->peer_port, local_port()});
}

START_TEST(the_right_one_of_50_connections_is_taken_each_time)
{
    int listener = start();
    struct connection connections[MANY];
    char text[MANY][24];
    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "number %d", i);
        connections[i] = open_connection(listener, 0, text[i]);
    }
    for (int i = 0; i < MANY; i++) {
        int place = i * 7 % MANY; /* each once, in no order */
        int taken = take(&connections[place]);
        ck_assert_int_ge(taken, FLOOR);
        ck_assert(has_said(taken, text[place]));
        ck_assert_int_eq(send(taken, "answer", 6, 0), 6);
        ck_assert(has_said(connections[place].peer, "answer"));
        close(taken);
    }
}
END_TEST

START_TEST(the_old_number_of_a_connection_that_was_taken_has_ended)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    int taken = take(&connection);
    char byte;
    ck_assert_int_ge(taken, FLOOR);
    ck_assert_int_eq(recv(connection.accepted, &byte, 1, 0), 0);
    ck_assert_int_eq(send(connection.accepted, "x", 1, MSG_NOSIGNAL), -1);
    shutdown(connection.accepted, SHUT_RDWR);
    close(connection.accepted); /* as CivetWeb does it: nothing of it reaches the peer */
    ck_assert(has_said(taken, "hello"));
    ck_assert_int_eq(send(taken, "still here", 10, 0), 10);
    ck_assert(has_said(connection.peer, "still here"));
    close(taken);
    ck_assert_str_eq(read_all(connection.peer), "");
}
END_TEST

START_TEST(a_connection_that_was_taken_is_close_on_exec_and_keeps_its_flags)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    fcntl(connection.accepted, F_SETFL, O_NONBLOCK);
    int taken = take(&connection);
    ck_assert_int_eq(fcntl(taken, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(connection.accepted, F_GETFD), FD_CLOEXEC);
    ck_assert_int_ne(fcntl(taken, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

START_TEST(addresses_that_nobody_has_match_nothing)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    uint16_t port = connection.peer_port;
    ck_assert_int_eq(takeover_connection(&(struct takeover_peer){"127.0.0.1", port, local_port()}),
                     TAKEOVER_GONE);
    ck_assert_int_eq(
        takeover_connection(&(struct takeover_peer){peer_host, port ^ 1, local_port()}),
        TAKEOVER_GONE);
    ck_assert_int_eq(
        takeover_connection(&(struct takeover_peer){peer_host, port, local_port() ^ 1}),
        TAKEOVER_GONE);
    ck_assert(has_said(connection.accepted, "hello"));
}
END_TEST

START_TEST(a_connection_is_taken_once)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    ck_assert_int_ge(take(&connection), FLOOR);
    ck_assert_int_eq(take(&connection), TAKEOVER_GONE);
}
END_TEST

START_TEST(a_connection_that_was_reset_is_gone)
{
    int listener = start();
    struct connection others[] = {open_connection(listener, 0, "one"),
                                  open_connection(listener, 0, "two")};
    struct connection connection = open_connection(listener, 0, "hello");
    reset(&connection);
    ck_assert_int_eq(take(&connection), TAKEOVER_GONE);
    ck_assert(has_said(others[0].accepted, "one"));
    ck_assert(has_said(others[1].accepted, "two"));
}
END_TEST

START_TEST(two_descriptors_of_one_connection_are_not_chosen_between)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    int twin = dup(connection.accepted);
    ck_assert_int_lt(twin, FLOOR);
    ck_assert_int_eq(take(&connection), TAKEOVER_AMBIGUOUS);
    close(twin);
    int taken = take(&connection);
    ck_assert(has_said(taken, "hello"));
}
END_TEST

START_TEST(without_a_free_descriptor_the_connection_stays_where_it_is)
{
    int listener = start();
    struct connection connection = open_connection(listener, 0, "hello");
    while (fcntl(listener, F_DUPFD_CLOEXEC, FLOOR) >= 0)
        ;
    ck_assert(errno == EMFILE);
    ck_assert_int_eq(take(&connection), TAKEOVER_REFUSED);
    ck_assert(has_said(connection.accepted, "hello"));
}
END_TEST

/* --- a dead one with the same addresses --- */

/* A connection that was reset, and another from the same port while the dead one is still open. */
static void die_and_come_back(int listener, struct connection *dead, struct connection *again)
{
    *dead = open_connection(listener, 0, "dead");
    reset(dead);
    *again = open_connection(listener, dead->peer_port, "again");
    ck_assert_uint_eq(again->peer_port, dead->peer_port);
}

START_TEST(while_a_dead_one_is_about_the_one_that_came_after_it_is_not_taken_for_it)
{
    int listener = start();
    struct connection dead;
    struct connection again;
    die_and_come_back(listener, &dead, &again);
    int64_t began = clock_milliseconds();
    ck_assert_int_eq(take(&again), TAKEOVER_AMBIGUOUS);
    ck_assert_int_ge(clock_milliseconds() - began, WAIT);
    ck_assert(has_said(again.accepted, "again"));
    close(dead.accepted);
    ck_assert_int_ge(take(&again), FLOOR);
}
END_TEST

START_TEST(a_dead_number_that_is_used_again_is_not_dead_any_more)
{
    int listener = start();
    struct connection dead;
    struct connection again;
    die_and_come_back(listener, &dead, &again);
    int number = dead.accepted;
    close(number);
    struct connection other = open_connection(listener, 0, "other");
    ck_assert_int_eq(other.accepted, number);
    ck_assert(has_said(take(&again), "again"));
}
END_TEST

static void *close_soon(void *argument)
{
    const struct connection *connection = argument;
    nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL); /* the search has begun by then */
    shutdown(connection->accepted, SHUT_RDWR);
    close(connection->accepted);
    return NULL;
}

/* On a busy machine a round may be too early or too late to show anything, but not each. */
START_TEST(a_dead_one_that_is_closed_meanwhile_ends_the_wait)
{
    int listener = start();
    bool waited = false;
    for (int round = 0; round < 50 && !waited; round++) {
        struct connection dead;
        struct connection again;
        pthread_t thread;
        die_and_come_back(listener, &dead, &again);
        int64_t began = clock_milliseconds();
        ck_assert_int_eq(pthread_create(&thread, NULL, close_soon, &dead), 0);
        int taken = take(&again);
        waited = taken >= 0 && clock_milliseconds() - began >= 10;
        pthread_join(thread, NULL);
        ck_assert(taken == TAKEOVER_AMBIGUOUS || taken >= FLOOR);
        if (taken < 0)
            taken = take(&again);
        ck_assert(has_said(taken, "again"));
        close(taken);
        close(again.accepted);
        close(again.peer);
    }
    ck_assert(waited);
}
END_TEST

START_TEST(what_is_no_connection_of_ours_is_not_taken_for_a_dead_one)
{
    int listener = start();
    int pair[2];
    ck_assert_int_eq(pipe(pair), 0);
    close(pair[1]);                              /* hung up, but no socket */
    int fresh = socket(AF_INET, SOCK_STREAM, 0); /* hung up, but on no port of ours */
    ck_assert_int_lt(fresh, FLOOR);
    struct connection connection = open_connection(listener, 0, "hello");
    int64_t began = clock_milliseconds();
    int taken = take(&connection);
    ck_assert_int_ge(taken, FLOOR);
    ck_assert_int_lt(clock_milliseconds() - began, PATIENCE_MS / 2);
    ck_assert(has_said(taken, "hello"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("takeover");
    TCase *tests = tcase_create("takeover");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_right_one_of_50_connections_is_taken_each_time);
    tcase_add_test(tests, the_old_number_of_a_connection_that_was_taken_has_ended);
    tcase_add_test(tests, a_connection_that_was_taken_is_close_on_exec_and_keeps_its_flags);
    tcase_add_test(tests, addresses_that_nobody_has_match_nothing);
    tcase_add_test(tests, a_connection_is_taken_once);
    tcase_add_test(tests, a_connection_that_was_reset_is_gone);
    tcase_add_test(tests, two_descriptors_of_one_connection_are_not_chosen_between);
    tcase_add_test(tests, without_a_free_descriptor_the_connection_stays_where_it_is);
    tcase_add_test(tests, while_a_dead_one_is_about_the_one_that_came_after_it_is_not_taken_for_it);
    tcase_add_test(tests, a_dead_number_that_is_used_again_is_not_dead_any_more);
    tcase_add_test(tests, a_dead_one_that_is_closed_meanwhile_ends_the_wait);
    tcase_add_test(tests, what_is_no_connection_of_ours_is_not_taken_for_a_dead_one);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
