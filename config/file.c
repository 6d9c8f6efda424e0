#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    mode_t type;
    const char *why;
} refused_types[] = {
    {S_IFDIR, "is a directory, not a file"},
    {S_IFIFO, "is a pipe (FIFO), not a file: write what it would give into a file"},
    {S_IFCHR, "is a device, not a file"},
    {S_IFBLK, "is a device, not a file"},
    {S_IFSOCK, "is a socket, not a file"},
};

static int refuse(int error, char *why, size_t size)
{
    if (error == ENOENT)
        snprintf(why, size, "does not exist");
    else
        snprintf(why, size, "cannot be read: %s", strerror(error));
    return error == ENOMEM || error == EMFILE || error == ENFILE ? FILE_REFUSED : -1;
}

static int check_type(const struct stat *status, char *why, size_t size)
{
    if (S_ISREG(status->st_mode))
        return 0;
    for (size_t i = 0; i < sizeof(refused_types) / sizeof(refused_types[0]); i++)
        if ((status->st_mode & S_IFMT) == refused_types[i].type)
            snprintf(why, size, "%s", refused_types[i].why);
    return -1;
}

static int read_all(int descriptor, struct buffer *buffer, char *why, size_t size)
{
    char bytes[16384];

    buffer_add(buffer, "", 0);
    while (buffer->length <= FILE_MAX && !buffer->failed) {
        ssize_t count = read(descriptor, bytes, sizeof(bytes));
        if (count == 0)
            return 0;
        if (count < 0 && errno != EINTR)
            return refuse(errno, why, size);
        if (count > 0)
            buffer_add(buffer, bytes, (size_t)count);
    }
    if (buffer->failed)
        return refuse(ENOMEM, why, size);
    snprintf(why, size, "is larger than %d bytes: is it the right file?", FILE_MAX);
    return -1;
}

int file_read(const char *path, struct buffer *buffer, char *why, size_t size)
{
    struct stat status;

    /* Before it is opened: opening a device can already do something. */
    if (stat(path, &status) < 0)
        return refuse(errno, why, size);
    if (check_type(&status, why, size) < 0)
        return -1;

    /* O_NONBLOCK: a FIFO may have been put there since. */
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return refuse(errno, why, size);
    int result =
        fstat(descriptor, &status) < 0 ? refuse(errno, why, size) : check_type(&status, why, size);
    if (result == 0)
        result = read_all(descriptor, buffer, why, size);
    close(descriptor);
    return result;
}
