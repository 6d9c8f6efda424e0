#include "server/readiness.h"

#include <stdatomic.h>

static atomic_int state = READINESS_STARTING;

const char *readiness_name(enum readiness readiness)
{
    static const char *const names[] = {"starting", "ready", "paused", "stopping"};
    return names[readiness];
}

void readiness_set(enum readiness readiness)
{
    atomic_store(&state, (int)readiness);
}

enum readiness readiness_get(void)
{
    return (enum readiness)atomic_load(&state);
}
