#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "server/descriptor.h"
#include "server/takeover.h"
#include "server/takeover_private.h"
#include "server/tcp.h"

enum {
    DEFER_SECONDS = 30, /* that a connection may be silent before CivetWeb sees it */
    BACKLOG_MAX = 4096, /* connections answered when the listeners end */
    TAKEOVER_CUT_MAX = 4096,
};

static void look_for_listener(int descriptor, void *argument)
{
    (void)argument;
    if (takeover.listener_count == TAKEOVER_LISTENERS_MAX || !takeover_is_listener(descriptor))
        return;
    struct takeover_listener *listener = &takeover.listeners[takeover.listener_count];
    socklen_t length = sizeof listener->address;
    if (getsockname(descriptor, (struct sockaddr *)&listener->address, &length) != 0)
        return;
    setsockopt(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){DEFER_SECONDS}, sizeof(int));
    listener->number = descriptor;
    listener->kept = fcntl(descriptor, F_DUPFD_CLOEXEC, descriptor_floor());
    takeover.listener_count++;
}

size_t takeover_find_listeners(size_t receive_buffer)
{
    takeover.listener_count = 0;
    takeover.aside = false;
    takeover_look_through(look_for_listener, NULL);
    for (size_t i = 0; i < takeover.listener_count; i++)
        tcp_bound_buffers(takeover.listeners[i].number, receive_buffer);
    return takeover.listener_count;
}

const struct sockaddr *takeover_listener_address(size_t place)
{
    return (const struct sockaddr *)&takeover.listeners[place].address;
}

/*
 * dup3, but by its number: CivetWeb's master thread closes this descriptor later, after a flag that
 * ThreadSanitizer cannot see, as the library is not instrumented. The call is not shown to it.
 */
static void put_over(int descriptor, int number)
{
    syscall(SYS_dup3, descriptor, number, O_CLOEXEC);
}

static void put_aside(void)
{
    for (size_t i = 0; i < takeover.listener_count; i++)
        if (takeover.listeners[i].kept >= 0)
            put_over(takeover.quiet, takeover.listeners[i].number);
}

/* Who sleeps on a number does not see what is put over it, and so is woken first. */
static void put_back(void)
{
    uint64_t count = 1;
    ssize_t written = write(takeover.quiet, &count, sizeof count);
    (void)written;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    for (size_t i = 0; i < takeover.listener_count; i++)
        if (takeover.listeners[i].kept >= 0)
            put_over(takeover.listeners[i].kept, takeover.listeners[i].number);
    while (read(takeover.quiet, &count, sizeof count) > 0)
        ; /* it is quiet again */
}

static bool descriptors_left(void)
{
    int probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (probe < 0)
        return errno != EMFILE && errno != ENFILE;
    close(probe);
    return true;
}

bool takeover_can_accept(void)
{
    bool left = descriptors_left();
    int error = errno;
    if (left == takeover.aside) {
        takeover.aside = !left;
        if (left)
            put_back();
        else
            put_aside();
    }
    errno = error;
    return left;
}

/* Says no, reads what is there so that no reset destroys the answer, and leaves. */
static void refuse(int socket, const char *refusal, size_t length)
{
    char input[4096];
    send(socket, refusal, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(socket, SHUT_WR);
    for (int i = 0; i < 16; i++)
        if (recv(socket, input, sizeof input, MSG_DONTWAIT) <= 0)
            return;
}

size_t takeover_listeners(const char *refusal, size_t length)
{
    size_t refused = 0;
    put_aside();
    for (size_t i = 0; i < takeover.listener_count; i++) {
        int kept = takeover.listeners[i].kept;
        if (kept < 0) { /* no descriptor left: then CivetWeb's own goes, and mg_stop is slow */
            shutdown(takeover.listeners[i].number, SHUT_RDWR);
            continue;
        }
        fcntl(kept, F_SETFL, O_NONBLOCK);
        for (int j = 0; j < BACKLOG_MAX; j++) {
            int waiting = accept4(kept, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (waiting < 0)
                break;
            refuse(waiting, refusal, length);
            close(waiting);
            refused++;
        }
        shutdown(kept, SHUT_RDWR);
    }
    return refused;
}

void takeover_wake_master(void)
{
    const uint64_t one = 1;
    ssize_t written = write(takeover.quiet, &one, sizeof one);
    (void)written;
    for (size_t i = 0; i < takeover.listener_count; i++) {
        int kept = takeover.listeners[i].kept;
        if (kept < 0)
            continue;
        shutdown(kept, SHUT_RDWR); /* it may still sleep on the old socket */
        close(kept);
        takeover.listeners[i].kept = -1;
    }
}

/* --- the rest --- */

static void end_if_silent(int descriptor, void *argument)
{
    size_t *left = argument;
    int unread = 0;
    if (!takeover_is_accepted(descriptor))
        return;
    (*left)++;
    if (ioctl(descriptor, SIOCINQ, &unread) != 0 || unread == 0)
        shutdown(descriptor, SHUT_RD); /* an answer that is just being written still goes out */
}

size_t takeover_end_silent(void)
{
    size_t left = 0;
    takeover_look_through(end_if_silent, &left);
    return left;
}

static bool is_busy(int descriptor)
{
    int unread = 0;
    int unsent = 0;
    return ioctl(descriptor, SIOCINQ, &unread) == 0 && ioctl(descriptor, SIOCOUTQ, &unsent) == 0 &&
           (unread == 0 || unsent > 0);
}

/* First all are chosen, then all are cut: a thread that the first cut sets free at once reads a
   request that waited, which would look busy then. */
void takeover_cut(void)
{
    static struct takeover_connection list[TAKEOVER_CUT_MAX]; /* the stop thread's own */
    size_t count = takeover_connections(list, TAKEOVER_CUT_MAX);
    size_t busy = 0;
    for (size_t i = 0; i < count; i++)
        if (is_busy(list[i].descriptor))
            list[busy++] = list[i];
    for (size_t i = 0; i < busy; i++)
        takeover_end(&list[i]);
}

struct refusal {
    const char *text;
    size_t length;
    size_t count;
};

static void refuse_if_left(int descriptor, void *argument)
{
    struct refusal *refusal = argument;
    if (!takeover_is_accepted(descriptor))
        return;
    refuse(descriptor, refusal->text, refusal->length);
    close(descriptor);
    refusal->count++;
}

size_t takeover_rest(const char *refusal, size_t length)
{
    struct refusal argument = {.text = refusal, .length = length};
    takeover_look_through(refuse_if_left, &argument);
    return argument.count;
}
