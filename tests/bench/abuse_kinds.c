#include "abuse_kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "load_measure.h"

#define LARGE (1U << 20)          /* a message of just what lastcall takes */
#define BOMB (UINT32_C(16) << 20) /* one of more, if it were expanded */
#define BATCH (size_t)65536       /* of small frames: as much as is sent at once */
#define MASKED_HEADER_MAX 14

enum { CONTINUATION = 0x0, TEXT = 0x1, BINARY = 0x2, PING = 0x9, COMPRESSED = 0x40, FIN = 0x80 };

static void allocate(struct content *content, size_t size)
{
    content->data = calloc(1, size);
    if (content->data == NULL)
        fail("out of memory");
}

/* A header with a mask of zeros, so that the payload is sent as it is. */
static void add_header(struct content *content, int first, size_t length)
{
    uint8_t *at = content->data + content->length;
    size_t bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
    at[0] = (uint8_t)first;
    at[1] = (uint8_t)(0x80 | (bytes == 0 ? length : bytes == 2 ? 126U : 127U));
    for (size_t i = 0; i < bytes; i++)
        at[2 + i] = (uint8_t)(length >> 8 * (bytes - 1 - i));
    content->length += 2 + bytes + 4;
}

static void add_frame(struct content *content, int first, size_t length)
{
    add_header(content, first, length);
    memset(content->data + content->length, 'm', length);
    content->length += length;
}

static void fill_frames(struct content *content, int first, size_t length)
{
    allocate(content, BATCH + MASKED_HEADER_MAX);
    while (content->length < BATCH - MASKED_HEADER_MAX)
        add_frame(content, first, length);
}

static void fill_tiny(struct content *content)
{
    fill_frames(content, FIN | TEXT, 1);
}

static void fill_pings(struct content *content)
{
    fill_frames(content, FIN | PING, 4);
}

static void fill_empty(struct content *content)
{
    allocate(content, 2 * BATCH);
    add_frame(content, TEXT, 0);
    content->once = content->length;
    while (content->length < BATCH)
        add_frame(content, CONTINUATION, 0);
}

static void fill_fragments(struct content *content)
{
    allocate(content, (size_t)LARGE * 8);
    add_frame(content, BINARY, 1);
    for (size_t i = 2; i < LARGE; i++)
        add_frame(content, CONTINUATION, 1);
    add_frame(content, FIN | CONTINUATION, 1);
}

static void fill_large(struct content *content)
{
    allocate(content, LARGE + MASKED_HEADER_MAX);
    add_frame(content, FIN | BINARY, LARGE);
}

static void fill_half(struct content *content)
{
    allocate(content, LARGE + MASKED_HEADER_MAX);
    add_frame(content, FIN | BINARY, LARGE);
    content->length -= LARGE / 2;
}

/* Zeros, deflated as RFC 7692, section 7.2.1 wants it. */
static void fill_zeros(struct content *content, size_t size)
{
    uint8_t *zeros = calloc(1, size);
    size_t room = size / 500;
    allocate(content, room + MASKED_HEADER_MAX);
    uint8_t *packed = malloc(room);
    z_stream stream = {
        .next_in = zeros, .avail_in = (uInt)size, .next_out = packed, .avail_out = (uInt)room};
    if (zeros == NULL || packed == NULL ||
        deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&stream, Z_SYNC_FLUSH) != Z_OK || stream.avail_in > 0 || stream.avail_out == 0)
        fail("%zu zeros cannot be deflated", size);
    size_t length = stream.total_out - 4; /* without the end of the flush: 00 00 ff ff */
    add_header(content, FIN | COMPRESSED | BINARY, length);
    memcpy(content->data + content->length, packed, length);
    content->length += length;
    deflateEnd(&stream);
    free(packed);
    free(zeros);
}

static void fill_expanding(struct content *content)
{
    fill_zeros(content, LARGE);
}

static void fill_bomb(struct content *content)
{
    fill_zeros(content, BOMB);
}

static void fill_request(struct content *content, const char *text)
{
    size_t once = strlen(text);
    allocate(content, once + BATCH);
    memcpy(content->data, text, once);
    memset(content->data + once, 'x', BATCH);
    content->once = once;
    content->length = once + BATCH;
}

static void fill_headers(struct content *content)
{
    fill_request(content, "GET / HTTP/1.1\r\nHost: x\r\nCookie: ");
}

static void fill_body(struct content *content)
{
    fill_request(content, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
}

const struct abuse abuses[] = {
    {"tiny", "frames of one byte, echoed and read", fill_tiny, 1, .opening = OPENING_UPGRADE,
     .again = true},
    {"tiny-unread", "the same, and nothing read", fill_tiny, 1, .opening = OPENING_UPGRADE,
     .again = true, .unread = true},
    {"pings", "pings", fill_pings, 1, .opening = OPENING_UPGRADE, .again = true},
    {"empty", "empty fragments", fill_empty, 1, .opening = OPENING_UPGRADE, .again = true},
    {"fragments", "messages of 1 MB in fragments of one byte", fill_fragments, 1,
     .opening = OPENING_UPGRADE, .again = true},
    {"half", "half a message of 1 MB, and silence", fill_half, 100, .opening = OPENING_UPGRADE},
    {"large", "messages of 1 MB, echoed and read", fill_large, 1, .opening = OPENING_UPGRADE,
     .again = true},
    {"stalled", "the same, and nothing read", fill_large, 1, .opening = OPENING_UPGRADE,
     .again = true, .unread = true},
    {"expanding", "1 KB that expands to 1 MB, echoed and read", fill_expanding, 1,
     .opening = OPENING_COMPRESS, .again = true},
    {"bomb", "16 KB that would expand to 16 MB", fill_bomb, 1, .opening = OPENING_COMPRESS,
     .again = true},
    {"handshakes", "opening handshakes, 20 at a time, each reset at once", NULL, 20,
     .opening = OPENING_UPGRADE, .life = -1},
    {"silent", "TCP connections that say nothing, each for half a second", NULL, 2000,
     .opening = OPENING_NONE, .life = 500},
    {"headers", "requests of which a byte comes each 100 ms", fill_headers, 200,
     .opening = OPENING_NONE, .drip = 100},
    {"bodies", "bodies of which a byte comes each 100 ms", fill_body, 200, .opening = OPENING_NONE,
     .drip = 100},
    {0},
};
