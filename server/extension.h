/*
 * extension: what of permessage-deflate (RFC 7692) is agreed on in an opening handshake: text in,
 * text out. Knows no zlib, no socket. Any thread.
 *
 * Both sides agree to begin every message anew (no context takeover): a session then needs no
 * memory of its own for compression, however many there are.
 */
#ifndef LASTCALL_SERVER_EXTENSION_H
#define LASTCALL_SERVER_EXTENSION_H

#include <stddef.h>

#include "server/handshake.h"

/*
 * Reads the request's Sec-WebSocket-Extensions headers, which together are one list (RFC 6455,
 * section 9.1), and takes the first offer of permessage-deflate that can be met (RFC 7692, section
 * 5.1): one with an unknown, doubled or impossible parameter is passed over, and so is a window of
 * 8 bits for what we send, which zlib cannot make. Returns 101, the number of bits of the window
 * that we may use in *window_bits (9 to 15; 0: nothing is agreed on) and the answer in `answer`;
 * or 400 and the reason in *why for a header that is no list of extensions.
 */
int extension_negotiate(const struct header *headers, size_t count, int *window_bits,
                        char answer[EXTENSION_SIZE], const char **why);

#endif
