#include "server/descriptor.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FLOOR = 64, HIGHEST = 512 };

static int open_null(void)
{
    int descriptor = open("/dev/null", O_RDONLY);
    ck_assert_int_ge(descriptor, 0);
    return descriptor;
}

static int is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

static int open_below(int bound)
{
    int count = 0;
    for (int number = 0; number < bound; number++)
        count += is_open(number);
    return count;
}

static int open_below_floor(void)
{
    return open_below(FLOOR);
}

static void allow(rlim_t descriptors)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = descriptors;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(the_floor_is_0_until_it_is_set)
{
    ck_assert_int_eq(descriptor_floor(), 0);
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    ck_assert_int_eq(descriptor_floor(), FLOOR);
}
END_TEST

START_TEST(setting_the_floor_leaves_no_descriptor_behind)
{
    int before = open_below(2 * HIGHEST);
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    ck_assert_int_eq(open_below(2 * HIGHEST), before);
}
END_TEST

START_TEST(a_table_larger_than_the_limit_is_an_error)
{
    allow(HIGHEST);
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST + 1), -1);
    ck_assert(errno == EINVAL || errno == EMFILE);
    ck_assert_int_eq(descriptor_floor(), 0);
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
}
END_TEST

START_TEST(the_limit_is_raised_as_far_as_it_goes)
{
    struct rlimit limit;
    allow(HIGHEST);
    size_t allowed = descriptor_raise_limit();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
    if (limit.rlim_max < 1 << 30)
        ck_assert_uint_eq(allowed, limit.rlim_max);
    ck_assert_uint_gt(allowed, HIGHEST);
}
END_TEST

START_TEST(a_kept_descriptor_is_above_the_floor_and_closed_on_exec)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    int pair[2];
    char byte = 0;
    ck_assert_int_eq(pipe(pair), 0);
    int kept = descriptor_keep(pair[1]);
    ck_assert_int_ge(kept, FLOOR);
    ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
    ck_assert(!is_open(pair[1]));
    ck_assert_int_eq(write(kept, "x", 1), 1);
    ck_assert_int_eq(read(pair[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
}
END_TEST

START_TEST(an_error_is_handed_through_with_its_errno)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    errno = ENFILE;
    ck_assert_int_eq(descriptor_keep(-1), -1);
    ck_assert_int_eq(errno, ENFILE);
}
END_TEST

START_TEST(a_descriptor_that_cannot_be_kept_is_closed)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    int low = open_null();
    allow(FLOOR);
    int kept = descriptor_keep(low);
    int error = errno;
    allow(HIGHEST);
    ck_assert_int_eq(kept, -1);
    ck_assert(error == EMFILE || error == EINVAL);
    ck_assert(!is_open(low));
}
END_TEST

START_TEST(while_the_low_numbers_are_filled_everything_lands_above_the_floor)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    ck_assert_int_eq(descriptor_fill(), 0);
    ck_assert_int_eq(open_below_floor(), FLOOR);
    int first = open_null();
    ck_assert_int_ge(first, FLOOR);
    descriptor_clear();
    int second = open_null();
    ck_assert_int_lt(second, FLOOR);
    ck_assert(is_open(first));
}
END_TEST

START_TEST(descriptors_that_were_open_before_survive_fill_and_clear)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    int scattered[] = {10, 11, 30, FLOOR - 1};
    int pair[2];
    ck_assert_int_eq(pipe(pair), 0);
    for (size_t i = 0; i < sizeof scattered / sizeof scattered[0]; i++)
        ck_assert_int_eq(dup2(pair[1], scattered[i]), scattered[i]);
    int before = open_below_floor();
    ck_assert_int_eq(descriptor_fill(), 0);
    descriptor_clear();
    ck_assert_int_eq(open_below_floor(), before);
    for (size_t i = 0; i < sizeof scattered / sizeof scattered[0]; i++) {
        char byte = 0;
        ck_assert_int_eq(write(scattered[i], "y", 1), 1);
        ck_assert_int_eq(read(pair[0], &byte, 1), 1);
        ck_assert_int_eq(byte, 'y');
    }
}
END_TEST

START_TEST(filling_that_fails_leaves_nothing_open)
{
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
    int before = open_below_floor();
    allow(FLOOR / 2);
    int result = descriptor_fill();
    int error = errno;
    allow(HIGHEST);
    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(error, EMFILE);
    ck_assert_int_eq(open_below_floor(), before);
    ck_assert_int_eq(descriptor_fill(), 0);
    ck_assert_int_eq(open_below_floor(), FLOOR);
    descriptor_clear();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptor");
    TCase *tests = tcase_create("descriptor");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, the_floor_is_0_until_it_is_set);
    tcase_add_test(tests, setting_the_floor_leaves_no_descriptor_behind);
    tcase_add_test(tests, a_table_larger_than_the_limit_is_an_error);
    tcase_add_test(tests, the_limit_is_raised_as_far_as_it_goes);
    tcase_add_test(tests, a_kept_descriptor_is_above_the_floor_and_closed_on_exec);
    tcase_add_test(tests, an_error_is_handed_through_with_its_errno);
    tcase_add_test(tests, a_descriptor_that_cannot_be_kept_is_closed);
    tcase_add_test(tests, while_the_low_numbers_are_filled_everything_lands_above_the_floor);
    tcase_add_test(tests, descriptors_that_were_open_before_survive_fill_and_clear);
    tcase_add_test(tests, filling_that_fails_leaves_nothing_open);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
