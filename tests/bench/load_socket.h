/*
 * load_socket: TCP connections to a server on loopback. What the system refuses ends the process
 * with status 1, except a connection.
 */
#ifndef LASTCALL_BENCH_LOAD_SOCKET_H
#define LASTCALL_BENCH_LOAD_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

/* A socket that does not block, bound to one of several addresses by its number. */
int socket_open(unsigned number);

/* Likewise, bound to 127.0.0.1 plus `host`. */
int socket_open_at(unsigned host);

/* Begins to connect it. Returns what connect does. */
int socket_connect(int fd, uint16_t port);

/* Returns the error that waits on a socket, or 0. */
int socket_error(int fd);

/* Closing it will be a reset, which leaves no TIME_WAIT behind. */
void socket_reset_on_close(int fd);

/* A TCP connection that says nothing; it stays open until the process ends. */
void socket_silent(uint16_t port);

/*
 * Tries whether the server still accepts TCP connections; one that succeeds is reset at once.
 * Returns true when it refuses.
 */
bool socket_refused(uint16_t port);

#endif
