/*
 * channel_history: the last messages of a channel, by their ids, which count up by one.
 *
 * Holds references. Knows neither members nor loops. Not locked: it belongs to one thread.
 */
#ifndef LASTCALL_SERVER_CHANNEL_HISTORY_H
#define LASTCALL_SERVER_CHANNEL_HISTORY_H

#include <stddef.h>
#include <stdint.h>

struct message;

struct history_entry {
    struct message *message;
    uint64_t sender; /* who published it; no two of a process have the same number */
    size_t cost;     /* of the message when it came */
};

/* Zeroed but for `last` it is ready and empty. */
struct history {
    struct history_entry *entries; /* a ring; NULL while nothing is kept */
    size_t capacity;
    size_t first; /* the place of the oldest */
    size_t count;
    size_t bytes;  /* what is kept takes */
    uint64_t last; /* the id of the newest message, kept or not */
};

/*
 * Gives the message the next id and keeps it, as the newest of at most `most`; what is too old
 * goes. Takes a reference of its own. Without memory nothing is kept any more, this one included:
 * what is kept has no gap.
 */
void history_add(struct history *history, size_t most, struct message *message, uint64_t sender);

/* Drops the oldest, if there is one. */
void history_drop(struct history *history);

void history_clear(struct history *history);

/* The id of the oldest that is kept; of the next that will be given if none is. */
uint64_t history_oldest(const struct history *history);

/* From history_oldest to `last`. */
const struct history_entry *history_at(const struct history *history, uint64_t id);

/*
 * After which message one goes on who has come with `since`: that one if everything behind it is
 * kept, else the one before the oldest that is.
 */
uint64_t history_resume(const struct history *history, uint64_t since);

#endif
