/*
 * report: what happened during the shutdown, as a JSON file for programs. Main thread.
 */
#ifndef LASTCALL_SERVER_REPORT_H
#define LASTCALL_SERVER_REPORT_H

#include <stddef.h>

struct shutdown_result;
struct tracker;

/*
 * Whether a report can be written to `path` later: its folder is there and writable. At start, so
 * that a mistake is not found at the end. Returns 0, or -1 with one line in `error`.
 */
int report_check(const char *path, char *error, size_t error_size);

/*
 * Writes the report: into a new file beside it, which then takes its place, so that no reader ever
 * sees half of one. Returns 0, or -1 with one line in `error`; the old file is then still there.
 */
int report_write(const char *path, const struct tracker *tracker,
                 const struct shutdown_result *result, char *error, size_t error_size);

#endif
