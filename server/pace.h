/*
 * pace: which of many closes is due when. Pure; any thread.
 */
#ifndef LASTCALL_SERVER_PACE_H
#define LASTCALL_SERVER_PACE_H

#include <stddef.h>
#include <stdint.h>

/*
 * How many of `total` closes, evenly paced over `spread` milliseconds, are due `elapsed`
 * milliseconds after the first: one at once, all when `spread` has passed or is 0.
 */
size_t pace_due(size_t total, int64_t elapsed, int64_t spread);

#endif
