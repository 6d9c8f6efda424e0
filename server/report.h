/*
 * report: what happened during the shutdown, for the log. Main thread.
 */
#ifndef LASTCALL_SERVER_REPORT_H
#define LASTCALL_SERVER_REPORT_H

struct shutdown_result;
struct tracker;

/* One line for each route that had a session or a refusal, and the last one for all. */
void report_log(const struct tracker *tracker, const struct shutdown_result *result);

#endif
