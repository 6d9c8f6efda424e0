#include "server/workers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "server/arrivals.h"
#include "server/clock.h"

enum {
    AWAKE_AT_FIRST = 8,
    SLOW = 50,            /* milliseconds after which a connection holds a thread */
    LOOK_INTERVAL = 100,  /* milliseconds to the next look when CivetWeb has nothing */
    LOOK_AGAIN = 10,      /* and when it has something */
    LOOKED_AT_MAX = 2048, /* more than CivetWeb can hold */
};

static struct {
    pthread_mutex_t lock; /* guards the three below */
    pthread_cond_t changed;
    size_t total;
    size_t started;
    size_t awake;
    struct arrival seen[LOOKED_AT_MAX]; /* connections at the last look; the looking thread's own */
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

/* What is known of a connection from the look before; from now on, if nothing is. */
static struct arrival recall(const struct takeover_connection *connection, int64_t now)
{
    for (size_t i = 0; i < workers.seen_count; i++)
        if (workers.seen[i].connection.cookie == connection->cookie)
            return workers.seen[i];
    return (struct arrival){.connection = *connection, .since = now};
}

int workers_look(void)
{
    static struct takeover_connection connections[LOOKED_AT_MAX]; /* the looking thread's own */
    static struct arrival seen[LOOKED_AT_MAX];
    int64_t now = clock_milliseconds();
    size_t count = takeover_connections(connections, LOOKED_AT_MAX);
    size_t slow = 0;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (!connections[i].spoken) { /* the kernel has waited for its first byte for long */
            takeover_end(&connections[i]);
            continue;
        }
        seen[kept] = recall(&connections[i], now);
        if (now - seen[kept++].since >= SLOW)
            slow++;
    }
    arrivals_judge(seen, kept, now, kept >= workers.total);
    memcpy(workers.seen, seen, kept * sizeof *seen);
    workers.seen_count = kept;
    if (slow > 0)
        let_in(slow + AWAKE_AT_FIRST);
    return count > 0 ? LOOK_AGAIN : LOOK_INTERVAL;
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
