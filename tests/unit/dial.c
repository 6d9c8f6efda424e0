#include "server/dial.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/frame_reader.h"

#define TEN "1234567890"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define LABELS "a23456789.b23456789.c23456789.d23456789.e23456789."
#define NAME_253 LABELS LABELS LABELS LABELS LABELS "abc"

static const struct {
    const char *text;
    const char *address; /* with the port: see describe */
} right[] = {
    {"127.0.0.1:5432", "127.0.0.1 5432"},
    {"0.0.0.0:1", "0.0.0.0 1"},
    {"[::1]:65535", "::1 65535"},
    {"[2001:db8::17]:80", "2001:db8::17 80"},
    {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1 80"},
    {"localhost:80", "? localhost 80"},
    {"db:080", "? db 80"},
    {"db_1.Example-2.org.:443", "? db_1.Example-2.org. 443"},
    {"1.2.3.example:443", "? 1.2.3.example 443"},
    {NAME_253 ":1", "? " NAME_253 " 1"},
    {"unix:/run/db.sock", "unix /run/db.sock"},
    {"unix:/a b;c:80", "unix /a b;c:80"},
    {"unix:@db", "abstract db"},
    {"unix:/" HUNDRED "123456", "unix /" HUNDRED "123456"},
    {"unix:@" HUNDRED "1234567", "abstract " HUNDRED "1234567"},
};

static void describe(const struct dial_target *target, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (target->host[0] != '\0') {
        snprintf(text, size, "? %s %u", target->host, target->port);
    } else if (target->address.any.sa_family == AF_UNIX) {
        const char *path = target->address.path.sun_path;
        const size_t length = target->length - offsetof(struct sockaddr_un, sun_path);
        MUST(path[0] == '\0' || path[length - 1] == '\0');
        snprintf(text, size, path[0] == '\0' ? "abstract %.*s" : "unix %.*s", (int)length - 1,
                 path[0] == '\0' ? path + 1 : path);
    } else if (target->address.any.sa_family == AF_INET) {
        MUST(target->length == sizeof target->address.v4);
        inet_ntop(AF_INET, &target->address.v4.sin_addr, host, sizeof host);
        snprintf(text, size, "%s %u", host, ntohs(target->address.v4.sin_port));
    } else {
        MUST(target->length == sizeof target->address.v6);
        MUST(target->address.any.sa_family == AF_INET6);
        inet_ntop(AF_INET6, &target->address.v6.sin6_addr, host, sizeof host);
        snprintf(text, size, "%s %u", host, ntohs(target->address.v6.sin6_port));
    }
}

START_TEST(an_address_a_name_and_a_path_are_read)
{
    struct dial_target target;
    char text[512];
    char why[256] = "";
    if (dial_parse(right[_i].text, &target, why, sizeof why) != 0)
        ck_abort_msg("%s: %s", right[_i].text, why);
    describe(&target, text, sizeof text);
    ck_assert_str_eq(text, right[_i].address);
}
END_TEST

static const char how[] = "write HOST:PORT, [IPV6]:PORT or unix:/PATH";

static const struct {
    const char *text;
    const char *why; /* its beginning */
} wrong[] = {
    {"", "there is no host, or no port"},
    {"5432", "there is no host, or no port"},
    {":5432", "there is no host, or no port"},
    {"localhost", "there is no host, or no port"},
    {"[::1]", "there is no host, or no port"},
    {"[::1]5432", "there is no host, or no port"},
    {"[:80", "there is no host, or no port"},
    {"[]:80", "'' is no IPv6 address"},
    {"[]]:80", "']' is no IPv6 address"},
    {"[127.0.0.1]:80", "'127.0.0.1' is no IPv6 address"},
    {"[localhost]:80", "'localhost' is no IPv6 address"},
    {"[fe80::1%eth0]:80", "'fe80::1%eth0' is no IPv6 address"},
    {"::1:80", "an IPv6 address is written in brackets: [::1]:80"},
    {"localhost:80:81", "an IPv6 address is written in brackets"},
    {"tcp://localhost:80", "this is no URL: write HOST:PORT"},
    {"localhost:", "'' is no port: write a number from 1 to 65535"},
    {"localhost:http", "'http' is no port"},
    {"localhost:0", "'0' is no port"},
    {"localhost:65536", "'65536' is no port"},
    {"localhost:99999999999999999999999", "'99999999999999999999999' is no port"},
    {"localhost:80 ", "'80 ' is no port"},
    {"localhost:+80", "'+80' is no port"},
    {"localhost: 80", "' 80' is no port"},
    {"127.0.0.256:80", "'127.0.0.256' is no IPv4 address"},
    {"127.1:80", "'127.1' is no IPv4 address"},
    {"2130706433:80", "'2130706433' is no IPv4 address"},
    {"local host:80", "'local host' is no host name"},
    {"local/host:80", "'local/host' is no host name"},
    {"m\xC3\xBCller:80", "'m\xC3\xBCller' is no host name"},
    {NAME_253 "d:1", "a host name has at most 253 bytes"},
    {"unix:", "behind unix: comes a path that begins with a slash"},
    {"unix:/", "behind unix: comes a path that begins with a slash"},
    {"unix:@", "behind unix: comes a path that begins with a slash"},
    {"unix:run/db.sock", "behind unix: comes a path that begins with a slash"},
    {"unix:/" HUNDRED "1234567",
     "the path of a Unix socket has at most 107 bytes, and this one has 108"},
    {"unix:@" HUNDRED "12345678",
     "the path of a Unix socket has at most 108 bytes, and this one has 109"},
};

START_TEST(what_is_none_of_them_is_refused_with_what_is_allowed)
{
    struct dial_target target;
    char why[256] = "";
    ck_assert_int_eq(dial_parse(wrong[_i].text, &target, why, sizeof why), -1);
    if (strncmp(why, wrong[_i].why, strlen(wrong[_i].why)) != 0)
        ck_abort_msg("'%s': %s", wrong[_i].text, why);
    if (strncmp(why, "there is no", 11) == 0)
        ck_assert_ptr_nonnull(strstr(why, how));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dial");
    TCase *tests = tcase_create("dial");
    tcase_add_loop_test(tests, an_address_a_name_and_a_path_are_read, 0,
                        (int)(sizeof right / sizeof right[0]));
    tcase_add_loop_test(tests, what_is_none_of_them_is_refused_with_what_is_allowed, 0,
                        (int)(sizeof wrong / sizeof wrong[0]));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
