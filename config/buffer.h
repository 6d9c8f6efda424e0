/*
 * buffer: text that grows. Knows nothing of configurations.
 *
 * A failure is remembered rather than returned each time: add all there is, look once at the end.
 */
#ifndef LASTCALL_CONFIG_BUFFER_H
#define LASTCALL_CONFIG_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed: empty. `text` is ended by a zero as soon as anything, even nothing, was added. */
struct buffer {
    char *text;
    size_t length; /* without the zero */
    size_t capacity;
    bool failed; /* out of memory: what was added since is missing */
};

/* Adds `length` bytes. */
void buffer_add(struct buffer *buffer, const char *bytes, size_t length);

/* Empties the buffer and keeps its memory. */
void buffer_clear(struct buffer *buffer);

/*
 * Hands the text over: the caller frees it, the buffer is empty afterwards. Returns NULL when
 * memory ran out.
 */
char *buffer_take(struct buffer *buffer);

/* Frees the text. */
void buffer_free(struct buffer *buffer);

/* A copy that the caller frees; NULL: out of memory. */
char *buffer_copy(const char *text, size_t length);

#endif
