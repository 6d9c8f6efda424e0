/*
 * channel: what one member says reaches all others, in one order for all of them.
 *
 * Every channel has a home: one of the loops, by the hash of its name. Whatever is published is
 * posted there, gets its place in the order, is encoded once and posted on to the loops on which
 * members live; each delivers to its own. Joining, catching up and leaving are tasks that go the
 * same way. As tasks for one loop run in the order of posting there is neither a gap nor a double,
 * and nothing is locked.
 *
 * With a history every message has an id, which counts up by one. A member that comes with the id
 * it got last is given what it has missed first, in pieces, as fast as it takes them: it asks the
 * home for each, and with the last it is a member like all others.
 *
 * Knows tasks and messages. Members are sessions, but nothing here knows them: they are called by
 * functions, so that a test can be all loops at once.
 */
#ifndef LASTCALL_SERVER_CHANNEL_H
#define LASTCALL_SERVER_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handlers/handler.h"

struct channels; /* of one route */
struct member;
struct memory;
struct message;
struct shelves;
struct later;
struct task;

/* What the channels of a route obey. */
struct channel_rules {
    size_t history; /* so many messages of each are kept; 0: ids are neither given nor sent */
    int64_t keep;   /* milliseconds that the history of a channel without members is kept */
    bool echo_self; /* a member gets what it publishes itself, too */

    /* How a member is reached, on its own loop. `send` may close the session, as it does to a slow
       one; it returns false when nothing more can be sent. */
    void (*tell_position)(void *session, uint64_t id);
    bool (*send)(void *session, struct message *message);
    bool (*clogged)(void *session); /* give it no more until member_continue */
    void (*pause)(void *session, bool paused);
    void (*refuse)(void *session, const char *why); /* to be closed with 1013 */
};

/* Where they are. */
struct channel_ground {
    void *loops;
    size_t count; /* at most MEMORY_SHARES_MAX */
    void (*post)(void *loops, size_t place, struct task *task);
    /* On that loop's own thread; never run if the loop ends before. */
    void (*post_later)(void *loops, size_t place, struct later *later, int64_t milliseconds);
    int64_t (*now)(void);   /* milliseconds */
    uint64_t (*wall)(void); /* microseconds since 1970 */
    struct memory *memory;
    struct shelves *shelves; /* what all histories take, of all routes */
    size_t send_queue;       /* bytes that may wait for one member */
};

/* The newcomer; `name` is copied. */
struct member_opening {
    void *session;
    const char *name; /* of the channel: any bytes */
    size_t name_length;
    bool resumes; /* it has said the id that it got last: */
    uint64_t since;
};

/* One for the whole process: all histories together take at most a quarter of the memory's limit,
   and beyond that those go that were added to least recently. */
struct shelves *shelves_new(void);
void shelves_free(struct shelves *shelves); /* when no channels are left */

/* Returns NULL with errno. Any thread. */
struct channels *channels_new(const struct channel_rules *rules);

/* Says where they are, before the first joins; later calls do nothing. Any thread. */
void channels_begin(struct channels *channels, const struct channel_ground *ground);

/* When all members have left, and all tasks have run. */
void channels_free(struct channels *channels);

/*
 * Has the session become a member, soon: with a history it is told the position it begins behind
 * first. On loop number `place`, as all that follows. Returns NULL without memory.
 */
struct member *member_join(struct channels *channels, size_t place,
                           const struct member_opening *opening);

/* Bytes that it, and the name of its channel, take. */
size_t member_cost(const struct member *member);

/*
 * Publishes. Of what is published on one loop and not yet delivered no more than a send queue is
 * on its way: over that whoever publishes is paused, until half of it has been delivered. Returns
 * false without memory.
 */
bool member_publish(struct member *member, enum message_kind kind, const void *data, size_t length);

/* There is room again in a session that was clogged. */
void member_continue(struct member *member);

/* The session has ended, and is not called any more; frees the member, at once or later. */
void member_leave(struct member *member);

#endif
