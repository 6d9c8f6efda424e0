/*
 * The frame parser: whatever the chops in which a stream comes, it finds the same as in the whole,
 * and what the model of RFC 6455 finds.
 *
 * Input: a byte of which the lowest bit is permessage-deflate, one that chooses the limit of a
 * message, two that choose the chops; then the stream.
 */
#include "server/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/model.h"
#include "tests/support/random.h"

static const uint64_t limits[] = {1 << 20, 0, 1, 7, 64, 125, 126, 300, 65535, 65536, 1 << 30};

/* How a stream is cut: pieces of at most so many bytes, at random or all alike. */
struct chops {
    size_t most;
    bool random;
    uint64_t state;
};

/* A parser and what it found. */
struct reader {
    struct frame_parser parser;
    struct items items;
    struct bytes message;
    struct frame_found begun; /* of the message in progress */
    uint64_t remaining;
    bool open;
    const char *failure;
};

static void note_data(struct reader *reader, const struct frame_found *found)
{
    MUST(found->data != NULL);
    MUST(found->first != reader->open);
    MUST(found->opcode == FRAME_TEXT || found->opcode == FRAME_BINARY);
    if (found->first)
        reader->begun = *found;
    MUST(found->opcode == reader->begun.opcode && found->compressed == reader->begun.compressed);
    MUST(reader->remaining == 0 || found->length + found->remaining == reader->remaining);
    MUST(!found->last || found->remaining == 0);
    reader->remaining = found->remaining;
    reader->open = !found->last;
    bytes_add(&reader->message, found->data, found->length);
    if (!found->last)
        return;
    items_add(&reader->items,
              (struct item){.kind = ITEM_MESSAGE,
                            .opcode = found->opcode,
                            .compressed = found->compressed,
                            .length = reader->message.length},
              reader->message.data);
    reader->message.length = 0;
}

static void note(struct reader *reader, enum frame_event event, const struct frame_found *found)
{
    struct item item = {.opcode = found->opcode, .code = found->code, .length = found->length};
    if (event == FRAME_DATA) {
        note_data(reader, found);
    } else if (event == FRAME_CONTROL) {
        MUST(found->length <= FRAME_CONTROL_MAX);
        item.kind = ITEM_CONTROL;
        items_add(&reader->items, item, found->data);
    } else {
        MUST(found->failure != NULL && strlen(found->failure) <= CLOSE_REASON_MAX);
        reader->failure = found->failure;
        item.kind = ITEM_FAILURE;
        items_add(&reader->items, item, NULL);
    }
}

/* Feeds one piece. Returns false when the parser has failed. */
static bool feed(struct reader *reader, uint8_t *piece, size_t length)
{
    for (;;) {
        struct frame_found found;
        size_t consumed = SIZE_MAX;
        enum frame_event event = frame_parse(&reader->parser, piece, length, &consumed, &found);
        MUST(consumed <= length);
        if (event == FRAME_NEED_MORE) {
            MUST(consumed == length);
            return true;
        }
        MUST(consumed > 0);
        note(reader, event, &found);
        if (event == FRAME_FAILED)
            return false;
        piece += consumed;
        length -= consumed;
    }
}

/* A parser that has failed does not recover, whatever it is fed. */
static void must_stay_failed(struct reader *reader)
{
    uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0};
    size_t consumed = 0;
    struct frame_found found;
    MUST(frame_parse(&reader->parser, ping, sizeof ping, &consumed, &found) == FRAME_FAILED);
    MUST(consumed == sizeof ping && found.failure == reader->failure);
}

static void read_stream(struct reader *reader, struct input stream, struct chops chops)
{
    bool good = true;
    while (good && stream.left > 0) {
        size_t length = chops.random ? 1 + random_below(&chops.state, chops.most) : chops.most;
        uint8_t *piece = take_bytes(&stream, &length);
        good = feed(reader, piece, length);
        free(piece);
    }
    if (!good)
        must_stay_failed(reader);
    else if (reader->open && reader->message.length > 0)
        items_add(&reader->items,
                  (struct item){.kind = ITEM_BEGUN,
                                .opcode = reader->begun.opcode,
                                .compressed = reader->begun.compressed,
                                .length = reader->message.length},
                  reader->message.data);
}

/* What we send must be what RFC 6455 allows: a Close is whole, unmasked, short and of UTF-8. */
static void check_close(uint16_t code, const char *reason)
{
    uint8_t frame[2 + FRAME_CONTROL_MAX];
    size_t size = frame_close(frame, code, reason);
    MUST(size >= 2 && size <= sizeof frame && frame[0] == 0x88 && frame[1] == size - 2);
    MUST(close_code_valid(code) == model_code_valid(code));
    if (!close_code_valid(code)) {
        MUST(size == 2);
        return;
    }
    MUST(size >= 4 && frame[2] * 256U + frame[3] == code);
    MUST(utf8_is_text(frame + 4, size - 4));
    MUST(strncmp((const char *)frame + 4, reason, size - 4) == 0);
    size_t length = strlen(reason);
    if (utf8_is_text((const uint8_t *)reason, length)) /* no more is cut than has to be */
        MUST(size - 4 == length || size - 4 + 4 > CLOSE_REASON_MAX);
}

static void check_header(uint64_t length)
{
    static const struct {
        uint64_t below;
        size_t size;
    } sizes[] = {{126, 2}, {65536, 4}, {UINT64_MAX, 10}};
    uint8_t header[FRAME_HEADER_MAX];
    size_t size = frame_header(header, FRAME_BINARY, length);
    size_t row = 0;
    while (length >= sizes[row].below)
        row++;
    MUST(size == sizes[row].size && header[0] == 0x82);
    uint64_t read = size == 2 ? header[1] : 0;
    for (size_t i = 2; i < size; i++)
        read = read << 8 | header[i];
    MUST(read == length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    bool deflate = (take_byte(&input) & 1) != 0;
    uint64_t limit = limits[take_byte(&input) % COUNT(limits)];
    uint16_t seed = take_pair(&input);
    const struct chops all[] = {
        {.most = SIZE_MAX},
        {.most = 1},
        {.most = 1 + seed % 40U, .random = true, .state = seed},
        {.most = 2 + seed % 15U},
    };
    struct items expected = model_read(input.at, input.left, limit, deflate);
    const char *failure = NULL;
    for (size_t i = 0; i < COUNT(all); i++) {
        struct reader reader = {0};
        frame_parser_init(&reader.parser, limit, deflate);
        read_stream(&reader, input, all[i]);
        items_must_equal(&reader.items, &expected);
        if (i == 0)
            failure = reader.failure;
        MUST(reader.failure == failure); /* the very same text */
        items_free(&reader.items);
        free(reader.message.data);
    }
    items_free(&expected);

    char *reason = take_text(&input, '\0');
    check_close(seed, reason);
    check_close((uint16_t)(1000 + seed % 16), reason);
    check_header(strlen(reason) + seed);
    check_header((uint64_t)seed << (seed % 48));
    free(reason);
    return 0;
}
