/*
 * rate: so many of something a second, and a second's worth at once.
 *
 * Pure: knows no clock and no lock; whoever owns a rate brings the time.
 */
#ifndef LASTCALL_SERVER_RATE_H
#define LASTCALL_SERVER_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: nothing has been taken yet. */
struct rate {
    int64_t used; /* thousandths of what has been taken and is not made up for by time yet */
    int64_t at;   /* milliseconds: `used` was reckoned then */
};

/*
 * Takes one of `per_second` (at most a million; 0: any number) at time `now` (milliseconds of any
 * clock that does not go back). Returns whether it was there to be taken.
 */
bool rate_take(struct rate *rate, int64_t per_second, int64_t now);

/* Whether time has made up for all that was taken: it is as if zeroed. */
bool rate_rested(const struct rate *rate, int64_t per_second, int64_t now);

#endif
