/*
 * lines: bytes in any chops, taken apart into lines.
 *
 * A line that arrives whole is handed over where it lies; only one in pieces is gathered, in memory
 * of the size of what has arrived. Lines end with a newline, or a carriage return and one, which
 * are not part of them. Pure but for that memory; knows no UTF-8.
 */
#ifndef LASTCALL_SERVER_LINES_H
#define LASTCALL_SERVER_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed but for `most`: nothing has come. */
struct lines {
    size_t most; /* bytes of a line, without its end */
    uint8_t *data;
    size_t length; /* of what is gathered */
    size_t capacity;
    bool given; /* what is gathered was a line, and goes with the next call */
    bool cut;   /* the rest of a line that was too long is passed over */
};

enum lines_found {
    LINES_NONE,      /* all input is consumed, and kept if it may be the beginning of a line */
    LINES_LINE,      /* a line */
    LINES_LONG,      /* the first `most` bytes of a line that has more; the rest is passed over */
    LINES_NO_MEMORY, /* what was gathered is lost */
};

/* A line, valid until the lines or the input are touched again. */
struct line {
    const uint8_t *data;
    size_t length;
};

/* Consumes some of *input (*length bytes) and reports one thing. Call it again until LINES_NONE. */
enum lines_found lines_next(struct lines *lines, const uint8_t **input, size_t *length,
                            struct line *line);

/* At the end of all input: whether a last line without an end was there. */
bool lines_last(struct lines *lines, struct line *line);

/* Bytes of memory that it holds. */
size_t lines_held(const struct lines *lines);

/* Drops what is gathered; it can be used again. */
void lines_free(struct lines *lines);

#endif
