#include "server/coding.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { RANDOM_ROUNDS = 50000, TEXT_SIZE = 32 };

static const struct {
    const char *header;
    bool gzip;
} rows[] = {
    {NULL, false},
    {"", false},
    {" ", false},
    {",", false},
    {"gzip", true},
    {"GZip", true},
    {"x-gzip", true},
    {" gzip ", true},
    {"\tgzip\t", true},
    {"gzip, deflate, br", true},
    {"gzip, deflate, br, zstd", true},
    {"deflate,gzip", true},
    {"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
    {"deflate, br", false},
    {"gzipx", false},
    {"gzi", false},
    {"xgzip", false},
    {"x-x-gzip", false},
    {"not gzip", false},
    {"gzip deflate", false},
    {"gzip;q=1", true},
    {"gzip;q=1.000", true},
    {"gzip;q=0.001", true},
    {"gzip;q=0.", false},
    {"gzip;q=1.", true},
    {"gzip; q=0.5", true},
    {"gzip ;q=0.5", true},
    {"gzip ; q=0.5 ", true},
    {"gzip;Q=0.5", true},
    {"gzip;q=0", false},
    {"gzip;q=0.0", false},
    {"gzip;q=0.00", false},
    {"gzip;q=0.000", false},
    {"GZIP;Q=0", false},
    {"deflate, gzip;q=0", false},
    {"gzip;q=0, *", false},
    {"*", true},
    {"*;q=0", false},
    {"*;q=0.5", true},
    {"identity", false},
    {"identity, gzip", true},
    {"identity;q=1, gzip;q=0.5", false},
    {"identity;q=0.5, gzip;q=1", true},
    {"identity;q=0.5, gzip;q=0.5", true},
    {"identity;q=0, gzip;q=0.1", true},
    {"identity;q=0", false},
    {"identity;q=0.5, *;q=0.2", false},
    {"gzip;q=0.5, *;q=1", false},
    {"gzip, *;q=0", true},
    {"*;q=0, gzip", true},
    {"gzip;q", false},
    {"gzip;q=", false},
    {"gzip;q=x", false},
    {"gzip;q=-1", false},
    {"gzip;q=2", false},
    {"gzip;q=1.001", false},
    {"gzip;q=1.1", false},
    {"gzip;q=0.5555", false},
    {"gzip;q=00.5", false},
    {"gzip;q=.5", false},
    {"gzip;q= 0.5", false},
    {"gzip;q=0,5", false},
    {"gzip;q=1;q=0", false},
    {"gzip;level=9", false},
    {"gzip;", false},
    {"gzip;;q=1", false},
    {"gzip=1", false},
    {",,,gzip,,,", true},
    {";q=1", false},
    {"gzip\x01", false},
    {"\"gzip\"", false},
};

START_TEST(gzip_is_sent_only_to_those_who_want_it)
{
    ck_assert_int_eq(coding_wants_gzip(rows[_i].header), rows[_i].gzip);
}
END_TEST

START_TEST(a_header_without_gzip_or_a_star_is_never_a_wish_for_it)
{
    static const char letters[] = "gzip*q=01.5;, \t,deflate\x80";
    uint64_t state = 1;
    size_t wanted = 0;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        char text[TEXT_SIZE];
        size_t length = random_below(&state, sizeof text - 1);
        for (size_t i = 0; i < length; i++)
            text[i] = letters[random_below(&state, strlen(letters))];
        text[length] = '\0';
        bool wants = coding_wants_gzip(text);
        wanted += wants ? 1 : 0;
        if (strstr(text, "gzip") == NULL && strchr(text, '*') == NULL)
            ck_assert_int_eq(wants, false);
    }
    ck_assert_uint_gt(wanted, RANDOM_ROUNDS / 1000);
}
END_TEST

START_TEST(a_very_long_header_is_read_to_its_end)
{
    size_t size = 200000;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    memset(text, ',', size);
    memcpy(text + size - 5, "gzip", 5);
    ck_assert_int_eq(coding_wants_gzip(text), true);
    memset(text, 'a', size - 1);
    ck_assert_int_eq(coding_wants_gzip(text), false);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("coding");
    TCase *tests = tcase_create("coding");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, gzip_is_sent_only_to_those_who_want_it, 0, COUNT(rows));
    tcase_add_test(tests, a_header_without_gzip_or_a_star_is_never_a_wish_for_it);
    tcase_add_test(tests, a_very_long_header_is_read_to_its_end);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
