/* Who is let in. The first table is what attackers have tried on servers that compared badly. */
#include "tests/unit/origin_support.h"

#include <stdlib.h>

/* By EXACT. */
static const char *const refused_exact[] = {
    /* a name that begins, ends or goes on like a right one */
    "https://evil-example.org",
    "https://evilexample.org",
    "https://example.org.evil.com",
    "https://example.orgevil.com",
    "https://example.org-evil.com",
    "https://example.org_evil.com",
    "https://example.or",
    "https://xample.org",
    "https://exampleXorg",
    "https://example-org",
    "https://www.example.org",
    "https://example.com",
    "https://evil.com",
    "https://org",
    "https://localhost.evil.com:3000",
    "http://notlocalhost:3000",
    "https://exarnple.org",
    /* another scheme */
    "http://example.org",
    "http://example.org:443",
    "https://localhost:3000",
    "ws://example.org",
    "wss://example.org",
    "ftp://example.org",
    "httpss://example.org",
    "xhttps://example.org",
    "chrome-extension://example.org",
    "file://example.org",
    "file://",
    "file:///etc/passwd",
    "data:text/html,https://example.org",
    "javascript:alert(1)//https://example.org",
    "blob:https://example.org/0",
    "about:blank",
    "about:srcdoc",
    "view-source:https://example.org",
    "://example.org",
    "//example.org",
    "example.org",
    "example.org:443",
    "https:example.org",
    "https:/example.org",
    "https:\\\\example.org",
    "https;//example.org",
    "https//example.org",
    " https://example.org",
    "https ://example.org",
    "1https://example.org",
    /* another port */
    "https://example.org:80",
    "https://example.org:4430",
    "https://example.org:44",
    "https://example.org:0443",
    "https://example.org:00443",
    "https://example.org:65979",
    "https://example.org:0",
    "https://example.org:-443",
    "https://example.org:+443",
    "https://example.org:",
    "https://example.org: 443",
    "https://example.org:443:443",
    "https://example.org:443.evil.com",
    "https://example.org:443@evil.com",
    "https://example.org:https",
    "https://example.org:0x1bb",
    "https://example.org:4294967739",
    "http://localhost",
    "http://localhost:30000",
    "http://localhost:3001",
    /* a user, a path, a query, a fragment */
    "https://example.org@evil.com",
    "https://example.org%40evil.com",
    "https://example.org:x@evil.com",
    "https://evil.com@example.org",
    "https://@example.org",
    "https://:@example.org",
    "https://example.org/",
    "https://example.org/path",
    "https://example.org?",
    "https://example.org?.evil.com",
    "https://example.org#",
    "https://example.org#.evil.com",
    "https://evil.com/https://example.org",
    "https://evil.com?https://example.org",
    "https://evil.com#https://example.org",
    "https://example.org\\",
    "https://example.org\\.evil.com",
    "https://example.org\\@evil.com",
    "https://evil.com\\example.org",
    "https:///example.org",
    "https:////example.org",
    "https://https://example.org",
    /* bytes that some parser drops, ends at or folds */
    "https://example.org ",
    "https://example.org\t",
    "https://exam\tple.org",
    "https://exam\nple.org",
    "https://example.org\r\n",
    "https://example.org\x01",
    "https://example.org\x7F",
    "https://example.org\x0B",
    "https://example.org%00",
    "https://example.org%00.evil.com",
    "https://example.org%2eevil.com",
    "https://example%2eorg",
    "https://example.org%0d%0a",
    "https://%65xample.org",
    "https://example\xE3\x80\x82org",
    "https://example\xEF\xBC\x8Eorg",
    "https://example\xEF\xBD\xA1org",
    "https://\xD0\xB5xample.org",
    "https://example.org\xE2\x80\x8B",
    "https://example\xC2\xAD.org",
    "https://example.org\xC2\xA0",
    "\xEF\xBB\xBFhttps://example.org",
    "https://\xE2\x93\x94xample.org",
    "https://example.org\xFF",
    "https://example\xC0\xAEorg",
    "https://xn--xample-2of.org",
    "https://example.org`evil.com",
    "https://example.org}.evil.com",
    "https://example.org!.evil.com",
    "https://example.org$.evil.com",
    "https://example.org&.evil.com",
    "https://example.org'.evil.com",
    "https://example.org\".evil.com",
    "https://example.org(.evil.com",
    "https://example.org*.evil.com",
    "https://example.org+.evil.com",
    "https://example.org,.evil.com",
    "https://example.org;.evil.com",
    "https://example.org=.evil.com",
    "https://example.org^.evil.com",
    "https://example.org{.evil.com",
    "https://example.org|.evil.com",
    "https://example.org~.evil.com",
    "https://example.org<.evil.com",
    "https://example.org[.evil.com",
    /* dots */
    "https://example.org.",
    "https://example.org..",
    "https://.example.org",
    "https://example..org",
    "https://.",
    "https://example.org.:443",
    /* more than one, none, null, words of the configuration */
    "https://example.org https://evil.com",
    "https://evil.com https://example.org",
    "https://example.org, https://evil.com",
    "https://evil.com, https://example.org",
    "https://evil.com,https://example.org",
    "",
    " ",
    "null",
    "Null",
    "undefined",
    "*",
    "https://",
    "https://:443",
    "https",
    "https://*",
    /* IPv6 */
    "https://[2001:db8::2]:8443",
    "https://[2001:db8::1]",
    "https://[2001:db8::1]:443",
    "https://2001:db8::1:8443",
    "https://[2001:db8::1%25eth0]:8443",
    "https://[2001:db8::1%eth0]:8443",
    "https://[2001:db8::1]8443",
    "https://[2001:db8::1].evil.com:8443",
    "https://[2001:db8::1]@evil.com:8443",
    "https://[2001:db8::1",
    "https://2001:db8::1]:8443",
    "https://[[2001:db8::1]]:8443",
    "https://[]:8443",
    "https://[",
    "https://[v1.example.org]",
    "https://[example.org]",
};

static const struct {
    const char *list;
    const char *origin;
    const char *host;
} allowed[] = {
    {EXACT, "https://example.org", ""},
    {EXACT, "https://example.org:443", ""},
    {EXACT, "https://EXAMPLE.org", ""},
    {EXACT, "HTTPS://Example.Org", ""},
    {EXACT, "http://localhost:3000", "example.org"},
    {EXACT, "https://[2001:db8::1]:8443", ""},
    {EXACT, "https://[2001:0DB8:0:0:0:0:0:1]:8443", ""},
    {"https://Example.ORG:443", "https://example.org", ""},
    {"http://example.org:80", "http://example.org", ""},
    {"https://xn--bcher-kva.example", "https://xn--bcher-kva.example", ""},
    {"http://my_host", "http://my_host", ""},
    {"http://127.0.0.1", "http://127.0.0.1:80", ""},
    {"chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop", ""},
    {"capacitor://localhost", "capacitor://localhost", ""},
    {"http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:1]", ""},
    {"null", "null", ""},
    {STAR, "https://a.example.org", ""},
    {STAR, "https://A.EXAMPLE.ORG:443", ""},
    {STAR, "https://a.b.c.example.org", ""},
    {STAR, "https://-.example.org", ""},
    {STAR, "https://example.org.example.org", ""},
    {STAR, "https://" LABEL_63 ".example.org", ""},
    {"http://*.localhost:3000", "http://app.localhost:3000", ""},
    {SAME, "http://example.org", "example.org"},
    {SAME, "https://example.org", "example.org"}, /* TLS ends at a proxy */
    {SAME, "https://example.org", "example.org:443"},
    {SAME, "http://example.org", "EXAMPLE.org:80"},
    {SAME, "http://example.org:8080", "example.org:8080"},
    {SAME, "https://example.org:8443", "example.org:8443"},
    {SAME, "http://[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"},
    {SAME, "http://127.0.0.1:8080", "127.0.0.1:8080"},
    {SAME, "http://localhost", "localhost"},
    {"https://a.example, same", "http://b.example", "b.example"},
    {"same, https://a.example", "https://a.example", "b.example"},
    {"same, null", "null", "b.example"},
    {"*", "https://example.org", ""},
    {"*", "null", ""},
    {"*", "", ""},
    {"*", "garbage \x01\xFF", ""},
    {"*", "file://", ""},
    {"*", "https://a, https://b", ""},
};

START_TEST(a_page_from_elsewhere_is_refused_however_its_origin_is_written)
{
    check_refused(EXACT, refused_exact[_i], "");
    check_refused(EXACT ", " SAME, refused_exact[_i], "a.example");
}
END_TEST

START_TEST(a_page_that_the_list_names_is_let_in)
{
    ck_assert_msg(ask(allowed[_i].list, allowed[_i].origin, allowed[_i].host) == ORIGIN_ALLOWED,
                  "\"%s\" was refused by \"%s\" at \"%s\"", allowed[_i].origin, allowed[_i].list,
                  allowed[_i].host);
}
END_TEST

/* What the list names in vain: the ends of the page's text must not be looked behind. */
START_TEST(every_part_of_a_right_origin_is_refused)
{
    static const char right[] = "https://example.org:443";
    for (size_t length = 0; length < sizeof right - 1; length++) {
        char *part = strndup(right, length);
        ck_assert_ptr_nonnull(part);
        enum origin_answer wanted =
            length == strlen("https://example.org") ? ORIGIN_ALLOWED : ORIGIN_REFUSED;
        ck_assert_msg(ask(EXACT, part, "") == wanted, "%s", part);
        free(part);
    }
}
END_TEST

START_TEST(a_very_long_origin_is_refused)
{
    static char page[20000] = "https://";
    memset(page + strlen(page), 'a', sizeof page - strlen(page) - 1);
    ck_assert_int_eq(ask(EXACT, page, page + 8), ORIGIN_REFUSED);
    ck_assert_int_eq(ask(SAME, page, page + 8), ORIGIN_REFUSED);
    memcpy(page + sizeof page - 13, ".example.org", 12);
    ck_assert_int_eq(ask(STAR, page, page + 8), ORIGIN_REFUSED);
    for (size_t i = 9; i < sizeof page - 13; i += 2)
        page[i] = '.';
    ck_assert_int_eq(ask(STAR, page, page + 8), ORIGIN_REFUSED);
}
END_TEST

START_TEST(several_origin_headers_are_let_in_by_a_star_only)
{
    static const struct header headers[] = {{"Origin", "https://example.org"},
                                            {"Host", "example.org"},
                                            {"origin", "https://example.org"}};
    static const char *const lists[] = {EXACT, STAR, SAME, "null", "*"};
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct origin list[ORIGINS_MAX];
        char why[256];
        int count = origins_parse(lists[i], list, why, sizeof why);
        ck_assert_int_gt(count, 0);
        ck_assert_int_eq(
            origin_allowed(list, (size_t)count, headers, COUNT(headers), "example.org"),
            strcmp(lists[i], "*") == 0 ? ORIGIN_ALLOWED : ORIGIN_REFUSED);
    }
}
END_TEST

START_TEST(without_an_origin_header_the_caller_decides)
{
    static const struct header headers[] = {{"Host", "example.org"}, {"Origins", "x"}, {"O", "y"}};
    struct origin list[ORIGINS_MAX];
    char why[256];
    ck_assert_int_eq(origins_parse("*", list, why, sizeof why), 1);
    ck_assert_int_eq(origin_allowed(list, 1, headers, COUNT(headers), ""), ORIGIN_MISSING);
    ck_assert_int_eq(origin_allowed(list, 1, NULL, 0, ""), ORIGIN_MISSING);
}
END_TEST

START_TEST(an_empty_list_lets_no_page_in)
{
    static const struct header headers[] = {{"Origin", "https://example.org"}};
    ck_assert_int_eq(origin_allowed(NULL, 0, headers, 1, "example.org"), ORIGIN_REFUSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("origin");
    TCase *tests = tcase_create("origin");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_page_from_elsewhere_is_refused_however_its_origin_is_written, 0,
                        COUNT(refused_exact));
    tcase_add_loop_test(tests, a_page_that_the_list_names_is_let_in, 0, COUNT(allowed));
    tcase_add_test(tests, every_part_of_a_right_origin_is_refused);
    tcase_add_test(tests, a_very_long_origin_is_refused);
    tcase_add_test(tests, several_origin_headers_are_let_in_by_a_star_only);
    tcase_add_test(tests, without_an_origin_header_the_caller_decides);
    tcase_add_test(tests, an_empty_list_lets_no_page_in);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
