#include "server/histogram.h"

#include <stddef.h>

_Static_assert(sizeof(struct histogram) <= 4096, "a histogram is to fit into 4 KB");

/* Where a duration is counted: halved until it is below twice HISTOGRAM_FINE. */
static size_t bucket_of(int64_t microseconds)
{
    uint64_t times = (uint64_t)microseconds / HISTOGRAM_FINE;
    unsigned halvings = times == 0 ? 0 : 63 - (unsigned)__builtin_clzll(times);
    return HISTOGRAM_FINE * (size_t)halvings + (size_t)(microseconds >> halvings);
}

/* The duration that stands for a bucket: the middle of those that are counted there. */
static int64_t middle_of(size_t bucket)
{
    if (bucket < HISTOGRAM_FINE)
        return (int64_t)bucket;
    size_t halvings = bucket / HISTOGRAM_FINE - 1;
    int64_t first = (int64_t)(bucket - HISTOGRAM_FINE * halvings) << halvings;
    return first + ((INT64_C(1) << halvings) - 1) / 2;
}

/*
 * The writer raises longest and shortest before it counts, and readers look at the counts first:
 * so no reader meets a duration that is outside of them.
 */
static uint32_t held(const struct histogram *histogram, size_t bucket)
{
    return atomic_load_explicit(&histogram->buckets[bucket], memory_order_acquire);
}

static void count(struct histogram *histogram, size_t bucket, uint32_t more)
{
    _Atomic uint32_t *counter = &histogram->buckets[bucket];
    uint32_t now = atomic_load_explicit(counter, memory_order_relaxed);
    uint32_t sum = more > UINT32_MAX - now ? UINT32_MAX : now + more;
    atomic_store_explicit(counter, sum, memory_order_release);
}

static int64_t look(const atomic_int_fast64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static void raise_to(atomic_int_fast64_t *number, int64_t value)
{
    if (value > look(number))
        atomic_store_explicit(number, value, memory_order_relaxed);
}

void histogram_add(struct histogram *histogram, int64_t microseconds)
{
    if (microseconds < 0)
        microseconds = 0;
    if (microseconds > HISTOGRAM_MOST)
        microseconds = HISTOGRAM_MOST;
    raise_to(&histogram->longest, microseconds);
    raise_to(&histogram->below_most, HISTOGRAM_MOST - microseconds);
    count(histogram, bucket_of(microseconds), 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t more = held(from, i);
        if (more == 0)
            continue;
        raise_to(&into->longest, look(&from->longest));
        raise_to(&into->below_most, look(&from->below_most));
        count(into, i, more);
    }
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum += held(histogram, i);
    return sum;
}

/* The place, from 1, of the duration that is asked for among all in their order. */
static uint64_t rank_of(double share, uint64_t all)
{
    if (!(share > 0))
        return 1;
    if (share >= 1)
        return all;
    /* 0.07 times 100 is a little more than 7 for a processor, and must still be the 7th. */
    double exact = share * (double)all - 1e-6;
    uint64_t rank = exact > 0 ? (uint64_t)exact + 1 : 1;
    return rank > all ? all : rank;
}

int64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t all = histogram_count(histogram);
    if (all == 0)
        return 0;
    int64_t shortest = HISTOGRAM_MOST - look(&histogram->below_most);
    int64_t longest = look(&histogram->longest);
    uint64_t rank = rank_of(share, all);
    if (rank == 1)
        return shortest;
    if (rank == all)
        return longest;
    size_t bucket = 0;
    for (uint64_t seen = held(histogram, 0); seen < rank && bucket + 1 < HISTOGRAM_BUCKETS;)
        seen += held(histogram, ++bucket);
    int64_t middle = middle_of(bucket);
    return middle < shortest ? shortest : middle > longest ? longest : middle;
}

int64_t histogram_max(const struct histogram *histogram)
{
    return look(&histogram->longest);
}

int64_t histogram_min(const struct histogram *histogram)
{
    return histogram_count(histogram) == 0 ? 0 : HISTOGRAM_MOST - look(&histogram->below_most);
}
