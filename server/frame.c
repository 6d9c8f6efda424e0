#include "server/frame.h"

#include <string.h>

enum stage { STAGE_HEADER, STAGE_PAYLOAD, STAGE_FAILED };

enum {
    BIT_FIN = 0x80,
    BITS_RSV = 0x70,
    BIT_RSV1 = 0x40,
    BITS_OPCODE = 0x0F,
    BIT_CONTROL = 0x08, /* in an opcode */
    BIT_MASK = 0x80,
    BITS_LENGTH = 0x7F,
    LENGTH_IN_2 = 126, /* the length stands in the next two bytes */
    LENGTH_IN_8 = 127,
    MASK_SIZE = 4,
    DEFLATE_EXTRA = 64,
};

enum failure {
    FAILURE_NONE,
    FAILURE_RSV,
    FAILURE_OPCODE,
    FAILURE_NO_MASK,
    FAILURE_CONTROL_FRAGMENTED,
    FAILURE_CONTROL_LONG,
    FAILURE_CONTINUES_NOTHING,
    FAILURE_MESSAGE_OPEN,
    FAILURE_LENGTH_NOT_SHORTEST,
    FAILURE_LENGTH_HIGH_BIT,
    FAILURE_TOO_LARGE,
    FAILURE_TEXT,
    FAILURE_TEXT_CUT,
    FAILURE_CLOSE_ONE_BYTE,
    FAILURE_CLOSE_CODE,
    FAILURE_CLOSE_REASON,
};

/* The texts also go into the Close frame that answers: at most CLOSE_REASON_MAX bytes. */
static const struct {
    uint16_t code;
    const char *text;
} failures[] = {
    [FAILURE_RSV] = {CLOSE_PROTOCOL_ERROR, "reserved bits are set that were not agreed on"},
    [FAILURE_OPCODE] = {CLOSE_PROTOCOL_ERROR, "reserved opcode"},
    [FAILURE_NO_MASK] = {CLOSE_PROTOCOL_ERROR, "frame without a mask, clients must mask"},
    [FAILURE_CONTROL_FRAGMENTED] = {CLOSE_PROTOCOL_ERROR, "fragmented control frame"},
    [FAILURE_CONTROL_LONG] = {CLOSE_PROTOCOL_ERROR, "control frame over 125 bytes"},
    [FAILURE_CONTINUES_NOTHING] = {CLOSE_PROTOCOL_ERROR, "continuation without a message"},
    [FAILURE_MESSAGE_OPEN] = {CLOSE_PROTOCOL_ERROR, "new message before the last one ended"},
    [FAILURE_LENGTH_NOT_SHORTEST] = {CLOSE_PROTOCOL_ERROR, "length not in its shortest form"},
    [FAILURE_LENGTH_HIGH_BIT] = {CLOSE_PROTOCOL_ERROR, "length with its highest bit set"},
    [FAILURE_TOO_LARGE] = {CLOSE_TOO_LARGE, "message over the limit"},
    [FAILURE_TEXT] = {CLOSE_INVALID_DATA, "text is not UTF-8"},
    [FAILURE_TEXT_CUT] = {CLOSE_INVALID_DATA, "text ends in the middle of a character"},
    [FAILURE_CLOSE_ONE_BYTE] = {CLOSE_PROTOCOL_ERROR, "Close with half a code"},
    [FAILURE_CLOSE_CODE] = {CLOSE_PROTOCOL_ERROR, "Close with a code that must not be sent"},
    [FAILURE_CLOSE_REASON] = {CLOSE_INVALID_DATA, "reason of the Close is not UTF-8"},
};

bool close_code_valid(uint16_t code)
{
    static const struct {
        uint16_t first;
        uint16_t last;
    } allowed[] = {
        {1000, 1003}, /* 1004 to 1006 are reserved */
        {1007, 1014}, /* 1015 is reserved, the rest up to 2999 not given out */
        {3000, 4999}, /* registered by libraries, and private */
    };
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (code >= allowed[i].first && code <= allowed[i].last)
            return true;
    return false;
}

void frame_parser_init(struct frame_parser *parser, uint64_t message_limit, bool deflate)
{
    *parser = (struct frame_parser){.message_limit = message_limit, .deflate = deflate};
}

static enum frame_event fail(struct frame_parser *parser, enum failure failure)
{
    parser->stage = STAGE_FAILED;
    parser->failure = (uint8_t)failure;
    return FRAME_FAILED;
}

/* What is wrong with the first two bytes of a header, as early as that. */
static enum failure check_start(const struct frame_parser *parser, uint8_t first, uint8_t second)
{
    uint8_t opcode = first & BITS_OPCODE;
    bool begins = opcode == FRAME_TEXT || opcode == FRAME_BINARY;
    uint8_t allowed = parser->deflate && begins ? BIT_RSV1 : 0;
    if ((first & BITS_RSV & ~allowed) != 0)
        return FAILURE_RSV;
    if (opcode > FRAME_PONG || (opcode > FRAME_BINARY && opcode < FRAME_CLOSE))
        return FAILURE_OPCODE;
    if ((second & BIT_MASK) == 0)
        return FAILURE_NO_MASK;
    if ((opcode & BIT_CONTROL) != 0) {
        if ((first & BIT_FIN) == 0)
            return FAILURE_CONTROL_FRAGMENTED;
        return (second & BITS_LENGTH) > FRAME_CONTROL_MAX ? FAILURE_CONTROL_LONG : FAILURE_NONE;
    }
    if (opcode == FRAME_CONTINUATION)
        return parser->message == 0 ? FAILURE_CONTINUES_NOTHING : FAILURE_NONE;
    return parser->message != 0 ? FAILURE_MESSAGE_OPEN : FAILURE_NONE;
}

static uint64_t read_number(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return number;
}

static void write_number(uint8_t *bytes, size_t size, uint64_t number)
{
    for (size_t i = size; i > 0; i--, number >>= 8)
        bytes[i - 1] = (uint8_t)number;
}

static size_t length_size(uint8_t second)
{
    uint8_t length = second & BITS_LENGTH;
    return length == LENGTH_IN_2 ? 2 : length == LENGTH_IN_8 ? 8 : 0;
}

static size_t header_size(const uint8_t *header)
{
    return 2 + length_size(header[1]) + MASK_SIZE;
}

/* A byte of what cannot be compressed takes 9 bits at most (RFC 1951, section 3.2.6), and each
   fragment may end with an empty block. */
static uint64_t wire_limit(const struct frame_parser *parser)
{
    uint64_t limit = parser->message_limit;
    return parser->compressed ? limit + limit / 8 + DEFLATE_EXTRA : limit;
}

/* Reads the length out of a whole header and holds it against the limit. */
static enum failure take_length(struct frame_parser *parser, const uint8_t *header)
{
    size_t size = length_size(header[1]);
    uint64_t length = size == 0 ? header[1] & BITS_LENGTH : read_number(header + 2, size);
    if (length >> 63 != 0)
        return FAILURE_LENGTH_HIGH_BIT;
    if ((size == 2 && length < LENGTH_IN_2) || (size == 8 && length <= UINT16_MAX))
        return FAILURE_LENGTH_NOT_SHORTEST;
    parser->payload_left = length;
    if ((header[0] & BIT_CONTROL) != 0)
        return FAILURE_NONE;
    if (length > wire_limit(parser) - parser->message_size)
        return FAILURE_TOO_LARGE;
    parser->message_size += length;
    return FAILURE_NONE;
}

/* Begins the payload of the frame whose header is whole and was checked by check_start. */
static enum frame_event begin_payload(struct frame_parser *parser, const uint8_t *header)
{
    uint8_t opcode = header[0] & BITS_OPCODE;
    if (opcode == FRAME_TEXT || opcode == FRAME_BINARY)
        parser->compressed = (header[0] & BIT_RSV1) != 0;
    enum failure failure = take_length(parser, header);
    if (failure != FAILURE_NONE)
        return fail(parser, failure);
    const uint8_t *mask = header + 2 + length_size(header[1]);
    memcpy(parser->mask, mask, MASK_SIZE);
    memcpy(parser->mask + MASK_SIZE, mask, MASK_SIZE);
    parser->mask_offset = 0;
    parser->opcode = opcode;
    parser->fin = (header[0] & BIT_FIN) != 0;
    parser->control_have = 0;
    if (opcode == FRAME_TEXT || opcode == FRAME_BINARY)
        parser->message = opcode;
    parser->stage = STAGE_PAYLOAD;
    return FRAME_NEED_MORE;
}

/* Moves input into the header until it holds `size` bytes; false: there was not enough. */
static bool collect_header(struct frame_parser *parser, size_t size, const uint8_t *input,
                           size_t length, size_t *used)
{
    while (parser->header_have < size && *used < length)
        parser->header[parser->header_have++] = input[(*used)++];
    return parser->header_have >= size;
}

/* A header that is there in one piece, as nearly all are, is read where it is. */
static enum frame_event take_header(struct frame_parser *parser, const uint8_t *input,
                                    size_t length, size_t *used)
{
    const uint8_t *header = parser->header;
    if (parser->header_have == 0 && length - *used >= sizeof parser->header)
        header = input + *used;
    else if (parser->header_have < 2 && !collect_header(parser, 2, input, length, used))
        return FRAME_NEED_MORE;
    enum failure failure = check_start(parser, header[0], header[1]);
    if (failure != FAILURE_NONE)
        return fail(parser, failure);
    if (header != parser->header)
        *used += header_size(header);
    else if (!collect_header(parser, header_size(header), input, length, used))
        return FRAME_NEED_MORE;
    return begin_payload(parser, header);
}

static void end_frame(struct frame_parser *parser)
{
    parser->stage = STAGE_HEADER;
    parser->header_have = 0;
}

static void unmask(struct frame_parser *parser, uint8_t *data, size_t length)
{
    const uint8_t *mask = parser->mask + parser->mask_offset;
    uint32_t turned;
    memcpy(&turned, mask, sizeof turned);
    const uint64_t key = (uint64_t)turned << 32 | turned;
    size_t done = 0;
    for (; length - done >= sizeof key; done += sizeof key) {
        uint64_t word;
        memcpy(&word, data + done, sizeof word);
        word ^= key;
        memcpy(data + done, &word, sizeof word);
    }
    for (; done < length; done++)
        data[done] ^= mask[done % MASK_SIZE];
    parser->mask_offset = (uint8_t)((parser->mask_offset + length) % MASK_SIZE);
}

/* The payload of a data frame: as much of it as there is. */
static enum frame_event take_data(struct frame_parser *parser, uint8_t *input, size_t length,
                                  size_t *used, struct frame_found *found)
{
    size_t left = length - *used;
    size_t piece = left < parser->payload_left ? left : (size_t)parser->payload_left;
    bool whole = piece == parser->payload_left;
    bool last = whole && parser->fin;
    if (piece == 0 && !whole)
        return FRAME_NEED_MORE;
    uint8_t *data = input + *used;
    *used += piece;
    parser->payload_left -= piece;
    unmask(parser, data, piece);
    if (parser->message == FRAME_TEXT && !parser->compressed) {
        if (!utf8_feed(&parser->utf8, data, piece))
            return fail(parser, FAILURE_TEXT);
        if (last && !utf8_done(&parser->utf8))
            return fail(parser, FAILURE_TEXT_CUT);
    }
    found->opcode = parser->message;
    found->first = !parser->started;
    found->last = last;
    found->compressed = parser->compressed;
    found->remaining = parser->payload_left;
    found->data = data;
    found->length = piece;
    parser->started = !last;
    if (last) {
        parser->message = 0;
        parser->message_size = 0;
    }
    if (whole)
        end_frame(parser);
    return FRAME_DATA;
}

/* A peer's Close: its code and reason (section 5.5.1). */
static enum frame_event read_close(struct frame_parser *parser, struct frame_found *found)
{
    found->code = CLOSE_NO_STATUS;
    if (found->length == 0)
        return FRAME_CONTROL;
    if (found->length == 1)
        return fail(parser, FAILURE_CLOSE_ONE_BYTE);
    found->code = (uint16_t)read_number(found->data, 2);
    found->data += 2;
    found->length -= 2;
    if (!close_code_valid(found->code))
        return fail(parser, FAILURE_CLOSE_CODE);
    struct utf8 utf8 = {0};
    if (!utf8_feed(&utf8, found->data, found->length) || !utf8_done(&utf8))
        return fail(parser, FAILURE_CLOSE_REASON);
    return FRAME_CONTROL;
}

/* The payload of a control frame: collected aside, so that it is handed over whole. */
static enum frame_event take_control(struct frame_parser *parser, const uint8_t *input,
                                     size_t length, size_t *used, struct frame_found *found)
{
    size_t left = length - *used;
    size_t piece = left < parser->payload_left ? left : (size_t)parser->payload_left;
    memcpy(parser->control + parser->control_have, input + *used, piece);
    *used += piece;
    parser->control_have = (uint8_t)(parser->control_have + piece);
    parser->payload_left -= piece;
    if (parser->payload_left > 0)
        return FRAME_NEED_MORE;
    unmask(parser, parser->control, parser->control_have);
    end_frame(parser);
    found->opcode = parser->opcode;
    found->data = parser->control;
    found->length = parser->control_have;
    return parser->opcode == FRAME_CLOSE ? read_close(parser, found) : FRAME_CONTROL;
}

enum frame_event frame_parse(struct frame_parser *parser, uint8_t *input, size_t length,
                             size_t *consumed, struct frame_found *found)
{
    size_t used = 0;
    enum frame_event event = FRAME_NEED_MORE;
    *found = (struct frame_found){0};
    while (event == FRAME_NEED_MORE && used < length && parser->stage != STAGE_FAILED) {
        if (parser->stage == STAGE_HEADER)
            event = take_header(parser, input, length, &used);
        if (parser->stage == STAGE_PAYLOAD)
            event = (parser->opcode & BIT_CONTROL) != 0
                        ? take_control(parser, input, length, &used, found)
                        : take_data(parser, input, length, &used, found);
    }
    *consumed = used;
    if (parser->stage == STAGE_FAILED) {
        *consumed = length;
        *found = (struct frame_found){.code = failures[parser->failure].code,
                                      .failure = failures[parser->failure].text};
        return FRAME_FAILED;
    }
    if (event == FRAME_NEED_MORE)
        *found = (struct frame_found){0};
    return event;
}

bool frame_parser_resting(const struct frame_parser *parser)
{
    return parser->stage == STAGE_HEADER && parser->header_have == 0 && parser->message == 0;
}

size_t frame_header(uint8_t header[FRAME_HEADER_MAX], unsigned opcode, uint64_t length)
{
    header[0] = (uint8_t)(BIT_FIN | opcode);
    if (length < LENGTH_IN_2) {
        header[1] = (uint8_t)length;
        return 2;
    }
    size_t size = length <= UINT16_MAX ? 2 : 8;
    header[1] = size == 2 ? LENGTH_IN_2 : LENGTH_IN_8;
    write_number(header + 2, size, length);
    return 2 + size;
}

/* How much of a reason fits: whole characters, and nothing behind one that is not UTF-8. */
static size_t reason_length(const char *reason)
{
    struct utf8 utf8 = {0};
    size_t whole = 0;
    for (size_t i = 0; i < CLOSE_REASON_MAX && reason[i] != '\0'; i++) {
        if (!utf8_feed(&utf8, &reason[i], 1))
            break;
        if (utf8_done(&utf8))
            whole = i + 1;
    }
    return whole;
}

size_t frame_close(uint8_t frame[2 + FRAME_CONTROL_MAX], uint16_t code, const char *reason)
{
    if (!close_code_valid(code))
        return frame_header(frame, FRAME_CLOSE, 0);
    size_t length = reason_length(reason);
    size_t size = frame_header(frame, FRAME_CLOSE, 2 + length);
    write_number(frame + size, 2, code);
    memcpy(frame + size + 2, reason, length);
    return size + 2 + length;
}
