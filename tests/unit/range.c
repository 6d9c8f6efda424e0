#include "server/range.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RANDOM_ROUNDS = 50000, TEXT_SIZE = 24, DIGITS_AND_HYPHENS = 13 };

static const struct {
    const char *text;
    int64_t size;
    int64_t first;
    int64_t length;
} parts[] = {
    {"bytes=0-0", 10, 0, 1},
    {"bytes=0-9", 10, 0, 10},
    {"bytes=0-", 10, 0, 10},
    {"bytes=9-", 10, 9, 1},
    {"bytes=9-9", 10, 9, 1},
    {"bytes=3-5", 10, 3, 3},
    {"bytes=3-99", 10, 3, 7},
    {"bytes=-1", 10, 9, 1},
    {"bytes=-10", 10, 0, 10},
    {"bytes=-11", 10, 0, 10},
    {"bytes=-99999999999999999999999999", 10, 0, 10},
    {"bytes=0-99999999999999999999999999", 10, 0, 10},
    {"bytes=0000000000000000000000000000003-0000000000000000000000000000004", 10, 3, 2},
    {"Bytes=1-2", 10, 1, 2},
    {"BYTES=1-2", 10, 1, 2},
    {"bytes=0-0", 1, 0, 1},
    {"bytes=9223372036854775806-", INT64_MAX, INT64_MAX - 1, 1},
    {"bytes=-9223372036854775807", INT64_MAX, 0, INT64_MAX},
    {"bytes=0-9223372036854775807", INT64_MAX, 0, INT64_MAX},
};

START_TEST(one_range_is_a_part_that_lies_inside)
{
    struct range range;
    ck_assert_int_eq(range_parse(parts[_i].text, parts[_i].size, &range), RANGE_PART);
    ck_assert_int_eq(range.first, parts[_i].first);
    ck_assert_int_eq(range.length, parts[_i].length);
}
END_TEST

static const struct {
    const char *text;
    int64_t size;
} behind[] = {
    {"bytes=10-", 10},
    {"bytes=10-10", 10},
    {"bytes=10-12", 10},
    {"bytes=1-", 1},
    {"bytes=-0", 10},
    {"bytes=-00", 10},
    {"bytes=9223372036854775807-", 10},
    {"bytes=9223372036854775807-", INT64_MAX},
    {"bytes=9223372036854775808-", INT64_MAX},
    {"bytes=18446744073709551616-", 10}, /* 2^64: must not come round to 0 */
    {"bytes=18446744073709551617-18446744073709551618", 10},
    {"bytes=99999999999999999999999999999999999999999-", 10},
};

START_TEST(a_range_behind_the_end_cannot_be_satisfied)
{
    struct range range;
    ck_assert_int_eq(range_parse(behind[_i].text, behind[_i].size, &range), RANGE_UNSATISFIABLE);
}
END_TEST

static const char *const ignored[] = {
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=--",
    "bytes=--1",
    "bytes=1",
    "bytes=a-b",
    "bytes=0-b",
    "bytes=a-9",
    "bytes=0x0-0x9",
    "bytes=+0-9",
    "bytes=0-+9",
    "bytes=0--9",
    "bytes=5-3",
    "bytes=99999999999999999999-0",
    "bytes=0-1,3-4",
    "bytes=0-1,",
    "bytes=,0-1",
    "bytes=0-1, 3-4",
    "bytes=0-0,-1",
    "bytes=0-1;3-4",
    "bytes=0-1-2",
    "bytes=0-1x",
    "bytes=0-1 x",
    "bytes=0 -1",
    "bytes=0- 1",
    "bytes= 0-1",
    "bytes =0-1",
    " bytes=0-1",
    "bytes:0-1",
    "bytes 0-1",
    "bytes 0-1/10",
    "bytes==0-1",
    "byte=0-1",
    "bytess=0-1",
    "items=0-1",
    "none",
    "=0-1",
    "0-1",
    "-1",
    "*",
    "bytes=*",
    "bytes=0-*",
    "bytes=1.5-3",
    "bytes=1e2-",
    "bytes=\xd9\xa1-",
    "bytes=\xff-",
    "bytes=0-\x01",
    "bytes=0\t-1",
    "bytes=\"0-1\"",
    "bytes=(0-1)",
    "bytes=%30-1",
};

START_TEST(what_is_not_one_range_of_bytes_is_ignored)
{
    struct range range;
    ck_assert_int_eq(range_parse(ignored[_i], 10, &range), RANGE_ALL);
}
END_TEST

START_TEST(without_a_header_everything_is_sent)
{
    struct range range;
    ck_assert_int_eq(range_parse(NULL, 10, &range), RANGE_ALL);
}
END_TEST

START_TEST(of_an_empty_file_no_part_can_be_named)
{
    struct range range;
    ck_assert_int_eq(range_parse("bytes=0-", 0, &range), RANGE_ALL);
    ck_assert_int_eq(range_parse("bytes=-5", 0, &range), RANGE_ALL);
    ck_assert_int_eq(range_parse("bytes=7-9", 0, &range), RANGE_ALL);
}
END_TEST

START_TEST(whatever_is_asked_a_part_is_never_empty_and_never_outside)
{
    static const char letters[] = "0123456789---==,, bytes";
    uint64_t state = 1;
    size_t counts[3] = {0};
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[TEXT_SIZE] = "bytes=";
        size_t length = random_below(&state, 4) == 0 ? 0 : strlen(text);
        size_t more = random_below(&state, TEXT_SIZE - 7);
        for (size_t i = 0; i < more; i++)
            text[length++] = letters[random_below(
                &state, random_below(&state, 3) == 0 ? strlen(letters) : DIGITS_AND_HYPHENS)];
        text[length] = '\0';
        int64_t size =
            (int64_t)random_below(&state, random_below(&state, 3) == 0 ? INT32_MAX : 100);
        struct range range = {-1, -1};
        enum range_kind kind = range_parse(text, size, &range);
        counts[kind]++;
        if (kind != RANGE_PART)
            continue;
        ck_assert_int_ge(range.first, 0);
        ck_assert_int_ge(range.length, 1);
        ck_assert_int_le(range.length, size - range.first);
    }
    for (size_t i = 0; i < COUNT(counts); i++)
        ck_assert_uint_gt(counts[i], RANDOM_ROUNDS / 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("range");
    TCase *tests = tcase_create("range");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, one_range_is_a_part_that_lies_inside, 0, COUNT(parts));
    tcase_add_loop_test(tests, a_range_behind_the_end_cannot_be_satisfied, 0, COUNT(behind));
    tcase_add_loop_test(tests, what_is_not_one_range_of_bytes_is_ignored, 0, COUNT(ignored));
    tcase_add_test(tests, without_a_header_everything_is_sent);
    tcase_add_test(tests, of_an_empty_file_no_part_can_be_named);
    tcase_add_test(tests, whatever_is_asked_a_part_is_never_empty_and_never_outside);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
