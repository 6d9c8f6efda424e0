/*
 * announce: everybody is told how it goes: systemd (notify.h), the log, and the person at the
 * terminal. Decides who hears what and when; the words for people are progress.h's. Main thread.
 */
#ifndef LASTCALL_SERVER_ANNOUNCE_H
#define LASTCALL_SERVER_ANNOUNCE_H

struct loops;
struct shutdown_progress;
struct shutdown_result;
struct tracker;

/* Looks for whoever listens. After descriptor_init and log_start, before other threads. */
void announce_open(void);
void announce_close(void);

/* Everything is served. */
void announce_ready(void);

/* Tells systemd's watchdog that we live, when it is due and every loop has turned since the last
   time. Call it at least ten times a second. */
void announce_alive(struct loops *loops);

/* The first signal has come; `timeout` is milliseconds. */
void announce_stopping(const struct tracker *tracker, long timeout);

/* While it goes on: the live line, a line in the log when one is due, systemd once a second. */
void announce_progress(const struct tracker *tracker, const struct shutdown_progress *progress);

/* What became of each route: a table on a terminal, else a line each; then the last line. */
void announce_result(const struct tracker *tracker, const struct shutdown_result *result);

/* The state of everything, into the log (SIGUSR1). */
void announce_state(const struct tracker *tracker);

#endif
