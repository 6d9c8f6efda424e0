#include "server/precondition.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define TAG "\"65f-1b\""
#define WEAK_TAG "W/\"65f-1b\""
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

enum { NOW = 1795359600, RANDOM_ROUNDS = 50000, TEXT_SIZE = 40 };

static const struct validators ours = {.tag = TAG, .modified = 784111777};

static const struct {
    struct preconditions conditions;
    int status;
} rows[] = {
    {{0}, 200},

    {{.if_none_match = TAG}, 304},
    {{.if_none_match = "W/" TAG}, 304},
    {{.if_none_match = "*"}, 304},
    {{.if_none_match = " * "}, 304},
    {{.if_none_match = "\"other\""}, 200},
    {{.if_none_match = "\"a\", \"b\", " TAG}, 304},
    {{.if_none_match = "\"a\"," TAG ",\"b\""}, 304},
    {{.if_none_match = "\"a\" , W/" TAG " , \"b\""}, 304},
    {{.if_none_match = ",,\"a\",,\t" TAG}, 304},
    {{.if_none_match = "\"\", " TAG}, 304},
    {{.if_none_match = "\"with,comma\", " TAG}, 304},
    {{.if_none_match = "\"" TAG "\""}, 200},
    {{.if_none_match = ""}, 200},
    {{.if_none_match = ","}, 200},
    {{.if_none_match = "\""}, 200},
    {{.if_none_match = "65f-1b"}, 200},
    {{.if_none_match = "\"65f-1b"}, 200},
    {{.if_none_match = "65f-1b\""}, 200},
    {{.if_none_match = "'65f-1b'"}, 200},
    {{.if_none_match = "\"65f-1\""}, 200},
    {{.if_none_match = "\"65f-1bb\""}, 200},
    {{.if_none_match = "\"65F-1B\""}, 200},
    {{.if_none_match = "w/" TAG}, 200},
    {{.if_none_match = "W/ " TAG}, 200},
    {{.if_none_match = "W/"}, 200},
    {{.if_none_match = "W/*"}, 200},
    {{.if_none_match = "**"}, 200},
    {{.if_none_match = "*, " TAG}, 200},
    {{.if_none_match = "\"*\""}, 200},
    {{.if_none_match = "\"a\" " TAG}, 200},
    {{.if_none_match = "\"a\"" TAG}, 200},
    {{.if_none_match = "\"a\"; " TAG}, 200},
    {{.if_none_match = "broken, " TAG}, 200},
    {{.if_none_match = TAG ", broken"}, 304},

    {{.if_modified_since = THEN}, 304},
    {{.if_modified_since = AFTER}, 304},
    {{.if_modified_since = BEFORE}, 200},
    {{.if_modified_since = "Sunday, 06-Nov-94 08:49:37 GMT"}, 304},
    {{.if_modified_since = "Sun Nov  6 08:49:37 1994"}, 304},
    {{.if_modified_since = "Sun Nov  6 08:49:36 1994"}, 200},
    {{.if_modified_since = "Fri, 31 Dec 9999 23:59:59 GMT"}, 304},
    {{.if_modified_since = ""}, 200},
    {{.if_modified_since = "yesterday"}, 200},
    {{.if_modified_since = "784111777"}, 200},
    {{.if_modified_since = THEN ", " THEN}, 200},

    /* If-Modified-Since counts only without If-None-Match (13.1.3). */
    {{.if_none_match = "\"other\"", .if_modified_since = AFTER}, 200},
    {{.if_none_match = "", .if_modified_since = AFTER}, 200},
    {{.if_none_match = TAG, .if_modified_since = BEFORE}, 304},

    {{.if_match = TAG}, 200},
    {{.if_match = "*"}, 200},
    {{.if_match = "\"a\", " TAG}, 200},
    {{.if_match = "W/" TAG}, 412},
    {{.if_match = "W/" TAG ", " TAG}, 200},
    {{.if_match = "\"other\""}, 412},
    {{.if_match = ""}, 412},
    {{.if_match = "65f-1b"}, 412},

    {{.if_unmodified_since = THEN}, 200},
    {{.if_unmodified_since = AFTER}, 200},
    {{.if_unmodified_since = BEFORE}, 412},
    {{.if_unmodified_since = "Sun Nov  6 08:49:36 1994"}, 412},
    {{.if_unmodified_since = "never"}, 200},
    {{.if_unmodified_since = ""}, 200},

    /* If-Unmodified-Since counts only without If-Match (13.1.4). */
    {{.if_match = TAG, .if_unmodified_since = BEFORE}, 200},
    {{.if_match = "\"other\"", .if_unmodified_since = AFTER}, 412},

    /* What fails is said before what is known already (13.2.2). */
    {{.if_match = TAG, .if_none_match = TAG}, 304},
    {{.if_match = "\"other\"", .if_none_match = TAG}, 412},
    {{.if_unmodified_since = BEFORE, .if_none_match = TAG}, 412},
    {{.if_unmodified_since = BEFORE, .if_modified_since = AFTER}, 412},
    {{.if_unmodified_since = THEN, .if_modified_since = THEN}, 304},
    {{.if_match = "*", .if_none_match = "*"}, 304},
};

START_TEST(conditions_are_answered_in_the_order_of_the_standard)
{
    ck_assert_int_eq(precondition_check(&rows[_i].conditions, &ours, NOW), rows[_i].status);
}
END_TEST

static const struct {
    const char *if_range;
    bool counts;
} ranges[] = {
    {NULL, true},
    {TAG, true},
    {"W/" TAG, false},
    {"\"other\"", false},
    {TAG ", " TAG, false},
    {TAG " ", false},
    {"*", false},
    {"", false},
    {"65f-1b", false},
    {THEN, true},
    {BEFORE, false},
    {AFTER, false},
    {"Sunday, 06-Nov-94 08:49:37 GMT", true},
    {"Sun Nov  6 08:49:37 1994", true},
    {"yesterday", false},
};

START_TEST(a_range_counts_only_for_the_very_same_file)
{
    ck_assert_int_eq(precondition_range(ranges[_i].if_range, &ours, NOW), ranges[_i].counts);
}
END_TEST

/* A date says whole seconds: within its own, the file may have changed once more (8.8.2.2). */
START_TEST(a_date_names_the_very_same_file_only_when_its_second_has_passed)
{
    const int64_t then = ours.modified;
    ck_assert(!precondition_range(THEN, &ours, then - 1));
    ck_assert(!precondition_range(THEN, &ours, then));
    ck_assert(precondition_range(THEN, &ours, then + 1));
    ck_assert(precondition_range(TAG, &ours, then));
    const struct preconditions conditions = {.if_modified_since = THEN};
    ck_assert_int_eq(precondition_check(&conditions, &ours, then), 304); /* a weak one will do */
}
END_TEST

static const struct {
    struct preconditions conditions;
    int status;
} without[] = {
    {{0}, 200},
    {{.if_none_match = "*"}, 304},
    {{.if_none_match = TAG}, 200},
    {{.if_none_match = ""}, 200},
    {{.if_none_match = "\"\""}, 200},
    {{.if_match = "*"}, 200},
    {{.if_match = TAG}, 412},
    {{.if_match = ""}, 412},
    {{.if_modified_since = "Fri, 31 Dec 9999 23:59:59 GMT"}, 200},
    {{.if_modified_since = "Thu, 01 Jan 1970 00:00:00 GMT"}, 200},
    {{.if_unmodified_since = "Thu, 01 Jan 1970 00:00:00 GMT"}, 200},
    {{.if_none_match = TAG, .if_modified_since = AFTER}, 200},
};

/* Dates are then no conditions (13.1.3, 13.1.4), and no tag is ours; a star asks for any file. */
START_TEST(without_validators_only_a_star_is_a_condition_and_no_if_range_holds)
{
    static const struct validators none = {0};
    static const char *const texts[] = {TAG, "\"\"", "", "*", "Thu, 01 Jan 1970 00:00:00 GMT"};
    for (size_t i = 0; i < COUNT(without); i++)
        ck_assert_int_eq(precondition_check(&without[i].conditions, &none, NOW), without[i].status);
    for (size_t i = 0; i < COUNT(texts); i++)
        ck_assert(!precondition_range(texts[i], &none, NOW));
    ck_assert(precondition_range(NULL, &none, NOW));
}
END_TEST

/* Random lists, most of them broken, against the plainest way to say when there is a match. */
START_TEST(only_a_list_that_has_our_tag_or_a_star_matches)
{
    static const char *const pieces[] = {TAG,    WEAK_TAG, "\"a\"", "*",    ",",
                                         ", ",   " ",      "\"",    "W/",   "65f-1b",
                                         "\xff", "\t",     "\\",    "\"\"", "\"b,c\""};
    uint64_t state = 1;
    size_t matches = 0;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[128] = "";
        size_t length = 0;
        for (size_t i = random_below(&state, 7); i > 0; i--)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s",
                                       pieces[random_below(&state, COUNT(pieces))]);
        const struct preconditions conditions = {.if_none_match = text};
        if (precondition_check(&conditions, &ours, NOW) == 200)
            continue;
        matches++;
        ck_assert(strstr(text, TAG) != NULL || strchr(text, '*') != NULL);
    }
    ck_assert_uint_gt(matches, RANDOM_ROUNDS / 100);
    ck_assert_uint_lt(matches, RANDOM_ROUNDS / 2);
}
END_TEST

START_TEST(random_bytes_in_every_header_give_one_of_the_three_answers)
{
    uint64_t state = 2;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[4][TEXT_SIZE];
        for (size_t i = 0; i < COUNT(text); i++) {
            size_t length = random_below(&state, TEXT_SIZE);
            for (size_t j = 0; j < length; j++)
                text[i][j] =
                    (char)(random_below(&state, 4) == 0 ? (size_t)TAG[random_below(&state, 8)]
                                                        : 1 + random_below(&state, 255));
            text[i][length] = '\0';
        }
        const struct preconditions conditions = {random_below(&state, 2) ? text[0] : NULL,
                                                 random_below(&state, 2) ? text[1] : NULL,
                                                 random_below(&state, 2) ? text[2] : NULL, text[3]};
        int status = precondition_check(&conditions, &ours, NOW);
        ck_assert(status == 200 || status == 304 || status == 412);
        ck_assert_int_eq(precondition_range(text[3], &ours, NOW), strcmp(text[3], TAG) == 0);
    }
}
END_TEST

START_TEST(a_very_long_list_is_read_to_its_end)
{
    size_t size = 400000;
    char *text = malloc(size + sizeof TAG);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < size; i += 4)
        memcpy(text + i, "\"\", ", 4);
    memcpy(text + size, TAG, sizeof TAG);
    const struct preconditions conditions = {.if_none_match = text};
    ck_assert_int_eq(precondition_check(&conditions, &ours, NOW), 304);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("precondition");
    TCase *tests = tcase_create("precondition");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, conditions_are_answered_in_the_order_of_the_standard, 0,
                        COUNT(rows));
    tcase_add_loop_test(tests, a_range_counts_only_for_the_very_same_file, 0, COUNT(ranges));
    tcase_add_test(tests, a_date_names_the_very_same_file_only_when_its_second_has_passed);
    tcase_add_test(tests, without_validators_only_a_star_is_a_condition_and_no_if_range_holds);
    tcase_add_test(tests, only_a_list_that_has_our_tag_or_a_star_matches);
    tcase_add_test(tests, random_bytes_in_every_header_give_one_of_the_three_answers);
    tcase_add_test(tests, a_very_long_list_is_read_to_its_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
