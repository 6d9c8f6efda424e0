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
    LEAST_RATE = 16384, /* bytes a second: who reads so much is not given up */
    JUDGED_MAX = 2048,  /* more than CivetWeb can hold */
    ENDED_MAX = 1024,   /* that are remembered: as many as there are threads */
    REFUSAL_BURST = 20, /* lines in the log at once */
};

/* Why a connection is ended. */
struct reason {
    int status; /* that it is answered with, or ARRIVALS_CUT */
    enum tracker_refusal kind;
    const char *why;
};

static const struct reason too_many = {
    429, REFUSED_ADDRESS,
    "requests of this address take long to arrive, and hold as many threads as "
    "limits.requests_per_address allows"};
static const struct reason too_late = {
    408, REFUSED_REQUEST, "the request takes long to arrive, and others wait for a thread"};
static const struct reason too_slow = {ARRIVALS_CUT, REFUSAL_COUNT,
                                       "its answer is read slowly, and others wait for a thread"};

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
        int status;
    } last[ENDED_MAX];
} ended = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct arrivals_options options;
static struct log_limit limit = {.burst = REFUSAL_BURST};

void arrivals_init(const struct arrivals_options *with)
{
    options = with == NULL ? (struct arrivals_options){.addresses = NULL} : *with;
}

/* Since when it has been read from: what waits for a thread is not slow. */
static int64_t read_since(const struct arrival *arrival)
{
    return arrival->waited > arrival->since ? arrival->waited : arrival->since;
}

/* Those that have been read from since `moment` or longer, but not a proxy's. */
static size_t find_slow(struct arrival *arrivals, size_t count, int64_t now, int64_t moment,
                        struct slow *found)
{
    size_t slow = 0;
    for (size_t i = 0; i < count && slow < JUDGED_MAX; i++) {
        struct slow *one = &found[slow];
        const struct sockaddr *peer = (const struct sockaddr *)&one->peer;
        if (takeover_waits(&arrivals[i].connection))
            arrivals[i].waited = now;
        if (arrivals[i].ended || read_since(&arrivals[i]) > moment ||
            !takeover_peer_of(&arrivals[i].connection, &one->peer) ||
            network_contains(options.trusted, options.trusted_count, peer))
            continue;
        one->arrival = &arrivals[i];
        one->key = address_key(peer);
        one->served = addresses_serves(options.addresses, &one->key, address_port(peer));
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
        const int64_t younger = read_since(other->arrival) - read_since(one->arrival);
        if (other->served || younger > 0 || (younger == 0 && other > one))
            before++;
    }
    return before;
}

static void remember(const struct slow *slow, int status)
{
    pthread_mutex_lock(&ended.lock);
    size_t place = ended.count++ % ENDED_MAX;
    ended.last[place].key = slow->key;
    ended.last[place].port = address_port((const struct sockaddr *)&slow->peer);
    ended.last[place].status = status;
    pthread_mutex_unlock(&ended.lock);
}

int arrivals_ended(const struct sockaddr *peer)
{
    const struct address_key key = address_key(peer);
    const uint16_t port = address_port(peer);
    int status = 0;
    pthread_mutex_lock(&ended.lock);
    for (size_t i = 0; i < ENDED_MAX && i < ended.count && status == 0; i++) {
        if (port == 0 || ended.last[i].port != port ||
            memcmp(&ended.last[i].key, &key, sizeof key) != 0)
            continue;
        status = ended.last[i].status;
        ended.last[i].port = 0;
    }
    pthread_mutex_unlock(&ended.lock);
    return status;
}

static void end(const struct slow *slow, const struct reason *reason, int64_t now)
{
    char response[512];
    char address[ADDRESS_TEXT_SIZE];
    size_t length = 0;
    int64_t left_out = 0;
    const bool refused = reason->status != ARRIVALS_CUT;
    if (refused) {
        length =
            handshake_refusal(response, sizeof response, reason->status, reason->why, time(NULL));
        tracker_refused(options.counts, reason->kind);
    }
    remember(slow, reason->status);
    takeover_refuse(&slow->arrival->connection, response, length);
    slow->arrival->ended = true;
    if (!log_limit_pass(&limit, now, &left_out))
        return;
    address_format((const struct sockaddr *)&slow->peer, address, sizeof address);
    struct log_field fields[4] = {LOG_TEXT("address", address), LOG_TEXT("why", reason->why)};
    size_t count = 2;
    if (refused)
        fields[count++] = (struct log_field)LOG_NUMBER("status", reason->status);
    if (left_out > 0)
        fields[count++] = (struct log_field)LOG_NUMBER("not_logged", left_out);
    log_fields(LOG_INFO, refused ? "refused" : "answer cut", fields, count);
}

/* The oldest half request, or else the answer that is read most slowly; NULL: none is slow. */
static const struct slow *find_slowest(const struct slow *found, size_t slow, int64_t now)
{
    const struct slow *oldest = NULL;
    const struct slow *slowest = NULL;
    uint64_t least = LEAST_RATE;
    for (size_t i = 0; i < slow; i++) {
        const struct arrival *arrival = found[i].arrival;
        const int64_t age = now - read_since(arrival);
        uint64_t taken = 0;
        if (age < SLOW || arrival->ended)
            continue;
        if (!found[i].served) {
            if (oldest == NULL || read_since(arrival) < read_since(oldest->arrival))
                oldest = &found[i];
        } else if (takeover_sends(&arrival->connection, &taken) &&
                   taken * 1000 / (uint64_t)age < least) {
            least = taken * 1000 / (uint64_t)age;
            slowest = &found[i];
        }
    }
    return oldest != NULL ? oldest : slowest;
}

size_t arrivals_judge(struct arrival *arrivals, size_t count, int64_t now, bool scarce)
{
    static struct slow found[JUDGED_MAX]; /* the looking thread's own */
    size_t most = options.addresses == NULL ? 0 : addresses_requests(options.addresses);
    size_t judged = 0;
    if (most == 0 || (count <= most && !scarce))
        return 0;
    const int64_t moment = now - (scarce ? SLOW_IF_SCARCE : SLOW);
    size_t slow = find_slow(arrivals, count, now, moment, found);
    for (size_t i = 0; i < slow; i++) {
        if (found[i].served || count_before(found, slow, &found[i]) < most)
            continue;
        end(&found[i], &too_many, now);
        judged++;
    }
    const struct slow *slowest = judged > 0 || !scarce ? NULL : find_slowest(found, slow, now);
    if (slowest == NULL)
        return judged;
    end(slowest, slowest->served ? &too_slow : &too_late, now);
    return 1;
}
