/*
 * takeover: sockets out of CivetWeb's hands.
 *
 * CivetWeb accepts, reads the request and calls us; it would then keep a thread for as long as the
 * WebSocket lives, and cut it at mg_stop. It tells nobody its descriptors, but it always gets the
 * lowest free numbers, and all of ours live above a floor (descriptor.h). So the few numbers below
 * the floor are looked through for the socket with the right addresses. What is found is taken by
 * putting something harmless over CivetWeb's number:
 *
 *   a connection  a dup of it above the floor becomes ours; its old number becomes an already
 *                 ended socket, so that CivetWeb sees a peer that has gone, and closes that
 *   a listener    a dup is kept; its old number becomes an eventfd that stays quiet until
 *                 CivetWeb's master thread has to be woken; the old socket is shut down, which
 *                 refuses new connections at once and frees the port
 *   the rest      connections that CivetWeb still holds when it is to stop, and on which no
 *                 request is being answered: their input is ended, so that no thread waits for it
 *
 * Only public calls of POSIX and Linux are used here, none of CivetWeb's: it could be any server
 * that accepts with the lowest number. Facts that this rests on are checked at start-up by taking
 * a connection of our own over (server_self_test).
 */
#ifndef LASTCALL_SERVER_TAKEOVER_H
#define LASTCALL_SERVER_TAKEOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Why there is no socket; takeover_connection returns one of these or a descriptor. */
enum takeover_failure {
    TAKEOVER_GONE = -1,      /* nothing matches: the peer has reset the connection */
    TAKEOVER_AMBIGUOUS = -2, /* more than one could be meant: never guessed */
    TAKEOVER_REFUSED = -3,   /* the system gave no descriptor (errno) */
};

/*
 * Makes what will be put over CivetWeb's numbers. After descriptor_init, before CivetWeb starts.
 * Returns 0, or -1 with errno.
 */
int takeover_init(void);
void takeover_free(void);

/*
 * Finds the listeners below the floor and sets TCP_DEFER_ACCEPT on them, so that a connection
 * that says nothing stays in the kernel; and bounds what the kernel keeps for each
 * (tcp_bound_buffers). After CivetWeb has started. Returns their number.
 */
size_t takeover_find_listeners(size_t receive_buffer);

/* The address of a listener found, `place` being less than the number returned above. */
const struct sockaddr *takeover_listener_address(size_t place);

/* A connection that CivetWeb has, as CivetWeb tells of it. */
struct takeover_peer {
    const char *host; /* numeric, as getnameinfo prints it */
    uint16_t port;
    uint16_t local_port;
};

/*
 * Takes that connection.
 * A socket that died while its request was in CivetWeb's hands leaves its addresses free for
 * another one, so where dead ones are about it is waited a moment until none is left that could
 * be the one that was asked for. Any thread; blocks at most 100 ms, and that only among resets.
 * Returns our descriptor, non-blocking and close-on-exec; or a takeover_failure.
 */
int takeover_connection(const struct takeover_peer *peer);

/*
 * Waits until the peer has acknowledged what was sent on the connection, or it is gone, or
 * `deadline` (clock_milliseconds) has come. The connection stays with CivetWeb. Blocks.
 */
void takeover_flush(const struct takeover_peer *peer, int64_t deadline);

/*
 * Sends a short answer on the connection, which stays with CivetWeb: once mg_stop has been called
 * CivetWeb itself sends nothing any more. Returns whether all of it is on its way. Does not block.
 */
bool takeover_say(const struct takeover_peer *peer, const char *text, size_t length);

/*
 * After an answer to a request with a body that nobody has read: ends our side and reads away what
 * comes until the peer ends its own, or `deadline` (clock_milliseconds). Otherwise unread input
 * would turn the end into a reset, which destroys the answer. Then the connection ends. Blocks.
 */
void takeover_linger(const struct takeover_peer *peer, int64_t deadline);

/* What is sent by takeover_send: `length` bytes of memory, or of an open file. */
struct takeover_piece {
    const char *data; /* NULL: the file */
    int file;
    int64_t offset; /* in the file */
    int64_t length;
};

/*
 * Sends it, a file without copying it, on the connection, which stays with CivetWeb. Returns how
 * much was sent: less when the file was shorter, the peer has gone, or it has acknowledged nothing
 * for `patience` milliseconds; or -1, nothing having been sent, where the connection is not
 * certain. Blocks.
 */
int64_t takeover_send(const struct takeover_peer *peer, const struct takeover_piece *piece,
                      int patience);

/* Whether the peer still holds the connection: who has stopped sending, is us. Does not block. */
bool takeover_peer_there(const struct takeover_peer *peer);

/* A connection that CivetWeb has. */
struct takeover_connection {
    uint64_t cookie; /* the kernel's name for the socket (SO_COOKIE): a number is used again */
    int descriptor;
    bool spoken; /* its peer has ever sent a byte */
};

/* Lists the connections that CivetWeb has now, at most `most`. Returns their number. Any thread;
   does not block. */
size_t takeover_connections(struct takeover_connection *connections, size_t most);

/* Ends one of them, if it is still the same, so that no thread of CivetWeb's waits for it. Any
   thread; does not block. */
void takeover_end(const struct takeover_connection *connection);

/* Answers one of them, if it is still the same, and ends it. Any thread; does not block. */
void takeover_refuse(const struct takeover_connection *connection, const char *text, size_t length);

/* Whether something has come on it that nobody has read: no thread had time for it. Any thread;
   does not block. */
bool takeover_waits(const struct takeover_connection *connection);

/* Whether something that we have sent on it waits for the peer; *taken is set to the bytes that the
   peer has ever taken. Any thread; does not block. */
bool takeover_sends(const struct takeover_connection *connection, uint64_t *taken);

/* Who is at the other end of it. Returns false where it has gone. Any thread; does not block. */
bool takeover_peer_of(const struct takeover_connection *connection, struct sockaddr_storage *peer);

/*
 * Whether a further connection could be accepted. While it could not, for want of descriptors,
 * CivetWeb would try again and again without a pause: so its listeners are put aside, new
 * connections wait in the kernel, and the first call after there are descriptors again puts the
 * listeners back. False with errno. Main thread, from time to time, until takeover_listeners.
 */
bool takeover_can_accept(void);

/*
 * Refuses new connections from now on. Those that the kernel had accepted, but CivetWeb not yet,
 * are answered with `refusal` and closed. Once, any thread. Returns how many that were.
 */
size_t takeover_listeners(const char *refusal, size_t length);

/*
 * Ends the input of connections below the floor that say nothing. Those with unread input are left
 * to CivetWeb's threads, which are thereby freed to answer them. Returns how many connections,
 * silent or not, CivetWeb still has: repeat until there are none.
 */
size_t takeover_end_silent(void);

/*
 * Cuts connections below the floor on which something is being said or written; what still waits
 * in CivetWeb's queue is left for takeover_rest. When time is up, before mg_stop, which would wait
 * for threads that wait for their peers.
 */
void takeover_cut(void);

/* Wakes CivetWeb's master thread from its sleep on the listeners. Just before mg_stop. */
void takeover_wake_master(void);

/*
 * Answers connections that are left below the floor with `refusal` and closes them: CivetWeb
 * forgets what waits in its queue. After mg_stop. Returns how many that were.
 */
size_t takeover_rest(const char *refusal, size_t length);

#endif
