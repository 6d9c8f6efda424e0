#include "server/memory.h"

#include <check.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/random.h"

/* Check's own assertions write to a file each time, also when they hold: too slow for millions. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("does not hold: %s", #condition);                                         \
    } while (0)

enum {
    LIMIT = 1000,
    WELL_OVER = LIMIT + LIMIT / 8, /* as far as others are waited for */
    SHARES = 5,
    HOLDERS = 40, /* of each share: fewer than are looked at in one class */
};

static struct {
    struct memory memory;
    struct memory_share shares[MEMORY_SHARES_MAX];
    struct holder holders[SHARES][HOLDERS];
    unsigned asked[MEMORY_SHARES_MAX]; /* times */
} all;

static void count_ask(void *argument, size_t share)
{
    MUST(argument == &all);
    all.asked[share]++;
}

static void begin(size_t limit)
{
    memset(&all, 0, sizeof all);
    all.memory.limit = limit;
    all.memory.ask = count_ask;
    all.memory.argument = &all;
    for (size_t i = 0; i < MEMORY_SHARES_MAX; i++)
        all.shares[i] = (struct memory_share){.memory = &all.memory, .place = i};
}

static void hold(size_t share, size_t number, int64_t change)
{
    memory_hold(&all.shares[share], &all.holders[share][number], change);
}

static struct holder *relieve(size_t share)
{
    return memory_relieve(&all.shares[share]);
}

/* --- one share --- */

START_TEST(nobody_is_named_up_to_the_limit_and_the_largest_one_byte_over_it)
{
    begin(LIMIT);
    hold(0, 0, 100);
    hold(0, 1, 700);
    hold(0, 2, 200);
    ck_assert_uint_eq(all.memory.held, LIMIT);
    ck_assert_ptr_null(relieve(0));
    hold(0, 0, 1);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][1]);
    ck_assert_uint_eq(all.asked[0], 0);
}
END_TEST

START_TEST(the_largest_is_named_again_until_something_has_been_taken)
{
    begin(LIMIT);
    hold(0, 0, 900);
    hold(0, 1, 800);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][0]);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][0]);
    hold(0, 0, -200);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][1]);
    hold(0, 1, -800);
    ck_assert_ptr_null(relieve(0));
}
END_TEST

START_TEST(who_holds_nothing_any_more_is_never_named)
{
    begin(0);
    for (size_t i = 0; i < HOLDERS; i++)
        hold(0, i, (int64_t)i + 1);
    for (size_t i = HOLDERS; i-- > 0;) {
        ck_assert_ptr_eq(relieve(0), &all.holders[0][i]);
        hold(0, i, -(int64_t)i - 1);
        ck_assert_ptr_null(all.holders[0][i].link);
    }
    ck_assert_ptr_null(relieve(0));
    ck_assert_uint_eq(all.shares[0].used, 0);
    ck_assert_uint_eq(all.memory.largest[0], 0);
}
END_TEST

START_TEST(it_is_the_largest_in_each_class_from_one_byte_to_all_that_can_be_counted)
{
    const int64_t size = INT64_C(1) << _i;
    begin(0);
    hold(0, 0, size);
    hold(0, 1, size + (size - 1));
    hold(0, 2, size);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][size == 1 ? 2 : 1]);
    if (size > 1) {
        hold(0, 3, size / 2); /* the class below */
        hold(0, 1, -size);
        ck_assert_ptr_ne(relieve(0), &all.holders[0][3]);
        ck_assert_ptr_ne(relieve(0), &all.holders[0][1]);
    }
}
END_TEST

START_TEST(without_a_limit_nobody_is_ever_named)
{
    begin(SIZE_MAX);
    hold(0, 0, INT64_MAX);
    ck_assert_ptr_null(relieve(0));
}
END_TEST

/* --- several shares --- */

START_TEST(the_share_with_the_largest_is_asked_and_the_one_that_saw_it_names_nobody)
{
    begin(LIMIT);
    hold(1, 0, 700);
    hold(2, 0, 310);
    ck_assert_ptr_null(relieve(2));
    ck_assert_uint_eq(all.asked[1], 1);
    ck_assert_uint_eq(all.asked[0] + all.asked[2], 0);
    ck_assert_ptr_eq(relieve(1), &all.holders[1][0]);
    ck_assert_uint_eq(all.asked[1], 1);
}
END_TEST

START_TEST(a_share_that_holds_nothing_can_ask_and_is_never_named_itself)
{
    begin(LIMIT);
    hold(1, 0, LIMIT + 1);
    ck_assert_ptr_null(relieve(MEMORY_SHARES_MAX - 1));
    ck_assert_uint_eq(all.asked[1], 1);
    hold(1, 0, LIMIT); /* far over it */
    ck_assert_ptr_null(relieve(MEMORY_SHARES_MAX - 1));
}
END_TEST

START_TEST(the_last_share_takes_its_turn_like_all_others)
{
    begin(LIMIT);
    memory_hold(&all.shares[MEMORY_SHARES_MAX - 1], &all.holders[0][0], 700);
    hold(2, 0, 310);
    ck_assert_ptr_null(relieve(2));
    ck_assert_uint_eq(all.asked[MEMORY_SHARES_MAX - 1], 1);
    ck_assert_ptr_eq(relieve(MEMORY_SHARES_MAX - 1), &all.holders[0][0]);
}
END_TEST

START_TEST(a_share_whose_largest_is_in_the_same_class_does_not_wait_for_another)
{
    begin(LIMIT);
    hold(0, 0, 511);
    hold(1, 0, 510);
    ck_assert_ptr_eq(relieve(0), &all.holders[0][0]);
    ck_assert_ptr_eq(relieve(1), &all.holders[1][0]);
    ck_assert_uint_eq(all.asked[0] + all.asked[1], 0);
}
END_TEST

START_TEST(a_share_is_asked_once_until_it_has_taken_its_turn)
{
    begin(LIMIT);
    hold(1, 0, 900);
    hold(2, 0, 150);
    hold(3, 0, 50);
    for (int i = 0; i < 10; i++) {
        ck_assert_ptr_null(relieve(2));
        ck_assert_ptr_null(relieve(3));
    }
    ck_assert_uint_eq(all.asked[1], 1);
    ck_assert_ptr_eq(relieve(1), &all.holders[1][0]); /* takes its turn, and too little */
    hold(1, 0, -40);
    ck_assert_ptr_null(relieve(2));
    ck_assert_ptr_null(relieve(2));
    ck_assert_uint_eq(all.asked[1], 2);
}
END_TEST

START_TEST(a_share_that_came_too_late_for_its_turn_is_asked_again_the_next_time)
{
    begin(LIMIT);
    hold(1, 0, 900);
    hold(2, 0, 110);
    ck_assert_ptr_null(relieve(2));
    ck_assert_uint_eq(all.asked[1], 1);
    hold(2, 0, -110); /* by itself, before the other one comes to it */
    ck_assert_ptr_null(relieve(1));
    hold(2, 0, 110);
    ck_assert_ptr_null(relieve(2));
    ck_assert_uint_eq(all.asked[1], 2);
}
END_TEST

START_TEST(so_far_over_the_limit_a_share_waits_for_no_other_but_asks_it_all_the_same)
{
    begin(LIMIT);
    hold(1, 0, 900);
    hold(2, 0, WELL_OVER - 900);
    ck_assert_ptr_null(relieve(2));
    hold(2, 1, 1);
    ck_assert_ptr_eq(relieve(2), &all.holders[2][0]);
    ck_assert_ptr_eq(relieve(2), &all.holders[2][0]);
    ck_assert_uint_eq(all.asked[1], 1);
    hold(2, 0, -1);
    ck_assert_ptr_null(relieve(2));
}
END_TEST

/* --- a model --- */

static unsigned bits_of(size_t bytes)
{
    unsigned bits = 0;
    while (bytes >> bits > 0)
        bits++;
    return bits;
}

static size_t largest_in(size_t share)
{
    size_t largest = 0;
    for (size_t i = 0; i < HOLDERS; i++)
        if (all.holders[share][i].bytes > largest)
            largest = all.holders[share][i].bytes;
    return largest;
}

/* What memory_relieve must do, said with all that is known at one place. */
static void check_relieve(size_t share, bool *waits)
{
    size_t held = 0;
    size_t turn = share;
    for (size_t i = 0; i < SHARES; i++)
        for (size_t j = 0; j < HOLDERS; j++)
            held += all.holders[i][j].bytes;
    for (size_t i = 0; i < SHARES; i++)
        if (bits_of(largest_in(i)) > bits_of(largest_in(turn)))
            turn = i;
    MUST(held == all.memory.held);

    unsigned before = all.asked[turn];
    struct holder *named = relieve(share);
    waits[share] = false;
    bool asks = held > LIMIT && turn != share && !waits[turn];
    MUST(all.asked[turn] == before + asks);
    waits[turn] |= asks;
    if (held <= LIMIT || (turn != share && held <= WELL_OVER) || largest_in(share) == 0) {
        MUST(named == NULL);
        return;
    }
    MUST(named >= all.holders[share] && named < all.holders[share] + HOLDERS);
    MUST(named->bytes == largest_in(share));
}

START_TEST(whatever_is_held_and_let_go_the_one_who_is_named_is_the_one_that_a_plain_search_finds)
{
    enum { STEPS = 40000 };
    uint64_t random = 5 + (uint64_t)_i;
    bool waits[SHARES] = {false};
    size_t used = 1 + random_below(&random, HOLDERS); /* few large ones, or many small ones */
    begin(LIMIT);
    for (int step = 0; step < STEPS; step++) {
        size_t share = random_below(&random, SHARES);
        size_t number = random_below(&random, used);
        size_t has = all.holders[share][number].bytes;
        size_t most =
            all.memory.held > (size_t)2 * LIMIT ? 2 : 1 + (size_t)6 * LIMIT / (SHARES * used);
        size_t wanted = random_below(&random, 4) == 0 ? 0 : random_below(&random, most + 1);
        hold(share, number, (int64_t)wanted - (int64_t)has);
        check_relieve(random_below(&random, SHARES), waits);
    }
    for (size_t i = 0; i < SHARES; i++)
        for (size_t j = 0; j < HOLDERS; j++)
            hold(i, j, -(int64_t)all.holders[i][j].bytes);
    ck_assert_uint_eq(all.memory.held, 0);
    for (size_t i = 0; i < SHARES; i++)
        ck_assert_uint_eq(all.shares[i].used, 0);
}
END_TEST

START_TEST(of_many_thousand_in_one_class_it_is_one_of_the_class_and_it_is_found_at_once)
{
    enum { MANY = 100000 };
    static struct holder many[MANY];
    begin(LIMIT);
    hold(0, 0, 511);
    for (int i = 0; i < MANY; i++)
        memory_hold(&all.shares[0], &many[i], 512 + i % 512);
    for (int i = MANY; i-- > 0;) {
        struct holder *named = relieve(0);
        MUST(named >= many && named < many + MANY && named->bytes >= 512);
        memory_hold(&all.shares[0], named, -(int64_t)named->bytes);
    }
    ck_assert_uint_eq(all.memory.held, 511);
    ck_assert_ptr_null(relieve(0));
}
END_TEST

/* --- threads --- */

enum { THREADS = 4, NIGHTS = 1000, ROUNDS = 50 };

/* Loops that have fallen asleep, and what wakes them. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken[THREADS];
    pthread_barrier_t all;
    int busy; /* those awake, and wakes that nobody has seen yet */
} sleeping = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void wake(void *argument, size_t share)
{
    (void)argument;
    pthread_mutex_lock(&sleeping.lock);
    sleeping.busy += !sleeping.woken[share];
    sleeping.woken[share] = true;
    pthread_cond_broadcast(&sleeping.changed);
    pthread_mutex_unlock(&sleeping.lock);
}

static void take_all(size_t share)
{
    for (struct holder *named; (named = relieve(share)) != NULL;)
        memory_hold(&all.shares[share], named, -(int64_t)named->bytes);
}

/* Sleeps until it is asked, or all have fallen asleep. Returns whether it was asked. */
static bool sleep_until_asked(size_t share)
{
    pthread_mutex_lock(&sleeping.lock);
    sleeping.busy--;
    pthread_cond_broadcast(&sleeping.changed);
    while (!sleeping.woken[share] && sleeping.busy > 0)
        pthread_cond_wait(&sleeping.changed, &sleeping.lock);
    bool asked = sleeping.woken[share];
    sleeping.woken[share] = false;
    pthread_mutex_unlock(&sleeping.lock);
    return asked;
}

static void live_a_day(size_t share, uint64_t *random)
{
    for (int i = 0; i < ROUNDS; i++) {
        size_t number = random_below(random, HOLDERS);
        size_t has = all.holders[share][number].bytes;
        hold(share, number, (int64_t)random_below(random, LIMIT / 2) - (int64_t)has);
        take_all(share);
    }
    while (sleep_until_asked(share))
        take_all(share);
}

static void check_the_sum(void)
{
    size_t held = 0;
    for (size_t i = 0; i < THREADS; i++)
        for (size_t j = 0; j < HOLDERS; j++)
            held += all.holders[i][j].bytes;
    MUST(all.memory.held == held);
    MUST(held <= LIMIT);
}

static void *live(void *argument)
{
    size_t share = *(size_t *)argument;
    uint64_t random = share;
    for (int night = 0; night < NIGHTS; night++) {
        live_a_day(share, &random);
        if (pthread_barrier_wait(&sleeping.all) != 0) { /* one of them */
            check_the_sum();
            sleeping.busy = THREADS;
        }
        pthread_barrier_wait(&sleeping.all);
    }
    return NULL;
}

START_TEST(when_all_loops_have_fallen_asleep_they_are_within_the_limit)
{
    pthread_t threads[THREADS];
    size_t places[THREADS];
    begin(LIMIT);
    all.memory.ask = wake;
    sleeping.busy = THREADS;
    pthread_barrier_init(&sleeping.all, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        places[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, live, &places[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, nobody_is_named_up_to_the_limit_and_the_largest_one_byte_over_it);
    tcase_add_test(tests, the_largest_is_named_again_until_something_has_been_taken);
    tcase_add_test(tests, who_holds_nothing_any_more_is_never_named);
    tcase_add_loop_test(
        tests, it_is_the_largest_in_each_class_from_one_byte_to_all_that_can_be_counted, 0, 60);
    tcase_add_test(tests, without_a_limit_nobody_is_ever_named);
    tcase_add_test(tests, the_share_with_the_largest_is_asked_and_the_one_that_saw_it_names_nobody);
    tcase_add_test(tests, a_share_that_holds_nothing_can_ask_and_is_never_named_itself);
    tcase_add_test(tests, the_last_share_takes_its_turn_like_all_others);
    tcase_add_test(tests, a_share_whose_largest_is_in_the_same_class_does_not_wait_for_another);
    tcase_add_test(tests, a_share_is_asked_once_until_it_has_taken_its_turn);
    tcase_add_test(tests, a_share_that_came_too_late_for_its_turn_is_asked_again_the_next_time);
    tcase_add_test(tests,
                   so_far_over_the_limit_a_share_waits_for_no_other_but_asks_it_all_the_same);
    tcase_add_loop_test(
        tests,
        whatever_is_held_and_let_go_the_one_who_is_named_is_the_one_that_a_plain_search_finds, 0,
        10);
    tcase_add_test(tests,
                   of_many_thousand_in_one_class_it_is_one_of_the_class_and_it_is_found_at_once);
    tcase_add_test(tests, when_all_loops_have_fallen_asleep_they_are_within_the_limit);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
