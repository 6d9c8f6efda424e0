#include "server/lines.h"

#include <stdlib.h>
#include <string.h>

enum { CAPACITY_LEAST = 256 };

/* Drops a line that was given, and memory of more than a short one's. */
static void drop_given(struct lines *lines)
{
    if (!lines->given)
        return;
    lines->given = false;
    lines->length = 0;
    if (lines->capacity > CAPACITY_LEAST)
        lines_free(lines);
}

/* Returns false without memory. */
static bool gather(struct lines *lines, const uint8_t *data, size_t length)
{
    size_t needed = lines->length + length;
    if (needed > lines->capacity) {
        size_t capacity = needed < CAPACITY_LEAST ? CAPACITY_LEAST : needed + needed / 2;
        if (capacity > lines->most + 2) /* a line, and what may be half of its end */
            capacity = lines->most + 2;
        if (capacity < needed)
            capacity = needed;
        uint8_t *larger = realloc(lines->data, capacity);
        if (larger == NULL) {
            lines_free(lines);
            return false;
        }
        lines->data = larger;
        lines->capacity = capacity;
    }
    if (length > 0)
        memcpy(lines->data + lines->length, data, length);
    lines->length = needed;
    return true;
}

static void consume(const uint8_t **input, size_t *length, size_t taken)
{
    *input += taken;
    *length -= taken;
}

/* The end of a line is not part of it. */
static struct line without_return(const uint8_t *data, size_t length)
{
    if (length > 0 && data[length - 1] == '\r')
        length--;
    return (struct line){data, length};
}

/* What is gathered is as long as a line may be, and more of it has come. */
static enum lines_found give_long(struct lines *lines, struct line *line)
{
    *line = (struct line){lines->data, lines->most};
    lines->given = true;
    return LINES_LONG;
}

/* Gathers as much of `part` as can still be of a line, and says when it is too much. */
static enum lines_found gather_part(struct lines *lines, const uint8_t *part, size_t length,
                                    bool ends, struct line *line)
{
    size_t room = lines->most + 1 - lines->length; /* one more for a carriage return */
    bool fits = length <= room;
    if (!gather(lines, part, fits ? length : room))
        return LINES_NO_MEMORY;
    bool returns = lines->length > 0 && lines->data[lines->length - 1] == '\r';
    if (!fits || (lines->length > lines->most && !returns)) {
        lines->cut = !ends;
        return give_long(lines, line);
    }
    if (!ends)
        return LINES_NONE;
    *line = without_return(lines->data, lines->length);
    lines->given = true;
    return LINES_LINE;
}

/* Passes over the rest of a line that was too long. */
static void skip(struct lines *lines, const uint8_t **input, size_t *length)
{
    const uint8_t *end = *length == 0 ? NULL : memchr(*input, '\n', *length);
    lines->cut = end == NULL;
    consume(input, length, end == NULL ? *length : (size_t)(end - *input) + 1);
}

enum lines_found lines_next(struct lines *lines, const uint8_t **input, size_t *length,
                            struct line *line)
{
    drop_given(lines);
    if (lines->cut)
        skip(lines, input, length);
    if (*length == 0)
        return LINES_NONE;
    const uint8_t *data = *input;
    const uint8_t *end = memchr(data, '\n', *length);
    size_t part = end == NULL ? *length : (size_t)(end - data);
    consume(input, length, part + (end != NULL));
    if (end == NULL || lines->length > 0)
        return gather_part(lines, data, part, end != NULL, line);
    *line = without_return(data, part);
    if (line->length <= lines->most)
        return LINES_LINE;
    line->length = lines->most;
    return LINES_LONG;
}

bool lines_last(struct lines *lines, struct line *line)
{
    drop_given(lines);
    *line = without_return(lines->data, lines->length);
    lines->given = lines->length > 0;
    return lines->given;
}

size_t lines_held(const struct lines *lines)
{
    return lines->capacity;
}

void lines_free(struct lines *lines)
{
    free(lines->data);
    lines->data = NULL;
    lines->length = lines->capacity = 0;
    lines->given = false;
}
