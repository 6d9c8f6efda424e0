/*
 * notify: tells systemd, or whoever speaks its datagram protocol, how this process is doing.
 *
 * The protocol is that of sd_notify(3): lines of NAME=value, one datagram, to the socket that
 * NOTIFY_SOCKET names. Where nobody listens nothing is sent, and that is no error. Knows nothing of
 * sessions or of the drain: what is said is the caller's.
 */
#ifndef LASTCALL_SERVER_NOTIFY_H
#define LASTCALL_SERVER_NOTIFY_H

#include <stdint.h>

#define NOTIFY_TEXT_MAX 4096 /* bytes; systemd throws longer ones away */

/*
 * Reads NOTIFY_SOCKET (a path from the root, or '@' and the name of an abstract socket), and
 * WATCHDOG_USEC with WATCHDOG_PID. All three are removed from the environment in any case: what we
 * start must not speak for us. The socket is moved above the floor. Main thread, once, after
 * descriptor_init and before any other thread starts.
 *
 * Returns 1: somebody listens; 0: nobody does (no variable, an empty one, or a vsock: address, for
 * virtual machines); or -1 with errno, after which everything below does nothing:
 *   EINVAL        the variable holds something else
 *   ENAMETOOLONG  the name does not fit into a socket's address (108 bytes)
 *   others        the system gave no socket
 */
int notify_open(void);

/*
 * Sends a text, "READY=1\nSTATUS=serving". Never blocks, raises no signal. Any thread between
 * notify_open and notify_close. Returns 0: it has been handed over, or nobody listens; or -1 with
 * errno. Most callers need not look; READY=1 is worth another try:
 *   EAGAIN                he does not read at the moment: later
 *   ECONNREFUSED, ENOENT  he has gone; a later text reaches one who comes back
 *   EMSGSIZE              more than NOTIFY_TEXT_MAX bytes: never sent
 */
int notify_send(const char *text);

/*
 * Asks for more time for what is being done now, starting or stopping: at least `milliseconds` from
 * now, within which it must be asked again or be done. A systemd unit's own timeout is never
 * shortened by it. Nothing is sent for 0 or less. Threads and returned value as for notify_send.
 */
int notify_extend(int64_t milliseconds);

/*
 * The milliseconds within which WATCHDOG=1 must be sent, time and again: send it after half of
 * them. 0: nobody waits for it. Never 1, so that the half is not 0. Any thread after notify_open.
 */
int64_t notify_watchdog_interval(void);

/* Closes the socket. Main thread, when no other one sends. */
void notify_close(void);

#endif
