#include "load_frame.h"

#include <string.h>

#define MASKED 0x80

/* Returns the bytes up to the mask. */
static size_t write_length(uint8_t *frame, size_t length)
{
    size_t bytes = length < 126 ? 0 : length <= UINT16_MAX ? 2 : 8;
    frame[1] = (uint8_t)(MASKED | (bytes == 0 ? length : bytes == 2 ? 126U : 127U));
    for (size_t i = 0; i < bytes; i++)
        frame[2 + i] = (uint8_t)(length >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

size_t frame_compose(uint8_t *frame, uint8_t first, uint32_t mask, const void *payload,
                     size_t length)
{
    const uint8_t *plain = payload;
    frame[0] = first;
    uint8_t *key = frame + write_length(frame, length);
    memcpy(key, &mask, 4);
    uint8_t *masked = key + 4;
    for (size_t i = 0; i < length; i++)
        masked[i] = plain[i] ^ key[i % 4];
    return (size_t)(masked - frame) + length;
}

size_t frame_read_length(const uint8_t *input, size_t have, size_t *length)
{
    size_t start = have < 2 ? 2 : input[1] == 126 ? 4 : input[1] == 127 ? 10 : 2;
    if (have < start)
        return 0;
    *length = start == 2 ? input[1] : 0;
    for (size_t i = 2; i < start; i++)
        *length = *length << 8 | input[i];
    return start;
}
