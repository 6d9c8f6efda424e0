/*
 * config: an INI file, and what the command line sets on top of it, as one checked struct.
 *
 * Nothing here starts, opens or allocates anything but memory: a configuration is good or it is a
 * list of mistakes, each with its file and line. Knows the keys of the program; the keys of
 * handlers are handed in as tables. Everything is called by main, on one thread.
 */
#ifndef LASTCALL_CONFIG_CONFIG_H
#define LASTCALL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/option.h"

/* One address to listen on. `host` is a numeric address, or "" for every address. */
struct config_address {
    char host[46];
    uint16_t port; /* 0: any free one */
};

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

/* How the WebSockets of a route are ended when the server stops. */
enum config_drain {
    CONFIG_DRAIN_CLOSE, /* our Close is sent */
    CONFIG_DRAIN_WAIT   /* none until the handler or the peer ends it, or the time is nearly over */
};

/* One [route ...] section. Where no WebSockets are served, what is about them is the defaults. */
struct config_route {
    char *path;                    /* "/echo", or "/chat" for "/chat/<anything>" */
    bool prefix;                   /* the path was written with a final slash and star */
    char *origins;                 /* which pages may connect, comma separated */
    int64_t origins_required;      /* 0 or 1 */
    char *subprotocols;            /* comma separated */
    int64_t subprotocols_required; /* 0 or 1 */
    int64_t compression;           /* 0 or 1 */
    int64_t message;               /* bytes; OPTION_AUTO: limits.message */
    int64_t send_queue;            /* bytes; OPTION_AUTO: limits.send_queue */
    int64_t connections;           /* OPTION_AUTO: no limit but limits.connections */
    int64_t max_age;               /* 0: none */
    int64_t rate;                  /* messages a second; 0: any number */
    int64_t drain;                 /* enum config_drain */
    size_t group;                  /* index into the option groups given to config_load */
    struct option_value *values;   /* one for each option of that group, in its order */
    char *section;                 /* as written, for messages: "route /echo" */
    int line;
};

/* So many, or so many of a hundred. */
struct config_tolerance {
    int64_t number;
    bool percent;
};

/* Durations are milliseconds, sizes bytes; OPTION_AUTO where the key says `auto`. */
struct config {
    struct {
        struct config_address *listen;
        size_t listen_count;
        int64_t http_threads;
        int64_t loops;
        char *trusted_proxies; /* networks, comma separated */
    } server;
    struct {
        int64_t connections;
        int64_t connections_per_address; /* 0: any number */
        int64_t requests_per_address;    /* at a time */
        int64_t rate_per_address;        /* requests and handshakes a second; 0: any number */
        int64_t handshake_timeout;
        int64_t memory; /* of all sessions together */
        int64_t message;
        int64_t message_timeout;
        int64_t send_queue;
        int64_t receive_buffer;
        int64_t control_frames; /* a second; 0: any number */
        int64_t ping_interval;
        int64_t ping_timeout;
        int64_t idle_timeout;
    } limits;
    struct {
        int64_t timeout;
        int64_t close_timeout;
        int64_t delay;
        int64_t spread;
        struct config_tolerance tolerate; /* of the sessions that were open */
        int64_t close_code;
        char *close_reason;
        char *report; /* a file's path; empty: none is written */
    } shutdown;
    struct {
        int64_t level;  /* enum config_log_level */
        int64_t format; /* enum config_log_format */
        int64_t access; /* 0 or 1 */
    } log;
    struct config_route *routes;
    size_t route_count;
};

/* Where a configuration comes from. */
struct config_source {
    const char *path;            /* the file; NULL: `text` is read instead */
    const char *text;            /* the embedded default, shown in messages as "(default)" */
    const char *const *settings; /* SECTION.KEY=VALUE from -s, in order */
    size_t setting_count;
    const struct option_group *groups; /* handlers; ended by a row whose name is NULL */
};

enum { CONFIG_REFUSED = -2 };

/*
 * Reads, checks and fills `config`. All mistakes are written to `errors`, one line each
 * ("file:line: what was read, what is allowed"), not the first alone.
 * Returns 0; -1 when there was any; CONFIG_REFUSED when the system refused memory or a descriptor,
 * which is nobody's mistake. `config` then holds nothing that must be freed.
 */
int config_load(struct config *config, const struct config_source *source, FILE *errors);

/* Frees what config_load filled in; the struct itself is the caller's. */
void config_free(struct config *config);

/*
 * Prints the effective configuration as INI. Loading what is printed and printing it again gives
 * the same text.
 */
void config_dump(const struct config *config, const struct option_group *groups, FILE *out);

/* Prints every key with its help, unit, range and default as an INI file that loads. */
void config_sample(const struct option_group *groups, FILE *out);

/* Prints the keys about WebSockets and those of each handler, as `lastcall -h handlers` shows them.
 */
void config_describe_groups(const struct option_group *groups, FILE *out);

#endif
