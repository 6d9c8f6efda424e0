/*
 * keys: every key of the program, in two tables: those of the sections with fixed names, and those
 * that every route with WebSockets takes. The keys of handlers are in their option groups.
 *
 * The parser, `lastcall -T`, `lastcall -h` and the documented sample file are drawn from them. A
 * new key is a member of struct config, a name in the list below, and a row; a new key of
 * routes is a member of struct config_route and a row.
 */
#ifndef LASTCALL_CONFIG_KEYS_H
#define LASTCALL_CONFIG_KEYS_H

#include <stddef.h>

#include "config/config.h"
#include "config/option.h"
#include "config/value.h"

enum key {
    KEY_LISTEN,
    KEY_HTTP_THREADS,
    KEY_LOOPS,
    KEY_TRUSTED_PROXIES,
    KEY_CONNECTIONS,
    KEY_CONNECTIONS_PER_ADDRESS,
    KEY_REQUESTS_PER_ADDRESS,
    KEY_RATE_PER_ADDRESS,
    KEY_HANDSHAKE_TIMEOUT,
    KEY_MEMORY,
    KEY_MESSAGE,
    KEY_MESSAGE_TIMEOUT,
    KEY_SEND_QUEUE,
    KEY_RECEIVE_BUFFER,
    KEY_CONTROL_FRAMES,
    KEY_PING_INTERVAL,
    KEY_PING_TIMEOUT,
    KEY_IDLE_TIMEOUT,
    KEY_TIMEOUT,
    KEY_CLOSE_TIMEOUT,
    KEY_DELAY,
    KEY_SPREAD,
    KEY_TOLERATE,
    KEY_CLOSE_CODE,
    KEY_CLOSE_REASON,
    KEY_REPORT,
    KEY_LEVEL,
    KEY_FORMAT,
    KEY_ACCESS,
    KEY_COUNT
};

struct config_key {
    const char *section; /* NULL: a route's */
    size_t offset;       /* of the member of struct config or struct config_route: see member.h */
    struct option option;
    struct value_extra extra;
};

/* In the order of enum key: a section's keys stand together. */
extern const struct config_key config_keys[KEY_COUNT];

struct config_section {
    const char *name;
    const char *help;
};

/* The sections with fixed names, in the order of config_keys; ended by a NULL name. */
extern const struct config_section config_sections[];

/*
 * The keys that every [route ...] takes whose handler serves WebSockets; ended by a NULL name. Each
 * has a default, and none has the name of a handler's key.
 */
extern const struct config_key config_route_keys[];

/* Those that make a section a route: its path and its handler; ended by a NULL name. */
extern const struct option config_route_options[];

#endif
