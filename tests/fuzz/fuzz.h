/*
 * fuzz: what the fuzz targets share: an assertion, taking an input apart, and bytes that grow.
 *
 * A target is one function that is given bytes which nobody would write, and ends the program where
 * something does not hold. Every text that it hands to the code under test stands in memory of just
 * its own size, so that AddressSanitizer sees a byte read too far.
 */
#ifndef LASTCALL_TESTS_FUZZ_FUZZ_H
#define LASTCALL_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Called for each input, by libFuzzer or by replay.c. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* --- an input --- */

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next byte; 0 behind the end. */
static inline uint8_t take_byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* The next two bytes as a number. */
static inline uint16_t take_pair(struct input *input)
{
    unsigned high = take_byte(input);
    return (uint16_t)(high << 8 | take_byte(input));
}

/* A copy of the next bytes, as many as there are of `length`; *length becomes that. To be freed. */
static inline uint8_t *take_bytes(struct input *input, size_t *length)
{
    if (*length > input->left)
        *length = input->left;
    uint8_t *copy = calloc(1, *length > 0 ? *length : 1);
    MUST(copy != NULL);
    if (*length > 0)
        memcpy(copy, input->at, *length);
    input->at += *length;
    input->left -= *length;
    return copy;
}

/* Whatever stands before the next `end` as a text, which a zero byte cuts short. To be freed. */
static inline char *take_text(struct input *input, char end)
{
    const uint8_t *border = input->left == 0 ? NULL : memchr(input->at, end, input->left);
    size_t length = border == NULL ? input->left : (size_t)(border - input->at);
    size_t kept = length == 0 ? 0 : strnlen((const char *)input->at, length);
    char *text = calloc(1, kept + 1);
    MUST(text != NULL);
    if (kept > 0)
        memcpy(text, input->at, kept);
    input->at += length;
    input->left -= length;
    take_byte(input);
    return text;
}

/* Texts of our own are not to be changed by who is given them, but have to be freed. */
static inline void free_text(const char *text)
{
    free((char *)(uintptr_t)text);
}

/* --- bytes that grow --- */

/* Zeroed: none. */
struct bytes {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

static inline void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
    if (bytes->length + length > bytes->capacity) {
        bytes->capacity = 2 * (bytes->length + length);
        bytes->data = realloc(bytes->data, bytes->capacity);
        MUST(bytes->data != NULL);
    }
    if (data != NULL && length > 0)
        memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static inline bool bytes_equal(const void *one, size_t one_length, const void *other,
                               size_t other_length)
{
    return one_length == other_length && (one_length == 0 || memcmp(one, other, one_length) == 0);
}

#endif
