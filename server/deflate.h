/*
 * deflate: messages compressed and expanded as RFC 7692 wants it, with zlib. Knows no frames.
 *
 * Every message stands for itself (no context takeover), so that one codec serves all sessions of a
 * loop: an idle session needs none of its memory. A codec is made when it is needed first, and
 * takes about 45 KB to expand, 256 KB to compress with a window of 15 bits (less with fewer), and
 * what the message of the moment takes; of that it gives back what is over 256 KB. One thread, its
 * loop's.
 */
#ifndef LASTCALL_SERVER_DEFLATE_H
#define LASTCALL_SERVER_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct deflate;

/* Shorter messages are not worth the work. */
#define DEFLATE_LEAST 64

/* Returns NULL without memory. */
struct deflate *deflate_new(void);
void deflate_free(struct deflate *codec);

enum deflate_result {
    DEFLATE_DONE,
    DEFLATE_TOO_LARGE, /* more than the limit; no more than that was spent on it */
    DEFLATE_BAD,       /* it is no compressed message */
    DEFLATE_NO_MEMORY,
};

/* Bytes that belong to the codec, until they are released or it does the same again. */
struct deflate_output {
    uint8_t *data; /* never NULL when DONE */
    size_t length;
};

/* Says that an output, also of what did not go well, is not needed any more. */
void deflate_release(struct deflate *codec, const struct deflate_output *output);

/* Expands a message (RFC 7692, section 7.2.2) of at most `limit` bytes. */
enum deflate_result deflate_expand(struct deflate *codec, const void *data, size_t length,
                                   uint64_t limit, struct deflate_output *output);

/*
 * Compresses a message (section 7.2.1) with a window of 9 to 15 bits. Returns false when it does
 * not become shorter, or there is no memory: it is sent as it is then, and there is no output.
 */
bool deflate_compress(struct deflate *codec, int window_bits, const void *data, size_t length,
                      struct deflate_output *output);

#endif
