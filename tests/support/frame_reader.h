/*
 * frame_reader: feeds frame_parse in chops and writes down what it found, for the unit tests.
 *
 * What is written does not depend on the chops: pieces of a message are joined, and a message that
 * a failure cut off is left out. Everything that must hold for each single event is checked here.
 */
#ifndef LASTCALL_TESTS_SUPPORT_FRAME_READER_H
#define LASTCALL_TESTS_SUPPORT_FRAME_READER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/frame.h"

/* Check's own assertions write to a file each time, also when they hold: too slow for each byte. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("does not hold: %s", #condition);                                         \
    } while (0)

enum { STREAM_MAX = 1 << 17, CHOP_MAX = 17, LIMIT = 1 << 20 };

/* A parser and what it found so far. */
struct reader {
    struct frame_parser parser;
    char notes[4096];
    size_t notes_length;
    uint8_t message[STREAM_MAX];
    size_t message_length;
    uint64_t remaining;
    bool open;
};

/* Appends to the notes of a reader; takes what printf takes. */
#define NOTE(reader, ...)                                                                          \
    note_end(reader, snprintf((reader)->notes + (reader)->notes_length,                            \
                              sizeof(reader)->notes - (reader)->notes_length, __VA_ARGS__))

static inline void note_end(struct reader *reader, int length)
{
    MUST(length >= 0 && (size_t)length < sizeof reader->notes - reader->notes_length);
    reader->notes_length += (size_t)length;
}

static inline const char *opcode_name(uint8_t opcode)
{
    static const char *const names[16] = {[FRAME_TEXT] = "text",
                                          [FRAME_BINARY] = "binary",
                                          [FRAME_CLOSE] = "close",
                                          [FRAME_PING] = "ping",
                                          [FRAME_PONG] = "pong"};
    MUST(names[opcode] != NULL);
    return names[opcode];
}

static inline void note_payload(struct reader *reader, const uint8_t *data, size_t length)
{
    uint32_t sum = 2166136261;
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ data[i]) * 16777619;
    if (length > 40 || memchr(data, '\0', length) != NULL)
        NOTE(reader, "=%zu bytes, sum %08x;", length, sum);
    else
        NOTE(reader, "=%.*s;", (int)length, (const char *)data);
}

static inline void note_piece(struct reader *reader, const struct frame_found *found)
{
    MUST(found->first != reader->open);
    if (reader->remaining > 0)
        MUST(found->length + found->remaining == reader->remaining);
    reader->remaining = found->remaining;
    memcpy(reader->message + reader->message_length, found->data, found->length);
    reader->message_length += found->length;
    reader->open = !found->last;
    if (!found->last)
        return;
    MUST(found->remaining == 0);
    NOTE(reader, "%s", opcode_name(found->opcode));
    note_payload(reader, reader->message, reader->message_length);
    reader->message_length = 0;
}

static inline void note_control(struct reader *reader, const struct frame_found *found)
{
    NOTE(reader, "%s", opcode_name(found->opcode));
    if (found->opcode == FRAME_CLOSE)
        NOTE(reader, " %u", found->code);
    note_payload(reader, found->data, found->length);
}

/* Returns false when the parser has failed. */
static inline bool read_piece(struct reader *reader, uint8_t *input, size_t length)
{
    for (;;) {
        struct frame_found found;
        size_t consumed = 0;
        enum frame_event event = frame_parse(&reader->parser, input, length, &consumed, &found);
        MUST(consumed <= length);
        MUST(event != FRAME_NEED_MORE || consumed == length);
        if (event == FRAME_NEED_MORE)
            return true;
        if (event == FRAME_FAILED) {
            NOTE(reader, "failed %u %s;", found.code, found.failure);
            return false;
        }
        MUST(consumed > 0);
        if (event == FRAME_CONTROL)
            note_control(reader, &found);
        else
            note_piece(reader, &found);
        input += consumed;
        length -= consumed;
    }
}

/* Each piece lies in a block of just its size, so that a sanitizer sees a read beyond it. */
static inline bool read_copy(struct reader *reader, const uint8_t *input, size_t length)
{
    uint8_t *copy = malloc(length);
    MUST(copy != NULL || length == 0);
    memcpy(copy, input, length);
    bool good = read_piece(reader, copy, length);
    free(copy);
    return good;
}

/* What a stream gives when it comes in chops of that size. The result lasts until the next call. */
static inline const char *read_chopped(const uint8_t *stream, size_t length, size_t chop,
                                       uint64_t limit)
{
    static struct reader reader;
    memset(&reader, 0, offsetof(struct reader, message));
    reader.message_length = 0;
    reader.remaining = 0;
    reader.open = false;
    frame_parser_init(&reader.parser, limit, false);
    for (size_t at = 0; at < length; at += chop)
        if (!read_copy(&reader, stream + at, length - at < chop ? length - at : chop))
            return reader.notes;
    if (reader.open) {
        NOTE(&reader, "open");
        note_payload(&reader, reader.message, reader.message_length);
    }
    return reader.notes;
}

static inline void assert_found(const uint8_t *stream, size_t length, const char *expected)
{
    ck_assert_str_eq(read_chopped(stream, length, length, LIMIT), expected);
    for (size_t chop = 1; chop <= CHOP_MAX; chop++)
        ck_assert_str_eq(read_chopped(stream, length, chop, LIMIT), expected);
}

static inline size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t length = 0;
    for (unsigned byte = 0; *hex != '\0'; hex += 2) {
        if (*hex == ' ')
            hex++;
        ck_assert_int_eq(sscanf(hex, "%2x", &byte), 1);
        bytes[length++] = (uint8_t)byte;
    }
    return length;
}

/* Appends a masked frame; the length takes `length_size` bytes after the first two. */
static inline size_t put_frame(uint8_t *out, uint8_t first, size_t length_size, uint32_t mask,
                               const void *payload, uint64_t length)
{
    size_t size = 0;
    out[size++] = first;
    out[size++] = (uint8_t)(0x80 | (length_size == 8 ? 127 : length_size == 2 ? 126 : length));
    for (size_t i = length_size; i > 0; i--)
        out[size++] = (uint8_t)(length >> (8 * (i - 1)));
    uint8_t *key = out + size;
    for (size_t i = 0; i < 4; i++)
        out[size++] = (uint8_t)(mask >> (8 * i));
    for (size_t i = 0; payload != NULL && i < length; i++)
        out[size++] = ((const uint8_t *)payload)[i] ^ key[i % 4];
    return size;
}

static inline size_t shortest(uint64_t length)
{
    return length < 126 ? 0 : length < 65536 ? 2 : 8;
}

#endif
