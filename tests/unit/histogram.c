#include "server/histogram.h"

#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Too large for the stack of a test to have several, and zeroed for each: tests are processes. */
static struct histogram first;
static struct histogram second;

/* Check's own assertions write to a file each time, also when they hold: too slow for a loop. */
static void must_be_near(int64_t found, int64_t exact)
{
    int64_t off = found > exact ? found - exact : exact - found;
    if (off * 100 > exact * 2)
        ck_abort_msg("%lld was to be %lld", (long long)found, (long long)exact);
}

static void must_be_equal(const struct histogram *one, const struct histogram *other)
{
    ck_assert_int_eq(histogram_min(one), histogram_min(other));
    ck_assert_int_eq(histogram_max(one), histogram_max(other));
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (one->buckets[i] != other->buckets[i])
            ck_abort_msg("bucket %zu differs", i);
}

/* Numbers without end, the same in every run (an LCG; its high bits). */
static uint64_t next_number(uint64_t *state)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 20;
}

START_TEST(an_empty_one_holds_nothing)
{
    ck_assert_uint_eq(histogram_count(&first), 0);
    ck_assert_int_eq(histogram_min(&first), 0);
    ck_assert_int_eq(histogram_max(&first), 0);
    ck_assert_int_eq(histogram_percentile(&first, 0), 0);
    ck_assert_int_eq(histogram_percentile(&first, 0.5), 0);
    ck_assert_int_eq(histogram_percentile(&first, 1), 0);
}
END_TEST

START_TEST(it_fits_into_4_kilobytes)
{
    ck_assert_uint_le(sizeof(struct histogram), 4096);
}
END_TEST

static const struct {
    int64_t added;
    int64_t kept;
} extremes[] = {
    {0, 0},
    {1, 1},
    {-1, 0},
    {INT64_MIN, 0},
    {61, 61},
    {62, 62},
    {1000003, 1000003},
    {HISTOGRAM_MOST - 1, HISTOGRAM_MOST - 1},
    {HISTOGRAM_MOST, HISTOGRAM_MOST},
    {HISTOGRAM_MOST + 1, HISTOGRAM_MOST},
    {INT64_MAX, HISTOGRAM_MOST},
};

START_TEST(a_single_duration_comes_out_as_it_went_in_within_0_and_24_hours)
{
    histogram_add(&first, extremes[_i].added);
    ck_assert_uint_eq(histogram_count(&first), 1);
    ck_assert_int_eq(histogram_min(&first), extremes[_i].kept);
    ck_assert_int_eq(histogram_max(&first), extremes[_i].kept);
    ck_assert_int_eq(histogram_percentile(&first, 0), extremes[_i].kept);
    ck_assert_int_eq(histogram_percentile(&first, 0.5), extremes[_i].kept);
    ck_assert_int_eq(histogram_percentile(&first, 1), extremes[_i].kept);
}
END_TEST

/* The one in the middle of three is told by its bucket, since only the ends are kept exactly. */
static int64_t bucket_says(int64_t microseconds)
{
    static struct histogram histogram;
    memset(&histogram, 0, sizeof histogram);
    histogram_add(&histogram, 0);
    histogram_add(&histogram, microseconds);
    histogram_add(&histogram, HISTOGRAM_MOST);
    return histogram_percentile(&histogram, 0.5);
}

START_TEST(a_duration_anywhere_between_is_at_most_2_percent_off)
{
    for (int64_t exact = 0; exact <= 5000; exact++)
        must_be_near(bucket_says(exact), exact);
    for (int64_t power = 4096; power <= HISTOGRAM_MOST; power *= 2) {
        for (int64_t part = 0; part < 160; part++) {
            int64_t exact = power + power / 160 * part;
            if (exact + 1 > HISTOGRAM_MOST)
                break;
            must_be_near(bucket_says(exact - 1), exact - 1);
            must_be_near(bucket_says(exact), exact);
            must_be_near(bucket_says(exact + 1), exact + 1);
        }
    }
}
END_TEST

START_TEST(the_shortest_durations_are_exact)
{
    for (int64_t exact = 0; exact < 2L * HISTOGRAM_FINE; exact++)
        ck_assert_int_eq(bucket_says(exact), exact);
}
END_TEST

START_TEST(longer_durations_never_come_out_shorter)
{
    int64_t before = 0;
    for (int64_t exact = 0; exact <= HISTOGRAM_MOST; exact += 1 + exact / 300) {
        int64_t found = bucket_says(exact);
        if (found < before)
            ck_abort_msg("%lld came out as %lld", (long long)exact, (long long)found);
        before = found;
    }
    ck_assert_int_gt(before, HISTOGRAM_MOST / 100 * 97);
}
END_TEST

/* With 1 to 100 a share of N/100 is N, by the nearest rank; below twice HISTOGRAM_FINE exactly. */
static const struct {
    double share;
    int64_t at_least;
    int64_t at_most;
} shares[] = {
    {-1, 1, 1},          {0, 1, 1},         {0.001, 1, 1},     {0.01, 1, 1},
    {0.011, 2, 2},       {0.02, 2, 2},      {0.07, 7, 7},      {0.14, 14, 14},
    {0.29, 29, 29},      {0.5, 50, 50},     {0.501, 51, 51},   {0.57, 57, 57},
    {0.9, 89, 91},       {0.99, 98, 100},   {0.991, 100, 100}, {1, 100, 100},
    {1.5, 100, 100},     {1e300, 100, 100}, {-1e300, 1, 1},    {(double)INFINITY, 100, 100},
    {(double)NAN, 1, 1},
};

START_TEST(a_percentile_is_the_duration_that_so_many_do_not_exceed)
{
    for (int64_t i = 100; i > 0; i--)
        histogram_add(&first, i);
    int64_t found = histogram_percentile(&first, shares[_i].share);
    ck_assert_int_ge(found, shares[_i].at_least);
    ck_assert_int_le(found, shares[_i].at_most);
}
END_TEST

/* Four durations at either end of one bucket, whose middle is far from all of them. */
static const int64_t starts[] = {INT64_C(31) << 20, (INT64_C(32) << 20) - 4};

START_TEST(percentiles_stay_between_the_shortest_and_the_longest)
{
    for (int64_t i = 0; i < 4; i++)
        histogram_add(&first, starts[_i] + i);
    for (int percent = 0; percent <= 100; percent++) {
        int64_t found = histogram_percentile(&first, percent / 100.0);
        ck_assert_int_ge(found, starts[_i]);
        ck_assert_int_le(found, starts[_i] + 3);
    }
}
END_TEST

enum { MANY = 20000 };

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Spread over all sizes alike, from a microsecond to hours. */
static void make_many(int64_t *numbers, uint64_t seed)
{
    for (size_t i = 0; i < MANY; i++) {
        uint64_t bits = next_number(&seed) % 37;
        numbers[i] = (int64_t)(next_number(&seed) & ((UINT64_C(1) << bits) - 1));
    }
}

START_TEST(many_durations_have_the_percentiles_of_the_sorted_list)
{
    static const double asked[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999};
    static int64_t numbers[MANY];
    make_many(numbers, (uint64_t)_i);
    for (size_t i = 0; i < MANY; i++)
        histogram_add(&first, numbers[i]);
    qsort(numbers, MANY, sizeof numbers[0], compare);
    ck_assert_uint_eq(histogram_count(&first), MANY);
    ck_assert_int_eq(histogram_min(&first), numbers[0]);
    ck_assert_int_eq(histogram_max(&first), numbers[MANY - 1]);
    for (size_t i = 0; i < COUNT(asked); i++) {
        size_t rank = (size_t)(asked[i] * MANY + 0.5);
        must_be_near(histogram_percentile(&first, asked[i]), numbers[rank - 1]);
    }
}
END_TEST

START_TEST(merging_is_as_if_all_had_been_added_to_one)
{
    static int64_t numbers[MANY];
    static struct histogram whole;
    make_many(numbers, 7);
    for (size_t i = 0; i < MANY; i++) {
        histogram_add(&whole, numbers[i]);
        histogram_add(i % 3 == 0 ? &first : &second, numbers[i]);
    }
    uint64_t count = histogram_count(&second);
    histogram_merge(&first, &second);
    must_be_equal(&first, &whole);
    ck_assert_uint_eq(histogram_count(&second), count);
}
END_TEST

START_TEST(merging_an_empty_one_changes_nothing_on_either_side)
{
    histogram_add(&first, 5);
    histogram_add(&first, 700);
    histogram_merge(&first, &second);
    ck_assert_uint_eq(histogram_count(&first), 2);
    ck_assert_int_eq(histogram_min(&first), 5);
    ck_assert_int_eq(histogram_max(&first), 700);
    ck_assert_uint_eq(histogram_count(&second), 0);
    histogram_merge(&second, &first);
    must_be_equal(&first, &second);
}
END_TEST

START_TEST(a_bucket_that_is_full_stays_full)
{
    histogram_add(&first, 9);
    for (int doublings = 0; doublings < 33; doublings++) {
        histogram_merge(&second, &first);
        histogram_merge(&first, &second);
    }
    ck_assert_uint_eq(histogram_count(&first), UINT32_MAX);
    histogram_add(&first, 9);
    ck_assert_uint_eq(histogram_count(&first), UINT32_MAX);
    histogram_add(&first, 10);
    ck_assert_uint_eq(histogram_count(&first), (uint64_t)UINT32_MAX + 1);
    ck_assert_int_eq(histogram_percentile(&first, 0.5), 9);
}
END_TEST

static void *write_many(void *argument)
{
    for (int64_t i = 1; i <= MANY; i++)
        histogram_add(argument, 1000 + i);
    return NULL;
}

START_TEST(a_reader_beside_the_writer_sees_nothing_that_was_not_added)
{
    pthread_t writer;
    uint64_t count = 0;
    ck_assert_int_eq(pthread_create(&writer, NULL, write_many, &first), 0);
    while (count < MANY) {
        uint64_t seen = histogram_count(&first);
        int64_t median = histogram_percentile(&first, 0.5);
        if (seen < count || (seen > 0 && (median <= 1000 || median > 1000 + MANY)))
            ck_abort_msg("%llu seen, median %lld", (unsigned long long)seen, (long long)median);
        count = seen;
    }
    ck_assert_int_eq(pthread_join(writer, NULL), 0);
    ck_assert_int_eq(histogram_max(&first), 1000 + MANY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tests = tcase_create("histogram");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, an_empty_one_holds_nothing);
    tcase_add_test(tests, it_fits_into_4_kilobytes);
    tcase_add_loop_test(tests, a_single_duration_comes_out_as_it_went_in_within_0_and_24_hours, 0,
                        COUNT(extremes));
    tcase_add_test(tests, a_duration_anywhere_between_is_at_most_2_percent_off);
    tcase_add_test(tests, the_shortest_durations_are_exact);
    tcase_add_test(tests, longer_durations_never_come_out_shorter);
    tcase_add_loop_test(tests, a_percentile_is_the_duration_that_so_many_do_not_exceed, 0,
                        COUNT(shares));
    tcase_add_loop_test(tests, percentiles_stay_between_the_shortest_and_the_longest, 0,
                        COUNT(starts));
    tcase_add_loop_test(tests, many_durations_have_the_percentiles_of_the_sorted_list, 0, 8);
    tcase_add_test(tests, merging_is_as_if_all_had_been_added_to_one);
    tcase_add_test(tests, merging_an_empty_one_changes_nothing_on_either_side);
    tcase_add_test(tests, a_bucket_that_is_full_stays_full);
    tcase_add_test(tests, a_reader_beside_the_writer_sees_nothing_that_was_not_added);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
