/*
 * program: the parts, put together as a configuration says, and taken apart again.
 *
 * The one place that knows them all. Main thread.
 */
#ifndef LASTCALL_SERVER_PROGRAM_H
#define LASTCALL_SERVER_PROGRAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "config/config.h"
#include "server/loop.h"
#include "server/route.h"
#include "server/server.h"
#include "server/session_home.h"
#include "server/tracker.h"

/* Exit statuses beside those of the shutdown (sysexits.h). */
enum {
    EXIT_USAGE = 64,
    EXIT_LISTEN = 69,
    EXIT_SYSTEM = 71,
    EXIT_CONFIGURATION = 78,
};

struct program {
    const struct config *config;
    struct route *routes;
    struct session_limits *limits; /* one for each route */
    struct network *trusted;
    size_t trusted_count;
    size_t route_count;
    char **listen;
    struct addresses *addresses;
    struct tracker *tracker;
    struct tracker_route *elsewhere;
    struct loops *loops;
    struct server *server;
    size_t connections; /* limits in force */
    size_t loop_count;
    uint64_t receive_buffer;
};

/*
 * Has every handler prepare its routes, and looks whether the report can be written; nothing is
 * opened to the world. `name` is that of the
 * configuration's file. Returns 0, or an exit status, all mistakes having been written to
 * `errors`; program_free is due in either case.
 */
int program_prepare(struct program *program, const struct config *config, const char *name,
                    FILE *errors);

/*
 * Starts everything; afterwards requests are served. Returns 0, or an exit status with one line in
 * `error`; program_free is due in either case.
 */
int program_start(struct program *program, char *error, size_t error_size);

/* The three steps of a shutdown, for struct shutdown_options; `program` is a struct program. */
void program_refuse(void *program, int64_t deadline);
void program_stop_server(void *program);
void program_cut(void *program);

/*
 * Frees what there is; the server must have been stopped or never started. Loops are waited for
 * until `deadline` (clock_milliseconds). Returns 0, or -1 when one is still blocked by a handler:
 * the process must then be ended with _exit.
 */
int program_free(struct program *program, int64_t deadline);

#endif
