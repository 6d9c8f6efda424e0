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

/* --- who gets what --- */

START_TEST(what_one_says_reaches_all_others_on_all_loops)
{
    begin(0, false);
    client_join(&ann, "c", 0, NULL);
    client_join(&bob, "c", 1, NULL);
    client_join(&eve, "c", 1, NULL);
    world_settle();
    client_say(&ann, "one");
    client_say(&bob, "two");
    world_settle();
    ck_assert_str_eq(ann.heard, "two,");
    ck_assert_str_eq(bob.heard, "one,");
    ck_assert(strcmp(eve.heard, "one,two,") == 0 || strcmp(eve.heard, "two,one,") == 0);
    ck_assert(!eve.told);
    leave_all();
}
END_TEST

START_TEST(with_echo_self_all_hear_the_same_in_the_same_order)
{
    begin(0, true);
    client_join(&ann, "c", 0, NULL);
    client_join(&bob, "c", 1, NULL);
    client_join(&eve, "c", 2, NULL);
    world_settle();
    for (int i = 0; i < 20; i++) {
        client_say(&ann, "a");
        client_say(&bob, "b");
        client_say(&eve, "e");
        world_step((size_t)i % LOOPS);
    }
    world_settle();
    ck_assert_uint_eq(strlen(ann.heard), 120);
    ck_assert_str_eq(ann.heard, bob.heard);
    ck_assert_str_eq(ann.heard, eve.heard);
    leave_all();
}
END_TEST

START_TEST(channels_of_other_names_hear_nothing)
{
    begin(0, false);
    client_join(&ann, "c", 0, NULL);
    client_join(&bob, "cc", 0, NULL);
    client_join(&eve, "", 0, NULL);
    world_settle();
    client_say(&ann, "one");
    client_say(&eve, "two");
    world_settle();
    ck_assert_str_eq(bob.heard, "");
    ck_assert_str_eq(ann.heard, "");
    leave_all();
}
END_TEST

START_TEST(what_is_said_before_the_home_has_answered_is_published)
{
    begin(0, false);
    client_join(&bob, "c", 1, NULL);
    world_settle();
    client_join(&ann, "c", 0, NULL);
    client_say(&ann, "hello");
    client_leave(&ann);
    world_settle();
    ck_assert_str_eq(bob.heard, "hello,");
    leave_all();
}
END_TEST

START_TEST(one_that_leaves_before_it_has_joined_leaves_nothing_behind)
{
    begin(5, false);
    for (int steps = 0; steps < 8; steps++) {
        client_join(&ann, "c", (size_t)steps % LOOPS, "7");
        for (int i = 0; i < steps; i++)
            world_step((size_t)i % LOOPS);
        client_leave(&ann);
        world_settle();
        ck_assert_uint_eq(atomic_load(&world.memory.held), 0);
    }
    leave_all();
}
END_TEST

START_TEST(a_slow_member_loses_only_itself)
{
    begin(0, false);
    bob.room = 3;
    client_join(&ann, "c", 0, NULL);
    client_join(&bob, "c", 1, NULL);
    client_join(&eve, "c", 1, NULL);
    world_settle();
    for (int i = 0; i < 10; i++)
        client_say(&ann, "x");
    world_settle();
    ck_assert(bob.full);
    ck_assert_str_eq(bob.heard, "x,x,x,");
    ck_assert_str_eq(eve.heard, "x,x,x,x,x,x,x,x,x,x,");
    leave_all();
}
END_TEST

/* --- back-pressure --- */

START_TEST(who_publishes_more_than_is_delivered_is_paused_until_half_of_it_is)
{
    static const char text[] = "a message of some length";
    for (uint64_t key = 0; key < 20; key++) { /* the channel's home is any loop */
        begin(0, false);
        world_make_channels(key);
        world.ground.send_queue = 4000;
        client_join(&ann, "c", 0, NULL);
        client_join(&bob, "c", 1, NULL);
        world_settle();
        size_t said = 0;
        for (; !ann.paused; said++)
            client_say(&ann, text);
        ck_assert_uint_gt(said, 3);
        ck_assert_uint_lt(said, 40);
        client_say(&ann, text); /* it has been read with the others: it is published, too */
        ck_assert(ann.paused);
        while (ann.paused)
            ck_assert(world_step(0) | world_step(1) | world_step(2));
        ck_assert_uint_ge(strlen(bob.heard), (said / 2 - 1) * sizeof text);
        world_settle();
        ck_assert_uint_eq(strlen(bob.heard), (said + 1) * sizeof text);
        leave_all();
    }
}
END_TEST

START_TEST(one_that_leaves_while_it_is_paused_is_not_resumed)
{
    begin(0, false);
    world.ground.send_queue = 1000;
    client_join(&ann, "c", 0, NULL);
    client_join(&bob, "c", 0, NULL);
    client_join(&eve, "c", 0, NULL);
    world_settle();
    struct client *all[] = {&ann, &bob, &eve};
    for (size_t i = 0; i < 3; i++)
        while (!all[i]->paused)
            client_say(all[i], "a message of some length");
    client_leave(&bob);
    world_settle();
    ck_assert(!ann.paused);
    ck_assert(bob.paused);
    ck_assert(!eve.paused);
    leave_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel");
    TCase *tests = tcase_create("channel");
    tcase_add_test(tests, what_one_says_reaches_all_others_on_all_loops);
    tcase_add_test(tests, with_echo_self_all_hear_the_same_in_the_same_order);
    tcase_add_test(tests, channels_of_other_names_hear_nothing);
    tcase_add_test(tests, what_is_said_before_the_home_has_answered_is_published);
    tcase_add_test(tests, one_that_leaves_before_it_has_joined_leaves_nothing_behind);
    tcase_add_test(tests, a_slow_member_loses_only_itself);
    tcase_add_test(tests, who_publishes_more_than_is_delivered_is_paused_until_half_of_it_is);
    tcase_add_test(tests, one_that_leaves_while_it_is_paused_is_not_resumed);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
