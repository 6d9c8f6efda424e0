#include "server/arrivals.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "server/address.h"
#include "server/handshake.h"
#include "server/log.h"

enum {
    SLOW = 1000, /* milliseconds */
    SLOW_IF_SCARCE = 100,
    JUDGED_MAX = 2048,  /* more than CivetWeb can hold */
    ENDED_MAX = 1024,   /* that are remembered: as many as there are threads */
    REFUSAL_BURST = 20, /* lines in the log at once */
};

static const char why[] =
    "requests of this address take long to arrive, and hold as many threads "
    "as limits.requests_per_address allows";

/* A slow one. */
struct slow {
    struct arrival *arrival;
    struct address_key key;
    struct sockaddr_storage peer;
    bool served; /* by the door */
};

/* Those that were ended, until their threads have noticed. */
static struct {
    pthread_mutex_t lock;
    size_t count; /* ever */
    struct {
        struct address_key key;
        uint16_t port; /* 0: noticed */
    } last[ENDED_MAX];
} ended = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct arrivals_options options;
static struct log_limit limit = {.burst = REFUSAL_BURST};

void arrivals_init(const struct arrivals_options *with)
{
    options = with == NULL ? (struct arrivals_options){.addresses = NULL} : *with;
}

/* Those that have been read from for long, but not a proxy's. */
static size_t find_slow(struct arrival *arrivals, size_t count, int64_t since, struct slow *found)
{
    size_t slow = 0;
    for (size_t i = 0; i < count && slow < JUDGED_MAX; i++) {
        struct slow *one = &found[slow];
        const struct sockaddr *peer = (const struct sockaddr *)&one->peer;
        if (arrivals[i].since > since || arrivals[i].ended ||
            takeover_waits(&arrivals[i].connection) ||
            !takeover_peer_of(&arrivals[i].connection, &one->peer) ||
            network_contains(options.trusted, options.trusted_count, peer))
            continue;
        one->arrival = &arrivals[i];
        one->key = address_key(peer);
        slow++;
    }
    return slow;
}

/* How many of the same address there are that stay before this one does: those that are served,
   and the younger ones. */
static size_t count_before(const struct slow *found, size_t slow, const struct slow *one)
{
    size_t before = 0;
    for (size_t i = 0; i < slow; i++) {
        const struct slow *other = &found[i];
        if (other == one || memcmp(&other->key, &one->key, sizeof one->key) != 0)
            continue;
        if (other->served || other->arrival->since > one->arrival->since ||
            (other->arrival->since == one->arrival->since && other > one))
            before++;
    }
    return before;
}

static void remember(const struct slow *slow)
{
    pthread_mutex_lock(&ended.lock);
    size_t place = ended.count++ % ENDED_MAX;
    ended.last[place].key = slow->key;
    ended.last[place].port = address_port((const struct sockaddr *)&slow->peer);
    pthread_mutex_unlock(&ended.lock);
}

bool arrivals_ended(const struct sockaddr *peer)
{
    const struct address_key key = address_key(peer);
    const uint16_t port = address_port(peer);
    bool found = false;
    pthread_mutex_lock(&ended.lock);
    for (size_t i = 0; i < ENDED_MAX && i < ended.count && !found; i++) {
        found = port != 0 && ended.last[i].port == port &&
                memcmp(&ended.last[i].key, &key, sizeof key) == 0;
        if (found)
            ended.last[i].port = 0;
    }
    pthread_mutex_unlock(&ended.lock);
    return found;
}

static void end(const struct slow *slow, int64_t now)
{
    char response[512];
    char address[ADDRESS_TEXT_SIZE];
    int64_t left_out = 0;
    size_t length = handshake_refusal(response, sizeof response, 429, why, time(NULL));
    remember(slow);
    takeover_refuse(&slow->arrival->connection, response, length);
    tracker_refused(options.counts, REFUSED_ADDRESS);
    if (!log_limit_pass(&limit, now, &left_out))
        return;
    address_format((const struct sockaddr *)&slow->peer, address, sizeof address);
    struct log_field fields[4] = {LOG_TEXT("address", address), LOG_NUMBER("status", 429),
                                  LOG_TEXT("why", why), LOG_NUMBER("not_logged", left_out)};
    log_fields(LOG_INFO, "refused", fields, left_out > 0 ? 4 : 3);
}

size_t arrivals_judge(struct arrival *arrivals, size_t count, int64_t now, bool scarce)
{
    static struct slow found[JUDGED_MAX]; /* the looking thread's own */
    size_t most = options.addresses == NULL ? 0 : addresses_requests(options.addresses);
    size_t judged = 0;
    if (most == 0 || count <= most)
        return 0;
    size_t slow = find_slow(arrivals, count, now - (scarce ? SLOW_IF_SCARCE : SLOW), found);
    if (slow <= most)
        return 0;
    for (size_t i = 0; i < slow; i++)
        found[i].served = addresses_serves(options.addresses, &found[i].key,
                                           address_port((struct sockaddr *)&found[i].peer));
    for (size_t i = 0; i < slow; i++) {
        if (found[i].served || count_before(found, slow, &found[i]) < most)
            continue;
        end(&found[i], now);
        found[i].arrival->ended = true;
        judged++;
    }
    return judged;
}
