#include "server/process.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Fields 3 to 25 of a line of /proc/PID/stat: 17 threads, tick 4242, 8192000 bytes, 321 pages. */
#define FIELDS                                                                                     \
    "S 1 100 100 0 -1 4194304 1090 0 5 0 70 80 0 0 20 0 17 0 4242 8192000 321 "                    \
    "18446744073709551615 1 1 0 0 0 0 0 4096 17642 0 0 0 17 1 0 0 0 0 0\n"

static const char *const good[] = {
    "1234 (lastcall) " FIELDS,
    "1 () " FIELDS,
    "99 (a) b (c) 1 2 3) " FIELDS,
    "7 (two\nlines)) " FIELDS,
};

static const char *const bad[] = {
    "",
    "1234",
    "1234 (lastcall)",
    "1234 (lastcall) S 1 100 100",
    "1234 (lastcall) S 1 100 100 0 -1 4194304 1090 0 5 0 70 80 0 0 20 0 17 0 4242 8192000",
    "1234 (lastcall) S 1 100 100 0 -1 4194304 1090 0 5 0 70 80 0 0 20 0 x 0 4242 8192000 321 ",
};

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

START_TEST(a_line_is_read_whatever_the_process_calls_itself)
{
    struct process_figures figures = {0};
    uint64_t ticks = 0;
    ck_assert_int_eq(process_parse(good[_i], &figures, &ticks), 0);
    ck_assert_uint_eq(figures.threads, 17);
    ck_assert_uint_eq(figures.virtual_bytes, 8192000);
    ck_assert_uint_eq(figures.resident_bytes, 321 * (uint64_t)sysconf(_SC_PAGESIZE));
    ck_assert_uint_eq(ticks, 4242);
}
END_TEST

START_TEST(what_is_no_such_line_changes_nothing)
{
    struct process_figures figures = {.threads = 5};
    uint64_t ticks = 6;
    ck_assert_int_eq(process_parse(bad[_i], &figures, &ticks), -1);
    ck_assert_uint_eq(figures.threads, 5);
    ck_assert_uint_eq(ticks, 6);
}
END_TEST

START_TEST(memory_that_is_touched_is_resident_and_what_is_only_mapped_is_not)
{
    enum { SIZE = 64 << 20 };
    struct process_figures before;
    struct process_figures mapped;
    struct process_figures touched;
    process_read(&before);
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    process_read(&mapped);
    memset(memory, 1, SIZE);
    process_read(&touched);
    munmap(memory, SIZE);
    ck_assert_uint_ge(mapped.virtual_bytes, before.virtual_bytes + SIZE);
    ck_assert_uint_lt(mapped.resident_bytes, before.resident_bytes + SIZE / 2);
    ck_assert_uint_ge(touched.resident_bytes, before.resident_bytes + SIZE / 2);
}
END_TEST

START_TEST(processor_time_is_what_was_spent_and_not_what_has_passed)
{
    struct process_figures before;
    struct process_figures rested;
    struct process_figures worked;
    process_read(&before);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    process_read(&rested);
    ck_assert_int_lt(rested.cpu_us - before.cpu_us, 100000);
    clock_t until = clock() + CLOCKS_PER_SEC / 20;
    while (clock() < until)
        ;
    process_read(&worked);
    ck_assert_int_ge(worked.cpu_us, rested.cpu_us + 50000);
}
END_TEST

static void *wait_for_unlock(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

/* The first is there before, because with it a sanitizer starts one of its own. */
START_TEST(a_thread_more_is_counted)
{
    struct process_figures before;
    struct process_figures after;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t first;
    pthread_t second;
    pthread_mutex_lock(&lock);
    ck_assert_int_eq(pthread_create(&first, NULL, wait_for_unlock, &lock), 0);
    process_read(&before);
    ck_assert_int_eq(pthread_create(&second, NULL, wait_for_unlock, &lock), 0);
    process_read(&after);
    pthread_mutex_unlock(&lock);
    pthread_join(first, NULL);
    pthread_join(second, NULL);
    ck_assert_uint_eq(after.threads, before.threads + 1);
}
END_TEST

START_TEST(it_started_a_moment_ago_and_always_says_the_same)
{
    struct process_figures first;
    struct process_figures second;
    process_read(&first);
    int64_t now = (int64_t)time(NULL) * 1000;
    ck_assert_int_gt(first.started, now - 120000);
    ck_assert_int_lt(first.started, now + 2000);
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    process_read(&second);
    ck_assert_int_eq(first.started, second.started);
}
END_TEST

START_TEST(a_descriptor_more_is_counted_and_none_is_left_behind)
{
    struct process_figures before;
    struct process_figures after;
    int64_t counted = process_count_descriptors();
    process_read(&before);
    int opened = open("/dev/null", O_RDONLY | O_CLOEXEC);
    process_read(&after);
    ck_assert_int_ge(opened, 0);
    ck_assert_int_eq(process_count_descriptors(), counted + 1);
    ck_assert_int_eq(after.descriptors, before.descriptors < 0 ? -1 : before.descriptors + 1);
    if (before.descriptors >= 0)
        ck_assert_int_eq(before.descriptors, counted);
    close(opened);
}
END_TEST

START_TEST(the_limit_of_descriptors_is_the_one_in_force)
{
    struct process_figures figures;
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 77;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    process_read(&figures);
    ck_assert_int_eq(figures.descriptor_limit, 77);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process");
    TCase *tests = tcase_create("process");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_line_is_read_whatever_the_process_calls_itself, 0, COUNT(good));
    tcase_add_loop_test(tests, what_is_no_such_line_changes_nothing, 0, COUNT(bad));
    tcase_add_test(tests, memory_that_is_touched_is_resident_and_what_is_only_mapped_is_not);
    tcase_add_test(tests, processor_time_is_what_was_spent_and_not_what_has_passed);
    tcase_add_test(tests, a_thread_more_is_counted);
    tcase_add_test(tests, it_started_a_moment_ago_and_always_says_the_same);
    tcase_add_test(tests, a_descriptor_more_is_counted_and_none_is_left_behind);
    tcase_add_test(tests, the_limit_of_descriptors_is_the_one_in_force);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
