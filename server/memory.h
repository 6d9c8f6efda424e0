/*
 * memory: what all sessions hold together, the limit on it, and who holds the most.
 *
 * Each loop has a share, in which its sessions are sorted by what they hold, each holding twice as
 * much as the class below: finding the largest costs the same for ten sessions and for a hundred
 * thousand. Over the limit it is the turn of the loop with the largest; another one that sees it
 * first asks for that loop. Knows no session: whoever has a holder knows whose it is.
 */
#ifndef LASTCALL_SERVER_MEMORY_H
#define LASTCALL_SERVER_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_SHARES_MAX 64
#define MEMORY_CLASSES 64

/* Of all loops. Zeroed but for `limit` it is ready; that may be set before anything is held. */
struct memory {
    size_t limit; /* bytes */
    atomic_size_t held;
    atomic_uint_fast64_t relieved;             /* times that a session was closed for it */
    atomic_uint largest[MEMORY_SHARES_MAX];    /* the highest class of each share; 0: none */
    atomic_bool asked[MEMORY_SHARES_MAX];      /* to take its turn, and has not yet */
    void (*ask)(void *argument, size_t share); /* tells a loop that it is its turn */
    void *argument;
};

/* What one session holds; zeroed: nothing. */
struct holder {
    size_t bytes;
    struct holder *next;
    struct holder **link; /* what points to it */
};

/* Of one loop, and touched by that alone. Zeroed but for the first two it is ready. */
struct memory_share {
    struct memory *memory;
    size_t place; /* of the share among all */
    struct holder *classes[MEMORY_CLASSES];
    uint64_t used; /* a bit for each class that is not empty */
};

/* Counts what a session holds more, or less. */
void memory_hold(struct memory_share *share, struct holder *holder, int64_t change);

/*
 * The two halves of it, for what several sessions hold together: it is there once, and counted so,
 * by whoever has made it; but each of them holds it all when the largest is looked for.
 */
void memory_count(struct memory *memory, int64_t change); /* any thread */
void memory_rank(struct memory_share *share, struct holder *holder, int64_t change);

/*
 * Whom to take memory from: NULL while all is within the limit, or where it is another loop's turn,
 * which has then been asked. Call it again until it is NULL, each time having taken something.
 */
struct holder *memory_relieve(struct memory_share *share);

#endif
