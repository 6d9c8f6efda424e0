/*
 * clock: the clocks that the server reads. Any thread.
 */
#ifndef LASTCALL_SERVER_CLOCK_H
#define LASTCALL_SERVER_CLOCK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds of the monotonic clock, which no change of the wall clock touches. */
int64_t clock_milliseconds(void);

/* Microseconds of the same clock. */
int64_t clock_microseconds(void);

/* The same moment as a timespec of CLOCK_MONOTONIC. */
struct timespec clock_timespec(int64_t milliseconds);

/* Microseconds of processor time that the calling thread has used. */
int64_t clock_thread_microseconds(void);

/* Initialises a condition whose timed waits take such a timespec. */
void clock_condition_init(pthread_cond_t *condition);

/* What poll(2) wants to sleep until `deadline`: 0 when it has passed, never negative. */
int clock_poll_timeout(int64_t deadline);

/* The wall clock in UTC: 2026-11-22T10:15:00.123Z. `size` is at least 25. */
void clock_format(char *text, size_t size);

/* The same for a moment in milliseconds since 1970. */
void clock_format_moment(int64_t milliseconds, char *text, size_t size);

#endif
