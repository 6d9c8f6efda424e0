#include "server/frame.h"

#include <string.h>

/* In `left`: a byte came that no text can contain there, and no byte mends that. */
#define UTF8_BROKEN 0xFF

/* Of eight bytes at a time: all clear is ASCII. */
#define HIGH_BITS 0x8080808080808080

/*
 * The size of the character at `bytes`, of which four can be read; 0 when it is not a right one.
 * Which of its bytes is wrong is left to utf8_step.
 */
static size_t whole_character(const uint8_t *bytes)
{
    unsigned first = bytes[0];
    if (first < 0x80)
        return 1;
    unsigned second = bytes[1] ^ 0x80U; /* below 40 hex: a right continuation, its bits alone */
    if (first < 0xE0)
        return first >= 0xC2 && second < 0x40 ? 2 : 0;
    unsigned third = bytes[2] ^ 0x80U;
    if ((second | third) >= 0x40)
        return 0;
    unsigned top = (first & 0x0F) << 6 | second; /* of the code point, its last bits left out */
    if (first < 0xF0)
        return top >= 0x800 >> 6 && (top < 0xD800 >> 6 || top > 0xDFFF >> 6) ? 3 : 0;
    if (first > 0xF4 || (bytes[3] ^ 0x80U) >= 0x40)
        return 0;
    return top >= 0x10000 >> 12 && top <= 0x10FFFF >> 12 ? 4 : 0;
}

/* Most text is ASCII from end to end: 64 bytes at a time, which compilers turn into vectors. */
static const uint8_t *skip_ascii(const uint8_t *bytes, const uint8_t *end)
{
    for (; end - bytes >= 64; bytes += 64) {
        uint64_t all = 0;
        for (size_t i = 0; i < 64; i += sizeof all) {
            uint64_t word;
            memcpy(&word, bytes + i, sizeof word);
            all |= word;
        }
        if ((all & HIGH_BITS) != 0)
            break;
    }
    return bytes;
}

/* The end of the run of whole, right characters at `bytes`, as far as it is quick to see. */
static const uint8_t *skip_characters(const uint8_t *bytes, const uint8_t *end)
{
    uint64_t word;
    bytes = skip_ascii(bytes, end);
    while (end - bytes >= (ptrdiff_t)sizeof word) {
        memcpy(&word, bytes, sizeof word);
        if ((word & HIGH_BITS) == 0) {
            bytes += sizeof word;
            continue;
        }
        for (const uint8_t *border = bytes + 4; bytes <= border;) {
            size_t size = whole_character(bytes);
            if (size == 0)
                return bytes;
            bytes += size;
        }
    }
    while (bytes < end && *bytes < 0x80)
        bytes++;
    return bytes;
}

/* A first byte says how many follow, and the range of the next one (RFC 3629, section 4). */
static bool utf8_begin(struct utf8 *utf8, uint8_t byte)
{
    if (byte < 0x80)
        return true;
    if (byte < 0xC2 || byte > 0xF4) {
        utf8->left = UTF8_BROKEN;
        return false;
    }
    utf8->left = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    utf8->lowest = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0;
    utf8->highest = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0;
    return true;
}

static bool utf8_step(struct utf8 *utf8, uint8_t byte)
{
    if (utf8->left == 0)
        return utf8_begin(utf8, byte);
    uint8_t lowest = utf8->lowest != 0 ? utf8->lowest : 0x80;
    uint8_t highest = utf8->highest != 0 ? utf8->highest : 0xBF;
    bool right = utf8->left != UTF8_BROKEN && byte >= lowest && byte <= highest;
    utf8->left = right ? (uint8_t)(utf8->left - 1) : UTF8_BROKEN;
    utf8->lowest = 0;
    utf8->highest = 0;
    return right;
}

bool utf8_feed(struct utf8 *utf8, const void *data, size_t length)
{
    if (length == 0)
        return utf8->left != UTF8_BROKEN;
    const uint8_t *bytes = data;
    const uint8_t *end = bytes + length;
    while (bytes < end) {
        if (utf8->left == 0)
            bytes = skip_characters(bytes, end);
        if (bytes < end && !utf8_step(utf8, *bytes++))
            return false;
    }
    return true;
}

bool utf8_done(const struct utf8 *utf8)
{
    return utf8->left == 0;
}
