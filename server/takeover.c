#include "server/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "server/address.h"
#include "server/clock.h"
#include "server/descriptor.h"

enum {
    LISTENERS_MAX = 64,
    LOOK_AT_ONCE = 256, /* descriptors that one poll asks about */
    DEAD_MAX = 64,      /* dead sockets that one search can wait for */
    DEAD_WAIT = 100,    /* milliseconds */
    DEFER_SECONDS = 30, /* that a connection may be silent before CivetWeb sees it */
    BACKLOG_MAX = 4096, /* connections answered when the listeners end */
};

struct listener {
    struct sockaddr_storage address;
    int number; /* CivetWeb's */
    int kept;   /* our dup; -1: not taken yet */
};

static struct {
    int ended; /* a socket that has ended in both directions */
    int quiet; /* an eventfd: the listeners of the time after */
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
} taken = {.ended = -1, .quiet = -1};

int takeover_init(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return -1;
    close(pair[1]);
    shutdown(pair[0], SHUT_RDWR);
    taken.ended = descriptor_keep(pair[0]);
    taken.quiet = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return taken.ended < 0 || taken.quiet < 0 ? -1 : 0;
}

void takeover_free(void)
{
    close(taken.ended);
    close(taken.quiet);
    taken.ended = taken.quiet = -1;
    taken.listener_count = 0;
}

/* --- looking through the low numbers --- */

/* Called for each open descriptor below the floor. */
typedef void (*look_function)(int descriptor, void *argument);

/* One poll for many numbers tells the open ones for less than a call for each would cost. */
static void look_through(look_function look, void *argument)
{
    int floor = descriptor_floor();
    for (int first = STDERR_FILENO + 1; first < floor; first += LOOK_AT_ONCE) {
        struct pollfd events[LOOK_AT_ONCE];
        int count = floor - first < LOOK_AT_ONCE ? floor - first : LOOK_AT_ONCE;
        for (int i = 0; i < count; i++)
            events[i] = (struct pollfd){.fd = first + i};
        if (poll(events, (nfds_t)count, 0) < 0)
            continue;
        for (int i = 0; i < count; i++)
            if ((events[i].revents & POLLNVAL) == 0)
                look(first + i, argument);
    }
}

static bool is_listener(int descriptor)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value != 0;
}

/* Whether it is a connection that was accepted on one of our ports, alive or dead. */
static bool is_accepted(int descriptor)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    if (getsockname(descriptor, (struct sockaddr *)&local, &length) != 0 || is_listener(descriptor))
        return false;
    uint16_t port = address_port((struct sockaddr *)&local);
    for (size_t i = 0; i < taken.listener_count; i++)
        if (port != 0 && port == address_port((struct sockaddr *)&taken.listeners[i].address))
            return true;
    return false;
}

/* --- a connection --- */

struct search {
    const char *peer_host;
    uint16_t peer_port;
    uint16_t local_port;
    int found;
    size_t matches;
    struct {
        int descriptor;
        uint64_t cookie; /* the kernel's name for the socket: a number can be used again */
    } dead[DEAD_MAX];
    size_t dead_count;
};

static uint64_t socket_cookie(int descriptor)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0)
        return 0;
    return cookie;
}

static bool matches(const struct search *search, int descriptor, const struct sockaddr *peer,
                    socklen_t peer_length)
{
    char host[NI_MAXHOST];
    struct sockaddr_storage local;
    socklen_t local_length = sizeof local;
    return address_port(peer) == search->peer_port &&
           getnameinfo(peer, peer_length, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0 &&
           strcmp(host, search->peer_host) == 0 &&
           getsockname(descriptor, (struct sockaddr *)&local, &local_length) == 0 &&
           address_port((struct sockaddr *)&local) == search->local_port;
}

static void look_for_connection(int descriptor, void *argument)
{
    struct search *search = argument;
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    if (getpeername(descriptor, (struct sockaddr *)&peer, &length) == 0) {
        if (!matches(search, descriptor, (struct sockaddr *)&peer, length))
            return;
        search->found = descriptor;
        search->matches++;
    } else if (errno == ENOTCONN && is_accepted(descriptor)) {
        if (search->dead_count < DEAD_MAX) {
            search->dead[search->dead_count].descriptor = descriptor;
            search->dead[search->dead_count].cookie = socket_cookie(descriptor);
        }
        search->dead_count++;
    }
}

/* Forgets the dead that are not there any more. */
static void bury(struct search *search)
{
    for (size_t i = 0; i < search->dead_count;) {
        if (socket_cookie(search->dead[i].descriptor) == search->dead[i].cookie)
            i++;
        else
            search->dead[i] = search->dead[--search->dead_count];
    }
}

/*
 * The asked-for socket is alive, and so the one that was found, if none of the dead is it. Its
 * thread is the one that asks, so if it is dead it stays for as long as we wait: once all the dead
 * have gone it was none of them.
 */
static bool no_dead_left(struct search *search)
{
    if (search->dead_count > DEAD_MAX)
        return false;
    int64_t deadline = clock_milliseconds() + DEAD_WAIT;
    for (;;) {
        bury(search);
        if (search->dead_count == 0)
            return true;
        if (clock_milliseconds() >= deadline)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

int takeover_connection(const char *peer_host, uint16_t peer_port, uint16_t local_port)
{
    struct search search = {
        .peer_host = peer_host, .peer_port = peer_port, .local_port = local_port};
    look_through(look_for_connection, &search);
    if (search.matches == 0)
        return TAKEOVER_GONE;
    if (search.matches > 1 || !no_dead_left(&search))
        return TAKEOVER_AMBIGUOUS;

    int ours = fcntl(search.found, F_DUPFD_CLOEXEC, descriptor_floor());
    if (ours < 0)
        return TAKEOVER_REFUSED;
    if (dup3(taken.ended, search.found, O_CLOEXEC) < 0) {
        close(ours);
        return TAKEOVER_REFUSED;
    }
    return ours;
}

void takeover_flush(const char *peer_host, uint16_t peer_port, uint16_t local_port,
                    int64_t deadline)
{
    struct search search = {
        .peer_host = peer_host, .peer_port = peer_port, .local_port = local_port};
    look_through(look_for_connection, &search);
    if (search.matches != 1)
        return;
    int unsent = 0;
    while (ioctl(search.found, SIOCOUTQ, &unsent) == 0 && unsent > 0 &&
           clock_milliseconds() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

void takeover_linger(const char *peer_host, uint16_t peer_port, uint16_t local_port,
                     int64_t deadline)
{
    struct search search = {
        .peer_host = peer_host, .peer_port = peer_port, .local_port = local_port};
    look_through(look_for_connection, &search);
    if (search.matches != 1)
        return;
    char input[4096];
    struct pollfd event = {.fd = search.found, .events = POLLIN};
    shutdown(search.found, SHUT_WR);
    while (poll(&event, 1, clock_poll_timeout(deadline)) > 0)
        if (recv(search.found, input, sizeof input, MSG_DONTWAIT) <= 0 ||
            clock_milliseconds() >= deadline)
            return;
}

struct listing {
    uint64_t *cookies;
    size_t most;
    size_t count;
};

static void list_connection(int descriptor, void *argument)
{
    struct listing *listing = argument;
    if (listing->count < listing->most && is_accepted(descriptor))
        listing->cookies[listing->count++] = socket_cookie(descriptor);
}

size_t takeover_connections(uint64_t *cookies, size_t most)
{
    struct listing listing = {.cookies = cookies, .most = most};
    look_through(list_connection, &listing);
    return listing.count;
}

/* --- the listeners --- */

static void look_for_listener(int descriptor, void *argument)
{
    (void)argument;
    if (taken.listener_count == LISTENERS_MAX || !is_listener(descriptor))
        return;
    struct listener *listener = &taken.listeners[taken.listener_count];
    socklen_t length = sizeof listener->address;
    if (getsockname(descriptor, (struct sockaddr *)&listener->address, &length) != 0)
        return;
    setsockopt(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, &(int){DEFER_SECONDS}, sizeof(int));
    listener->number = descriptor;
    listener->kept = -1;
    taken.listener_count++;
}

size_t takeover_find_listeners(void)
{
    taken.listener_count = 0;
    look_through(look_for_listener, NULL);
    return taken.listener_count;
}

const struct sockaddr *takeover_listener_address(size_t place)
{
    return (const struct sockaddr *)&taken.listeners[place].address;
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

void takeover_listeners(const char *refusal, size_t length)
{
    for (size_t i = 0; i < taken.listener_count; i++) {
        struct listener *listener = &taken.listeners[i];
        listener->kept = fcntl(listener->number, F_DUPFD_CLOEXEC, descriptor_floor());
        if (listener->kept >= 0)
            dup3(taken.quiet, listener->number, O_CLOEXEC);
    }
    for (size_t i = 0; i < taken.listener_count; i++) {
        int kept = taken.listeners[i].kept;
        if (kept < 0) { /* no descriptor left: then CivetWeb's own goes, and mg_stop is slow */
            shutdown(taken.listeners[i].number, SHUT_RDWR);
            continue;
        }
        fcntl(kept, F_SETFL, O_NONBLOCK);
        for (int j = 0; j < BACKLOG_MAX; j++) {
            int waiting = accept4(kept, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (waiting < 0)
                break;
            refuse(waiting, refusal, length);
            close(waiting);
        }
        shutdown(kept, SHUT_RDWR);
    }
}

void takeover_wake_master(void)
{
    const uint64_t one = 1;
    ssize_t written = write(taken.quiet, &one, sizeof one);
    (void)written;
    for (size_t i = 0; i < taken.listener_count; i++) {
        int kept = taken.listeners[i].kept;
        if (kept < 0)
            continue;
        shutdown(kept, SHUT_RDWR); /* it may still sleep on the old socket */
        close(kept);
        taken.listeners[i].kept = -1;
    }
}

/* --- the rest --- */

static void end_if_silent(int descriptor, void *argument)
{
    size_t *left = argument;
    int unread = 0;
    if (!is_accepted(descriptor))
        return;
    (*left)++;
    if (ioctl(descriptor, SIOCINQ, &unread) != 0 || unread == 0)
        shutdown(descriptor, SHUT_RD); /* an answer that is just being written still goes out */
}

size_t takeover_end_silent(void)
{
    size_t left = 0;
    look_through(end_if_silent, &left);
    return left;
}

static void cut_if_busy(int descriptor, void *argument)
{
    int unread = 0;
    int unsent = 0;
    (void)argument;
    if (!is_accepted(descriptor) || ioctl(descriptor, SIOCINQ, &unread) != 0 ||
        ioctl(descriptor, SIOCOUTQ, &unsent) != 0)
        return;
    if (unread == 0 || unsent > 0)
        shutdown(descriptor, SHUT_RDWR);
}

void takeover_cut(void)
{
    look_through(cut_if_busy, NULL);
}

struct refusal {
    const char *text;
    size_t length;
};

static void refuse_if_left(int descriptor, void *argument)
{
    const struct refusal *refusal = argument;
    if (!is_accepted(descriptor))
        return;
    refuse(descriptor, refusal->text, refusal->length);
    close(descriptor);
}

void takeover_rest(const char *refusal, size_t length)
{
    struct refusal argument = {.text = refusal, .length = length};
    look_through(refuse_if_left, &argument);
}
