#include "server/channel_history.h"

#include <stdbool.h>
#include <stdlib.h>

#include "server/message.h"

enum {
    CAPACITY_LEAST = 8,
    FEW = 4, /* a ring of which one in so many is used is halved */
};

/* What one message takes: the ring may be twice as large as it need be. */
static size_t cost_of(const struct message *message)
{
    return message_cost(message) + 2 * sizeof(struct history_entry);
}

static struct history_entry *entry_at(const struct history *history, size_t place)
{
    place += history->first;
    return &history->entries[place < history->capacity ? place : place - history->capacity];
}

/* Returns false without memory; the ring is then as it was. */
static bool resize(struct history *history, size_t capacity)
{
    struct history_entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < history->count; i++)
        entries[i] = *entry_at(history, i);
    free(history->entries);
    history->entries = entries;
    history->capacity = capacity;
    history->first = 0;
    return true;
}

/* Makes room for one more. */
static bool make_room(struct history *history, size_t most)
{
    if (history->count < history->capacity)
        return true;
    size_t capacity = history->capacity == 0 ? CAPACITY_LEAST : 2 * history->capacity;
    return resize(history, capacity < most ? capacity : most);
}

void history_add(struct history *history, size_t most, struct message *message, uint64_t sender)
{
    history->last++;
    if (most == 0)
        return;
    while (history->count >= most)
        history_drop(history);
    if (!make_room(history, most)) {
        history_clear(history);
        return;
    }
    message_keep(message);
    size_t cost = cost_of(message);
    *entry_at(history, history->count) =
        (struct history_entry){.message = message, .sender = sender, .cost = cost};
    history->count++;
    history->bytes += cost;
}

void history_drop(struct history *history)
{
    if (history->count == 0)
        return;
    const struct history_entry *oldest = entry_at(history, 0);
    history->bytes -= oldest->cost;
    message_release(oldest->message);
    history->first = history->first + 1 < history->capacity ? history->first + 1 : 0;
    history->count--;
    if (history->count == 0)
        history_clear(history);
    else if (history->capacity > CAPACITY_LEAST && history->count < history->capacity / FEW)
        resize(history, history->capacity / 2);
}

void history_clear(struct history *history)
{
    for (size_t i = 0; i < history->count; i++)
        message_release(entry_at(history, i)->message);
    free(history->entries);
    *history = (struct history){.last = history->last};
}

uint64_t history_oldest(const struct history *history)
{
    return history->last + 1 - history->count;
}

const struct history_entry *history_at(const struct history *history, uint64_t id)
{
    return entry_at(history, (size_t)(id - history_oldest(history)));
}

uint64_t history_resume(const struct history *history, uint64_t since)
{
    uint64_t before_oldest = history_oldest(history) - 1;
    return since >= before_oldest && since <= history->last ? since : before_oldest;
}
