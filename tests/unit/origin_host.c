/* Pages that are not below a name, and pages at another host than their own. */
#include "tests/unit/origin_support.h"

/* By STAR. */
static const char *const refused_star[] = {
    "https://example.org",
    "https://.example.org",
    "https://a..example.org",
    "https://..example.org",
    "https://*.example.org",
    "https://evilexample.org",
    "https://evil-example.org",
    "https://evil_example.org",
    "https://a.evilexample.org",
    "https://a.example.org.evil.com",
    "https://a.example.org.",
    "https://a.example.orgx",
    "http://a.example.org",
    "https://a.example.org:8443",
    "https://evil.com/.example.org",
    "https://evil.com?.example.org",
    "https://evil.com#.example.org",
    "https://evil.com\\.example.org",
    "https://evil.com@a.example.org",
    "https://evil.com:443.example.org",
    "https://evil.com%00.example.org",
    "https://evil.com%23.example.org",
    "https://evil.com .example.org",
    "https://evil.com\t.example.org",
    "https://evil.com,https://a.example.org",
    "https://evil.com;.example.org",
    "https://evil.com&.example.org",
    "https://\xC3\xA4.example.org",
    "https://[::1].example.org",
    "https://%61.example.org",
    "null",
};

static const struct {
    const char *list;
    const char *origin;
    const char *host;
} refused[] = {
    /* more than one, none, null, words of the configuration */
    {EXACT, "same", "same"},
    {"null, https://example.org", "NULL", ""},
    {"null, https://example.org", "null ", ""},
    {"null, https://example.org", "nullx", ""},
    {"null, https://example.org", "null://example.org", ""},
    {"null, https://example.org", "https://null", ""},
    {"null, https://example.org", "", ""},
    {"https://null", "null", ""},
    /* IPv6 */
    {"http://127.0.0.1", "http://[::ffff:127.0.0.1]", ""},
    {"http://127.0.0.1", "http://[::ffff:7f00:1]", ""},
    {"http://127.0.0.1", "http://[::127.0.0.1]", ""},
    /* IPv4 in other spellings */
    {"http://127.0.0.1", "http://2130706433", ""},
    {"http://127.0.0.1", "http://0x7f000001", ""},
    {"http://127.0.0.1", "http://0x7f.0.0.1", ""},
    {"http://127.0.0.1", "http://0177.0.0.1", ""},
    {"http://127.0.0.1", "http://127.1", ""},
    {"http://127.0.0.1", "http://127.0.0.01", ""},
    {"http://127.0.0.1", "http://127.0.0.1.", ""},
    {"http://127.0.0.1", "http://127.0.0.1.nip.io", ""},
    {"http://127.0.0.1", "http://127.0.0.10", ""},
    {"http://127.0.0.1", "http://[127.0.0.1]", ""},
    {"http://127.0.0.1", "http://localhost", ""},
    {SAME, "http://2130706433", "2130706433"},
    {SAME, "http://0x7f.1", "0x7f.1"},
    {SAME, "http://127.1", "127.1"},
    {SAME, "http://1.2.3.4.5", "1.2.3.4.5"},
    {SAME, "http://256.0.0.1", "256.0.0.1"},
    {SAME, "http://example.0x", "example.0x"},
    /* below a name */
    {STAR, "https://" LABEL_64 ".example.org", ""},
    {STAR, "https://" LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 ".example.org", ""},
    {"https://*.0.0.example", "https://127.0.0.1", ""},
    {"https://*.example.org:8443", "https://a.example.org", ""},
    /* same */
    {SAME, "https://evil.com", "example.org"},
    {SAME, "https://example.org.evil.com", "example.org"},
    {SAME, "https://evil-example.org", "example.org"},
    {SAME, "https://www.example.org", "example.org"},
    {SAME, "https://example.org", "www.example.org"},
    {SAME, "https://example.org:8443", "example.org"},
    {SAME, "https://example.org", "example.org:80"},
    {SAME, "http://example.org", "example.org:443"},
    {SAME, "http://example.org", "example.org:8080"},
    {SAME, "http://example.org:8080", "example.org"},
    {SAME, "http://example.org", ""},
    {SAME, "http://", ""},
    {SAME, "", ""},
    {SAME, "null", "null"},
    {SAME, "null", ""},
    {SAME, "example.org", "example.org"},
    {SAME, "file://example.org", "example.org"},
    {SAME, "ws://example.org", "example.org"},
    {SAME, "chrome-extension://example.org", "example.org"},
    {SAME, "http://example.org.", "example.org"},
    {SAME, "http://example.org", "example.org."},
    {SAME, "http://example.org.", "example.org."},
    {SAME, "http://example.org", "example.org:"},
    {SAME, "http://example.org", "example.org:080"},
    {SAME, "http://example.org", "user@example.org"},
    {SAME, "http://user@example.org", "user@example.org"},
    {SAME, "http://example.org/", "example.org/"},
    {SAME, "http://example.org", "example.org, evil.com"},
    {SAME, "http://a b", "a b"},
    {SAME, "http://*.example.org", "*.example.org"},
    {SAME, "http://\xC3\xA4.org", "\xC3\xA4.org"},
    {SAME, "http://%41.org", "%41.org"},
    {SAME, "http://[::1]", "[::2]"},
    {SAME, "http://[::1]", "::1"},
    {SAME, "http://[fe80::1%25eth0]", "[fe80::1%25eth0]"},
    {SAME, "http://[::ffff:127.0.0.1]", "127.0.0.1"},
    {SAME, "http://127.0.0.1", "localhost"},
    {SAME, "http://xn--bcher-kva.example",
     "b\xC3\xBC"
     "cher.example"},
};

START_TEST(a_page_that_is_not_below_the_name_is_refused)
{
    check_refused(STAR, refused_star[_i], "");
}
END_TEST

START_TEST(a_page_is_refused_at_a_host_that_is_not_its_own)
{
    check_refused(refused[_i].list, refused[_i].origin, refused[_i].host);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("origin_host");
    TCase *tests = tcase_create("origin_host");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_page_that_is_not_below_the_name_is_refused, 0,
                        COUNT(refused_star));
    tcase_add_loop_test(tests, a_page_is_refused_at_a_host_that_is_not_its_own, 0, COUNT(refused));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
