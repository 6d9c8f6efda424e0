/*
 * load_measure: what the load client measures with: a clock, a histogram, and the server's own
 * processor time and memory as the kernel counts them. Knows no sockets.
 */
#ifndef LASTCALL_BENCH_LOAD_MEASURE_H
#define LASTCALL_BENCH_LOAD_MEASURE_H

#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* Says on stderr why the measurement is worth nothing, and ends the process with status 1. */
noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nanoseconds of CLOCK_MONOTONIC; every time below is in nanoseconds too. */
uint64_t now(void);

/* Sleeps; a signal may end it early. */
void pause_for(uint64_t duration);

/* Counts of durations, each bucket less than 1 % wide. Zeroed: empty. */
#define HISTOGRAM_STEPS 128 /* buckets for each doubling */
struct histogram {
    uint64_t count;
    uint64_t maximum;
    uint64_t buckets[(64 - 6) * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *histogram, uint64_t duration);

/* The duration that `share` (0 to 1) of all do not exceed; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

/*
 * Processor time of all threads of the process, those that have ended included. It can still be
 * read from a process that has exited while its parent has not waited for it.
 */
uint64_t server_cpu(pid_t server);

/*
 * Resident memory in bytes. From smaps_rollup, which counts pages: VmRSS of the status file may
 * be off by 64 pages for each thread.
 */
uint64_t server_memory(pid_t server);

/* Waits until the process has hardly used the processor for 60 ms; at most 5 s. */
void server_settle(pid_t server);

#endif
