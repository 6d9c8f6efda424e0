#include "tests/support/still_clock.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t still_clock_milliseconds;
uint64_t still_clock_acknowledged;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (clock == CLOCK_THREAD_CPUTIME_ID) { /* no work takes any time */
        *time = (struct timespec){0};
        return 0;
    }
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, time);
    time->tv_sec = still_clock_milliseconds / 1000;
    time->tv_nsec = still_clock_milliseconds % 1000 * 1000000;
    return 0;
}

int getsockopt(int socket, int level, int name, void *restrict value, socklen_t *restrict length)
{
    if (level != IPPROTO_TCP || name != TCP_INFO)
        return (int)syscall(SYS_getsockopt, socket, level, name, value, length);
    struct tcp_info info = {.tcpi_bytes_acked = still_clock_acknowledged};
    if (*length > sizeof info)
        *length = sizeof info;
    memcpy(value, &info, *length);
    return 0;
}
