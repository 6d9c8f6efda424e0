#include "server/machine.h"

#include <check.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 6 };

/* A place where control groups are mounted, and what says which are ours. */
static char mount[] = "/tmp/lastcall-machine-XXXXXX";
static char own[sizeof mount + 8];

static void make_mount(void)
{
    ck_assert_ptr_nonnull(mkdtemp(mount));
    snprintf(own, sizeof own, "%s/own", mount);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_mount(void)
{
    nftw(mount, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Writes a file below the mount, with all folders above it. */
static void write_file(const char *name, const char *content)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", mount, name);
    for (char *slash = path + strlen(mount); (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(content, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

struct groups {
    const char *name;
    const char *own; /* NULL: not there */
    struct {
        const char *name;
        const char *content;
    } files[FILES_MAX];
    uint64_t memory;
    double quota;
};

#define NONE UINT64_MAX
#define IN_BYTES "memory.limit_in_bytes"
#define UNLIMITED "9223372036854771712\n" /* what version 1 says for none */

static const struct groups table[] = {
    {"no control groups at all", NULL, {{0}}, NONE, 0},
    {"nobody says which is ours, and the root has a limit",
     NULL,
     {{"memory.max", "1000\n"}, {"cpu.max", "150000 100000\n"}},
     1000,
     1.5},

    {"version 2 in a container, where the group is the root",
     "0::/\n",
     {{"memory.max", "67108864\n"}, {"cpu.max", "50000 100000\n"}},
     67108864,
     0.5},
    {"version 2 without limits",
     "0::/a\n",
     {{"a/memory.max", "max\n"}, {"a/cpu.max", "max 100000\n"}},
     NONE,
     0},
    {"version 2, a service with a limit of its own",
     "0::/system.slice/lastcall.service\n",
     {{"system.slice/lastcall.service/memory.max", "5000\n"},
      {"system.slice/lastcall.service/cpu.max", "400000 100000\n"},
      {"system.slice/memory.max", "max\n"},
      {"system.slice/cpu.max", "max 100000\n"}},
     5000,
     4},
    {"version 2, the narrowest is at the bottom",
     "0::/a/b/c\n",
     {{"a/memory.max", "3000\n"}, {"a/b/memory.max", "2000\n"}, {"a/b/c/memory.max", "1000\n"}},
     1000,
     0},
    {"version 2, the narrowest is in the middle",
     "0::/a/b/c\n",
     {{"a/memory.max", "3000\n"}, {"a/b/memory.max", "1000\n"}, {"a/b/c/memory.max", "2000\n"}},
     1000,
     0},
    {"version 2, the narrowest is at the top",
     "0::/a/b/c\n",
     {{"a/memory.max", "1000\n"}, {"a/b/memory.max", "2000\n"}, {"a/b/c/memory.max", "3000\n"}},
     1000,
     0},
    {"version 2, levels without the file between",
     "0::/a/b/c\n",
     {{"a/cpu.max", "200000 100000\n"}, {"a/b/c/cpu.max", "300000 100000\n"}},
     NONE,
     2},
    {"version 2, a neighbour's limit is none of ours",
     "0::/a\n",
     {{"b/memory.max", "1000\n"}, {"ab/memory.max", "1000\n"}, {"a/b/memory.max", "1000\n"}},
     NONE,
     0},

    {"version 1 in a container, where the group looks like the root",
     "5:memory:/docker/0123\n",
     {{"memory/" IN_BYTES, "67108864\n"}},
     67108864,
     0},
    {"version 1 without a limit is more than any machine has",
     "5:memory:/\n",
     {{"memory/" IN_BYTES, UNLIMITED}},
     9223372036854771712U,
     0},
    {"version 1, the narrowest of a group and those above it",
     "5:memory:/a/b\n",
     {{"memory/" IN_BYTES, UNLIMITED},
      {"memory/a/" IN_BYTES, "1000\n"},
      {"memory/a/b/" IN_BYTES, "2000\n"}},
     1000,
     0},
    {"version 1, another controller's group is none of ours",
     "4:cpu:/a\n3:memory_x:/a\n2:xmemory:/a\n",
     {{"memory/a/" IN_BYTES, "1000\n"}},
     NONE,
     0},
    {"version 1, its line is among others",
     "12:pids:/a\n5:memory:/b\n1:name=systemd:/c\n0::/d\n",
     {{"memory/a/" IN_BYTES, "1000\n"},
      {"memory/b/" IN_BYTES, "2000\n"},
      {"memory/c/" IN_BYTES, "3000\n"}},
     2000,
     0},
    {"both versions, the narrower holds",
     "5:memory:/a\n0::/a\n",
     {{"memory/a/" IN_BYTES, "2000\n"}, {"a/memory.max", "1000\n"}},
     1000,
     0},

    {"what is no number is no limit",
     "0::/a/b\n",
     {{"memory.max", ""}, {"a/memory.max", "lots\n"}, {"a/b/memory.max", "2000\n"}},
     2000,
     0},
    {"nothing, and less than nothing, is no limit",
     "0::/a/b\n5:memory:/a\n",
     {{"a/memory.max", "0\n"}, {"a/b/memory.max", "-1\n"}, {"memory/a/" IN_BYTES, "-1\n"}},
     NONE,
     0},
    {"more than can be counted is no limit",
     "0::/a\n",
     {{"a/memory.max", "99999999999999999999999999\n"}},
     NONE,
     0},
    {"a quota that makes no sense is none",
     "0::/a/b/c/d\n",
     {{"cpu.max", "100000\n"},
      {"a/cpu.max", "0 100000\n"},
      {"a/b/cpu.max", "100000 0\n"},
      {"a/b/c/cpu.max", "-5 100000\n"},
      {"a/b/c/d/cpu.max", "x y\n"}},
     NONE,
     0},
    {"lines that are none are passed over",
     "\n:\n0\nmemory\n5:memory\n::\n0::\n0::a\n5:memory:/a\n",
     {{"memory/a/" IN_BYTES, "1000\n"}},
     1000,
     0},
    {"a last line that is not ended counts", "0::/a", {{"a/memory.max", "1000"}}, 1000, 0},
    {"a group with a colon in its name", "0::/a:b\n", {{"a:b/memory.max", "1000\n"}}, 1000, 0},
};

START_TEST(the_narrowest_limit_of_our_group_and_those_above_it_holds)
{
    const struct groups *groups = &table[_i];
    make_mount();
    if (groups->own != NULL)
        write_file("own", groups->own);
    for (int i = 0; i < FILES_MAX && groups->files[i].name != NULL; i++)
        write_file(groups->files[i].name, groups->files[i].content);
    uint64_t memory = machine_memory_limit(mount, own);
    double quota = machine_quota(mount, own);
    remove_mount();
    ck_assert_msg(memory == groups->memory, "%s: memory %llu instead of %llu", groups->name,
                  (unsigned long long)memory, (unsigned long long)groups->memory);
    ck_assert_msg(quota == groups->quota, "%s: quota %g instead of %g", groups->name, quota,
                  groups->quota);
}
END_TEST

START_TEST(a_group_whose_name_is_longer_than_any_path_is_passed_over)
{
    enum { LONG = 10000 };
    static char line[LONG + 1];
    make_mount();
    write_file("memory.max", "2000\n");
    for (int i = 0; i < LONG; i++)
        line[i] = i % 50 == 0 ? '/' : 'x';
    memcpy(line, "0::/", 4);
    line[LONG - 1] = '\n';
    write_file("own", line);
    ck_assert_uint_eq(machine_memory_limit(mount, own), 2000);
    remove_mount();
}
END_TEST

START_TEST(this_machine_has_a_processor_and_no_more_memory_than_it_has)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_uint_ge(machine_processors(), 1);
    ck_assert_uint_le(machine_processors(), (size_t)CPU_COUNT(&set));
    ck_assert_uint_gt(machine_memory(), 0);
    ck_assert_uint_le(machine_memory(), all);
}
END_TEST

START_TEST(one_processor_that_it_is_bound_to_is_one)
{
    cpu_set_t all;
    cpu_set_t one;
    size_t first = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_uint_eq(machine_processors(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("machine");
    TCase *tests = tcase_create("machine");
    tcase_add_loop_test(tests, the_narrowest_limit_of_our_group_and_those_above_it_holds, 0,
                        sizeof table / sizeof table[0]);
    tcase_add_test(tests, a_group_whose_name_is_longer_than_any_path_is_passed_over);
    tcase_add_test(tests, this_machine_has_a_processor_and_no_more_memory_than_it_has);
    tcase_add_test(tests, one_processor_that_it_is_bound_to_is_one);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
