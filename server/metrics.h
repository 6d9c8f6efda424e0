/*
 * metrics: what Prometheus is told: one table of metrics, and the text that is made of it.
 *
 * Reads the tracker's counts, the process's figures and the state of the shutdown; changes nothing.
 * docs/metrics.md describes each metric; a test compares it with the table.
 */
#ifndef LASTCALL_SERVER_METRICS_H
#define LASTCALL_SERVER_METRICS_H

#include <stddef.h>

#include "server/exposition.h"

struct route;
struct tracker;

/*
 * Whose counts are shown: those of the tracker's routes, and of `routes`, which are among them,
 * what WebSockets do on those that serve any. Both are kept, not copied. Main thread, before the
 * server opens.
 */
void metrics_init(struct tracker *tracker, const struct route *routes, size_t route_count);

/*
 * Writes all metrics as they are now into `text`, which exposition_free frees in any case. Any
 * thread; never blocks. Returns 0, or -1 without memory.
 */
int metrics_write(struct exposition *text);

#endif
