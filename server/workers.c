#include "server/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/takeover.h"

enum {
    AWAKE_AT_FIRST = 8,
    LOOKED_AT_MAX = 2048, /* more than CivetWeb can hold */
};

static struct {
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t changed;
    size_t total;
    size_t started;
    size_t awake;
    uint64_t seen[LOOKED_AT_MAX]; /* connections at the last look; the looking thread's own */
    size_t seen_count;
} workers = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void let_in(size_t count)
{
    pthread_mutex_lock(&workers.lock);
    if (count > workers.total)
        count = workers.total;
    if (count > workers.awake) {
        workers.awake = count;
        pthread_cond_broadcast(&workers.changed);
    }
    pthread_mutex_unlock(&workers.lock);
}

void workers_init(size_t total)
{
    workers.total = total;
    workers.started = 0;
    workers.awake = 0;
    workers.seen_count = 0;
    let_in(AWAKE_AT_FIRST);
}

void workers_wait(void)
{
    pthread_mutex_lock(&workers.lock);
    size_t place = workers.started++;
    while (place >= workers.awake)
        pthread_cond_wait(&workers.changed, &workers.lock);
    pthread_mutex_unlock(&workers.lock);
}

static bool was_seen(uint64_t cookie)
{
    for (size_t i = 0; i < workers.seen_count; i++)
        if (workers.seen[i] == cookie)
            return true;
    return false;
}

void workers_look(void)
{
    uint64_t cookies[LOOKED_AT_MAX];
    size_t count = takeover_connections(cookies, LOOKED_AT_MAX);
    size_t slow = 0;
    for (size_t i = 0; i < count; i++)
        if (was_seen(cookies[i]))
            slow++;
    for (size_t i = 0; i < count; i++)
        workers.seen[i] = cookies[i];
    workers.seen_count = count;
    if (slow > 0)
        let_in(slow + AWAKE_AT_FIRST);
}

void workers_release(void)
{
    let_in(workers.total);
}

size_t workers_awake(void)
{
    pthread_mutex_lock(&workers.lock);
    size_t awake = workers.awake;
    pthread_mutex_unlock(&workers.lock);
    return awake;
}
