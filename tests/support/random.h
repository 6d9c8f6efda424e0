/* Random numbers for tests that try what nobody would write: the same in each run. */
#ifndef LASTCALL_TESTS_SUPPORT_RANDOM_H
#define LASTCALL_TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* One below `limit`. `state` begins with whatever number the test chooses. */
static inline size_t random_below(uint64_t *state, size_t limit)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (size_t)(*state >> 33) % limit;
}

#endif
