/*
 * status_json: what is known of the server as one JSON object: the text that the page and scripts
 * read. The names in it are a promise to them; see docs/status.md. Reads and adds up; keeps
 * nothing.
 */
#ifndef LASTCALL_SERVER_STATUS_JSON_H
#define LASTCALL_SERVER_STATUS_JSON_H

#include <stdint.h>

#include "server/loop.h"
#include "server/process.h"
#include "server/status.h"

/* Everything that goes into it. */
struct status_view {
    const struct status_sources *of;
    const struct loops_survey *survey;     /* who is still there during a drain */
    const struct process_figures *process; /* `descriptors` is known */
    enum status_phase phase;
    int64_t uptime;  /* milliseconds */
    int64_t elapsed; /* since the signal, and left until the timeout; not while serving */
    int64_t left;
};

/* The caller frees it. Returns NULL without memory. Any thread. */
char *status_json(const struct status_view *view);

#endif
