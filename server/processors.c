#include "server/processors.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Reads the file of a control group that has "QUOTA PERIOD". Returns QUOTA / PERIOD, or 0: none. */
static double read_quota(const char *group)
{
    char path[PATH_MAX + 64];
    double limit = 0;
    double period = 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    bool found = fscanf(file, "%lf %lf", &limit, &period) == 2; /* "max" is no number */
    fclose(file);
    return found && limit > 0 && period > 0 ? limit / period : 0;
}

/*
 * The quota of our control group (version 2), in processors; 0: none. In a container the group
 * looks like the root; a service of systemd has one of its own below it.
 */
static double quota(void)
{
    char line[PATH_MAX];
    double found = read_quota("");
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        double own = read_quota(line + 3);
        if (own > 0 && (found <= 0 || own < found))
            found = own;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

size_t processors_usable(void)
{
    cpu_set_t set;
    size_t processors = 1;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        processors = (size_t)CPU_COUNT(&set);
    double allowed = quota();
    if (allowed > 0 && allowed < (double)processors)
        processors = allowed < 1 ? 1 : (size_t)allowed;
    return processors;
}
