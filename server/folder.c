#include "server/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OPEN_TRIES = 8 }; /* openat2 asks for another try when a folder is renamed meanwhile */

/* Opens what `path` names below the folder. Returns a descriptor, or -1 with errno. */
static int open_below(int folder, const char *path, uint64_t flags)
{
    const struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long descriptor = -1;
    for (int i = 0; i < OPEN_TRIES; i++) {
        descriptor = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (descriptor >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)descriptor;
}

int folder_open(const char *path, char *error, size_t error_size)
{
    int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        snprintf(error, error_size, "%s; name a folder that exists",
                 errno == ENOTDIR ? "is not a folder" : strerror(errno));
        return -1;
    }
    int probe = open_below(folder, ".", O_PATH | O_DIRECTORY);
    if (probe < 0) {
        snprintf(error, error_size,
                 "openat2: %s; serving files needs Linux 5.6 or later, and a sandbox that allows "
                 "this call",
                 strerror(errno));
        close(folder);
        return -1;
    }
    close(probe);
    return folder;
}

int folder_open_file(int folder, const char *path, struct stat *about)
{
    int file = open_below(folder, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return -1;
    bool known = fstat(file, about) == 0;
    if (known && S_ISREG(about->st_mode))
        return file;
    int reason = known && S_ISDIR(about->st_mode) ? EISDIR : ENOENT;
    close(file);
    errno = reason;
    return -1;
}
