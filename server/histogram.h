/*
 * histogram: how long things took, as counts in fixed memory. Knows nothing of what is measured.
 *
 * Durations are microseconds from 0 to 24 hours. Short ones have a bucket each; from there on every
 * doubling is cut into HISTOGRAM_FINE buckets of the same width, so that what comes out is at most
 * 2 % off, however long it is.
 *
 * Each histogram has one writer at a time, who needs no lock; any thread may read beside it, and
 * sees every count whole, though perhaps not the latest ones. Nothing allocates, fails or blocks.
 */
#ifndef LASTCALL_SERVER_HISTOGRAM_H
#define LASTCALL_SERVER_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_MOST INT64_C(86400000000) /* microseconds in 24 hours */

/* The finest at which all buckets fit into 4 KB; 31 doublings, and a part of one more. */
#define HISTOGRAM_FINE 31
#define HISTOGRAM_BUCKETS (HISTOGRAM_FINE * 31 + (int)(HISTOGRAM_MOST >> 31) + 1)

/* Zeroed it is empty. */
struct histogram {
    atomic_int_fast64_t longest;
    atomic_int_fast64_t below_most; /* HISTOGRAM_MOST less the shortest */
    _Atomic uint32_t buckets[HISTOGRAM_BUCKETS];
};

/*
 * Counts one duration. One of less than 0 counts as 0, one of more than 24 hours as 24 hours; a
 * bucket that holds 4,294,967,295 takes no more. The writer.
 */
void histogram_add(struct histogram *histogram, int64_t microseconds);

/* Adds all that `from` holds, which stays as it is. The writer of `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* How many durations there are. Any thread, and so below. */
uint64_t histogram_count(const struct histogram *histogram);

/*
 * The duration, in microseconds, that a share (0.5 for the median) of all do not exceed: at most
 * 2 % off, and never beyond the shortest and the longest. A share of 0 or less is the shortest,
 * 1 or more the longest. 0 when there is none.
 */
int64_t histogram_percentile(const struct histogram *histogram, double share);

/* The longest and the shortest in microseconds, exact; 0 when there is none. */
int64_t histogram_max(const struct histogram *histogram);
int64_t histogram_min(const struct histogram *histogram);

#endif
