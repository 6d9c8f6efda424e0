#include "tests/support/channel_world.h"

static struct client ann, bob, eve;

static void begin(size_t history, bool echo_self)
{
    memset(&ann, 0, sizeof ann);
    memset(&bob, 0, sizeof bob);
    memset(&eve, 0, sizeof eve);
    world_begin(history, echo_self, 1 << 30);
}

static void leave_all(void)
{
    struct client *all[] = {&ann, &bob, &eve};
    for (size_t i = 0; i < 3; i++)
        if (all[i]->member != NULL)
            client_leave(all[i]);
    world_end();
}

/* Joins, and hears what there is to be heard. */
static void come_back(struct client *client, const char *since)
{
    if (client->member != NULL)
        client_leave(client);
    client->heard[0] = '\0';
    client_join(client, "c", 2, since);
    world_settle();
}

/* --- ids and histories --- */

START_TEST(with_a_history_a_newcomer_is_told_the_position_and_all_messages_have_ids)
{
    begin(5, true);
    client_join(&ann, "c", 0, NULL);
    world_settle();
    ck_assert(ann.told);
    ck_assert_uint_eq(ann.position, 1000);
    client_say(&ann, "one");
    client_say(&ann, "two");
    world_settle();
    ck_assert_str_eq(ann.heard, "1001:one,1002:two,");
    come_back(&bob, NULL);
    ck_assert_uint_eq(bob.position, 1002);
    ck_assert_str_eq(bob.heard, "");
    leave_all();
}
END_TEST

START_TEST(since_gives_what_was_missed_and_says_by_the_position_whether_that_is_all)
{
    static const struct {
        const char *since;
        uint64_t position;
        const char *heard;
    } cases[] = {
        {"1007", 1007, ""},
        {"1006", 1006, "1007:7,"},
        {"1004", 1004, "1005:5,1006:6,1007:7,"},
        {"1003", 1004, "1005:5,1006:6,1007:7,"}, /* too old */
        {"1000", 1004, "1005:5,1006:6,1007:7,"},
        {"0", 1004, "1005:5,1006:6,1007:7,"},
        {"1008", 1004, "1005:5,1006:6,1007:7,"}, /* never given */
        {"18446744073709551615", 1004, "1005:5,1006:6,1007:7,"},
        {NULL, 1007, ""},
    };
    begin(3, true);
    client_join(&ann, "c", 0, NULL);
    for (char text[] = "1"; text[0] <= '7'; text[0]++)
        client_say(&ann, text);
    world_settle();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        come_back(&bob, cases[i].since);
        ck_assert_msg(bob.position == cases[i].position, "case %zu", i);
        ck_assert_msg(strcmp(bob.heard, cases[i].heard) == 0, "case %zu: %s", i, bob.heard);
        client_say(&ann, "live");
        world_settle();
        ck_assert_msg(strstr(bob.heard, "live") != NULL, "case %zu: %s", i, bob.heard);
        client_leave(&ann);
        client_leave(&bob);
        world_settle();
        world_pass(world.rules.keep); /* all over again */
        world.wall = 1000;
        world_make_channels(i);
        client_join(&ann, "c", 0, NULL);
        for (char text[] = "1"; text[0] <= '7'; text[0]++)
            client_say(&ann, text);
        world_settle();
    }
    leave_all();
}
END_TEST

START_TEST(without_a_history_since_means_nothing)
{
    begin(0, true);
    client_join(&ann, "c", 0, "0");
    client_say(&ann, "one");
    world_settle();
    ck_assert(!ann.told);
    ck_assert_str_eq(ann.heard, "one,");
    leave_all();
}
END_TEST

START_TEST(a_session_never_hears_itself_without_echo_self_but_hears_what_it_said_before)
{
    begin(10, false);
    client_join(&ann, "c", 0, NULL);
    client_say(&ann, "one");
    world_settle();
    ck_assert_str_eq(ann.heard, "");
    client_leave(&ann);
    world_settle();
    ann.room = 1;
    client_join(&ann, "c", 0, "0");
    client_say(&ann, "two"); /* while it still catches up */
    world_settle();
    ck_assert_str_eq(ann.heard, "1001:one,");
    for (int i = 0; i < 3; i++) {
        client_take(&ann);
        world_settle();
    }
    ck_assert_str_eq(ann.heard, "1001:one,");
    leave_all();
}
END_TEST

START_TEST(a_large_history_comes_in_pieces_as_it_is_taken_and_live_messages_behind_it)
{
    begin(100, true);
    world.ground.send_queue = 16; /* so that two messages are a piece */
    client_join(&ann, "c", 0, NULL);
    for (char text[] = "a"; text[0] <= 'h'; text[0]++) {
        client_say(&ann, text);
        world_settle();
    }
    bob.room = 2;
    client_join(&bob, "c", 1, "0");
    for (int i = 0; i < 20; i++) {
        world_settle();
        ck_assert(!bob.full);
        client_take(&bob);
        if (i < 3)
            client_say(&ann, "live");
    }
    ck_assert_str_eq(bob.heard,
                     "1001:a,1002:b,1003:c,1004:d,1005:e,1006:f,1007:g,1008:h,"
                     "1009:live,1010:live,1011:live,");
    ck_assert_uint_eq(bob.position, 1000);
    leave_all();
}
END_TEST

START_TEST(one_that_catches_up_slower_than_the_history_moves_loses_only_itself)
{
    begin(4, true);
    world.ground.send_queue = 4; /* one message is a piece */
    client_join(&ann, "c", 0, NULL);
    for (int i = 0; i < 4; i++)
        client_say(&ann, "old");
    world_settle();
    bob.room = 1;
    client_join(&bob, "c", 1, "0");
    world_settle();
    ck_assert_str_eq(bob.heard, "1001:old,");
    for (int i = 0; i < 8; i++)
        client_say(&ann, "new");
    world_settle();
    ck_assert_ptr_null(bob.refused);
    client_take(&bob);
    world_settle();
    ck_assert_ptr_nonnull(bob.refused);
    ck_assert_ptr_null(ann.refused);
    client_take(&bob);
    world_settle();
    ck_assert_str_eq(bob.heard, "1001:old,");
    leave_all();
}
END_TEST

/* --- what is kept --- */

START_TEST(a_history_outlives_its_last_member_for_so_long_and_ids_go_on_above_it)
{
    begin(5, true);
    client_join(&ann, "c", 0, NULL);
    client_say(&ann, "one");
    world_settle();
    client_leave(&ann);
    world_settle();
    world_pass(world.rules.keep - 1);
    come_back(&bob, "1000");
    ck_assert_uint_eq(bob.position, 1000);
    ck_assert_str_eq(bob.heard, "1001:one,");
    client_leave(&bob);
    world_settle();
    world_pass(world.rules.keep - 1);
    ck_assert_uint_gt(atomic_load(&world.memory.held), 0);
    world_pass(1);
    world_pass(200);
    ck_assert_uint_eq(atomic_load(&world.memory.held), 0);
    world.wall = 500; /* the clock has been set back */
    come_back(&bob, "1001");
    ck_assert_uint_eq(bob.position, 1002);
    ck_assert_str_eq(bob.heard, "");
    leave_all();
}
END_TEST

START_TEST(the_channel_that_has_been_quiet_for_longest_gives_its_history_up_first)
{
    static struct client members[8];
    char big[2000];
    memset(big, 'x', sizeof big);
    begin(100, true);
    world.memory.limit = (size_t)40000 * LOOPS; /* five such messages on each loop */
    for (size_t i = 0; i < 8; i++) {
        char name[] = {(char)('a' + i), '\0'};
        members[i].hears = NULL;
        client_join(&members[i], name, 0, NULL);
        world_settle();
    }
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < 8; i++) {
            members[i].heard[0] = '\0';
            MUST(member_publish(members[i].member, MESSAGE_BINARY, big, sizeof big));
            world_settle();
        }
        ck_assert_uint_le(atomic_load(&world.memory.held), world.memory.limit / 4);
    }
    ck_assert_uint_gt(atomic_load(&world.memory.held), sizeof big * LOOPS);
    come_back(&bob, "0"); /* of its own */
    static struct client late;
    memset(&late, 0, sizeof late);
    client_join(&late, "h", 1, "0"); /* the last that was spoken to still has its message */
    world_settle();
    ck_assert_ptr_nonnull(strstr(late.heard, "x,"));
    client_leave(&late);
    for (size_t i = 0; i < 8; i++)
        client_leave(&members[i]);
    leave_all();
}
END_TEST

START_TEST(histories_give_way_where_sessions_need_the_memory)
{
    begin(100, true);
    world.memory.limit = 80000;
    client_join(&ann, "c", 0, NULL);
    client_say(&ann, "one");
    world_settle();
    memory_count(&world.memory, 75000);
    client_say(&ann, "two");
    world_settle();
    ck_assert_str_eq(ann.heard, "1001:one,1002:two,");
    ck_assert_uint_eq(atomic_load(&world.memory.held), 75000);
    memory_count(&world.memory, -75000);
    come_back(&bob, "0");
    ck_assert_uint_eq(bob.position, 1002);
    leave_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel_ids");
    TCase *tests = tcase_create("channel_ids");
    tcase_add_test(tests, with_a_history_a_newcomer_is_told_the_position_and_all_messages_have_ids);
    tcase_add_test(tests, since_gives_what_was_missed_and_says_by_the_position_whether_that_is_all);
    tcase_add_test(tests, without_a_history_since_means_nothing);
    tcase_add_test(tests,
                   a_session_never_hears_itself_without_echo_self_but_hears_what_it_said_before);
    tcase_add_test(tests,
                   a_large_history_comes_in_pieces_as_it_is_taken_and_live_messages_behind_it);
    tcase_add_test(tests, one_that_catches_up_slower_than_the_history_moves_loses_only_itself);
    tcase_add_test(tests, a_history_outlives_its_last_member_for_so_long_and_ids_go_on_above_it);
    tcase_add_test(tests, the_channel_that_has_been_quiet_for_longest_gives_its_history_up_first);
    tcase_add_test(tests, histories_give_way_where_sessions_need_the_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
