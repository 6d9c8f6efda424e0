/*
 * channel_world: channels on loops that are queues, whose tasks a test runs one by one in whichever
 * order it likes, and members that are clients without sockets.
 */
#ifndef LASTCALL_TESTS_SUPPORT_CHANNEL_WORLD_H
#define LASTCALL_TESTS_SUPPORT_CHANNEL_WORLD_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel_private.h"
#include "server/memory.h"
#include "server/message.h"
#include "server/task.h"

/* Check's own assertions write to a file each time, also when they hold: too slow for millions. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("does not hold: %s (step %u)", #condition, world.steps);                  \
    } while (0)

enum { LOOPS = 3, HEARD_MAX = 32765 };

struct client {
    struct member *member; /* NULL: not connected */
    size_t loop;
    uint64_t position; /* that it was told */
    uint64_t last;     /* the id that it knows; 0: none */
    size_t untaken;    /* messages that wait in its session */
    size_t room;       /* how many may; 0: any number */
    const char *refused;
    /* For each message, with its id taken off: */
    void (*hears)(struct client *client, uint64_t id, const char *text, size_t length);
    bool told;
    bool full; /* its session has been closed for that */
    bool paused;
    char heard[HEARD_MAX]; /* or all of them here, each followed by a comma */
};

static struct {
    struct memory memory;
    struct shelves *shelves;
    struct channels *channels;
    struct channel_rules rules;
    struct channel_ground ground;
    struct {
        struct task *first;
        struct task **end;
    } queue[LOOPS];
    struct later *later[LOOPS];
    int64_t now;
    uint64_t wall;
    unsigned steps; /* tasks run */
} world;

/* --- the loops --- */

static inline void world_post(void *loops, size_t place, struct task *task)
{
    MUST(loops == &world && place < LOOPS);
    task->next = NULL;
    *world.queue[place].end = task;
    world.queue[place].end = &task->next;
}

static inline void world_post_later(void *loops, size_t place, struct later *later,
                                    int64_t milliseconds)
{
    MUST(loops == &world && place < LOOPS);
    later->at = world.now + milliseconds;
    later->next = world.later[place];
    world.later[place] = later;
}

static inline int64_t world_now(void)
{
    return world.now;
}

static inline uint64_t world_wall(void)
{
    return world.wall;
}

/* Runs the oldest task of a loop, if there is one. */
static inline bool world_step(size_t place)
{
    struct task *task = world.queue[place].first;
    if (task == NULL)
        return false;
    world.queue[place].first = task->next;
    if (task->next == NULL)
        world.queue[place].end = &world.queue[place].first;
    world.steps++;
    task->run(task);
    return true;
}

static inline void world_settle(void)
{
    bool any = true;
    while (any) {
        any = false;
        for (size_t i = 0; i < LOOPS; i++)
            any = world_step(i) || any;
    }
}

/* Time passes. */
static inline void world_pass(int64_t milliseconds)
{
    world.now += milliseconds;
    for (size_t i = 0; i < LOOPS; i++) {
        struct later *all = world.later[i];
        world.later[i] = NULL;
        for (struct later *later = all, *next; later != NULL; later = next) {
            next = later->next;
            if (later->at <= world.now)
                later->task.run(&later->task);
            else
                world_post_later(&world, i, later, later->at - world.now);
        }
    }
}

/* --- the members --- */

static inline void client_told(void *session, uint64_t id)
{
    struct client *client = session;
    MUST(client->member != NULL && !client->told);
    client->told = true;
    client->position = id;
}

static inline bool client_send(void *session, struct message *message)
{
    struct client *client = session;
    MUST(client->member != NULL);
    if (client->full)
        return false;
    if (client->room > 0 && client->untaken >= client->room) {
        client->full = true;
        return false;
    }
    client->untaken++;
    struct iovec frame = message_frame(message, NULL, 0);
    size_t length = message_length(message);
    const char *text = (const char *)frame.iov_base + frame.iov_len - length;
    uint64_t id = 0;
    if (world.rules.history > 0) {
        char *end;
        char number[24] = "";
        memcpy(number, text, length < 23 ? length : 23);
        id = strtoull(number, &end, 10);
        MUST(*end == '\n' && client->told);
        length -= (size_t)(end - number) + 1;
        text += (size_t)(end - number) + 1;
    }
    if (client->hears != NULL) {
        client->hears(client, id, text, length);
    } else {
        size_t used = strlen(client->heard);
        MUST(used + length + 24 < HEARD_MAX);
        if (id != 0)
            used += (size_t)sprintf(client->heard + used, "%llu:", (unsigned long long)id);
        sprintf(client->heard + used, "%.*s,", (int)length, text);
    }
    client->last = id;
    return true;
}

static inline bool client_clogged(void *session)
{
    const struct client *client = session;
    return client->room > 0 && client->untaken > client->room / 2;
}

static inline void client_pause(void *session, bool paused)
{
    struct client *client = session;
    MUST(client->member != NULL && client->paused != paused);
    client->paused = paused;
}

static inline void client_refuse(void *session, const char *why)
{
    struct client *client = session;
    MUST(client->member != NULL);
    client->refused = why;
    client->full = true;
}

/* --- a test begins and ends --- */

/* The same channels have the same homes in each run. */
static inline void world_make_channels(uint64_t key)
{
    if (world.channels != NULL)
        channels_free(world.channels);
    world.channels = channels_new(&world.rules);
    ck_assert_ptr_nonnull(world.channels);
    world.channels->key[0] = key;
    world.channels->key[1] = 0;
}

static inline void world_begin(size_t history, bool echo_self, size_t memory_limit)
{
    memset(&world, 0, sizeof world);
    for (size_t i = 0; i < LOOPS; i++)
        world.queue[i].end = &world.queue[i].first;
    world.memory.limit = memory_limit;
    world.wall = 1000;
    world.shelves = shelves_new();
    world.rules = (struct channel_rules){
        .history = history,
        .keep = 60000,
        .echo_self = echo_self,
        .tell_position = client_told,
        .send = client_send,
        .clogged = client_clogged,
        .pause = client_pause,
        .refuse = client_refuse,
    };
    world.ground = (struct channel_ground){
        .loops = &world,
        .count = LOOPS,
        .post = world_post,
        .post_later = world_post_later,
        .now = world_now,
        .wall = world_wall,
        .memory = &world.memory,
        .shelves = world.shelves,
        .send_queue = 1 << 20,
    };
    world_make_channels(0);
}

static inline void world_end(void)
{
    world_settle();
    channels_free(world.channels);
    shelves_free(world.shelves);
    ck_assert_uint_eq(atomic_load(&world.memory.held), 0);
}

static inline void client_join(struct client *client, const char *channel, size_t loop,
                               const char *since)
{
    const struct member_opening opening = {
        .session = client,
        .name = channel,
        .name_length = strlen(channel),
        .resumes = since != NULL,
        .since = since == NULL ? 0 : strtoull(since, NULL, 10),
    };
    channels_begin(world.channels, &world.ground);
    client->told = client->full = client->paused = false;
    client->refused = NULL;
    client->untaken = 0;
    client->loop = loop;
    client->member = member_join(world.channels, loop, &opening);
    ck_assert_ptr_nonnull(client->member);
}

static inline void client_say(struct client *client, const char *text)
{
    MUST(member_publish(client->member, MESSAGE_TEXT, text, strlen(text)));
}

static inline void client_leave(struct client *client)
{
    member_leave(client->member);
    client->member = NULL;
}

/* Its peer has taken everything. */
static inline void client_take(struct client *client)
{
    client->untaken = 0;
    member_continue(client->member);
}

#endif
