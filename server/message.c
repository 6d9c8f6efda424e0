#include "server/message.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/deflate.h"
#include "server/frame.h"
#include "server/memory.h"

enum { WINDOWS = 16 }; /* 8 to 15 bits, by their number */

/* A frame of which the payload has been compressed; without a length: that is not worth it. */
struct packed {
    size_t length;
    uint8_t frame[];
};

struct message {
    atomic_size_t references;
    atomic_size_t cost;
    struct memory *memory;
    _Atomic(struct packed *) packed[WINDOWS];
    unsigned opcode;
    size_t payload; /* where it begins in `frame` */
    size_t length;  /* of the whole frame */
    uint8_t frame[];
};

static void count(struct message *message, size_t bytes)
{
    atomic_fetch_add_explicit(&message->cost, bytes, memory_order_relaxed);
    memory_count(message->memory, (int64_t)bytes);
}

struct message *message_new(struct memory *memory, enum message_kind kind,
                            const struct iovec *parts, size_t part_count)
{
    size_t length = 0;
    for (size_t i = 0; i < part_count; i++)
        length += parts[i].iov_len;
    struct message *message = malloc(sizeof *message + FRAME_HEADER_MAX + length);
    if (message == NULL)
        return NULL;
    memset(message, 0, sizeof *message);
    atomic_init(&message->references, 1);
    message->memory = memory;
    message->opcode = kind == MESSAGE_TEXT ? FRAME_TEXT : FRAME_BINARY;
    message->payload = frame_header(message->frame, message->opcode, length);
    uint8_t *end = message->frame + message->payload;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].iov_len > 0)
            memcpy(end, parts[i].iov_base, parts[i].iov_len);
        end += parts[i].iov_len;
    }
    message->length = message->payload + length;
    count(message, sizeof *message + FRAME_HEADER_MAX + length);
    return message;
}

struct message *message_keep(struct message *message)
{
    atomic_fetch_add_explicit(&message->references, 1, memory_order_relaxed);
    return message;
}

void message_release(struct message *message)
{
    if (atomic_fetch_sub_explicit(&message->references, 1, memory_order_acq_rel) > 1)
        return;
    memory_count(message->memory, -(int64_t)message_cost(message));
    for (size_t i = 0; i < WINDOWS; i++)
        free(atomic_load_explicit(&message->packed[i], memory_order_relaxed));
    free(message);
}

size_t message_length(const struct message *message)
{
    return message->length - message->payload;
}

size_t message_cost(const struct message *message)
{
    return atomic_load_explicit(&message->cost, memory_order_relaxed);
}

/* Returns NULL without memory. */
static struct packed *pack(const struct message *message, struct deflate *codec, int window_bits)
{
    struct deflate_output shorter;
    if (!deflate_compress(codec, window_bits, message->frame + message->payload,
                          message_length(message), &shorter))
        return calloc(1, sizeof(struct packed));
    struct packed *packed = malloc(sizeof *packed + FRAME_HEADER_MAX + shorter.length);
    if (packed != NULL) {
        size_t header =
            frame_header(packed->frame, message->opcode | FRAME_COMPRESSED, shorter.length);
        memcpy(packed->frame + header, shorter.data, shorter.length);
        packed->length = header + shorter.length;
    }
    deflate_release(codec, &shorter);
    return packed;
}

/* The one that all use, whoever has been the first to make it; NULL: no memory. */
static struct packed *packed_for(struct message *message, struct deflate *codec, int window_bits)
{
    _Atomic(struct packed *) *place = &message->packed[window_bits];
    struct packed *there = atomic_load_explicit(place, memory_order_acquire);
    if (there != NULL)
        return there;
    struct packed *made = pack(message, codec, window_bits);
    if (made == NULL)
        return NULL;
    if (atomic_compare_exchange_strong(place, &there, made)) {
        count(message, sizeof *made + made->length);
        return made;
    }
    free(made);
    return there;
}

struct iovec message_frame(struct message *message, struct deflate *codec, int window_bits)
{
    const struct packed *packed = NULL;
    if (codec != NULL && message_length(message) >= DEFLATE_LEAST)
        packed = packed_for(message, codec, window_bits);
    if (packed != NULL && packed->length > 0)
        return (struct iovec){.iov_base = (void *)(uintptr_t)packed->frame,
                              .iov_len = packed->length};
    return (struct iovec){.iov_base = message->frame, .iov_len = message->length};
}
