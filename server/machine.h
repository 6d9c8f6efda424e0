/*
 * machine: how much of it this process may use, its control group's limits included.
 *
 * Of version 2 the processors and the memory are known, of version 1 the memory. Any thread.
 */
#ifndef LASTCALL_SERVER_MACHINE_H
#define LASTCALL_SERVER_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Its affinity, bounded by the quota of its control group; at least 1. */
size_t machine_processors(void);

/* Bytes: the machine's, bounded by the limit of its control group; INT64_MAX where nobody tells. */
uint64_t machine_memory(void);

/* --- for tests: `mount` is where control groups are mounted, `own` says which are ours --- */

#define MACHINE_MOUNT "/sys/fs/cgroup"
#define MACHINE_OWN "/proc/self/cgroup"

/* The quota in processors; 0: none. */
double machine_quota(const char *mount, const char *own);

/* The limit in bytes; UINT64_MAX: none. */
uint64_t machine_memory_limit(const char *mount, const char *own);

#endif
