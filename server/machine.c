#include "server/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Looks at one group's file, and keeps in `limit` what is narrower there. */
typedef void (*read_limit)(FILE *file, void *limit);

static void read_group(const char *mount, const char *group, const char *name, read_limit look,
                       void *limit)
{
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s%s/%s", mount, group, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    look(file, limit);
    fclose(file);
}

/*
 * Looks at our group and all above it: the narrowest holds. In a container the group looks like
 * the root; a service of systemd has one of its own below it. A line of `own` is
 * "NUMBER:CONTROLLERS:GROUP"; `controllers` is empty for version 2.
 */
static void read_groups(const char *mount, const char *own, const char *controllers,
                        const char *name, read_limit look, void *limit)
{
    char line[PATH_MAX];
    FILE *file = fopen(own, "re");
    read_group(mount, "", name, look, limit);
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *found = strchr(line, ':');
        char *group = found == NULL ? NULL : strchr(found + 1, ':');
        if (group == NULL)
            continue;
        *group++ = '\0';
        if (strcmp(found + 1, controllers) != 0)
            continue;
        for (char *slash; *group != '\0' && (slash = strrchr(group, '/')) != NULL; *slash = '\0')
            read_group(mount, group, name, look, limit);
    }
    if (file != NULL)
        fclose(file);
}

/* --- processors --- */

/* "QUOTA PERIOD" in microseconds; "max" is no number. */
static void narrow_quota(FILE *file, void *limit)
{
    double *narrowest = limit;
    double quota = 0;
    double period = 0;
    if (fscanf(file, "%lf %lf", &quota, &period) != 2 || quota <= 0 || period <= 0)
        return;
    if (*narrowest <= 0 || quota / period < *narrowest)
        *narrowest = quota / period;
}

double machine_quota(const char *mount, const char *own)
{
    double narrowest = 0;
    read_groups(mount, own, "", "cpu.max", narrow_quota, &narrowest);
    return narrowest;
}

size_t machine_processors(void)
{
    cpu_set_t set;
    size_t processors = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        processors = (size_t)CPU_COUNT(&set);
    double allowed = machine_quota(MACHINE_MOUNT, MACHINE_OWN);
    if (allowed > 0 && allowed < (double)processors)
        processors = allowed < 1 ? 1 : (size_t)allowed;
    return processors;
}

/* --- memory --- */

/* Bytes; "max" is no number, and version 1 says a very large one. */
static void narrow_memory(FILE *file, void *limit)
{
    uint64_t *narrowest = limit;
    uint64_t bytes;
    if (fscanf(file, "%" SCNu64, &bytes) == 1 && bytes > 0 && bytes < *narrowest)
        *narrowest = bytes;
}

uint64_t machine_memory_limit(const char *mount, const char *own)
{
    char version_1[PATH_MAX];
    uint64_t narrowest = UINT64_MAX;
    read_groups(mount, own, "", "memory.max", narrow_memory, &narrowest);
    snprintf(version_1, sizeof version_1, "%s/memory", mount);
    read_groups(version_1, own, "memory", "memory.limit_in_bytes", narrow_memory, &narrowest);
    return narrowest;
}

uint64_t machine_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long size = sysconf(_SC_PAGESIZE);
    uint64_t all = pages <= 0 || size <= 0 ? INT64_MAX : (uint64_t)pages * (uint64_t)size;
    uint64_t limit = machine_memory_limit(MACHINE_MOUNT, MACHINE_OWN);
    return limit < all ? limit : all;
}
