/*
 * Members come, speak, stop reading, leave and come back with the last id that they know, while the
 * tasks of three loops are run in any order: nobody misses a message, gets one twice or in another
 * order than the others, and what is on its way stays within its bound.
 */
#include "tests/support/channel_world.h"
#include "tests/support/random.h"

enum {
    CLIENTS = 14,
    CHANNELS = 3,
    STEPS = 60000,
    SEEDS = 24,
    MESSAGES = 60000, /* in a run at most */
    SEND_QUEUE = 3000,
    SAID_AT_ONCE = 4,
    FIRST_ID = 1000,
};

static const char *const names[CHANNELS] = {"/chat/a", "/chat/b", "/chat/\xc3\xa9"};

struct speaker {
    struct client client;
    size_t channel;
    uint64_t next; /* the id that must come next */
    uint64_t since;
    unsigned session; /* a number of its own for each time that it connects */
    bool came_back;
};

static struct speaker speakers[CLIENTS];
static unsigned sessions;
static unsigned said;                            /* messages, by their numbers from 1 */
static unsigned author[MESSAGES + 1];            /* the session that said it */
static unsigned heard[CHANNELS][MESSAGES + 1];   /* which message has which id */
static unsigned last_of[CHANNELS][MESSAGES + 1]; /* by session: the last that was heard of it */
static uint64_t highest[CHANNELS];
static unsigned resumed, lost, replayed;

static void learn(size_t channel, uint64_t id, unsigned number)
{
    MUST(id > FIRST_ID && id <= FIRST_ID + MESSAGES);
    unsigned *known = &heard[channel][id - FIRST_ID];
    if (*known == 0) {
        *known = number;
    } else {
        MUST(*known == number);
    }
    if (id <= highest[channel])
        return;
    MUST(number > last_of[channel][author[number]]); /* each speaker's in his own order */
    last_of[channel][author[number]] = number;
    highest[channel] = id;
}

static void hear(struct client *client, uint64_t id, const char *text, size_t length)
{
    struct speaker *speaker = (struct speaker *)client;
    char number[16] = "";
    MUST(length < sizeof number);
    memcpy(number, text, length);
    if (world.rules.history == 0)
        return;
    MUST(client->told);
    if (speaker->next == 0)
        speaker->next = client->position + 1;
    unsigned which = (unsigned)strtoul(number, NULL, 10);
    if (!world.rules.echo_self)
        MUST(author[which] != speaker->session);
    learn(speaker->channel, id, which);
    for (; speaker->next < id; speaker->next++) { /* left out: what it has said itself */
        MUST(!world.rules.echo_self);
        unsigned own = heard[speaker->channel][speaker->next - FIRST_ID];
        MUST(own == 0 || author[own] == speaker->session);
    }
    MUST(speaker->next == id);
    speaker->next++;
    replayed += speaker->came_back && id <= highest[speaker->channel];
}

static void connect(struct speaker *speaker, uint64_t *random)
{
    struct client *client = &speaker->client;
    char since[24];
    bool resumes = client->last != 0 && random_below(random, 4) > 0;
    if (!resumes)
        speaker->channel = random_below(random, CHANNELS);
    speaker->session = ++sessions;
    speaker->next = 0;
    speaker->came_back = resumes;
    speaker->since = client->last;
    snprintf(since, sizeof since, "%llu", (unsigned long long)client->last);
    client->hears = hear;
    client->room = random_below(random, 3) == 0 ? 0 : 6;
    client_join(client, names[speaker->channel], random_below(random, LOOPS),
                resumes ? since : NULL);
}

/* What a client does that has been told its position, or is about to leave. */
static void note_position(struct speaker *speaker)
{
    const struct client *client = &speaker->client;
    if (!client->told)
        return;
    if (speaker->came_back) {
        resumed += client->position == speaker->since;
        lost += client->position != speaker->since;
    }
    if (speaker->next == 0)
        speaker->client.last = client->position;
}

static void leave(struct speaker *speaker)
{
    note_position(speaker);
    client_leave(&speaker->client);
}

static void speak(struct speaker *speaker, uint64_t *random)
{
    for (size_t i = random_below(random, SAID_AT_ONCE) + 1; i > 0 && said < MESSAGES; i--) {
        char text[16];
        author[++said] = speaker->session;
        snprintf(text, sizeof text, "%u", said);
        client_say(&speaker->client, text);
    }
}

static void act(struct speaker *speaker, uint64_t *random)
{
    struct client *client = &speaker->client;
    if (client->member == NULL) {
        if (sessions < MESSAGES)
            connect(speaker, random);
    } else if (client->full || random_below(random, 40) == 0) {
        leave(speaker);
    } else if (random_below(random, 3) == 0) {
        client_take(client);
    } else if (!client->paused) {
        speak(speaker, random);
    }
}

static void run(uint64_t seed, size_t history, bool echo_self)
{
    uint64_t random = seed;
    memset(speakers, 0, sizeof speakers);
    memset(heard, 0, sizeof heard);
    memset(last_of, 0, sizeof last_of);
    memset(highest, 0, sizeof highest);
    sessions = said = 0;
    world_begin(history, echo_self, seed % 3 == 0 ? 200000 : 1 << 30);
    world.wall = FIRST_ID;
    world.ground.send_queue = SEND_QUEUE;
    world.rules.keep = 50;
    world_make_channels(seed);
    for (int step = 0; step < STEPS; step++) {
        if (random_below(&random, 5) == 0)
            act(&speakers[random_below(&random, CLIENTS)], &random);
        else
            world_step(random_below(&random, LOOPS));
        if (step % 1000 == 0)
            world_pass(10);
        size_t held = atomic_load(&world.memory.held);
        MUST(held < 1 << 20 || history > 100);
    }
    for (int i = 0; i < 2000; i++) {
        world_settle();
        for (size_t j = 0; j < CLIENTS; j++)
            if (speakers[j].client.member != NULL)
                client_take(&speakers[j].client);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        struct speaker *speaker = &speakers[i];
        if (speaker->client.member == NULL)
            continue;
        MUST(speaker->client.told || history == 0 || speaker->client.full);
        MUST(!speaker->client.paused);
        if (history > 0 && echo_self && !speaker->client.full && speaker->next != 0)
            MUST(speaker->next == highest[speaker->channel] + 1);
        leave(speaker);
    }
    world_settle();
    world_pass(100);
    world_pass(200);
    ck_assert_uint_eq(atomic_load(&world.memory.held), 0);
    world_end();
}

START_TEST(all_hear_the_same_without_gap_or_double_whatever_happens_when)
{
    run((uint64_t)_i + 1, 1000, true);
    ck_assert_uint_gt(resumed, 50);
    ck_assert_uint_gt(replayed, 50);
}
END_TEST

START_TEST(so_do_they_with_a_history_that_is_shorter_than_what_some_miss)
{
    run((uint64_t)_i + 100, 12, true);
    ck_assert_uint_gt(resumed, 10);
    ck_assert_uint_gt(lost, 10);
}
END_TEST

START_TEST(so_do_they_where_nobody_hears_himself)
{
    run((uint64_t)_i + 200, 1000, false);
    ck_assert_uint_gt(resumed, 10);
}
END_TEST

START_TEST(without_a_history_nothing_is_left_behind)
{
    run((uint64_t)_i + 300, 0, _i % 2 == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("channel_random");
    TCase *tests = tcase_create("channel_random");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, all_hear_the_same_without_gap_or_double_whatever_happens_when, 0,
                        SEEDS);
    tcase_add_loop_test(tests, so_do_they_with_a_history_that_is_shorter_than_what_some_miss, 0,
                        SEEDS);
    tcase_add_loop_test(tests, so_do_they_where_nobody_hears_himself, 0, SEEDS);
    tcase_add_loop_test(tests, without_a_history_nothing_is_left_behind, 0, SEEDS);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
