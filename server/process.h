/*
 * process: what this process uses, as the kernel counts it.
 *
 * For people who watch it: the status page and the metrics. Knows nothing of what the process does.
 * Any thread.
 */
#ifndef LASTCALL_SERVER_PROCESS_H
#define LASTCALL_SERVER_PROCESS_H

#include <stdint.h>

/* What cannot be found out (no /proc) is 0. */
struct process_figures {
    int64_t cpu_us;           /* processor time of all threads, microseconds */
    int64_t started;          /* milliseconds since 1970, the same in every call */
    uint64_t resident_bytes;  /* memory that is in RAM */
    uint64_t virtual_bytes;   /* address space */
    uint64_t threads;         /* now */
    int64_t descriptors;      /* open now; -1: this kernel does not tell (before Linux 6.2) */
    int64_t descriptor_limit; /* ulimit -n; -1: none */
};

/* Reads them. Some ten microseconds, so that an event loop may do it. */
void process_read(struct process_figures *figures);

/*
 * Counts the open descriptors one by one: on any kernel, but about a microsecond for each, so
 * never on an event loop. Returns -1 with errno.
 */
int64_t process_count_descriptors(void);

/*
 * The fields of /proc/PID/stat that are used here (proc(5)): sizes in bytes, the start in clock
 * ticks since boot. A name that is made to confuse, with brackets and blanks, does not. Returns 0,
 * or -1 when it is no such line; *figures and *start_ticks are then as they were.
 */
int process_parse(const char *line, struct process_figures *figures, uint64_t *start_ticks);

#endif
