#include "load_measure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define MILLISECOND UINT64_C(1000000)

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * SECOND + (uint64_t)time->tv_nsec;
}

uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return nanoseconds(&time);
}

void pause_for(uint64_t duration)
{
    struct timespec time = {(time_t)(duration / SECOND), (long)(duration % SECOND)};
    nanosleep(&time, NULL);
}

/* Values below one doubling's steps have a bucket each; above, each doubling has as many again. */
static size_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (size_t)value;
    unsigned doubling = 63U - (unsigned)__builtin_clzll(value) - 7U;
    return (size_t)doubling * HISTOGRAM_STEPS + (size_t)(value >> doubling);
}

static uint64_t bucket_start(size_t bucket)
{
    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    size_t doubling = bucket / HISTOGRAM_STEPS - 1;
    return (uint64_t)(bucket - doubling * HISTOGRAM_STEPS) << doubling;
}

void histogram_add(struct histogram *histogram, uint64_t duration)
{
    histogram->count++;
    histogram->buckets[bucket_of(duration)]++;
    if (duration > histogram->maximum)
        histogram->maximum = duration;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * share);
    uint64_t seen = 0;
    size_t buckets = sizeof histogram->buckets / sizeof *histogram->buckets;
    for (size_t i = 0; i < buckets; i++) {
        seen += histogram->buckets[i];
        if (seen > wanted)
            return bucket_start(i);
    }
    return histogram->maximum;
}

uint64_t server_cpu(pid_t server)
{
    clockid_t clock;
    struct timespec time;
    int error = clock_getcpuclockid(server, &clock);
    if (error != 0 || clock_gettime(clock, &time) < 0)
        fail("the processor time of process %d cannot be read: %s", (int)server,
             strerror(error != 0 ? error : errno));
    return nanoseconds(&time);
}

uint64_t server_memory(pid_t server)
{
    char path[64];
    char line[256];
    unsigned long long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "Rss:", 4) == 0)
            kilobytes = strtoull(line + 4, NULL, 10);
    fclose(file);
    if (kilobytes == 0)
        fail("%s has no line \"Rss: ... kB\"", path);
    return kilobytes * 1024;
}

void server_settle(pid_t server)
{
    uint64_t give_up = now() + 5 * SECOND;
    uint64_t used = server_cpu(server);
    for (int quiet = 0; quiet < 3 && now() < give_up;) {
        pause_for(20 * MILLISECOND);
        uint64_t used_now = server_cpu(server);
        quiet = used_now - used < MILLISECOND / 4 ? quiet + 1 : 0;
        used = used_now;
    }
}
