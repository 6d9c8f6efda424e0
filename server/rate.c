#include "server/rate.h"

enum { WHOLE = 1000 }; /* thousandths, and milliseconds in a second */

static int64_t used_now(const struct rate *rate, int64_t per_second, int64_t now)
{
    int64_t passed = now - rate->at;
    if (passed >= WHOLE || passed * per_second >= rate->used)
        return 0;
    return rate->used - passed * per_second;
}

bool rate_take(struct rate *rate, int64_t per_second, int64_t now)
{
    if (per_second == 0)
        return true;
    rate->used = used_now(rate, per_second, now);
    rate->at = now;
    if (rate->used + WHOLE > per_second * WHOLE)
        return false;
    rate->used += WHOLE;
    return true;
}

bool rate_rested(const struct rate *rate, int64_t per_second, int64_t now)
{
    return used_now(rate, per_second, now) == 0;
}
