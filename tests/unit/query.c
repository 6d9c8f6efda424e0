#include "server/query.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void expect(const char *query, const char *name, const char *expected)
{
    size_t length = 99;
    const char *value = query_find(query, name, &length);
    if (expected == NULL) {
        ck_assert_msg(value == NULL, "%s has no %s", query, name);
        return;
    }
    ck_assert_msg(value != NULL, "%s has %s", query, name);
    ck_assert_uint_eq(length, strlen(expected));
    ck_assert_mem_eq(value, expected, length);
}

START_TEST(a_parameter_is_found_by_its_whole_name_wherever_it_stands)
{
    expect("since=5", "since", "5");
    expect("a=1&since=5", "since", "5");
    expect("since=5&a=1", "since", "5");
    expect("a&&since=5&", "since", "5");
    expect("sinces=4&insince=3&since=5", "since", "5");
    expect("Since=4", "since", NULL);
    expect("a=since=4", "since", NULL);
    expect("a=1", "since", NULL);
    expect("", "since", NULL);
    expect(NULL, "since", NULL);
}
END_TEST

START_TEST(the_first_of_two_parameters_counts)
{
    expect("since=1&since=2", "since", "1");
    expect("since&since=2", "since", "");
}
END_TEST

START_TEST(a_parameter_may_have_no_value_and_its_value_may_hold_equals_signs)
{
    expect("since", "since", "");
    expect("since=", "since", "");
    expect("since&a=1", "since", "");
    expect("since=a=b", "since", "a=b");
}
END_TEST

START_TEST(a_number_is_read_and_anything_else_is_zero)
{
    static const struct {
        const char *query;
        uint64_t number;
    } cases[] = {
        {"since=0", 0},
        {"since=7", 7},
        {"since=0007", 7},
        {"since=1795000000000000", 1795000000000000},
        {"since=18446744073709551615", UINT64_MAX},
        {"since=18446744073709551616", 0},
        {"since=18446744073709551620", 0},
        {"since=99999999999999999999999999", 0},
        {"since=", 0},
        {"since", 0},
        {"since=-1", 0},
        {"since=+1", 0},
        {"since= 1", 0},
        {"since=1 ", 0},
        {"since=1.5", 0},
        {"since=1e3", 0},
        {"since=%31", 0},
        {"since=0x10", 0},
        {"since=\xc3\xa9", 0},
        {"since=5&since=6", 5},
    };
    uint64_t number;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        number = 99;
        ck_assert_msg(query_number(cases[i].query, "since", &number), "%s", cases[i].query);
        ck_assert_msg(number == cases[i].number, "%s", cases[i].query);
    }
    ck_assert(!query_number("a=1", "since", &number));
    ck_assert(!query_number(NULL, "since", &number));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("query");
    TCase *tests = tcase_create("query");
    tcase_add_test(tests, a_parameter_is_found_by_its_whole_name_wherever_it_stands);
    tcase_add_test(tests, the_first_of_two_parameters_counts);
    tcase_add_test(tests, a_parameter_may_have_no_value_and_its_value_may_hold_equals_signs);
    tcase_add_test(tests, a_number_is_read_and_anything_else_is_zero);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
