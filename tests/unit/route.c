#include "server/route.h"

#include <check.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct route routes[] = {
    {.name = "/chat/*", .path = "/chat", .prefix = true},
    {.name = "/chat/room", .path = "/chat/room"},
    {.name = "/chat/room/*", .path = "/chat/room", .prefix = true},
    {.name = "/echo", .path = "/echo"},
    {.name = "/", .path = "/"},
    {.name = "/files/*", .path = "/files", .prefix = true},
    {.name = "/files", .path = "/files"},
    {.name = "/deep/down/*", .path = "/deep/down", .prefix = true},
    {.name = "/deep/*", .path = "/deep", .prefix = true},
};

static const struct {
    const char *path;
    const char *name; /* of the route; NULL: none */
    const char *rest;
} rows[] = {
    {"/", "/", ""},
    {"/echo", "/echo", ""},
    {"/echo/", NULL, NULL},
    {"/ech", NULL, NULL},
    {"/echoes", NULL, NULL},
    {"/Echo", NULL, NULL},
    {"/chat", "/chat/*", ""},
    {"/chat/", "/chat/*", ""},
    {"/chat/hall", "/chat/*", "hall"},
    {"/chat/hall/left", "/chat/*", "hall/left"},
    {"/chat//hall", "/chat/*", "/hall"},
    {"/chatter", NULL, NULL},
    {"/chat/room", "/chat/room", ""},
    {"/chat/room/", "/chat/room/*", ""},
    {"/chat/room/1", "/chat/room/*", "1"},
    {"/chat/rooms", "/chat/*", "rooms"},
    {"/files", "/files", ""},
    {"/files/a b.txt", "/files/*", "a b.txt"},
    {"/deep/down/x", "/deep/down/*", "x"},
    {"/deep/up/x", "/deep/*", "up/x"},
    {"/nothing", NULL, NULL},
};

START_TEST(the_longest_route_that_matches_a_path_answers)
{
    const char *rest = NULL;
    const struct route *route = route_match(routes, COUNT(routes), rows[_i].path, &rest);
    ck_assert_pstr_eq(route == NULL ? NULL : route->name, rows[_i].name);
    if (route != NULL)
        ck_assert_str_eq(rest, rows[_i].rest);
}
END_TEST

START_TEST(the_order_of_the_routes_does_not_matter)
{
    struct route turned[COUNT(routes)];
    const char *rest = NULL;
    for (size_t i = 0; i < COUNT(routes); i++)
        turned[i] = routes[COUNT(routes) - 1 - i];
    const struct route *route = route_match(turned, COUNT(turned), rows[_i].path, &rest);
    ck_assert_pstr_eq(route == NULL ? NULL : route->name, rows[_i].name);
    if (route != NULL)
        ck_assert_str_eq(rest, rows[_i].rest);
}
END_TEST

START_TEST(a_star_on_the_root_takes_what_no_other_route_takes)
{
    static const struct route table[] = {
        {.name = "/*", .path = "", .prefix = true},
        {.name = "/a/*", .path = "/a", .prefix = true},
        {.name = "/b", .path = "/b"},
    };
    static const struct {
        const char *path;
        const char *name;
        const char *rest;
    } paths[] = {
        {"/", "/*", ""},       {"/x/y", "/*", "x/y"}, {"/ab", "/*", "ab"},
        {"/a/c", "/a/*", "c"}, {"/b", "/b", ""},      {"/b/c", "/*", "b/c"},
    };
    for (size_t i = 0; i < COUNT(paths); i++) {
        const char *rest = NULL;
        const struct route *route = route_match(table, COUNT(table), paths[i].path, &rest);
        ck_assert_ptr_nonnull(route);
        ck_assert_str_eq(route->name, paths[i].name);
        ck_assert_str_eq(rest, paths[i].rest);
    }
}
END_TEST

START_TEST(without_routes_nothing_matches)
{
    const char *rest = NULL;
    ck_assert_ptr_null(route_match(NULL, 0, "/", &rest));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("route");
    TCase *tests = tcase_create("route");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, the_longest_route_that_matches_a_path_answers, 0, COUNT(rows));
    tcase_add_loop_test(tests, the_order_of_the_routes_does_not_matter, 0, COUNT(rows));
    tcase_add_test(tests, a_star_on_the_root_takes_what_no_other_route_takes);
    tcase_add_test(tests, without_routes_nothing_matches);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
