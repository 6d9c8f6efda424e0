#include "server/memory.h"

enum {
    LOOKED_AT_MAX = 64, /* holders of one class: the largest of so many is large enough */
    EXCESS_SHARE = 8,   /* so far over the limit nobody waits for another loop */
};

/* The number of bits: 0 holds nothing. */
static unsigned class_of(size_t bytes)
{
    unsigned bits = 0;
    for (; bytes > 0 && bits < MEMORY_CLASSES - 1; bytes >>= 1)
        bits++;
    return bits;
}

static void leave(struct memory_share *share, struct holder *holder, unsigned class)
{
    *holder->link = holder->next;
    if (holder->next != NULL)
        holder->next->link = holder->link;
    holder->next = NULL;
    holder->link = NULL;
    if (share->classes[class] == NULL)
        share->used &= ~(UINT64_C(1) << class);
}

static void enter(struct memory_share *share, struct holder *holder, unsigned class)
{
    holder->next = share->classes[class];
    holder->link = &share->classes[class];
    if (holder->next != NULL)
        holder->next->link = &holder->next;
    share->classes[class] = holder;
    share->used |= UINT64_C(1) << class;
}

static unsigned highest_class(const struct memory_share *share)
{
    return share->used == 0 ? 0 : 63 - (unsigned)__builtin_clzll(share->used);
}

void memory_count(struct memory *memory, int64_t change)
{
    atomic_fetch_add_explicit(&memory->held, (size_t)change, memory_order_relaxed);
}

void memory_hold(struct memory_share *share, struct holder *holder, int64_t change)
{
    memory_count(share->memory, change);
    memory_rank(share, holder, change);
}

void memory_rank(struct memory_share *share, struct holder *holder, int64_t change)
{
    unsigned before = class_of(holder->bytes);
    holder->bytes = (size_t)((int64_t)holder->bytes + change);
    unsigned after = class_of(holder->bytes);
    if (before == after)
        return;
    if (before != 0)
        leave(share, holder, before);
    if (after != 0)
        enter(share, holder, after);
    atomic_store_explicit(&share->memory->largest[share->place], highest_class(share),
                          memory_order_relaxed);
}

static struct holder *largest_of(const struct memory_share *share)
{
    struct holder *largest = share->classes[highest_class(share)];
    struct holder *holder = largest;
    for (int i = 0; i < LOOKED_AT_MAX && holder != NULL; i++, holder = holder->next)
        if (holder->bytes > largest->bytes)
            largest = holder;
    return largest;
}

/* The share with the largest holder; `share` itself where it is as good as any. */
static size_t whose_turn(const struct memory_share *share)
{
    struct memory *memory = share->memory;
    unsigned most = highest_class(share);
    size_t turn = share->place;
    for (size_t i = 0; i < MEMORY_SHARES_MAX; i++) {
        unsigned class = atomic_load_explicit(&memory->largest[i], memory_order_relaxed);
        if (class > most) {
            most = class;
            turn = i;
        }
    }
    return turn;
}

struct holder *memory_relieve(struct memory_share *share)
{
    struct memory *memory = share->memory;
    if (atomic_load_explicit(&memory->asked[share->place], memory_order_relaxed))
        atomic_exchange(&memory->asked[share->place], false); /* before it looks what is held */
    size_t held = atomic_load_explicit(&memory->held, memory_order_relaxed);
    if (held <= memory->limit)
        return NULL;
    size_t turn = whose_turn(share);
    if (turn != share->place) {
        if (!atomic_exchange(&memory->asked[turn], true))
            memory->ask(memory->argument, turn);
        if (held - memory->limit <= memory->limit / EXCESS_SHARE)
            return NULL;
    }
    return largest_of(share);
}
