#include "server/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "server/address.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/takeover_private.h"
#include "server/tcp.h"

enum {
    LOOK_AT_ONCE = 512, /* descriptors that one poll asks about */
    DEAD_MAX = 64,      /* dead sockets that one search can wait for */
    DEAD_WAIT = 100,    /* milliseconds */
    SEND_MOST = 1 << 20,
};

struct takeover takeover = {.ended = -1, .quiet = -1};

int takeover_init(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return -1;
    close(pair[1]);
    shutdown(pair[0], SHUT_RDWR);
    takeover.ended = descriptor_keep(pair[0]);
    takeover.quiet = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return takeover.ended < 0 || takeover.quiet < 0 ? -1 : 0;
}

void takeover_free(void)
{
    close(takeover.ended);
    close(takeover.quiet);
    takeover.ended = takeover.quiet = -1;
    takeover.listener_count = 0;
}

/* --- looking through the low numbers --- */

/* One poll for many numbers tells the open ones for less than a call for each would cost. */
void takeover_look_through(takeover_look look, void *argument)
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

/* Returns 1 or 0; -1: the system does not tell, and so nothing is to be done to it. */
static int listens(int descriptor)
{
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) != 0)
        return -1;
    return value != 0;
}

bool takeover_is_listener(int descriptor)
{
    return listens(descriptor) == 1;
}

/* Whether it is a connection that was accepted on one of our ports, alive or dead. */
bool takeover_is_accepted(int descriptor)
{
    struct sockaddr_storage local;
    socklen_t length = sizeof local;
    if (getsockname(descriptor, (struct sockaddr *)&local, &length) != 0 ||
        listens(descriptor) != 0)
        return false;
    uint16_t port = address_port((struct sockaddr *)&local);
    for (size_t i = 0; i < takeover.listener_count; i++)
        if (port != 0 && port == address_port((struct sockaddr *)&takeover.listeners[i].address))
            return true;
    return false;
}

/* --- a connection --- */

struct search {
    const struct takeover_peer *peer;
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
    return address_port(peer) == search->peer->port &&
           getnameinfo(peer, peer_length, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0 &&
           strcmp(host, search->peer->host) == 0 &&
           getsockname(descriptor, (struct sockaddr *)&local, &local_length) == 0 &&
           address_port((struct sockaddr *)&local) == search->peer->local_port;
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
    } else if (errno == ENOTCONN && takeover_is_accepted(descriptor)) {
        if (search->dead_count < DEAD_MAX) {
            search->dead[search->dead_count].descriptor = descriptor;
            search->dead[search->dead_count].cookie = socket_cookie(descriptor);
        }
        search->dead_count++;
    }
}

static struct search look_for(const struct takeover_peer *peer)
{
    struct search search = {.peer = peer};
    takeover_look_through(look_for_connection, &search);
    return search;
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

/* The descriptor of a connection, for which it is waited until it is certain; or why not. */
static int find_patiently(const struct takeover_peer *peer)
{
    struct search search = look_for(peer);
    if (search.matches == 0)
        return TAKEOVER_GONE;
    return search.matches > 1 || !no_dead_left(&search) ? TAKEOVER_AMBIGUOUS : search.found;
}

int takeover_connection(const struct takeover_peer *peer)
{
    int found = find_patiently(peer);
    if (found < 0)
        return found;
    int ours = fcntl(found, F_DUPFD_CLOEXEC, descriptor_floor());
    if (ours < 0)
        return TAKEOVER_REFUSED;
    if (dup3(takeover.ended, found, O_CLOEXEC) < 0) {
        close(ours);
        return TAKEOVER_REFUSED;
    }
    return ours;
}

/*
 * The descriptor of a connection that stays with CivetWeb; -1 where it is not certain. Nobody
 * waits: the asking thread's own socket is the match, or it is among the dead.
 */
static int find_certain(const struct takeover_peer *peer)
{
    struct search search = look_for(peer);
    return search.matches == 1 && search.dead_count == 0 ? search.found : -1;
}

void takeover_flush(const struct takeover_peer *peer, int64_t deadline)
{
    int descriptor = find_certain(peer);
    int unsent = 0;
    while (descriptor >= 0 && ioctl(descriptor, SIOCOUTQ, &unsent) == 0 && unsent > 0 &&
           clock_milliseconds() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

bool takeover_say(const struct takeover_peer *peer, const char *text, size_t length)
{
    int descriptor = find_certain(peer);
    return descriptor >= 0 &&
           send(descriptor, text, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

void takeover_linger(const struct takeover_peer *peer, int64_t deadline)
{
    int descriptor = find_patiently(peer);
    if (descriptor < 0)
        return;
    char input[4096];
    struct pollfd event = {.fd = descriptor, .events = POLLIN};
    shutdown(descriptor, SHUT_WR);
    while (poll(&event, 1, clock_poll_timeout(deadline)) > 0)
        if (recv(descriptor, input, sizeof input, MSG_DONTWAIT) <= 0 ||
            clock_milliseconds() >= deadline)
            break;
    dup3(takeover.ended, descriptor, O_CLOEXEC); /* CivetWeb would go on reading */
}

/* As much as the socket takes now, from `done` on. */
static ssize_t send_some(int descriptor, const struct takeover_piece *piece, int64_t done)
{
    int64_t left = piece->length - done;
    size_t most = left < SEND_MOST ? (size_t)left : SEND_MOST;
    off_t at = piece->offset + done;
    if (piece->data == NULL)
        return sendfile(descriptor, piece->file, &at, most);
    return send(descriptor, piece->data + done, most, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/*
 * Waits until the socket takes more. Returns false when the peer has acknowledged nothing in all
 * the time: the kernel wants to be written to only when a third of a large buffer is free, which a
 * slow peer that reads all the time may take long for.
 */
static bool wait_for_room(int descriptor, int patience)
{
    struct pollfd event = {.fd = descriptor, .events = POLLOUT};
    uint64_t taken;
    int ready;
    do {
        taken = tcp_bytes_acknowledged(descriptor);
        ready = poll(&event, 1, patience);
    } while (ready == 0 && tcp_bytes_acknowledged(descriptor) != taken);
    return ready != 0;
}

int64_t takeover_send(const struct takeover_peer *peer, const struct takeover_piece *piece,
                      int patience)
{
    int descriptor = find_certain(peer);
    int64_t done = 0;
    if (descriptor < 0)
        return -1;
    while (done < piece->length) {
        ssize_t sent = send_some(descriptor, piece, done);
        if (sent > 0)
            done += sent;
        else if (sent == 0 ||
                 (errno == EAGAIN ? !wait_for_room(descriptor, patience) : errno != EINTR))
            break;
    }
    return done;
}

bool takeover_peer_there(const struct takeover_peer *peer)
{
    struct pollfd event = {
        .fd = find_certain(peer)}; /* the end is reported without being asked for */
    return event.fd >= 0 && poll(&event, 1, 0) == 0;
}

struct listing {
    struct takeover_connection *connections;
    size_t most;
    size_t count;
};

static void list_connection(int descriptor, void *argument)
{
    struct listing *listing = argument;
    if (listing->count == listing->most || !takeover_is_accepted(descriptor))
        return;
    struct takeover_connection *connection = &listing->connections[listing->count++];
    connection->descriptor = descriptor;
    connection->cookie = socket_cookie(descriptor);
    connection->spoken = tcp_bytes_received(descriptor) > 0;
}

size_t takeover_connections(struct takeover_connection *connections, size_t most)
{
    struct listing listing = {.connections = connections, .most = most};
    takeover_look_through(list_connection, &listing);
    return listing.count;
}

void takeover_refuse(const struct takeover_connection *connection, const char *text, size_t length)
{
    /* The number may be another connection's by now; the dup is not going to change. */
    int held = fcntl(connection->descriptor, F_DUPFD_CLOEXEC, descriptor_floor());
    if (held < 0)
        return;
    if (connection->cookie != 0 && socket_cookie(held) == connection->cookie) {
        if (length > 0)
            send(held, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        shutdown(held, SHUT_RDWR);
    }
    close(held);
}

void takeover_end(const struct takeover_connection *connection)
{
    takeover_refuse(connection, NULL, 0);
}

bool takeover_waits(const struct takeover_connection *connection)
{
    int unread = 0;
    return ioctl(connection->descriptor, SIOCINQ, &unread) == 0 && unread > 0;
}

bool takeover_sends(const struct takeover_connection *connection, uint64_t *taken)
{
    int unsent = 0;
    *taken = tcp_bytes_acknowledged(connection->descriptor);
    return ioctl(connection->descriptor, SIOCOUTQ, &unsent) == 0 && unsent > 0;
}

bool takeover_peer_of(const struct takeover_connection *connection, struct sockaddr_storage *peer)
{
    socklen_t length = sizeof *peer;
    return getpeername(connection->descriptor, (struct sockaddr *)peer, &length) == 0;
}
