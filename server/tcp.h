/*
 * tcp: what the kernel knows of a TCP connection. Any thread; nothing blocks.
 *
 * A file of its own because the counts are only in the kernel's own header, which cannot be
 * included beside libc's.
 */
#ifndef LASTCALL_SERVER_TCP_H
#define LASTCALL_SERVER_TCP_H

#include <stdint.h>

/* Bytes that the peer has ever sent, or acknowledged; 0 when `socket` is no TCP connection. */
uint64_t tcp_bytes_received(int socket);
uint64_t tcp_bytes_acknowledged(int socket);

#endif
