/*
 * processors: how many of them this process may use.
 */
#ifndef LASTCALL_SERVER_PROCESSORS_H
#define LASTCALL_SERVER_PROCESSORS_H

#include <stddef.h>

/* Its affinity, bounded by the quota of its control group (version 2); at least 1. Any thread. */
size_t processors_usable(void);

#endif
