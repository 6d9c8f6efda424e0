#include "server/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 }; /* the longest line has some 400 bytes */

static pthread_once_t start_is_known = PTHREAD_ONCE_INIT;
static int64_t start;

/* The clock in microseconds. */
static int64_t microseconds(clockid_t clock)
{
    struct timespec now = {0};
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int process_parse(const char *line, struct process_figures *figures, uint64_t *start_ticks)
{
    const char *rest = strrchr(line, ')'); /* the name, the second field, may hold anything */
    uint64_t threads;
    uint64_t ticks;
    uint64_t bytes;
    uint64_t pages;
    /* The fields 3 to 24: a letter, then numbers. */
    if (rest == NULL || sscanf(rest + 1,
                               " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                               "%*s %" SCNu64 " %*s %" SCNu64 " %" SCNu64 " %" SCNu64,
                               &threads, &ticks, &bytes, &pages) != 4)
        return -1;
    figures->threads = threads;
    figures->virtual_bytes = bytes;
    figures->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    *start_ticks = ticks;
    return 0;
}

/* Returns 0, or -1. */
static int read_stat(struct process_figures *figures, uint64_t *start_ticks)
{
    char line[LINE_SIZE];
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t length = read(file, line, sizeof line - 1);
    close(file);
    if (length <= 0)
        return -1;
    line[length] = '\0';
    return process_parse(line, figures, start_ticks);
}

/* Once: a wall clock that is set later must not move the start. */
static void find_start(void)
{
    struct process_figures figures;
    uint64_t ticks;
    if (read_stat(&figures, &ticks) != 0)
        return;
    int64_t age = microseconds(CLOCK_BOOTTIME) / 1000 -
                  (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
    start = microseconds(CLOCK_REALTIME) / 1000 - age;
}

void process_read(struct process_figures *figures)
{
    struct rlimit limit;
    struct stat folder;
    uint64_t ticks;
    *figures = (struct process_figures){.descriptors = -1, .descriptor_limit = -1};
    pthread_once(&start_is_known, find_start);
    read_stat(figures, &ticks);
    figures->started = start;
    figures->cpu_us = microseconds(CLOCK_PROCESS_CPUTIME_ID);
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0)
        figures->descriptors = folder.st_size;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= INT64_MAX)
        figures->descriptor_limit = (int64_t)limit.rlim_cur;
}

int64_t process_count_descriptors(void)
{
    int64_t count = -1; /* the folder's own is not counted */
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}
