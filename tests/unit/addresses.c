#include "server/addresses.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "server/clock.h"
#include "tests/support/random.h"

static struct sockaddr_storage at(const char *text, uint16_t port)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        return address;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    ck_assert_int_eq(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    return address;
}

static enum address_answer enter(struct addresses *addresses, struct address_request *request,
                                 const char *client, int64_t now)
{
    struct sockaddr_storage address = at(client, 1000);
    return addresses_enter_request(addresses, request, (struct sockaddr *)&address,
                                   (struct sockaddr *)&address, now);
}

START_TEST(an_address_may_have_so_many_requests_at_a_time_and_another_as_many)
{
    struct addresses *addresses = addresses_new(&(struct addresses_limits){.requests = 2}, 10);
    struct address_request first, second, third, other;
    ck_assert_int_eq(enter(addresses, &first, "192.0.2.1", 0), ADDRESS_IN);
    ck_assert_int_eq(enter(addresses, &second, "192.0.2.1", 0), ADDRESS_IN);
    ck_assert_int_eq(enter(addresses, &third, "192.0.2.1", 0), ADDRESS_REQUESTS);
    ck_assert_int_eq(enter(addresses, &other, "192.0.2.2", 0), ADDRESS_IN);
    addresses_leave_request(addresses, &first);
    ck_assert_int_eq(enter(addresses, &third, "192.0.2.1", 0), ADDRESS_IN);
    addresses_leave_request(addresses, &third);
    addresses_leave_request(addresses, &second);
    addresses_leave_request(addresses, &other);
    ck_assert_uint_eq(addresses_count(addresses), 0);
    addresses_free(addresses);
}
END_TEST

START_TEST(an_address_may_have_so_many_sessions_however_its_requests_have_left)
{
    struct addresses *addresses = addresses_new(&(struct addresses_limits){.connections = 2}, 10);
    struct address_request request;
    struct address_use *use[2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(enter(addresses, &request, "2001:db8::1", 0), ADDRESS_IN);
        ck_assert(addresses_enter_session(request.use));
        use[i] = request.use;
        addresses_leave_request(addresses, &request);
    }
    ck_assert_int_eq(enter(addresses, &request, "2001:db8::2", 0), ADDRESS_IN); /* the same /64 */
    ck_assert(!addresses_enter_session(request.use));
    addresses_leave_session(use[0]);
    ck_assert(addresses_enter_session(request.use));
    addresses_leave_session(request.use);
    addresses_leave_request(addresses, &request);
    addresses_leave_session(use[1]);
    ck_assert_uint_eq(addresses_count(addresses), 0);
    addresses_free(addresses);
}
END_TEST

START_TEST(what_is_no_address_has_no_limit)
{
    ck_assert(addresses_enter_session(NULL));
    addresses_leave_session(NULL);
}
END_TEST

START_TEST(an_address_may_ask_so_often_in_a_second_also_when_nothing_of_it_is_left)
{
    struct addresses *addresses = addresses_new(&(struct addresses_limits){.rate = 3}, 10);
    struct address_request request;
    const int64_t now = clock_milliseconds();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(enter(addresses, &request, "192.0.2.1", now), ADDRESS_IN);
        addresses_leave_request(addresses, &request);
    }
    ck_assert_int_eq(enter(addresses, &request, "192.0.2.1", now), ADDRESS_RATE);
    ck_assert_int_eq(enter(addresses, &request, "192.0.2.1", now + 334), ADDRESS_IN);
    addresses_leave_request(addresses, &request);
    ck_assert_int_eq(enter(addresses, &request, "192.0.2.2", now), ADDRESS_IN);
    addresses_leave_request(addresses, &request);
    addresses_free(addresses);
}
END_TEST

static const struct {
    const char *one;
    const char *other;
    bool same;
} pairs[] = {
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1", "::ffff:192.0.2.1", true},
    {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
    {"2001:db8::1", "2001:db8:0:1::1", false},
    {"::1", "192.0.2.1", false},
};

START_TEST(an_address_is_one_of_ipv4_or_a_64_of_ipv6)
{
    struct sockaddr_storage one = at(pairs[_i].one, 1);
    struct sockaddr_storage other = at(pairs[_i].other, 2);
    struct address_key first = address_key((struct sockaddr *)&one);
    struct address_key second = address_key((struct sockaddr *)&other);
    ck_assert_int_eq(memcmp(&first, &second, sizeof first) == 0, pairs[_i].same);
}
END_TEST

START_TEST(a_request_is_found_by_its_socket_s_peer_while_it_is_served)
{
    struct addresses *addresses = addresses_new(&(struct addresses_limits){.requests = 9}, 10);
    struct sockaddr_storage client = at("203.0.113.9", 0);
    struct sockaddr_storage peer = at("192.0.2.1", 4000);
    struct address_key key = address_key((struct sockaddr *)&peer);
    struct address_request request, another;
    ck_assert_int_eq(addresses_enter_request(addresses, &request, (struct sockaddr *)&client,
                                             (struct sockaddr *)&peer, 0),
                     ADDRESS_IN);
    ck_assert_int_eq(enter(addresses, &another, "192.0.2.1", 0), ADDRESS_IN);
    ck_assert(addresses_serves(addresses, &key, 4000));
    ck_assert(addresses_serves(addresses, &key, 1000));
    ck_assert(!addresses_serves(addresses, &key, 4001));
    addresses_leave_request(addresses, &request);
    ck_assert(!addresses_serves(addresses, &key, 4000));
    addresses_leave_request(addresses, &another);
    ck_assert(!addresses_serves(addresses, &key, 1000));
    addresses_free(addresses);
}
END_TEST

/* More addresses than there are lists, each of which asked once: what has rested is forgotten. */
START_TEST(addresses_that_have_rested_are_forgotten)
{
    struct addresses *addresses = addresses_new(&(struct addresses_limits){.rate = 1000}, 0);
    struct address_request request;
    const int64_t now = clock_milliseconds() + 1000000;
    for (uint32_t i = 0; i < 100000; i++) {
        struct sockaddr_in client = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(i)};
        ck_assert_int_eq(addresses_enter_request(addresses, &request, (struct sockaddr *)&client,
                                                 (struct sockaddr *)&client, now + i),
                         ADDRESS_IN);
        addresses_leave_request(addresses, &request);
    }
    ck_assert_uint_lt(addresses_count(addresses), 2000);
    addresses_free(addresses);
}
END_TEST

enum { CLIENTS = 50, STEPS = 200000, REQUESTS_MAX = 3, SESSIONS_MAX = 4 };

/* Against plain counters, on few lists, so that many share one. */
START_TEST(random_coming_and_going_is_counted_right)
{
    struct addresses *addresses = addresses_new(
        &(struct addresses_limits){.requests = REQUESTS_MAX, .connections = SESSIONS_MAX}, 0);
    static struct address_request requests[CLIENTS][REQUESTS_MAX];
    static struct address_use *sessions[CLIENTS][SESSIONS_MAX];
    static size_t request_count[CLIENTS], session_count[CLIENTS];
    uint64_t random = 5;
    size_t known = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t who = random_below(&random, CLIENTS);
        struct sockaddr_in client = {.sin_family = AF_INET, .sin_addr.s_addr = (uint32_t)who};
        struct sockaddr *address = (struct sockaddr *)&client;
        struct address_request request;
        bool before = request_count[who] + session_count[who] > 0;
        switch (random_below(&random, 4)) {
        case 0:
            if (request_count[who] == REQUESTS_MAX) {
                ck_assert_int_eq(addresses_enter_request(addresses, &request, address, address, 0),
                                 ADDRESS_REQUESTS);
                break;
            }
            ck_assert_int_eq(addresses_enter_request(addresses, &requests[who][request_count[who]],
                                                     address, address, 0),
                             ADDRESS_IN);
            request_count[who]++;
            break;
        case 1:
            if (request_count[who] > 0)
                addresses_leave_request(addresses, &requests[who][--request_count[who]]);
            break;
        case 2:
            if (request_count[who] == 0)
                break;
            struct address_use *use = requests[who][0].use;
            bool room = session_count[who] < SESSIONS_MAX;
            ck_assert_int_eq(addresses_enter_session(use), room);
            if (room)
                sessions[who][session_count[who]++] = use;
            break;
        default:
            if (session_count[who] > 0)
                addresses_leave_session(sessions[who][--session_count[who]]);
        }
        bool after = request_count[who] + session_count[who] > 0;
        known = known + after - before;
        ck_assert_uint_eq(addresses_count(addresses), known);
    }
    addresses_free(addresses);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("addresses");
    TCase *tests = tcase_create("addresses");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, an_address_may_have_so_many_requests_at_a_time_and_another_as_many);
    tcase_add_test(tests, an_address_may_have_so_many_sessions_however_its_requests_have_left);
    tcase_add_test(tests, what_is_no_address_has_no_limit);
    tcase_add_test(tests, an_address_may_ask_so_often_in_a_second_also_when_nothing_of_it_is_left);
    tcase_add_loop_test(tests, an_address_is_one_of_ipv4_or_a_64_of_ipv6, 0,
                        sizeof pairs / sizeof pairs[0]);
    tcase_add_test(tests, a_request_is_found_by_its_socket_s_peer_while_it_is_served);
    tcase_add_test(tests, addresses_that_have_rested_are_forgotten);
    tcase_add_test(tests, random_coming_and_going_is_counted_right);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
