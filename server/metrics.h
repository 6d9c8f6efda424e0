/*
 * metrics: the tracker's counts in Prometheus' text format. Any thread.
 */
#ifndef LASTCALL_SERVER_METRICS_H
#define LASTCALL_SERVER_METRICS_H

#include <stddef.h>

struct tracker;

/* Whose counts are shown. Before the server opens. */
void metrics_init(const struct tracker *tracker);

/* All metrics as one text, which the caller frees. Returns NULL without memory. */
char *metrics_text(size_t *length);

#endif
