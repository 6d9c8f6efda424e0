/*
 * channel_private: what the files of a channel share: channel.c (a route's channels),
 * channel_member.c (members, on their own loops), channel_home.c (the home of a channel) and
 * channel_flow.c (what is on its way, and who waits for it). Nobody else includes it.
 */
#ifndef LASTCALL_SERVER_CHANNEL_PRIVATE_H
#define LASTCALL_SERVER_CHANNEL_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "server/channel.h"
#include "server/channel_history.h"
#include "server/memory.h"
#include "server/names.h"
#include "server/task.h"

#define CONTAINER_OF(pointer, type, field) ((type *)((char *)(pointer)-offsetof(type, field)))

/* The histories of one loop's channels, of all routes. */
struct shelf {
    size_t bytes;
    struct channel *newest; /* that was added to most recently; those that keep anything */
    struct channel *oldest;
};

struct shelves {
    struct shelf shelf[MEMORY_SHARES_MAX];
};

enum flow { FLOWING, STOPPED, RESUMING };

/* One loop's part of a route's channels; what is not atomic is touched by that loop alone. */
struct place {
    struct channels *channels;
    size_t number;
    struct names groups; /* struct group: there are members here */
    uint64_t senders;    /* numbers given */

    struct names homes;         /* struct channel: it has its home here */
    struct channel *idle_first; /* without members, by the time at which they are freed */
    struct channel *idle_last;
    struct later sweep;
    bool sweeping; /* that task has been posted */
    uint64_t last; /* the highest id of a channel that has been freed */

    atomic_size_t waiting;   /* bytes published here that are on their way */
    _Atomic(enum flow) flow; /* STOPPED: whoever takes `waiting` down posts `resume` */
    struct task resume;
    struct member *paused_first; /* who has waited longest */
    struct member *paused_last;
};

struct channels {
    struct channel_rules rules;
    struct channel_ground ground;
    uint64_t key[2];
    pthread_mutex_t lock; /* for channels_begin */
    struct place places[MEMORY_SHARES_MAX];
};

/* The members of one channel on one loop. */
struct group {
    struct named named;
    struct place *place;
    struct place *home; /* of the channel */
    struct member *first;

    /* The home's: */
    struct channel *channel; /* NULL: it counts no member here */
    struct group *next;      /* of the same channel */
    size_t counted;
    char name[];
};

struct channel {
    struct named named;
    struct place *home;
    struct group *groups;
    struct history history;
    struct channel *newer; /* on the shelf */
    struct channel *older;
    struct channel *idle_before;
    struct channel *idle_after;
    int64_t free_at; /* milliseconds; without members */
    char name[];
};

/*
 * AWAY     its task is on its way to the home, or back: what is published now comes with it
 * LAGGING  it waits for room; it is then AWAY again for the next piece
 * LIVE     it gets what is published
 */
enum member_state { MEMBER_AWAY, MEMBER_LAGGING, MEMBER_LIVE };

/* Messages for one that catches up. */
struct piece {
    size_t count;
    struct message *messages[];
};

struct member {
    struct task task;
    void *session; /* NULL: it has left */
    struct group *group;
    struct member *next;
    struct member *before;
    struct member *paused_next;
    struct member *paused_before;
    uint64_t sender; /* its number */
    enum member_state state;
    bool paused;

    /* Whose turn it is: the member's loop, or the home while the task is there. */
    bool counted;   /* the home knows it */
    bool resumes;   /* it came with an id */
    bool announced; /* it has been told the position */
    bool live;      /* the piece is the last */
    const char *failure;
    uint64_t begins;   /* the position that it is told */
    uint64_t position; /* the id that it has come to */
    struct piece *piece;
};

/* A message's way to one loop. */
struct delivery {
    struct task task;
    struct publication *publication;
    struct group *group;
};

/* A message's way to all loops: freed when the last has delivered it. */
struct publication {
    struct task task;
    struct place *place; /* where it was published */
    struct group *group;
    struct member *member; /* who has published it: until the home has dealt with it */
    uint64_t sender;
    struct message *message; /* NULL: the home encodes it, with its id */
    size_t counted;          /* in what waits at the place */
    atomic_size_t undelivered;
    enum message_kind kind;
    size_t length;
    uint8_t *data;
    struct delivery deliveries[]; /* one for each loop; the data stand behind them */
};

static inline void channel_post(const struct place *to, struct task *task)
{
    const struct channel_ground *ground = &to->channels->ground;
    ground->post(ground->loops, to->number, task);
}

/* --- channel_home.c: run on the home's loop --- */

void home_admit(struct task *task);   /* of a member: it joins, or wants more */
void home_dismiss(struct task *task); /* of a member: it has left */
void home_publish(struct task *task); /* of a publication */

/* Frees all channels of a place, when there are no members any more. */
void home_free(struct place *place);

/* --- channel_member.c: run on the member's loop --- */

void member_answered(struct task *task);
void member_dismissed(struct task *task);
void member_delivered(struct task *task);   /* of a delivery */
void member_unpublished(struct task *task); /* of a delivery: there is no memory for it */

/* --- channel_flow.c --- */

/* Makes a publication, NULL without memory. The member's loop. */
struct publication *publication_new(struct member *member, enum message_kind kind, const void *data,
                                    size_t length);

/* Frees it: it is on its way no longer. Any loop. */
void publication_end(struct publication *publication);

/* Sends it on its way, and pauses the member where too much is. */
void flow_publish(struct publication *publication, struct member *member);

/* The member is not to be resumed any more. */
void flow_forget(struct member *member);

/* Of a place: posted when enough has been delivered. */
void flow_resume(struct task *task);

#endif
