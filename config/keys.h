/*
 * keys: every key of the program, in one table. Those of handlers are in their option groups.
 *
 * The parser, `lastcall -T` and the documented sample file are drawn from it: a new key is a member
 * of struct config, a name in the list below, and a row.
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
    KEY_CONNECTIONS,
    KEY_HANDSHAKE_TIMEOUT,
    KEY_MESSAGE,
    KEY_SEND_QUEUE,
    KEY_PING_INTERVAL,
    KEY_PING_TIMEOUT,
    KEY_IDLE_TIMEOUT,
    KEY_TIMEOUT,
    KEY_CLOSE_TIMEOUT,
    KEY_DELAY,
    KEY_CLOSE_CODE,
    KEY_CLOSE_REASON,
    KEY_LEVEL,
    KEY_FORMAT,
    KEY_COUNT
};

struct config_key {
    const char *section;
    size_t offset; /* of the member of struct config */
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

/* The keys of every [route ...] beside those of its handler; ended by a NULL name. */
extern const struct option config_route_options[];

#endif
