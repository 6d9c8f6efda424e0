/*
 * deflate: bytes that nobody has compressed expand to what zlib alone makes of them, within the
 * limit and its memory; and what was compressed here expands to itself, within its window.
 *
 * Input: a byte that chooses the window, one that chooses the limit; then the message.
 */
#include "server/deflate.h"

#include <malloc.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"

static const uint64_t limits[] = {0, 1, 63, 64, 1000, 16383, 16384, 16385, 100000, 1 << 20};

enum {
    STEP = 61,            /* what the model offers zlib at a time */
    ALLOCATOR_GIVES = 64, /* bytes more than were asked for, at most */
};

/* A copy of just that size. To be freed. */
static uint8_t *copy_of(const uint8_t *data, size_t length)
{
    struct input input = {data, length};
    return take_bytes(&input, &length);
}

/* Expands what is in `stream` in small steps; *border: it has ended between two blocks. */
static enum deflate_result expand_part(z_stream *stream, uint64_t limit, struct bytes *whole,
                                       bool *border)
{
    do {
        uint8_t step[STEP];
        stream->next_out = step;
        stream->avail_out = sizeof step;
        int said = inflate(stream, Z_SYNC_FLUSH);
        bytes_add(whole, step, sizeof step - stream->avail_out);
        if (whole->length > limit)
            return DEFLATE_TOO_LARGE;
        if (said != Z_BUF_ERROR) /* else nothing has happened, and zlib has forgotten where it is */
            *border = (stream->data_type & 128) != 0;
        if (said == Z_STREAM_END)
            inflateReset(stream);
        else if (said != Z_OK && said != Z_BUF_ERROR)
            return DEFLATE_BAD;
    } while (stream->avail_in > 0 || stream->avail_out == 0);
    return DEFLATE_DONE;
}

/* RFC 7692, section 7.2.2. What it is expanded to is added to `whole`. */
static enum deflate_result expand(int window_bits, const uint8_t *data, size_t length,
                                  uint64_t limit, struct bytes *whole)
{
    uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    z_stream stream = {.next_in = NULL};
    bool border = false;
    uint8_t *input = copy_of(data, length);
    MUST(inflateInit2(&stream, -window_bits) == Z_OK);
    stream.next_in = input;
    stream.avail_in = (uInt)length;
    enum deflate_result result = expand_part(&stream, limit, whole, &border);
    stream.next_in = tail;
    stream.avail_in = sizeof tail;
    if (result == DEFLATE_DONE)
        result = expand_part(&stream, limit, whole, &border);
    inflateEnd(&stream);
    free(input);
    return result == DEFLATE_DONE && !border ? DEFLATE_BAD : result;
}

static void check_expand(struct deflate *codec, const uint8_t *data, size_t length, uint64_t limit)
{
    struct bytes whole = {0};
    struct deflate_output output;
    uint8_t *copy = copy_of(data, length);
    enum deflate_result expected = expand(MAX_WBITS, data, length, limit, &whole);
    MUST(deflate_expand(codec, copy, length, limit, &output) == expected);
    if (output.data != NULL)
        MUST(malloc_usable_size(output.data) <= limit + 1 + ALLOCATOR_GIVES);
    if (expected == DEFLATE_DONE) {
        MUST(output.data != NULL);
        MUST(bytes_equal(output.data, output.length, whole.data, whole.length));
    }
    deflate_release(codec, &output);
    free(whole.data);
    free(copy);
}

/* `codec` may have failed before: no message is to be felt in the next one. */
static void check_identity(struct deflate *codec, int window_bits, const uint8_t *data,
                           size_t length)
{
    struct deflate_output output;
    uint8_t *copy = copy_of(data, length);
    bool shorter = deflate_compress(codec, window_bits, copy, length, &output);
    free(copy);
    if (!shorter)
        return;
    MUST(output.length < length);
    struct bytes whole = {0};
    MUST(expand(window_bits, output.data, output.length, length, &whole) == DEFLATE_DONE);
    MUST(bytes_equal(whole.data, whole.length, data, length));
    free(whole.data);

    size_t size = output.length;
    uint8_t *compressed = copy_of(output.data, size);
    deflate_release(codec, &output);
    MUST(deflate_expand(codec, compressed, size, length, &output) == DEFLATE_DONE);
    MUST(bytes_equal(output.data, output.length, data, length));
    deflate_release(codec, &output);
    MUST(deflate_expand(codec, compressed, size, length - 1, &output) == DEFLATE_TOO_LARGE);
    deflate_release(codec, &output);
    free(compressed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    int window_bits = 9 + take_byte(&input) % 7;
    uint64_t limit = limits[take_byte(&input) % COUNT(limits)];
    struct deflate *codec = deflate_new();
    MUST(codec != NULL);
    check_expand(codec, input.at, input.left, limit);
    check_identity(codec, window_bits, input.at, input.left);
    check_identity(codec, window_bits, input.at, input.left);
    deflate_free(codec);
    return 0;
}
