/* The redirect handler through its functions; what it answers is caught. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/support/answer.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { ROUNDS = 20000, STATUS_302 = 1 };

static void *start(const char *to)
{
    const struct option_value values[] = {{.text = to}, {.number = STATUS_302}};
    char error[256] = "";
    void *state = NULL;

    ck_assert_msg(handler_redirect.start(values, &state, error, sizeof error) == 0, "%s", error);
    return state;
}

/* Where a request is led; NULL: nowhere, with a status of its own. */
static const char *location_of(void *state, const char *path, const char *rest, const char *query)
{
    static const char name[] = "Location: ";
    const struct http_request request = {
        .method = "GET", .path = path, .rest = rest, .query = query};
    static char location[HTTP_HEAD_MAX];

    ask(&handler_redirect, state, &request);
    if (answer.status != 302)
        return NULL;
    size_t length = strlen(answer.headers);
    ck_assert_uint_gt(length, sizeof name);
    ck_assert_int_eq(strncmp(answer.headers, name, sizeof name - 1), 0);
    ck_assert_str_eq(answer.headers + length - 2, "\r\n");
    snprintf(location, sizeof location, "%.*s", (int)(length - sizeof name - 1),
             answer.headers + sizeof name - 1);
    return location;
}

static const struct {
    const char *to;
    const char *path;
    const char *rest;
    const char *query;
    const char *location;
} ways[] = {
    /* words */
    {"/new", "/old/a", "a", "x=1", "/new"},
    {"https://example.org", "/a", "", NULL, "https://example.org"},
    {"https://example.org$path$query", "/a/b", "b", "x=1", "https://example.org/a/b?x=1"},
    {"https://example.org/new/$rest", "/old/a/b", "a/b", NULL, "https://example.org/new/a/b"},
    {"/new/$rest$query", "/old/", "", "", "/new/"},
    {"/new/$rest$query", "/old/", "", NULL, "/new/"},
    {"$path/", "/a", "", "x=1", "/a/"},
    {"$path.html$query", "/a", "", "x", "/a.html?x"},
    {"/$rest.html", "/a/b", "b", NULL, "/b.html"},
    {"/new$path", "/a", "", NULL, "/new/a"},
    {"/x?a=1$query", "/a", "", "b=2&c=3", "/x?a=1&b=2&c=3"},
    {"/x?a=1$query", "/a", "", NULL, "/x?a=1"},
    {"/x?$query", "/a", "", "b=2", "/x?b=2"},
    {"/x?a&$query", "/a", "", "b=2", "/x?a&b=2"},
    {"$path/x$query#top", "/a", "", "b", "/a/x?b#top"},
    {"/#$path", "/a/b", "b", NULL, "/#/a/b"},
    {"http://[::1]:8080/$rest", "/a", "a", NULL, "http://[::1]:8080/a"},
    {"http://127.0.0.1:80$query", "/a", "", "b", "http://127.0.0.1:80?b"},
    {"http://127.0.0.1:65535/", "/a", "", NULL, "http://127.0.0.1:65535/"},
    {"http://127.0.0.1:1/", "/a", "", NULL, "http://127.0.0.1:1/"},

    /* what is encoded */
    {"$path/", "/a b\xC3\xBC%\"'<>?#\\|", "", NULL, "/a%20b%C3%BC%25%22%27%3C%3E%3F%23%5C%7C/"},
    {"$path/", "/~a-b_c.d/:@!$&()*+,;=", "", NULL, "/~a-b_c.d/:@!$&()*+,;=/"},
    {"/login?next=$path", "/a&admin=1#x?y+z", "", NULL, "/login?next=/a%26admin%3D1%23x%3Fy%2Bz"},
    {"$path/$query", "/a", "", "q=a b\xC3\xBC\"'<>#\\^`{|}\x7F\x01&r=%41%zz",
     "/a/?q=a%20b%C3%BC%22%27%3C%3E%23%5C%5E%60%7B%7C%7D%7F%01&r=%41%zz"},
    {"$path/$query", "/a", "", "a[]=1?:@!$()*+,;/~", "/a/?a[]=1?:@!$()*+,;/~"},

    /* what must not lead to another host, nor out of the header */
    {"$path/", "//evil.com", "", NULL, "/evil.com/"},
    {"$path/", "////evil.com", "", NULL, "/evil.com/"},
    {"$path/", "/\\evil.com", "", NULL, "/%5Cevil.com/"},
    {"$path/", "/\t/evil.com", "", NULL, "/%09/evil.com/"},
    {"$path/", "/\r\nSet-Cookie: a=b", "", NULL, "/%0D%0ASet-Cookie:%20a=b/"},
    {"/$path/", "/evil.com", "", NULL, "/evil.com/"},
    {"/$rest", "/x//evil.com", "/evil.com", NULL, "/evil.com"},
    {"/$rest", "/x/\\evil.com", "\\evil.com", NULL, "/%5Cevil.com"},
    {"/$rest/evil.com", "/x", "", NULL, "/evil.com"},
    {"/$rest$path", "/evil.com", "", NULL, "/evil.com"},
    {"https://example.org$path", "/@evil.com", "", NULL, "https://example.org/@evil.com"},
    {"https://example.org$path", "//evil.com", "", NULL, "https://example.org/evil.com"},
    {"https://example.org$path", ".evil.com", "", NULL, "https://example.org/.evil.com"},
    {"https://example.org$query", "/", "", "@evil.com", "https://example.org?@evil.com"},
    {"https://example.org/$rest", "/", "/evil.com", NULL, "https://example.org//evil.com"},
};

START_TEST(an_answer_leads_where_it_is_told_to)
{
    void *state = start(ways[_i].to);

    ck_assert_pstr_eq(location_of(state, ways[_i].path, ways[_i].rest, ways[_i].query),
                      ways[_i].location);
    ck_assert_str_eq(answer.type, "");
    ck_assert_int_eq(answer.length, 0);
    handler_redirect.stop(state);
}
END_TEST

static const int statuses[] = {301, 302, 303, 307, 308};

START_TEST(the_status_is_the_one_that_is_chosen)
{
    const struct option *status = &handler_redirect.options[1];
    const struct option_value values[] = {{.text = "/new"}, {.number = _i}};
    const struct http_request request = {.method = "POST", .path = "/", .rest = ""};
    char error[256];
    void *state = NULL;

    ck_assert_int_eq(atoi(status->choices[_i]), statuses[_i]);
    ck_assert_int_eq(handler_redirect.start(values, &state, error, sizeof error), 0);
    ask(&handler_redirect, state, &request);
    ck_assert_int_eq(answer.status, statuses[_i]);
    handler_redirect.stop(state);
}
END_TEST

START_TEST(an_address_of_8000_bytes_is_given_and_a_longer_one_is_414)
{
    static char query[8001];
    void *state = start("$path/$query");

    memset(query, 'q', 7996);
    ck_assert_uint_eq(strlen(location_of(state, "/a", "", query)), 8000);
    query[7996] = 'q';
    ck_assert_ptr_null(location_of(state, "/a", "", query));
    ck_assert_int_eq(answer.status, 414);
    ck_assert_str_eq(answer.headers, "");
    memset(query, ' ', 2667);
    query[2667] = '\0';
    ck_assert_ptr_null(location_of(state, "/a", "", query));
    handler_redirect.stop(state);
}
END_TEST

#define FORM "write a path that begins with one slash, or http://HOST/... or https://HOST/..."
#define REST "$rest would become a part of the host; write a slash before it"
#define HOST "the host holds what no host can hold; write https://HOST/..."
#define NO_HOST "no host stands behind the ://; write https://HOST/..."
#define NO_PORT "no port stands behind the colon; write https://HOST:PORT/..."
#define PORT "a port is a number from 1 to 65535; write https://HOST:PORT/..."
#define LOOP                                                                                       \
    "it leads every request back to itself, for ever; write another path, or https://HOST$path"
#define USER "a name or a password before an @ is shown to everybody; write https://HOST/..."
#define SLASHES "two slashes would begin with a host; write one slash, or https://HOST/..."
#define BACKSLASH "a backslash, which browsers take for a slash; write / or %5C"
#define BYTE "it holds a byte that no URL can hold; write it as % and two hexadecimal digits"
#define ESCAPE "a % stands before two hexadecimal digits; write %25 for one of its own"
#define WORD "there are $path, $rest and $query, and no others; write %24 for a dollar"
#define QUERY "$query stands at the end, or before a #: what follows would become a part of it"
#define FRAGMENT "$query would become a part of the fragment; write it before the #"

static const struct {
    const char *to;
    const char *why;
} mistakes[] = {
    {"new", FORM},
    {"example.org", FORM},
    {"$rest", FORM},
    {"$query", FORM},
    {"?a", FORM},
    {"ftp://example.org/", FORM},
    {"javascript:alert(1)", FORM},
    {"https:/example.org", FORM},
    {"https:$path", FORM},
    {"HTTPS://example.org", FORM},
    {"//example.org", SLASHES},
    {"///example.org", SLASHES},
    {"//$rest", SLASHES},
    {"//$path", SLASHES},
    {"/\\example.org", BACKSLASH},
    {"\\\\example.org", BACKSLASH},
    {"https:\\\\example.org", BACKSLASH},

    {"https://example.org$rest", REST},
    {"https://example.org:80$rest", REST},
    {"https://$rest", NO_HOST},
    {"https://$path", NO_HOST},
    {"https://", NO_HOST},
    {"https:///a", NO_HOST},
    {"https://?a", NO_HOST},
    {"https://:80/", NO_HOST},
    {"https://[]/", NO_HOST},
    {"https://[::1/", NO_HOST},
    {"https://[$rest]/", NO_HOST},
    {"https://example.org:/", NO_PORT},
    {"https://example.org:$rest", NO_PORT},
    {"https://example.org:x/", NO_PORT},
    {"https://example.org:123456/", PORT},
    {"https://example.org:65536", PORT},
    {"https://example.org:99999$path", PORT},
    {"http://[::1]:0/", PORT},
    {"https://user@example.org/", USER},
    {"https://user:word@example.org/", USER},
    {"https://example%2Eorg/", HOST},
    {"https://example!org/", HOST},
    {"https://[::1]x/", HOST},
    {"https://example.org:80x/", HOST},

    {"/a b", BYTE},
    {"/a\tb", BYTE},
    {"/a\r\nSet-Cookie: b", BYTE},
    {"/\x7F", BYTE},
    {"/\xC3\xBC", BYTE},
    {"/\"", BYTE},
    {"/<", BYTE},
    {"/{path}", BYTE},
    {"/%", ESCAPE},
    {"/%4", ESCAPE},
    {"/%4x", ESCAPE},

    {"/$", WORD},
    {"/$/a", WORD},
    {"/$uri", WORD},
    {"/$Path", WORD},
    {"/$paths", WORD},
    {"/$pat", WORD},
    {"/$1", WORD},
    {"https://example.org$host", WORD},
    {"/$query/a", QUERY},
    {"/$query$query", QUERY},
    {"/$query&a=1", QUERY},
    {"/#a$query", FRAGMENT},

    {"$path", LOOP},
    {"$path$query", LOOP},
    {"$path?a=1", LOOP},
    {"$path#top", LOOP},
    {"/$path", LOOP},
    {"/$path$query#top", LOOP},
};

START_TEST(a_target_that_could_lead_elsewhere_is_refused_at_the_start)
{
    const struct option_value values[] = {{.text = mistakes[_i].to}, {.number = STATUS_302}};
    char error[256] = "";
    void *state = NULL;

    ck_assert_int_eq(handler_redirect.start(values, &state, error, sizeof error), -1);
    ck_assert_int_eq(strncmp(error, "to = ", 5), 0);
    ck_assert_uint_gt(strlen(error), strlen(mistakes[_i].why) + 2);
    ck_assert_str_eq(error + strlen(error) - strlen(mistakes[_i].why), mistakes[_i].why);
    ck_assert_ptr_null(strchr(error, '\n'));
}
END_TEST

/* A text of bytes that mean something in a URL, and of others. */
static const char *random_text(uint64_t *state, char text[40])
{
    static const char bytes[] = "//\\\\@@::??##&&%%..$\r\n\t ae";
    size_t length;

    *state = *state * 6364136223846793005U + 1442695040888963407U;
    length = (size_t)(*state >> 33) % 39;
    for (size_t i = 0; i < length; i++) {
        *state = *state * 6364136223846793005U + 1442695040888963407U;
        size_t pick = (size_t)(*state >> 33);
        text[i] = pick % 4 == 0 ? (char)(1 + pick / 4 % 255) : bytes[pick % (sizeof bytes - 1)];
    }
    text[length] = '\0';
    return text;
}

/* What a browser would do with it: whether it stays on the host that `to` names. */
static bool stays(const char *to, const char *location)
{
    static const char host[] = "https://example.org";
    const char *behind = location + sizeof host - 1;

    for (const char *byte = location; *byte != '\0'; byte++)
        if (*byte <= ' ' || *byte > '~' || *byte == '\\')
            return false;
    if (*to != 'h')
        return location[0] == '/' && location[1] != '/';
    return strncmp(location, host, sizeof host - 1) == 0 &&
           (*behind == '\0' || strchr("/?#", *behind));
}

static const char *const targets[] = {
    "$path/",          "$path/$query",   "/$rest",    "/$rest$path",
    "/$path/$query#a", "/$rest/$rest",   "/?a=$path", "https://example.org$path$query",
    "/$rest$query",    "/x$rest?$query", "/#$path",   "https://example.org$query",
};

START_TEST(whatever_is_asked_for_it_stays_on_its_host)
{
    void *state = start(targets[_i]);
    uint64_t numbers = 1;
    char path[40];
    char rest[40];
    char query[40];

    for (int i = 0; i < ROUNDS; i++) {
        random_text(&numbers, path);
        random_text(&numbers, rest);
        const char *location = location_of(state, path, rest, random_text(&numbers, query));
        if (location == NULL || !stays(targets[_i], location))
            ck_abort_msg("%s leads to %s", targets[_i], location == NULL ? "nowhere" : location);
    }
    handler_redirect.stop(state);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("redirect");
    TCase *tests = tcase_create("redirect");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, an_answer_leads_where_it_is_told_to, 0, COUNT(ways));
    tcase_add_loop_test(tests, the_status_is_the_one_that_is_chosen, 0, COUNT(statuses));
    tcase_add_test(tests, an_address_of_8000_bytes_is_given_and_a_longer_one_is_414);
    tcase_add_loop_test(tests, a_target_that_could_lead_elsewhere_is_refused_at_the_start, 0,
                        COUNT(mistakes));
    tcase_add_loop_test(tests, whatever_is_asked_for_it_stays_on_its_host, 0, COUNT(targets));
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
