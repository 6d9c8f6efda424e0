#include "server/limits.h"

#include <limits.h>

#include "handlers/handler.h"
#include "server/machine.h"
#include "server/memory.h"

enum {
    MEMORY_SHARE = 4,
    ADDRESS_REQUESTS_LEAST = 8,
    STALLED_PEERS = 2048,
    RECEIVE_LEAST = 16384,
    RECEIVE_MOST = 262144,
};

static int64_t own_or(int64_t own, int64_t common)
{
    return own == OPTION_AUTO ? common : own;
}

/* A quarter and not more: what is freed may stay with the allocator while the kernel takes as much
   again for peers that do not read, it keeps some of what each peer sends, which counts for nobody
   who is read from, and the program itself needs some. */
uint64_t limits_memory(const struct config *config)
{
    int64_t limit = config->limits.memory;
    return limit == OPTION_AUTO ? machine_memory() / MEMORY_SHARE : (uint64_t)limit;
}

/* So many peers that nobody reads from may be there before they fill the memory. */
uint64_t limits_receive_buffer(const struct config *config)
{
    const uint64_t share = limits_memory(config) / STALLED_PEERS;
    if (config->limits.receive_buffer != OPTION_AUTO)
        return (uint64_t)config->limits.receive_buffer;
    return share < RECEIVE_LEAST ? RECEIVE_LEAST : share > RECEIVE_MOST ? RECEIVE_MOST : share;
}

struct session_limits limits_of_route(const struct config *config, const struct config_route *route,
                                      uint64_t receive_buffer)
{
    return (struct session_limits){
        .message = (uint64_t)own_or(route->message, config->limits.message),
        .message_timeout = config->limits.message_timeout,
        .receive_buffer = receive_buffer,
        .send_queue = (uint64_t)own_or(route->send_queue, config->limits.send_queue),
        .control_frames = config->limits.control_frames,
        .ping_interval = config->limits.ping_interval,
        .ping_timeout = config->limits.ping_timeout,
        .idle_timeout = config->limits.idle_timeout,
        .max_age = route->max_age,
        .rate = route->rate,
        .close_timeout = config->shutdown.close_timeout,
        .close_code = (uint16_t)config->shutdown.close_code,
        .close_reason = config->shutdown.close_reason,
    };
}

/* One browser asks for six things at a time; and so many threads are awake from the first. */
size_t limits_requests_per_address(const struct config *config)
{
    int64_t half = config->server.http_threads / 2;
    if (config->limits.requests_per_address != OPTION_AUTO)
        return (size_t)config->limits.requests_per_address;
    return (size_t)(half > ADDRESS_REQUESTS_LEAST ? half : ADDRESS_REQUESTS_LEAST);
}

/* The largest number that a handler takes, below `below`; 0: there is none. */
static unsigned next_dearest(const struct config *config, unsigned below)
{
    unsigned most = 0;
    for (size_t i = 0; i < config->route_count; i++) {
        unsigned each = handlers[config->routes[i].group]->descriptors;
        if (each < below && each > most)
            most = each;
    }
    return most;
}

/* At worst they are where each takes the most, as far as the limits of those routes let them in. */
size_t limits_descriptors(const struct config *config, size_t connections)
{
    size_t sum = connections;
    size_t left = connections;
    for (unsigned each = next_dearest(config, UINT_MAX); each > 0;
         each = next_dearest(config, each)) {
        for (size_t i = 0; i < config->route_count && left > 0; i++) {
            const struct config_route *route = &config->routes[i];
            if (handlers[route->group]->descriptors != each)
                continue;
            size_t here = left;
            if (route->connections != OPTION_AUTO && (size_t)route->connections < left)
                here = (size_t)route->connections;
            sum += here * each;
            left -= here;
        }
    }
    return sum;
}

size_t limits_connections(const struct config *config, size_t descriptors, size_t most)
{
    size_t enough = 0;
    while (enough < most) {
        size_t middle = enough + (most - enough + 1) / 2;
        if (limits_descriptors(config, middle) <= descriptors)
            enough = middle;
        else
            most = middle - 1;
    }
    return enough;
}

size_t limits_loops(const struct config *config)
{
    if (config->server.loops != OPTION_AUTO)
        return (size_t)config->server.loops;
    size_t processors = machine_processors();
    return processors < MEMORY_SHARES_MAX ? processors : MEMORY_SHARES_MAX;
}
