#include "server/channel_history.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/memory.h"
#include "server/message.h"
#include "tests/support/random.h"

enum { STEPS = 200000, FIRST = 5000 };

static struct memory memory;

static struct message *make(size_t length)
{
    static char text[200];
    const struct iovec part = {.iov_base = text, .iov_len = length};
    struct message *message = message_new(&memory, MESSAGE_BINARY, &part, 1);
    ck_assert_ptr_nonnull(message);
    return message;
}

static void add(struct history *history, size_t most, size_t length, uint64_t sender)
{
    struct message *message = make(length);
    history_add(history, most, message, sender);
    message_release(message);
}

/* What was added as message number `id`. */
static size_t length_of(uint64_t id)
{
    return (size_t)(id * 7 % 200);
}

/* The messages are `count` with their right ids, and nothing else is held. */
static void expect(const struct history *history, uint64_t last, size_t count)
{
    size_t bytes = 0;
    if (history->last != last || history->count != count)
        ck_abort_msg("%zu up to %llu instead of %zu up to %llu", history->count,
                     (unsigned long long)history->last, count, (unsigned long long)last);
    for (uint64_t id = history_oldest(history); id <= last; id++) {
        const struct history_entry *entry = history_at(history, id);
        if (message_length(entry->message) != length_of(id) || entry->sender != id * 3)
            ck_abort_msg("message %llu is another one", (unsigned long long)id);
        bytes += message_cost(entry->message) + 2 * sizeof *entry;
    }
    if (history->bytes != bytes || atomic_load(&memory.held) > bytes)
        ck_abort_msg("%zu bytes instead of %zu", history->bytes, bytes);
    if (history->capacity > 4 * count + 8)
        ck_abort_msg("a ring of %zu for %zu", history->capacity, count);
}

START_TEST(it_keeps_the_last_messages_by_their_ids_whatever_comes_and_goes)
{
    static const size_t mosts[] = {1, 2, 3, 8, 9, 100, 1000};
    uint64_t random = (uint64_t)_i;
    size_t most = mosts[_i];
    struct history history = {.last = FIRST};
    uint64_t last = FIRST;
    size_t count = 0;
    for (int step = 0; step < STEPS; step++) {
        size_t what = random_below(&random, 1000);
        bool falling = step / 3000 % 2 == 1;
        if (what == 0) {
            history_clear(&history);
            count = 0;
        } else if (what < (falling ? 600 : 300)) {
            history_drop(&history);
            count -= count > 0;
        } else {
            last++;
            add(&history, most, length_of(last), last * 3);
            count += count < most;
        }
        if (step % 100 == 0 || most < 10)
            expect(&history, last, count);
    }
    history_clear(&history);
    ck_assert_uint_eq(atomic_load(&memory.held), 0);
    ck_assert_ptr_null(history.entries);
}
END_TEST

START_TEST(nothing_is_kept_where_nothing_is_to_be_but_ids_are_counted)
{
    struct history history = {.last = 7};
    add(&history, 0, 5, 1);
    add(&history, 0, 5, 1);
    ck_assert_uint_eq(history.last, 9);
    ck_assert_uint_eq(history.count, 0);
    ck_assert_uint_eq(history_oldest(&history), 10);
    ck_assert_uint_eq(atomic_load(&memory.held), 0);
}
END_TEST

START_TEST(one_goes_on_behind_what_it_has_or_else_before_the_oldest)
{
    struct history history = {.last = 100};
    ck_assert_uint_eq(history_resume(&history, 100), 100);
    ck_assert_uint_eq(history_resume(&history, 99), 100);
    ck_assert_uint_eq(history_resume(&history, 101), 100);
    for (int i = 0; i < 5; i++)
        add(&history, 3, 1, 1);
    static const uint64_t cases[][2] = {{0, 102},   {101, 102}, {102, 102},       {103, 103},
                                        {105, 105}, {106, 102}, {UINT64_MAX, 102}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_uint_eq(history_resume(&history, cases[i][0]), cases[i][1]);
    history_clear(&history);
    ck_assert_uint_eq(history_resume(&history, 104), 105);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel_history");
    TCase *tests = tcase_create("channel_history");
    tcase_add_loop_test(tests, it_keeps_the_last_messages_by_their_ids_whatever_comes_and_goes, 0,
                        7);
    tcase_add_test(tests, nothing_is_kept_where_nothing_is_to_be_but_ids_are_counted);
    tcase_add_test(tests, one_goes_on_behind_what_it_has_or_else_before_the_oldest);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
