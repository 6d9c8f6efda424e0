#include "server/limits.h"

#include <check.h>
#include <stdlib.h>

#include "handlers/handler.h"
#include "tests/support/frame_reader.h"

static size_t group_of(const struct handler *handler)
{
    size_t group = 0;
    while (handlers[group] != handler)
        group++;
    return group;
}

/* Two routes: one whose sessions take nothing beside themselves, and one of the handler tcp, which
   lets in so many. */
static struct config make_config(struct config_route routes[2], int64_t bridges)
{
    routes[0] = (struct config_route){.group = group_of(&handler_echo), .connections = OPTION_AUTO};
    routes[1] = (struct config_route){.group = group_of(&handler_tcp), .connections = bridges};
    return (struct config){.routes = routes, .route_count = 2};
}

static const struct {
    int64_t bridges;
    size_t connections;
    size_t descriptors;
} costs[] = {
    {OPTION_AUTO, 0, 0}, {OPTION_AUTO, 1, 2}, {OPTION_AUTO, 1000, 2000}, {0, 1000, 1000},
    {1, 1000, 1001},     {100, 50, 100},      {100, 100, 200},           {100, 101, 201},
};

START_TEST(sessions_are_counted_where_they_take_the_most)
{
    struct config_route routes[2];
    struct config config = make_config(routes, costs[_i].bridges);
    ck_assert_uint_eq(limits_descriptors(&config, costs[_i].connections), costs[_i].descriptors);
}
END_TEST

START_TEST(so_many_are_let_in_as_there_are_descriptors_for_and_no_more)
{
    static const int64_t bridges[] = {OPTION_AUTO, 0, 1, 7, 100};
    struct config_route routes[2];
    struct config config = make_config(routes, bridges[_i]);
    for (size_t descriptors = 0; descriptors < 300; descriptors++) {
        size_t connections = limits_connections(&config, descriptors, 150);
        ck_assert_uint_le(limits_descriptors(&config, connections), descriptors);
        ck_assert_uint_le(connections, 150);
        if (connections < 150)
            ck_assert_uint_gt(limits_descriptors(&config, connections + 1), descriptors);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *tests = tcase_create("limits");
    tcase_add_loop_test(tests, sessions_are_counted_where_they_take_the_most, 0,
                        (int)(sizeof costs / sizeof costs[0]));
    tcase_add_loop_test(tests, so_many_are_let_in_as_there_are_descriptors_for_and_no_more, 0, 5);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
