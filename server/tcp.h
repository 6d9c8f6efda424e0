/*
 * tcp: what the kernel knows of a TCP connection. Any thread; nothing blocks.
 *
 * A file of its own because the counts are only in the kernel's own header, which cannot be
 * included beside libc's.
 */
#ifndef LASTCALL_SERVER_TCP_H
#define LASTCALL_SERVER_TCP_H

#include <stddef.h>
#include <stdint.h>

/*
 * Bounds what the kernel keeps for one peer, of a listener's connections or of one that is to be
 * made. Left to itself it keeps
 * 4 MB for a peer that does not read, and as much of what a peer sends and nobody reads. Now it
 * takes hardly more to send than is on its way, TCP_UNREAD_COST in all as measured; and of what
 * comes `receive_buffer` bytes, which cost it twice as much (0: what it likes).
 */
void tcp_bound_buffers(int socket, size_t receive_buffer);
#define TCP_UNREAD_COST 57344

/* Has the kernel ask a silent other side whether it is there, after so many milliseconds and for as
   long as `timeout`; then the connection is in error. */
void tcp_keep_alive(int socket, int64_t interval, int64_t timeout);

/* Makes `close` drop what the peer has not taken. It would stay with the kernel for minutes. */
void tcp_forget(int socket);

/* Bytes that the peer has ever sent, or acknowledged; 0 when `socket` is no TCP connection. */
uint64_t tcp_bytes_received(int socket);
uint64_t tcp_bytes_acknowledged(int socket);

#endif
