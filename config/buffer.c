#include "config/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "config/memory.h"

void buffer_add(struct buffer *buffer, const char *bytes, size_t length)
{
    if (buffer->failed)
        return;
    if (!buffer->text || buffer->length + length + 1 > buffer->capacity) {
        size_t capacity = 2 * (buffer->length + length + 32);
        char *text = memory_resize(buffer->text, capacity);
        if (!text) {
            buffer->failed = true;
            return;
        }
        buffer->text = text;
        buffer->capacity = capacity;
    }
    if (length)
        memcpy(buffer->text + buffer->length, bytes, length);
    buffer->length += length;
    buffer->text[buffer->length] = '\0';
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer_add(buffer, "", 0);
}

char *buffer_take(struct buffer *buffer)
{
    buffer_add(buffer, "", 0);
    char *text = buffer->text;
    if (buffer->failed) {
        free(text);
        text = NULL;
    }
    *buffer = (struct buffer){0};
    return text;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->text);
    *buffer = (struct buffer){0};
}

char *buffer_copy(const char *text, size_t length)
{
    struct buffer buffer = {0};
    buffer_add(&buffer, text, length);
    return buffer_take(&buffer);
}
