#include "server/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/descriptor.h"

/* The socket is not connected: he may start anew and bind the same name again. */
static struct {
    int descriptor; /* -1: nobody listens */
    struct sockaddr_un address;
    socklen_t address_length;
    int64_t watchdog; /* milliseconds */
} notify = {.descriptor = -1};

/* Reads the name of the socket; returns what notify_open does. */
static int read_address(const char *name)
{
    if (name == NULL || name[0] == '\0' || strncmp(name, "vsock:", 6) == 0)
        return 0;
    size_t length = strlen(name);
    bool abstract = name[0] == '@';
    if ((name[0] != '/' && !abstract) || length < 2) {
        errno = EINVAL;
        return -1;
    }
    /* A path is ended by a zero; an abstract name begins with one, and is as long as it is. */
    size_t bytes = abstract ? length : length + 1;
    if (bytes > sizeof notify.address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    notify.address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(notify.address.sun_path, name, bytes);
    if (abstract)
        notify.address.sun_path[0] = '\0';
    notify.address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    return 1;
}

/* Digits alone: strtoull would also take blanks and signs. */
static bool read_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static int64_t read_watchdog(const char *microseconds, const char *process)
{
    uint64_t number;
    if (process != NULL && process[0] != '\0' &&
        (!read_number(process, &number) || number != (uint64_t)getpid()))
        return 0; /* it is meant for whoever started us */
    if (microseconds == NULL || !read_number(microseconds, &number))
        return 0;
    if (number == 0 || number == UINT64_MAX)
        return 0; /* both are ways to say never */
    return number < 2000 ? 2 : (int64_t)(number / 1000);
}

int notify_open(void)
{
    notify_close();
    int result = read_address(getenv("NOTIFY_SOCKET"));
    int error = errno;
    int64_t watchdog = read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    errno = error;
    if (result <= 0)
        return result;
    notify.descriptor =
        descriptor_keep(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (notify.descriptor < 0)
        return -1;
    notify.watchdog = watchdog;
    return 1;
}

int notify_send(const char *text)
{
    if (notify.descriptor < 0)
        return 0;
    size_t length = strlen(text);
    if (length > NOTIFY_TEXT_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    ssize_t sent;
    do
        sent = sendto(notify.descriptor, text, length, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (const struct sockaddr *)&notify.address, notify.address_length);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -1 : 0;
}

int notify_extend(int64_t milliseconds)
{
    char text[sizeof "EXTEND_TIMEOUT_USEC=" + 20];
    if (milliseconds <= 0)
        return 0;
    if (milliseconds > INT64_MAX / 1000)
        milliseconds = INT64_MAX / 1000;
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%" PRId64, milliseconds * 1000);
    return notify_send(text);
}

int64_t notify_watchdog_interval(void)
{
    return notify.watchdog;
}

void notify_close(void)
{
    if (notify.descriptor >= 0)
        close(notify.descriptor);
    notify.descriptor = -1;
    notify.watchdog = 0;
}
