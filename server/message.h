/*
 * message: one message for many sessions, encoded once.
 *
 * Whole frames as they go to the peers, immutable, and shared by a count of references: queues of
 * sessions on any loop, histories, tasks. Its memory is counted once, while anybody has it. Knows
 * no session.
 */
#ifndef LASTCALL_SERVER_MESSAGE_H
#define LASTCALL_SERVER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "handlers/handler.h"

struct deflate;
struct memory;
struct message;

/*
 * Makes one message of the parts; its one reference is the caller's. `memory` must live as long.
 * Any thread. Returns NULL without memory.
 */
struct message *message_new(struct memory *memory, enum message_kind kind,
                            const struct iovec *parts, size_t count);

/* One reference more, which is returned; and one less: with the last one it is freed. Any thread.
 */
struct message *message_keep(struct message *message);
void message_release(struct message *message);

/* Bytes of the payload; and all that it takes, compressed forms included. */
size_t message_length(const struct message *message);
size_t message_cost(const struct message *message);

/*
 * The whole frame (RFC 6455, section 5.2). With a codec: compressed for a window of so many bits
 * (RFC 7692), once for all who ask for these; as it is where that would not be shorter, or there is
 * no memory. It lives as long as the message. Any thread, with a codec of its own.
 */
struct iovec message_frame(struct message *message, struct deflate *codec, int window_bits);

#endif
