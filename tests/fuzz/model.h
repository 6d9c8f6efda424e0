/*
 * model: RFC 6455 and RFC 3629 once more, written down as plainly as they can be said, for the
 * targets to compare with. Looks at a whole stream at once and shares no line with server/frame.c.
 */
#ifndef LASTCALL_TESTS_FUZZ_MODEL_H
#define LASTCALL_TESTS_FUZZ_MODEL_H

#include "tests/fuzz/fuzz.h"

/* --- UTF-8 --- */

struct utf8_row {
    uint8_t length;
    uint8_t range[4][2];
};

/* RFC 3629, section 4. */
static const struct utf8_row utf8_rows[] = {
    {1, {{0x00, 0x7F}}},
    {2, {{0xC2, 0xDF}, {0x80, 0xBF}}},
    {3, {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}}},
    {3, {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {3, {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}}},
    {3, {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {4, {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {4, {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}},
    {4, {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}}},
};

/* How many bytes fit the row before one does not, or they end. */
static inline size_t utf8_fitting(const struct utf8_row *row, const uint8_t *bytes, size_t length)
{
    size_t fitting = 0;
    while (fitting < row->length && fitting < length && bytes[fitting] >= row->range[fitting][0] &&
           bytes[fitting] <= row->range[fitting][1])
        fitting++;
    return fitting;
}

/* What is known of some bytes as UTF-8. */
struct utf8_verdict {
    size_t right; /* so many can be the beginning of a text */
    bool whole;   /* and they are one: the last character is not cut */
};

static inline struct utf8_verdict utf8_judge(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        const struct utf8_row *best = NULL;
        size_t most = 0;
        for (size_t i = 0; i < COUNT(utf8_rows); i++) {
            size_t fitting = utf8_fitting(&utf8_rows[i], bytes + at, length - at);
            if (fitting > most) {
                most = fitting;
                best = &utf8_rows[i];
            }
        }
        at += most;
        if (best == NULL || most < best->length)
            return (struct utf8_verdict){at, false};
    }
    return (struct utf8_verdict){at, true};
}

static inline bool utf8_is_text(const uint8_t *bytes, size_t length)
{
    struct utf8_verdict verdict = utf8_judge(bytes, length);
    return verdict.right == length && verdict.whole;
}

/* --- what a stream of frames says --- */

enum item_kind {
    ITEM_MESSAGE, /* a whole one */
    ITEM_BEGUN,   /* the beginning of one, at the end of the stream */
    ITEM_CONTROL,
    ITEM_FAILURE, /* the peer has broken the protocol: the last item */
};

struct item {
    enum item_kind kind;
    uint8_t opcode;
    bool compressed;
    uint16_t code;  /* of a Close, 1005 for none; of a failure: to close with */
    size_t payload; /* where it begins in `text`; of a Close: its reason */
    size_t length;
};

/* Zeroed: none. */
struct items {
    struct item *list;
    size_t count;
    size_t capacity;
    struct bytes text;
};

static inline void items_add(struct items *items, struct item item, const uint8_t *payload)
{
    if (items->count == items->capacity) {
        items->capacity = 2 * items->capacity + 8;
        items->list = realloc(items->list, items->capacity * sizeof *items->list);
        MUST(items->list != NULL);
    }
    item.payload = items->text.length;
    bytes_add(&items->text, payload, item.length);
    items->list[items->count++] = item;
}

static inline const uint8_t *item_data(const struct items *items, const struct item *item)
{
    return item->length == 0 ? NULL : items->text.data + item->payload;
}

static inline void items_free(struct items *items)
{
    free(items->list);
    free(items->text.data);
    *items = (struct items){0};
}

static inline void items_must_equal(const struct items *one, const struct items *other)
{
    MUST(one->count == other->count);
    for (size_t i = 0; i < one->count; i++) {
        const struct item *left = &one->list[i];
        const struct item *right = &other->list[i];
        MUST(left->kind == right->kind);
        MUST(left->opcode == right->opcode);
        MUST(left->compressed == right->compressed);
        MUST(left->code == right->code);
        MUST(bytes_equal(item_data(one, left), left->length, item_data(other, right),
                         right->length));
    }
}

/* --- frames --- */

/* RFC 6455, section 7.4. */
static inline bool model_code_valid(unsigned code)
{
    if (code < 1000 || code == 1004 || code == 1005 || code == 1006 || code == 1015)
        return false;
    return code <= 1014 || (code >= 3000 && code <= 4999);
}

/* A stream that is being read. */
struct model {
    struct items *items;
    const uint8_t *bytes;
    size_t left;
    uint64_t limit;
    bool deflate;
    uint8_t opcode; /* of the message that has begun; 0: none */
    bool compressed;
    uint64_t claimed; /* bytes of it by the frames' headers */
    struct bytes message;
};

static inline bool model_fail(struct model *model, uint16_t code)
{
    items_add(model->items, (struct item){.kind = ITEM_FAILURE, .code = code}, NULL);
    return false;
}

/* Whether the first two bytes of a frame break no rule. */
static inline bool model_begins_well(const struct model *model)
{
    unsigned first = model->bytes[0];
    unsigned opcode = first & 15;
    bool fin = first >> 7 == 1;
    bool control = opcode >= 8;
    unsigned reserved = first >> 4 & 7;
    bool may_compress = model->deflate && (opcode == 1 || opcode == 2);
    if (reserved != 0 && !(reserved == 4 && may_compress))
        return false;
    if (opcode != 0 && opcode != 1 && opcode != 2 && opcode != 8 && opcode != 9 && opcode != 10)
        return false;
    if (model->bytes[1] < 128)
        return false;
    if (control)
        return fin && model->bytes[1] - 128 <= 125;
    return (opcode == 0) == (model->opcode != 0);
}

static inline bool model_control(struct model *model, uint8_t opcode, const uint8_t *payload,
                                 size_t length)
{
    struct item item = {.kind = ITEM_CONTROL, .opcode = opcode, .length = length};
    if (opcode == 8) {
        unsigned code = length >= 2 ? payload[0] * 256U + payload[1] : 0;
        if (length == 1 || (length > 1 && !model_code_valid(code)))
            return model_fail(model, 1002);
        item.code = length == 0 ? 1005 : (uint16_t)code;
        if (length > 0) {
            payload += 2;
            item.length -= 2;
        }
        if (!utf8_is_text(payload, item.length))
            return model_fail(model, 1007);
    }
    items_add(model->items, item, payload);
    return true;
}

/* What has come of a frame's payload; `last`: with it the message is whole. */
static inline bool model_data(struct model *model, const uint8_t *payload, size_t length, bool last)
{
    bytes_add(&model->message, payload, length);
    if (model->opcode == 1 && !model->compressed) {
        struct utf8_verdict verdict = utf8_judge(model->message.data, model->message.length);
        if (verdict.right < model->message.length || (last && !verdict.whole))
            return model_fail(model, 1007);
    }
    if (!last)
        return true;
    items_add(model->items,
              (struct item){.kind = ITEM_MESSAGE,
                            .opcode = model->opcode,
                            .compressed = model->compressed,
                            .length = model->message.length},
              model->message.data);
    model->opcode = 0;
    model->claimed = 0;
    model->message.length = 0;
    return true;
}

/* Compression can make a message longer: by an eighth and 64 bytes, as frame.h allows. */
static inline bool model_too_large(const struct model *model, uint64_t length)
{
    uint64_t most = model->limit + (model->compressed ? model->limit / 8 + 64 : 0);
    return length > most || model->claimed + length > most;
}

/* The payload of a frame, unmasked. To be freed. */
static inline uint8_t *model_payload(const uint8_t *masked, size_t length, const uint8_t *mask)
{
    uint8_t *payload = malloc(length + 1);
    MUST(payload != NULL);
    for (size_t i = 0; i < length; i++)
        payload[i] = masked[i] ^ mask[i % 4];
    return payload;
}

/* Reads one frame. Returns false when that was the last, or it has not come whole. */
static inline bool model_frame(struct model *model)
{
    if (model->left < 2)
        return false;
    if (!model_begins_well(model))
        return model_fail(model, 1002);
    uint8_t opcode = model->bytes[0] & 15;
    bool fin = model->bytes[0] >= 128;
    uint64_t length = model->bytes[1] - 128U;
    size_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (model->left < 2 + more + 4)
        return false;
    if (more > 0)
        length = 0;
    for (size_t i = 0; i < more; i++)
        length = length * 256 + model->bytes[2 + i];
    if (length >= UINT64_C(1) << 63 || (more == 2 && length < 126) || (more == 8 && length < 65536))
        return model_fail(model, 1002);
    const uint8_t *mask = model->bytes + 2 + more;
    model->bytes = mask + 4;
    model->left -= 2 + more + 4;
    size_t have = length < model->left ? (size_t)length : model->left;
    bool whole = have == length;
    bool good = true;
    uint8_t *payload = model_payload(model->bytes, have, mask);
    if (opcode >= 8) {
        good = !whole || model_control(model, opcode, payload, have);
    } else {
        if (opcode > 0) {
            model->opcode = opcode;
            model->compressed = (*(mask - 2 - more) & 64) != 0;
        }
        good = model_too_large(model, length) ? model_fail(model, 1009)
                                              : model_data(model, payload, have, whole && fin);
        model->claimed += model->opcode == 0 ? 0 : length;
    }
    free(payload);
    model->bytes += have;
    model->left -= have;
    return good && whole;
}

/* Reads all of it. To be freed with items_free. */
static inline struct items model_read(const uint8_t *bytes, size_t length, uint64_t limit,
                                      bool deflate)
{
    struct items items = {0};
    struct model model = {
        .items = &items, .bytes = bytes, .left = length, .limit = limit, .deflate = deflate};
    while (model_frame(&model))
        ;
    bool failed = items.count > 0 && items.list[items.count - 1].kind == ITEM_FAILURE;
    if (!failed && model.opcode != 0 && model.message.length > 0)
        items_add(&items,
                  (struct item){.kind = ITEM_BEGUN,
                                .opcode = model.opcode,
                                .compressed = model.compressed,
                                .length = model.message.length},
                  model.message.data);
    free(model.message.data);
    return items;
}

#endif
