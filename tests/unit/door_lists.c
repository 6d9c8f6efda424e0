/* The lists that one writes for the door: origins, networks, tokens. Their mistakes are said. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "config/network.h"
#include "config/origin.h"
#include "config/tokens.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct row {
    const char *text;
    const char *why; /* NULL: it is right */
};

static const struct row origins[] = {
    {"same", NULL},
    {"*", NULL},
    {"null", NULL},
    {" same ,\tnull, https://example.org ", NULL},
    {"https://example.org, http://example.org, https://example.org:8443", NULL},
    {"http://localhost:3000, https://[::1]:8443, https://*.example.org:9000", NULL},
    {"https://example.org, https://*.example.org", NULL},
    {"http://*.localhost", NULL},
    {"", "nothing is written"},
    {" ", "nothing is written"},
    {",", "an origin is missing at a comma"},
    {"same,", "an origin is missing at a comma"},
    {"same, , null", "an origin is missing at a comma"},
    {"Same", "write it in small letters: same"},
    {"NULL", "write it in small letters: null"},
    {"self", "neither an origin, as https://example.org, nor same, * or null"},
    {"all", "neither an origin, as https://example.org, nor same, * or null"},
    {"'self'", "neither an origin, as https://example.org, nor same, * or null"},
    {"example.org", "write the scheme too, https://example.org"},
    {"example.org:8443", "write the scheme too, https://example.org:8443"},
    {"localhost:3000", "write the scheme too, https://localhost:3000"},
    {"*.example.org", "write the scheme too, https://*.example.org"},
    {"same, *.example.org", "*.example.org: write the scheme too, https://*.example.org"},
    {"[::1]:8080", "write the scheme too, https://[::1]:8080"},
    {"//example.org", "neither an origin, as https://example.org, nor same, * or null"},
    {"example.org/", "neither an origin, as https://example.org, nor same, * or null"},
    {"https://example.org/", "an origin has no path: write https://example.org"},
    {"https://example.org:8443/a/b?c", "an origin has no path: write https://example.org:8443"},
    {"null, https://a.example/x, same",
     "https://a.example/x: an origin has no path: write https://a.example"},
    {"https://example.org?x", "an origin has no path: write https://example.org"},
    {"https://*.example.org/*", "an origin has no path: write https://*.example.org"},
    {"https:///", "the host is missing: write for example https://example.org"},
    {"https://", "the host is missing: write for example https://example.org"},
    {"https://:443", "the host is missing: write for example https://example.org"},
    {"file://", "pages from files send null: write null"},
    {"file:///home", "pages from files send null: write null"},
    {"https://me@example.org", "an origin has no user: write https://example.org"},
    {"https://me:secret@example.org:1", "an origin has no user: write https://example.org:1"},
    {"wss://example.org", "an origin is the address of the page: write https://example.org"},
    {"ws://*.example.org:80",
     "an origin is the address of the page: write http://*.example.org:80"},
    {"https://example.org https://a.example", "a blank within it: origins are separated by commas"},
    {"https://b\xC3\xBC"
     "cher.example",
     "write the name as browsers send it, for example https://xn--bcher-kva.example"},
    {"https://example.org.", "write the name without the dot at its end"},
    {"https://a..example.org",
     "not the name of a host: it has letters, digits, - and _ between its dots"},
    {"https://" LABEL_63 "a",
     "not the name of a host: it has letters, digits, - and _ between its dots"},
    {"http://127.1",
     "not an IPv4 address: browsers send four decimal numbers, as in http://127.0.0.1"},
    {"https://[::1", "not an IPv6 address in brackets: write for example https://[::1]:8443"},
    {"https://::1", "not an IPv6 address in brackets: write for example https://[::1]:8443"},
    {"https://example.org:99999", "the port is not a number from 1 to 65535"},
    {"https://example.org:", "the port is not a number from 1 to 65535"},
    {"https://example.org:*",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"https://*",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"https://a.*.org",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"https://*example.org",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"https://*.*.example.org",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"https://*.127.0.0.1",
     "a star stands only for the first labels of a name, as in "
     "https://*.example.org, and alone for every origin"},
    {"same, same", "same: it is given twice"},
    {"*, *", "*: it is given twice"},
    {"https://a.example, HTTPS://A.example:443", "HTTPS://A.example:443: it is given twice"},
    {"https://[::1], https://[0::1]", "https://[0::1]: it is given twice"},
    {"*, same", "same: * is every origin: write it alone"},
    {"https://a.example, *", "*: * is every origin: write it alone"},
};

#define EVERYBODY                                                                                  \
    "write the address of the proxy: if everybody is believed, each client chooses the address "   \
    "that is logged for it"

static const struct row networks[] = {
    {"", NULL},
    {" \t ", NULL},
    {"127.0.0.1", NULL},
    {"127.0.0.1, 10.0.0.0/8, ::1, fd00::/8", NULL},
    {"0.0.0.0/0, ::/0", NULL},
    {"10.0.0.1/32, 10.0.0.2/31, fd00::1/128", NULL},
    {"::ffff:10.0.0.0/104", NULL},
    {"10.0.0.1/8", "did you mean 10.0.0.0/8?"},
    {"10.0.0.1/0", "did you mean 0.0.0.0/0?"},
    {"10.0.0.3/31", "did you mean 10.0.0.2/31?"},
    {"::1, fd12:3456::1/16", "fd12:3456::1/16: did you mean fd12::/16?"},
    {"10.0.0.0/33", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/08", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/-1", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/4294967304", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/255.0.0.0", "the length behind / is not a number from 0 to 32"},
    {"10.0.0.0/8/8", "the length behind / is not a number from 0 to 32"},
    {"fd00::/129", "the length behind / is not a number from 0 to 128"},
    {",", "an address is missing at a comma"},
    {"::1,", "an address is missing at a comma"},
    {"localhost", "names are not looked up: write 127.0.0.1, ::1"},
    {"*", EVERYBODY},
    {"127.0.0.1, *", "*: " EVERYBODY},
    {"127.0.0.1:80", "an address without brackets and port: write 127.0.0.1"},
    {"[::1]", "an address without brackets and port: write ::1"},
    {"[::1]:80", "an address without brackets and port: write ::1"},
    {"fe80::1%eth0", "an address without a zone: leave out what begins with %"},
    {"proxy.example.org",
     "not a numeric address; names are not looked up: "
     "write for example 10.0.0.0/8"},
    {"10.0.0",
     "not a numeric address; names are not looked up: write for example "
     "10.0.0.0/8"},
    {"10.0.0.1 10.0.0.2", "addresses are separated by commas"},
    {"::1, 10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2: addresses are separated by commas"},
    {"127.0.0.1 10.0.0.0/8", "addresses are separated by commas"},
    {"10.0.0.0/8\t127.0.0.1", "addresses are separated by commas"},
    {"::1, fd00::/8 10.0.0.1/8", "fd00::/8 10.0.0.1/8: addresses are separated by commas"},
    {LABEL_63 " 10.0.0.1", "addresses are separated by commas"},
    {"[", "not a numeric address; names are not looked up: write for example 10.0.0.0/8"},
    {LABEL_63 "a", "an address is not so long"},
    {"10.0.0.1, 10.0.0.1/32", "10.0.0.1/32: it is given twice"},
    {"10.0.0.1, ::ffff:10.0.0.1", "::ffff:10.0.0.1: it is given twice"},
    {"::/0, ::/0", "::/0: it is given twice"},
};

static const struct row tokens[] = {
    {"", NULL},
    {"chat", NULL},
    {"chat, Chat ,superchat", NULL},
    {"v1.json!#$%&'*+-.^_`|~", NULL},
    {LABEL_63 "a", NULL},
    {LABEL_63 "ab", "a name has at most 64 bytes"},
    {",", "a name is missing at a comma"},
    {"chat,", "a name is missing at a comma"},
    {"a b", "names are separated by commas"},
    {"c, a b", "a b: names are separated by commas"},
    {"a;b", "a name holds letters, digits and any of !#$%&'*+-.^_`|~ only"},
    {"\"a\"", "a name holds letters, digits and any of !#$%&'*+-.^_`|~ only"},
    {"\xC3\xA4", "a name holds letters, digits and any of !#$%&'*+-.^_`|~ only"},
    {"a, b, a", "a: it is given twice"},
};

static void check_row(bool (*check)(const struct option_value *, char *, size_t), struct row row)
{
    const struct option_value value = {.text = row.text};
    char why[512] = "";
    bool right = check(&value, why, sizeof why);
    ck_assert_msg(right == (row.why == NULL), "\"%s\": %s", row.text, why);
    if (row.why != NULL)
        ck_assert_str_eq(why, row.why);
}

START_TEST(origins_are_taken_or_refused_with_what_to_write)
{
    check_row(origins_check, origins[_i]);
}
END_TEST

START_TEST(trusted_proxies_are_taken_or_refused_with_what_to_write)
{
    check_row(networks_check, networks[_i]);
}
END_TEST

START_TEST(tokens_are_taken_or_refused_with_what_to_write)
{
    check_row(tokens_check, tokens[_i]);
}
END_TEST

/* Lists of `count` items that differ in a number. */
static void write_many(char *text, size_t size, const char *format, int count)
{
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s", i == 0 ? "" : ", ");
        used += (size_t)snprintf(text + used, size - used, format, i + 1);
    }
    ck_assert_uint_lt(used, size);
}

START_TEST(as_many_as_the_bound_are_taken_and_no_more)
{
    static const struct {
        bool (*check)(const struct option_value *, char *, size_t);
        const char *format;
        int most;
        const char *why;
    } rows[] = {
        {origins_check, "https://%d.example", ORIGINS_MAX, "more than 64 origins"},
        {networks_check, "10.0.0.%d", NETWORKS_MAX, "more than 64 addresses and networks"},
        {tokens_check, "v%d", TOKENS_MAX, "more than 32 names"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[4000];
        write_many(text, sizeof text, rows[i].format, rows[i].most);
        check_row(rows[i].check, (struct row){text, NULL});
        write_many(text, sizeof text, rows[i].format, rows[i].most + 1);
        check_row(rows[i].check, (struct row){text, rows[i].why});
    }
}
END_TEST

START_TEST(a_list_of_origins_of_more_bytes_than_the_bound_is_refused)
{
    char text[ORIGINS_TEXT_MAX + 2];
    memset(text, ' ', sizeof text);
    memcpy(text, "same", 4);
    text[ORIGINS_TEXT_MAX] = '\0';
    check_row(origins_check, (struct row){text, NULL});
    text[ORIGINS_TEXT_MAX] = ' ';
    text[ORIGINS_TEXT_MAX + 1] = '\0';
    check_row(origins_check, (struct row){text, "more than 4096 bytes"});
}
END_TEST

START_TEST(a_message_never_goes_beyond_its_buffer)
{
    static const char *const texts[] = {"https://example.org/x, same", "self", "wss://a.example"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t size = 1; size < 80; size++) {
            const struct option_value value = {.text = texts[i]};
            char why[81];
            memset(why, '#', sizeof why);
            ck_assert(!origins_check(&value, why, size));
            ck_assert_uint_lt(strlen(why), size);
            ck_assert_int_eq(why[size], '#');
        }
    }
}
END_TEST

static bool contains(const char *list, const char *address)
{
    struct network own[NETWORKS_MAX];
    char why[256];
    int count = networks_parse(list, own, why, sizeof why);
    ck_assert_msg(count >= 0, "%s", why);
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &four.sin_addr) == 1)
        return network_contains(own, (size_t)count, (struct sockaddr *)&four);
    ck_assert_int_eq(inet_pton(AF_INET6, address, &six.sin6_addr), 1);
    return network_contains(own, (size_t)count, (struct sockaddr *)&six);
}

START_TEST(an_address_is_in_a_network_when_the_prefix_is_alike)
{
    static const struct {
        const char *list;
        const char *address;
        bool in;
    } rows[] = {
        {"", "127.0.0.1", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::1", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"::ffff:127.0.0.1", "127.0.0.1", true},
        {"::ffff:10.0.0.0/104", "10.255.255.255", true},
        {"::ffff:10.0.0.0/104", "11.0.0.0", false},
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.129", true},
        {"192.0.2.2/31", "192.0.2.3", true},
        {"192.0.2.2/31", "192.0.2.4", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "127.0.0.1", false},
        {"::/0", "::ffff:127.0.0.1", false},
        {"fd00::/8", "fdff:ffff::1", true},
        {"fd00::/8", "fe00::", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"2001:db8::1", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::2", false},
        {"1.2.3.4, ::1, 10.0.0.0/8", "10.1.2.3", true},
        {"102:304::/32", "1.2.3.4", false},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(contains(rows[i].list, rows[i].address) == rows[i].in, "%s in %s",
                      rows[i].address, rows[i].list);
}
END_TEST

START_TEST(an_address_of_another_family_is_in_no_network)
{
    struct network list[NETWORKS_MAX];
    char why[256];
    const struct sockaddr_storage local = {.ss_family = AF_UNIX};
    ck_assert_int_eq(networks_parse("0.0.0.0/0, ::/0", list, why, sizeof why), 2);
    ck_assert(!network_contains(list, 2, (const struct sockaddr *)&local));
}
END_TEST

START_TEST(a_list_of_tokens_holds_what_it_has_with_the_same_case)
{
    static const char list[] = "chat, superchat ,V2";
    ck_assert(tokens_hold(list, slice_of("chat")));
    ck_assert(tokens_hold(list, slice_of("superchat")));
    ck_assert(tokens_hold(list, slice_of("V2")));
    ck_assert(!tokens_hold(list, slice_of("v2")));
    ck_assert(!tokens_hold(list, slice_of("cha")));
    ck_assert(!tokens_hold(list, slice_of("chat,")));
    ck_assert(!tokens_hold(list, slice_of("")));
    ck_assert(!tokens_hold("", slice_of("")));
    ck_assert(!tokens_hold("", slice_of("chat")));
    ck_assert(!tokens_hold(NULL, slice_of("chat")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("door_lists");
    TCase *tests = tcase_create("door_lists");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, origins_are_taken_or_refused_with_what_to_write, 0, COUNT(origins));
    tcase_add_loop_test(tests, trusted_proxies_are_taken_or_refused_with_what_to_write, 0,
                        COUNT(networks));
    tcase_add_loop_test(tests, tokens_are_taken_or_refused_with_what_to_write, 0, COUNT(tokens));
    tcase_add_test(tests, as_many_as_the_bound_are_taken_and_no_more);
    tcase_add_test(tests, a_list_of_origins_of_more_bytes_than_the_bound_is_refused);
    tcase_add_test(tests, a_message_never_goes_beyond_its_buffer);
    tcase_add_test(tests, an_address_is_in_a_network_when_the_prefix_is_alike);
    tcase_add_test(tests, an_address_of_another_family_is_in_no_network);
    tcase_add_test(tests, a_list_of_tokens_holds_what_it_has_with_the_same_case);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
