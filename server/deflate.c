#include "server/deflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    WINDOW_MOST = 15,
    MEMORY_LEVEL = 8,
    FIRST_CAPACITY = 16384,
    KEPT_CAPACITY = 262144, /* of a buffer that is not needed now */
    STEP = 1 << 30,         /* zlib counts in unsigned int */
};

/* What a message ends with, and is left out on the wire (section 7.2.1, number 3). */
static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};

/* Memory for one direction: what is expanded may be compressed while it is still read. */
struct room {
    uint8_t *data;
    size_t capacity;
};

struct deflate {
    z_stream expand;
    bool expands;                        /* it has been initialised */
    z_stream *compress[WINDOW_MOST + 1]; /* by window; NULL: not yet */
    struct room expanded;
    struct room compressed;
};

struct deflate *deflate_new(void)
{
    return calloc(1, sizeof(struct deflate));
}

void deflate_free(struct deflate *codec)
{
    if (codec == NULL)
        return;
    if (codec->expands)
        inflateEnd(&codec->expand);
    for (size_t i = 0; i <= WINDOW_MOST; i++) {
        if (codec->compress[i] == NULL)
            continue;
        deflateEnd(codec->compress[i]);
        free(codec->compress[i]);
    }
    free(codec->expanded.data);
    free(codec->compressed.data);
    free(codec);
}

/* What was large is not kept for the next one. */
static void forget(struct room *room)
{
    if (room->capacity <= KEPT_CAPACITY)
        return;
    free(room->data);
    *room = (struct room){0};
}

void deflate_release(struct deflate *codec, const struct deflate_output *output)
{
    if (output->data != NULL)
        forget(output->data == codec->expanded.data ? &codec->expanded : &codec->compressed);
}

static bool make_room(struct room *room, size_t capacity)
{
    if (capacity <= room->capacity)
        return true;
    uint8_t *data = realloc(room->data, capacity);
    if (data == NULL)
        return false;
    *room = (struct room){.data = data, .capacity = capacity};
    return true;
}

/* --- expanding --- */

/* Room for one byte more than the limit tells what is too large. */
static bool grow(struct room *room, size_t used, uint64_t limit)
{
    if (used < room->capacity)
        return true;
    uint64_t capacity = room->capacity == 0 ? FIRST_CAPACITY : (uint64_t)room->capacity * 2;
    return make_room(room, (size_t)(capacity > limit + 1 && limit >= used ? limit + 1 : capacity));
}

static enum deflate_result feed(struct deflate *codec, const void *data, size_t length,
                                uint64_t limit, size_t *used)
{
    z_stream *stream = &codec->expand;
    stream->next_in = (Bytef *)(uintptr_t)data;
    stream->avail_in = (uInt)length;
    do {
        if (!grow(&codec->expanded, *used, limit))
            return DEFLATE_NO_MEMORY;
        size_t room = codec->expanded.capacity - *used;
        uInt offered = room > STEP ? STEP : (uInt)room;
        stream->next_out = codec->expanded.data + *used;
        stream->avail_out = offered;
        int result = inflate(stream, Z_SYNC_FLUSH);
        *used += offered - stream->avail_out;
        if (*used > limit)
            return DEFLATE_TOO_LARGE;
        if (result == Z_STREAM_END) /* a last block may have others behind it: section 7.2.3.5 */
            result = inflateReset(stream);
        if (result == Z_MEM_ERROR)
            return DEFLATE_NO_MEMORY;
        if (result != Z_OK && result != Z_BUF_ERROR)
            return DEFLATE_BAD;
    } while (stream->avail_in > 0 || stream->avail_out == 0);
    return DEFLATE_DONE;
}

enum deflate_result deflate_expand(struct deflate *codec, const void *data, size_t length,
                                   uint64_t limit, struct deflate_output *output)
{
    size_t used = 0;
    *output = (struct deflate_output){.data = NULL};
    if (!codec->expands && inflateInit2(&codec->expand, -WINDOW_MOST) != Z_OK)
        return DEFLATE_NO_MEMORY;
    codec->expands = true;
    inflateReset(&codec->expand);
    enum deflate_result result = feed(codec, data, length, limit, &used);
    if (result == DEFLATE_DONE)
        result = feed(codec, tail, sizeof tail, limit, &used);
    if (result == DEFLATE_DONE && (codec->expand.data_type & 128) == 0)
        result = DEFLATE_BAD; /* it ends in the middle of a block */
    *output = (struct deflate_output){.data = codec->expanded.data, .length = used};
    return result;
}

/* --- compressing --- */

static z_stream *compressor(struct deflate *codec, int window_bits)
{
    z_stream *stream = codec->compress[window_bits];
    if (stream != NULL)
        return deflateReset(stream) == Z_OK ? stream : NULL;
    stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    if (deflateInit2(stream, Z_BEST_SPEED, Z_DEFLATED, -window_bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(stream);
        return NULL;
    }
    codec->compress[window_bits] = stream;
    return stream;
}

/* Returns how long it has become; 0: it is not worth it, or there is no memory. */
static size_t squeeze(struct deflate *codec, z_stream *stream, const void *data, size_t length)
{
    /* What would not fit in as much as the message itself takes is not worth it. */
    size_t room = length + sizeof tail;
    if (stream == NULL || length > STEP || !make_room(&codec->compressed, room))
        return 0;
    stream->next_in = (Bytef *)(uintptr_t)data;
    stream->avail_in = (uInt)length;
    stream->next_out = codec->compressed.data;
    stream->avail_out = (uInt)room;
    if (deflate(stream, Z_SYNC_FLUSH) != Z_OK || stream->avail_in > 0 || stream->avail_out == 0)
        return 0;
    size_t made = room - stream->avail_out;
    if (made <= sizeof tail || made - sizeof tail >= length ||
        memcmp(codec->compressed.data + made - sizeof tail, tail, sizeof tail) != 0)
        return 0;
    return made - sizeof tail;
}

bool deflate_compress(struct deflate *codec, int window_bits, const void *data, size_t length,
                      struct deflate_output *output)
{
    size_t made = squeeze(codec, compressor(codec, window_bits), data, length);
    *output = (struct deflate_output){.data = codec->compressed.data, .length = made};
    if (made == 0)
        deflate_release(codec, output);
    return made > 0;
}
