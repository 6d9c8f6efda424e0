#include "server/forwarded.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/address.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define TRUSTED "127.0.0.1, 10.0.0.0/8, fd00::/8"
#define FOR "X-Forwarded-For"
#define HOST "X-Forwarded-Host"

static struct sockaddr_storage read_peer(const char *text)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)&peer;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&peer;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(999);
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(999);
    }
    return peer;
}

static void ask(const char *peer, const struct header *headers, size_t count, struct client *client)
{
    struct network trusted[NETWORKS_MAX];
    char why[256];
    int networks = networks_parse(TRUSTED, trusted, why, sizeof why);
    struct sockaddr_storage address = read_peer(peer);
    ck_assert_int_gt(networks, 0);
    memset(client, '#', sizeof *client);
    forwarded_read((struct sockaddr *)&address, headers, count, trusted, (size_t)networks, client);
}

static const struct row {
    const char *peer;
    struct header headers[4]; /* beside Host: own.example */
    const char *address;      /* without a port that is not told */
    const char *host;
} rows[] = {
    /* without a proxy, and with one that is not trusted */
    {"192.0.2.9", {{0}}, "192.0.2.9:999", "own.example"},
    {"127.0.0.1", {{0}}, "127.0.0.1:999", "own.example"},
    {"2001:db8::1", {{0}}, "[2001:db8::1]:999", "own.example"},
    {"192.0.2.9", {{FOR, "203.0.113.7"}, {HOST, "a.example"}}, "192.0.2.9:999", "own.example"},
    {"192.0.2.9",
     {{"Forwarded", "for=203.0.113.7;host=a.example"}},
     "192.0.2.9:999",
     "own.example"},
    {"2001:db8::1", {{FOR, "203.0.113.7"}}, "[2001:db8::1]:999", "own.example"},
    /* X-Forwarded-For from the right */
    {"127.0.0.1", {{FOR, "203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"::ffff:127.0.0.1", {{FOR, "203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{"x-forwarded-for", " 203.0.113.7\t"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "8.8.8.8, 203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "8.8.8.8, 203.0.113.7, 10.1.1.1"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "8.8.8.8,203.0.113.7,10.1.1.1,fd00::1"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "127.0.0.1, 203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "10.0.0.3, 10.0.0.2"}}, "10.0.0.3", "own.example"},
    {"127.0.0.1", {{FOR, "8.8.8.8"}, {FOR, "203.0.113.7, 10.0.0.2"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1",
     {{FOR, "203.0.113.7"}, {"X-Other", "1.1.1.1"}, {FOR, "10.0.0.2"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{FOR, ", ,203.0.113.7,, "}, {FOR, ","}, {FOR, ""}},
     "203.0.113.7",
     "own.example"},
    /* spellings of an address */
    {"127.0.0.1", {{FOR, "203.0.113.7:4711"}}, "203.0.113.7:4711", "own.example"},
    {"127.0.0.1", {{FOR, "2001:DB8:0::7"}}, "2001:db8::7", "own.example"},
    {"127.0.0.1", {{FOR, "[2001:db8::7]"}}, "2001:db8::7", "own.example"},
    {"127.0.0.1", {{FOR, "[2001:db8::7]:4711"}}, "[2001:db8::7]:4711", "own.example"},
    {"127.0.0.1", {{FOR, "::ffff:203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7, ::ffff:10.0.0.1"}}, "203.0.113.7", "own.example"},
    /* what is no address ends the walk, and the last good one stays */
    {"127.0.0.1", {{FOR, ""}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "unknown"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7, unknown"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7, unknown, 10.0.0.2"}}, "10.0.0.2", "own.example"},
    {"127.0.0.1", {{FOR, "localhost"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "127.1"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "0x7f000001"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.07"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7 10.0.0.2"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7;"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "\"203.0.113.7\""}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7:"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7:65536"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7:000080"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.7:x"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "[203.0.113.7]"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "[2001:db8::7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "[2001:db8::7]x"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "[]"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "["}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, ":80"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "fe80::1%eth0"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{FOR, "203.0.113.0/24"}}, "127.0.0.1:999", "own.example"},
    /* X-Forwarded-Host: the last one */
    {"127.0.0.1", {{HOST, "a.example"}}, "127.0.0.1:999", "a.example"},
    {"127.0.0.1",
     {{HOST, "a.example:8443"}, {FOR, "203.0.113.7"}},
     "203.0.113.7",
     "a.example:8443"},
    {"127.0.0.1", {{HOST, "evil.example, a.example"}}, "127.0.0.1:999", "a.example"},
    {"127.0.0.1", {{HOST, "evil.example"}, {HOST, "a.example"}}, "127.0.0.1:999", "a.example"},
    {"127.0.0.1", {{HOST, "a.example,"}}, "127.0.0.1:999", "a.example"},
    {"127.0.0.1", {{HOST, "[::1]:80"}}, "127.0.0.1:999", "[::1]:80"},
    {"127.0.0.1", {{HOST, ""}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{HOST, "a b"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{HOST, "a.example, http://a.example"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{HOST, "me@a.example"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{HOST, "a.example:0"}}, "127.0.0.1:999", "own.example"},
    /* Forwarded, when there is neither of the two */
    {"127.0.0.1", {{"Forwarded", "for=203.0.113.7"}}, "203.0.113.7", "own.example"},
    {"127.0.0.1",
     {{"forwarded", "FOR=203.0.113.7;proto=https;by=10.0.0.1;Host=a.example"}},
     "203.0.113.7",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=\"203.0.113.7:4711\";host=\"a.example:8443\""}},
     "203.0.113.7:4711",
     "a.example:8443"},
    {"127.0.0.1",
     {{"Forwarded", "For=\"[2001:db8:cafe::17]:4711\""}},
     "[2001:db8:cafe::17]:4711",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=\"[2001:db8:cafe::17]\""}},
     "2001:db8:cafe::17",
     "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=\"203.0.113.7:_port\""}}, "203.0.113.7", "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8, for=203.0.113.7, for=10.0.0.2"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8"}, {"Forwarded", "for=203.0.113.7,for=10.0.0.2"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", " for=203.0.113.7 ; host=a.example ;, ,"}},
     "203.0.113.7",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=e.example, for=203.0.113.7;host=a.example"}},
     "203.0.113.7",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=203.0.113.7;host=a.example, for=10.0.0.2"}},
     "203.0.113.7",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=203.0.113.7;host=b.example, for=10.0.0.2;host=a.example"}},
     "203.0.113.7",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=evil.example, for=203.0.113.7"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "x=\"a, for=8.8.8.8;\\\"\";for=203.0.113.7"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=203.0.113.7, for=_hidden, for=10.0.0.2"}},
     "10.0.0.2",
     "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=203.0.113.7, for=unknown"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=203.0.113.7, host=a.example"}}, "127.0.0.1:999", "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=203.0.113.7;host=\"a\\.example\""}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=\"\""}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", ""}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", ",;,"}}, "127.0.0.1:999", "own.example"},
    /* a malformed line is not there, nor is what stands left of it */
    {"127.0.0.1", {{"Forwarded", "for"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for="}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "=203.0.113.7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for =203.0.113.7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for= 203.0.113.7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=203.0.113.7 host=a"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=203.0.113.7:80"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=[2001:db8::1]"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=\"203.0.113.7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=\"203.0.113.7\\"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=\"203.0.113.7\"x"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1", {{"Forwarded", "for=8.8.8.8;for=203.0.113.7"}}, "127.0.0.1:999", "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "host=\"x, for=203.0.113.7;host=a.example"}},
     "127.0.0.1:999",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "host=\", for=203.0.113.7;host=\"a.example\""}},
     "127.0.0.1:999",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=\"8.8.8.8"}, {"Forwarded", "for=10.0.0.2"}},
     "10.0.0.2",
     "own.example"},
    /* whoever sets one kind lets the client's of the other kind through */
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=e.example"}, {FOR, "203.0.113.7"}},
     "203.0.113.7",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=e.example"}, {HOST, "a.example"}},
     "127.0.0.1:999",
     "a.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=e.example"}, {FOR, "unknown"}},
     "127.0.0.1:999",
     "own.example"},
    {"127.0.0.1",
     {{"Forwarded", "for=8.8.8.8;host=e.example"}, {HOST, ""}},
     "127.0.0.1:999",
     "own.example"},
};

START_TEST(the_client_is_the_first_from_the_right_that_no_trusted_proxy_is)
{
    struct header headers[5] = {{"Host", " own.example "}};
    size_t count = 1;
    while (count < 5 && rows[_i].headers[count - 1].name != NULL) {
        headers[count] = rows[_i].headers[count - 1];
        count++;
    }
    struct client client;
    char text[ADDRESS_TEXT_SIZE];
    ask(rows[_i].peer, headers, count, &client);
    address_format((struct sockaddr *)&client.address, text, sizeof text);
    ck_assert_str_eq(text, rows[_i].address);
    ck_assert_str_eq(client.host, rows[_i].host);
}
END_TEST

START_TEST(a_host_that_is_missing_or_doubled_or_too_long_is_none)
{
    static const struct header several[] = {{"Host", "a.example"}, {"host", "a.example"}};
    char name[ORIGIN_HOST_SIZE + 1];
    const struct header one = {"Host", name};
    struct client client;
    ask("192.0.2.9", NULL, 0, &client);
    ck_assert_str_eq(client.host, "");
    ask("192.0.2.9", several, COUNT(several), &client);
    ck_assert_str_eq(client.host, "");
    memset(name, 'a', sizeof name);
    name[ORIGIN_HOST_SIZE] = '\0';
    ask("192.0.2.9", &one, 1, &client);
    ck_assert_str_eq(client.host, "");
    name[ORIGIN_HOST_SIZE - 1] = '\0';
    ask("192.0.2.9", &one, 1, &client);
    ck_assert_str_eq(client.host, name);
}
END_TEST

START_TEST(an_unknown_family_is_kept_and_trusted_by_nobody)
{
    static const struct header headers[] = {{"X-Forwarded-For", "203.0.113.7"}};
    const struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    struct network everybody[NETWORKS_MAX];
    char why[256];
    struct client client;
    ck_assert_int_eq(networks_parse("0.0.0.0/0, ::/0", everybody, why, sizeof why), 2);
    forwarded_read((const struct sockaddr *)&peer, headers, 1, everybody, 2, &client);
    ck_assert_int_eq(client.address.ss_family, AF_UNIX);
}
END_TEST

START_TEST(no_more_hops_than_the_bound_are_looked_through)
{
    static const struct {
        const char *name;
        const char *format;
    } kinds[] = {{"X-Forwarded-For", "10.0.%d.%d"}, {"Forwarded", "for=10.0.%d.%d"}};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        char line[8000];
        size_t used = 0;
        for (int hop = 300; hop > 0; hop--) {
            used += (size_t)snprintf(line + used, sizeof line - used, kinds[i].format, hop / 256,
                                     hop % 256);
            used += (size_t)snprintf(line + used, sizeof line - used, hop > 1 ? ", " : "");
        }
        const struct header headers[] = {{kinds[i].name, "for=10.9.9.9"}, {kinds[i].name, line}};
        struct client client;
        char text[ADDRESS_TEXT_SIZE];
        ask("127.0.0.1", headers, COUNT(headers), &client);
        address_format((struct sockaddr *)&client.address, text, sizeof text);
        ck_assert_str_eq(text, "10.0.0.64");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forwarded");
    TCase *tests = tcase_create("forwarded");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, the_client_is_the_first_from_the_right_that_no_trusted_proxy_is, 0,
                        COUNT(rows));
    tcase_add_test(tests, a_host_that_is_missing_or_doubled_or_too_long_is_none);
    tcase_add_test(tests, an_unknown_family_is_kept_and_trusted_by_nobody);
    tcase_add_test(tests, no_more_hops_than_the_bound_are_looked_through);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
