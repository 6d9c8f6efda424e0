/*
 * still_clock: linked into a program, it stands in for what libc and the kernel say of the
 * monotonic clock and of TCP, so that nothing happens there by itself. The wall clock goes on.
 */
#ifndef LASTCALL_TESTS_SUPPORT_STILL_CLOCK_H
#define LASTCALL_TESTS_SUPPORT_STILL_CLOCK_H

#include <stdint.h>

extern int64_t still_clock_milliseconds;  /* the monotonic clock, for libuv as well */
extern uint64_t still_clock_acknowledged; /* bytes that the peer of any socket has taken */

#endif
