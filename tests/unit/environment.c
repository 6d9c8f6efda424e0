/* The variables of a program: what of a request becomes which, and what is kept from it. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/environment.h"
#include "server/handshake.h"
#include "server/words.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static char *const none[] = {NULL};

static struct http_request request_for(const char *path, const char *rest, bool exact)
{
    return (struct http_request){.method = "GET",
                                 .raw_path = path,
                                 .path = path,
                                 .rest = rest,
                                 .exact = exact,
                                 .remote_address = "192.0.2.1",
                                 .remote_port = 5000,
                                 .local_port = 8080};
}

/* The value of a variable, which is there once; NULL: it is not there. */
static const char *value(char *const *variables, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; variables[i] != NULL; i++) {
        if (strncmp(variables[i], name, length) != 0 || variables[i][length] != '=')
            continue;
        ck_assert_msg(found == NULL, "%s is there twice", name);
        found = variables[i] + length + 1;
    }
    return found;
}

static void is(char *const *variables, const char *name, const char *expected)
{
    const char *got = value(variables, name);
    ck_assert_msg(got != NULL && strcmp(got, expected) == 0, "%s is %s, not %s", name,
                  got == NULL ? "not there" : got, expected);
}

static const struct {
    const char *path;
    const char *rest;
    bool exact;
    const char *script;
    const char *info;
} paths[] = {
    {"/run", "", true, "/run", ""},
    {"/", "", true, "/", ""},
    {"/run/", "", true, "/run/", ""},
    {"/run", "", false, "/run", ""},
    {"/run/", "", false, "/run", "/"},
    {"/run/a", "a", false, "/run", "/a"},
    {"/run/a/b/", "a/b/", false, "/run", "/a/b/"},
    {"/", "", false, "", "/"},
    {"/a/b", "a/b", false, "", "/a/b"},
};

START_TEST(the_path_is_divided_where_the_star_stands)
{
    struct http_request request = request_for(paths[_i].path, paths[_i].rest, paths[_i].exact);
    char **variables = environment_make(&request, none);
    ck_assert_ptr_nonnull(variables);
    is(variables, "SCRIPT_NAME", paths[_i].script);
    is(variables, "PATH_INFO", paths[_i].info);
    is(variables, "REQUEST_URI", paths[_i].path);
    is(variables, "QUERY_STRING", "");
    free(variables);
}
END_TEST

static const struct {
    const char *host;
    const char *name;
} hosts[] = {
    {"example.org", "example.org"},
    {"example.org:8080", "example.org"},
    {"[::1]:80", "[::1]"},
    {"[::1]", "[::1]"},
    {"::1", "::1"},
    {"", ""},
};

START_TEST(the_server_s_name_is_the_host_without_its_port)
{
    const struct header headers[] = {{"host", hosts[_i].host}};
    struct http_request request = request_for("/", "", true);
    request.headers = headers;
    request.header_count = 1;
    char **variables = environment_make(&request, none);
    is(variables, "SERVER_NAME", hosts[_i].name);
    is(variables, "SERVER_PORT", "8080");
    free(variables);
}
END_TEST

START_TEST(headers_become_variables_but_for_those_that_would_mislead)
{
    static const struct header headers[] = {
        {"User-Agent", "test"},      {"X-a", "1"},          {"Proxy", "evil"},
        {"PROXY", "evil"},           {"x-A", "2"},          {"Authorization", "secret"},
        {"Content-Length", "5"},     {"content-type", "x"}, {"X_Real_Ip", "liar"},
        {"Cookie", "a=1"},           {"cookie", "b=2"},     {"X.Y", "dot"},
        {"Proxy-Authorization", ""}, {"X-A", ""},           {"", "nameless"},
    };
    struct http_request request = request_for("/", "", true);
    request.headers = headers;
    request.header_count = COUNT(headers);
    request.query = "a=b";
    char **variables = environment_make(&request, none);
    is(variables, "HTTP_USER_AGENT", "test");
    is(variables, "HTTP_X_A", "1, 2, ");
    is(variables, "HTTP_COOKIE", "a=1; b=2");
    is(variables, "QUERY_STRING", "a=b");
    is(variables, "REQUEST_URI", "/?a=b");
    is(variables, "REMOTE_ADDR", "192.0.2.1");
    is(variables, "REMOTE_PORT", "5000");
    size_t told = 0;
    for (size_t i = 0; variables[i] != NULL; i++)
        told += strncmp(variables[i], "HTTP_", 5) == 0;
    ck_assert_uint_eq(told, 3);
    free(variables);
}
END_TEST

START_TEST(additions_take_the_place_of_others)
{
    char why[128];
    char **additions =
        words_split("PATH=/bin HTTP_X_A=mine NEW= QUERY_STRING=none", why, sizeof why);
    static const struct header headers[] = {{"X-A", "theirs"}};
    struct http_request request = request_for("/", "", true);
    request.headers = headers;
    request.header_count = COUNT(headers);
    char **variables = environment_make(&request, additions);
    is(variables, "PATH", "/bin");
    is(variables, "HTTP_X_A", "mine");
    is(variables, "NEW", "");
    is(variables, "QUERY_STRING", "none");
    free(variables);
    free(additions);
}
END_TEST

START_TEST(a_bare_name_is_the_server_s_own_variable)
{
    char why[128];
    char **words =
        words_split("LASTCALL_TEST_A B='two words' LASTCALL_TEST_ABSENT C=x=y", why, sizeof why);
    setenv("LASTCALL_TEST_A", "one", 1);
    char **additions = environment_additions(words, why, sizeof why);
    free(words);
    ck_assert_ptr_nonnull(additions);
    is(additions, "LASTCALL_TEST_A", "one");
    is(additions, "B", "two words");
    is(additions, "C", "x=y");
    ck_assert_ptr_null(additions[3]);
    free(additions);
}
END_TEST

static const struct {
    const char *text;
    const char *why;
} mistakes[] = {
    {"=x", "NAME=value"}, {"1A=x", "NAME=value"},          {"A-B=x", "NAME=value"},
    {"''", "NAME=value"}, {"A=1 A=2", "A is there twice"}, {"A=1 A", "A is there twice"},
};

START_TEST(a_word_that_is_no_variable_is_a_mistake)
{
    char why[256];
    char **words = words_split(mistakes[_i].text, why, sizeof why);
    ck_assert_ptr_nonnull(words);
    ck_assert_ptr_null(environment_additions(words, why, sizeof why));
    ck_assert_msg(strstr(why, mistakes[_i].why) != NULL, "%s", why);
    free(words);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("environment");
    TCase *tests = tcase_create("environment");
    tcase_add_loop_test(tests, the_path_is_divided_where_the_star_stands, 0, COUNT(paths));
    tcase_add_loop_test(tests, the_server_s_name_is_the_host_without_its_port, 0, COUNT(hosts));
    tcase_add_test(tests, headers_become_variables_but_for_those_that_would_mislead);
    tcase_add_test(tests, additions_take_the_place_of_others);
    tcase_add_test(tests, a_bare_name_is_the_server_s_own_variable);
    tcase_add_loop_test(tests, a_word_that_is_no_variable_is_a_mistake, 0, COUNT(mistakes));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
