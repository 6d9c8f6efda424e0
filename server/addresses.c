#include "server/addresses.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/address.h"
#include "server/clock.h"
#include "server/rate.h"

enum { LISTS_LEAST = 256, LISTS_MOST = 65536 };

struct address_use {
    struct addresses *of;
    struct address_key key;
    struct address_use *next;
    struct rate rate;
    size_t requests;
    size_t sessions;
};

struct addresses {
    struct addresses_limits limits;
    pthread_mutex_t lock; /* guards what is below */
    struct address_request *served;
    uint64_t seed; /* so that nobody can choose addresses which share a list */
    size_t count;
    size_t lists; /* a power of two */
    struct address_use *list[];
};

struct address_key address_key(const struct sockaddr *address)
{
    struct address_key key = {{0}};
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (address->sa_family == AF_INET) {
        key.bytes[10] = key.bytes[11] = 0xff; /* as IPv6 writes it (RFC 4291, section 2.5.5.2) */
        memcpy(key.bytes + 12, &v4->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        memcpy(key.bytes, &v6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) ? 16 : 8);
    }
    return key;
}

struct addresses *addresses_new(const struct addresses_limits *limits, size_t expected)
{
    size_t lists = LISTS_LEAST;
    while (lists < expected / 2 && lists < LISTS_MOST)
        lists *= 2;
    struct addresses *addresses =
        calloc(1, sizeof *addresses + lists * sizeof(struct address_use *));
    if (addresses == NULL)
        return NULL;
    addresses->limits = *limits;
    addresses->lists = lists;
    if (getrandom(&addresses->seed, sizeof addresses->seed, 0) < 0)
        addresses->seed = (uint64_t)clock_microseconds();
    pthread_mutex_init(&addresses->lock, NULL);
    return addresses;
}

void addresses_free(struct addresses *addresses)
{
    if (addresses == NULL)
        return;
    for (size_t i = 0; i < addresses->lists; i++) {
        for (struct address_use *use = addresses->list[i], *next; use != NULL; use = next) {
            next = use->next;
            free(use);
        }
    }
    pthread_mutex_destroy(&addresses->lock);
    free(addresses);
}

/* Mixes well enough for whoever does not know the seed. */
static struct address_use **list_of(struct addresses *addresses, const struct address_key *key)
{
    uint64_t halves[2];
    memcpy(halves, key->bytes, sizeof halves);
    uint64_t mixed = addresses->seed;
    for (size_t i = 0; i < 2; i++) {
        mixed = (mixed ^ halves[i]) * 0x9e3779b97f4a7c15U;
        mixed ^= mixed >> 32;
    }
    return &addresses->list[mixed & (addresses->lists - 1)];
}

static bool same(const struct address_key *one, const struct address_key *other)
{
    return memcmp(one, other, sizeof *one) == 0;
}

static bool in_use(const struct addresses *addresses, const struct address_use *use, int64_t now)
{
    return use->requests > 0 || use->sessions > 0 ||
           !rate_rested(&use->rate, addresses->limits.rate, now);
}

/* What is known of an address, made if it is not there; NULL: no memory. Whatever else is in its
   list and is not needed any more goes. */
static struct address_use *find(struct addresses *addresses, const struct address_key *key,
                                int64_t now)
{
    struct address_use **list = list_of(addresses, key);
    struct address_use *found = NULL;
    for (struct address_use **link = list; *link != NULL;) {
        struct address_use *use = *link;
        if (same(&use->key, key)) {
            found = use;
        } else if (!in_use(addresses, use, now)) {
            *link = use->next;
            free(use);
            addresses->count--;
            continue;
        }
        link = &use->next;
    }
    if (found != NULL)
        return found;
    found = calloc(1, sizeof *found);
    if (found == NULL)
        return NULL;
    found->of = addresses;
    found->key = *key;
    found->next = *list;
    *list = found;
    addresses->count++;
    return found;
}

/* Forgets it, if nothing is left to be known of it. */
static void let_go(struct addresses *addresses, struct address_use *use)
{
    if (in_use(addresses, use, clock_milliseconds()))
        return;
    struct address_use **link = list_of(addresses, &use->key);
    while (*link != use)
        link = &(*link)->next;
    *link = use->next;
    free(use);
    addresses->count--;
}

static enum address_answer take_place(const struct addresses *addresses, struct address_use *use,
                                      int64_t now)
{
    const struct addresses_limits *limits = &addresses->limits;
    if (use == NULL)
        return ADDRESS_NO_MEMORY;
    if (limits->requests > 0 && use->requests >= limits->requests)
        return ADDRESS_REQUESTS;
    if (!rate_take(&use->rate, limits->rate, now))
        return ADDRESS_RATE;
    use->requests++;
    return ADDRESS_IN;
}

enum address_answer addresses_enter_request(struct addresses *addresses,
                                            struct address_request *request,
                                            const struct sockaddr *client,
                                            const struct sockaddr *peer, int64_t now)
{
    const struct address_key key = address_key(client);
    *request = (struct address_request){.key = address_key(peer), .port = address_port(peer)};
    pthread_mutex_lock(&addresses->lock);
    request->use = find(addresses, &key, now);
    enum address_answer answer = take_place(addresses, request->use, now);
    if (answer == ADDRESS_IN) {
        request->next = addresses->served;
        request->link = &addresses->served;
        if (request->next != NULL)
            request->next->link = &request->next;
        addresses->served = request;
    }
    pthread_mutex_unlock(&addresses->lock);
    return answer;
}

void addresses_leave_request(struct addresses *addresses, struct address_request *request)
{
    pthread_mutex_lock(&addresses->lock);
    *request->link = request->next;
    if (request->next != NULL)
        request->next->link = request->link;
    request->use->requests--;
    let_go(addresses, request->use);
    pthread_mutex_unlock(&addresses->lock);
}

bool addresses_enter_session(struct address_use *use)
{
    if (use == NULL)
        return true;
    struct addresses *addresses = use->of;
    pthread_mutex_lock(&addresses->lock);
    bool room = addresses->limits.connections == 0 || use->sessions < addresses->limits.connections;
    if (room)
        use->sessions++;
    pthread_mutex_unlock(&addresses->lock);
    return room;
}

void addresses_leave_session(struct address_use *use)
{
    if (use == NULL)
        return;
    struct addresses *addresses = use->of;
    pthread_mutex_lock(&addresses->lock);
    use->sessions--;
    let_go(addresses, use);
    pthread_mutex_unlock(&addresses->lock);
}

bool addresses_serves(struct addresses *addresses, const struct address_key *key, uint16_t port)
{
    bool found = false;
    pthread_mutex_lock(&addresses->lock);
    for (const struct address_request *request = addresses->served; request != NULL && !found;
         request = request->next)
        found = request->port == port && same(&request->key, key);
    pthread_mutex_unlock(&addresses->lock);
    return found;
}

size_t addresses_requests(const struct addresses *addresses)
{
    return addresses->limits.requests;
}

size_t addresses_count(struct addresses *addresses)
{
    pthread_mutex_lock(&addresses->lock);
    size_t count = addresses->count;
    pthread_mutex_unlock(&addresses->lock);
    return count;
}
