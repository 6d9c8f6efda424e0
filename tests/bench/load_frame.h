/*
 * load_frame: the frames of RFC 6455, section 5.2, as the load client sends and reads them. Bytes
 * in, bytes out; knows no sockets.
 */
#ifndef LASTCALL_BENCH_LOAD_FRAME_H
#define LASTCALL_BENCH_LOAD_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define OPCODE_TEXT 0x1
#define OPCODE_BINARY 0x2
#define OPCODE_CLOSE 0x8
#define OPCODE_PING 0x9
#define OPCODE_PONG 0xA
#define FIN 0x80
#define COMPRESSED 0x40

#define FRAME_HEAD_MAX 14

/*
 * Writes a whole frame, masked, which begins with the byte `first`: flags and opcode. `frame` has
 * room for its payload and FRAME_HEAD_MAX bytes. Returns the frame's length.
 */
size_t frame_compose(uint8_t *frame, uint8_t first, uint32_t mask, const void *payload,
                     size_t length);

/* Reads the length of a frame of the server's. Returns the bytes up to its payload; 0: too few. */
size_t frame_read_length(const uint8_t *input, size_t have, size_t *length);

#endif
