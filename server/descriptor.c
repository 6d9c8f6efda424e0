#include "server/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int floor_number;
static int *filled; /* numbers that descriptor_fill holds */
static size_t filled_count;

size_t descriptor_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    struct rlimit wanted = {.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        limit = wanted;
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (size_t)limit.rlim_cur;
}

int descriptor_init(int floor, size_t highest)
{
    int placed = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, (int)highest - 1);
    if (placed < 0)
        return -1;
    close(placed);
    floor_number = floor;
    return 0;
}

int descriptor_floor(void)
{
    return floor_number;
}

int descriptor_fill(void)
{
    filled = calloc((size_t)floor_number, sizeof *filled);
    if (filled == NULL)
        return -1;
    for (;;) {
        int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (descriptor < 0) {
            descriptor_clear();
            return -1;
        }
        if (descriptor >= floor_number) {
            close(descriptor);
            return 0;
        }
        filled[filled_count++] = descriptor;
    }
}

void descriptor_clear(void)
{
    while (filled_count > 0)
        close(filled[--filled_count]);
    free(filled);
    filled = NULL;
}

int descriptor_keep(int descriptor)
{
    if (descriptor < 0)
        return descriptor;
    int kept = fcntl(descriptor, F_DUPFD_CLOEXEC, floor_number);
    int error = errno;
    close(descriptor);
    errno = error;
    return kept;
}
