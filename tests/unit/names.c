#include "server/names.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/random.h"

enum { NAMES = 3000, STEPS = 200000 };

static struct {
    struct named named;
    char text[16];
    bool there;
} things[NAMES];

START_TEST(the_hash_is_siphash_1_3)
{
    /* The key is the bytes 0 to 15; values computed by another program. */
    const uint64_t key[2] = {0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    char text[16];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    ck_assert_uint_eq(names_hash(key, text, 0), 0xabac0158050fc4dcU);
    ck_assert_uint_eq(names_hash(key, text, 1), 0xc9f49bf37d57ca93U);
    ck_assert_uint_eq(names_hash(key, text, 8), 0x369095118d299a8eU);
}
END_TEST

START_TEST(what_is_added_is_found_until_it_is_removed)
{
    const uint64_t key[2] = {1, 2};
    struct names names = {0};
    uint64_t state = 7;
    size_t count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        things[i].there = false;
        int length = snprintf(things[i].text, sizeof things[i].text, "/chat/%zu", i);
        things[i].named = (struct named){
            .text = things[i].text,
            .length = (size_t)length,
            .hash = names_hash(key, things[i].text, (size_t)length),
        };
    }
    for (int step = 0; step < STEPS; step++) {
        size_t i = random_below(&state, step % 40000 < 20000 ? NAMES : 20);
        struct named *named = &things[i].named;
        struct named *found = names_find(&names, named->hash, named->text, named->length);
        if (found != (things[i].there ? named : NULL))
            ck_abort_msg("%s in step %d", named->text, step);
        if (things[i].there)
            names_remove(&names, named);
        else
            ck_assert(names_add(&names, named));
        things[i].there = !things[i].there;
        count += things[i].there ? 1 : (size_t)-1;
        if (names.count != count)
            ck_abort_msg("%zu are there in step %d, not %zu", count, step, names.count);
    }
    for (size_t i = 0; i < NAMES; i++)
        if (things[i].there)
            names_remove(&names, &things[i].named);
    ck_assert_ptr_null(names.lists);
}
END_TEST

START_TEST(a_name_is_all_of_its_bytes)
{
    struct names names = {0};
    struct named one = {.text = "a\0b", .length = 3, .hash = 5};
    struct named other = {.text = "a\0c", .length = 3, .hash = 5};
    struct named empty = {.text = "", .length = 0, .hash = 5};
    ck_assert(names_add(&names, &one));
    ck_assert(names_add(&names, &other));
    ck_assert(names_add(&names, &empty));
    ck_assert_ptr_eq(names_find(&names, 5, "a\0b", 3), &one);
    ck_assert_ptr_eq(names_find(&names, 5, "a\0c", 3), &other);
    ck_assert_ptr_eq(names_find(&names, 5, "", 0), &empty);
    ck_assert_ptr_null(names_find(&names, 5, "a", 1));
    ck_assert_ptr_null(names_find(&names, 21, "a\0b", 3));
    names_remove(&names, &other);
    ck_assert_ptr_eq(names_find(&names, 5, "a\0b", 3), &one);
    names_remove(&names, &one);
    names_remove(&names, &empty);
    ck_assert_ptr_null(names.lists);
}
END_TEST

START_TEST(a_table_that_many_have_left_is_small_again)
{
    struct names names = {0};
    for (size_t i = 0; i < NAMES; i++) {
        things[i].named = (struct named){.text = "", .hash = i};
        ck_assert(names_add(&names, &things[i].named));
    }
    ck_assert_uint_ge(names.size, NAMES);
    for (size_t i = 1; i < NAMES; i++)
        names_remove(&names, &things[i].named);
    ck_assert_uint_le(names.size, 16);
    names_remove(&names, &things[0].named);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("names");
    TCase *tests = tcase_create("names");
    tcase_add_test(tests, the_hash_is_siphash_1_3);
    tcase_add_test(tests, what_is_added_is_found_until_it_is_removed);
    tcase_add_test(tests, a_name_is_all_of_its_bytes);
    tcase_add_test(tests, a_table_that_many_have_left_is_small_again);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
