/*
 * The mode `packed`: echo of compressed messages (permessage-deflate without context takeover), as
 * JSON is. They are compressed once, so that this client is not what is measured; what comes back
 * is expanded and compared now and then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "load.h"
#include "load_frame.h"

#define KINDS 16                /* of messages */
#define CHECKED 16              /* one in so many is compared */
#define TAIL "\x00\x00\xff\xff" /* what RFC 7692, section 7.2.1 leaves out */

static struct {
    char *text;
    uint8_t *frame;
    size_t frame_length;
} messages[KINDS];

static uint8_t *expanded;
static size_t size;

/* Records as an interface sends them: the same names, other numbers. */
static char *compose(unsigned seed)
{
    char *text = malloc(size + 512);
    size_t used = 0;
    if (text == NULL)
        fail("out of memory");
    while (used < size) {
        seed = seed * 1103515245 + 12345;
        used += (size_t)sprintf(
            text + used,
            "{\"id\":%u,\"user\":\"user-%u\",\"status\":\"%s\",\"updated_at\":"
            "\"2026-11-%02uT%02u:%02u:%02uZ\",\"position\":[%u.%04u,%u.%04u],\"unread\":%u},",
            seed >> 4, seed % 5000, seed & 64 ? "online" : "away", 1 + seed % 28, seed / 7 % 24,
            seed / 11 % 60, seed / 13 % 60, seed / 17 % 180, seed / 19 % 10000, seed / 23 % 90,
            seed / 29 % 10000, seed % 9);
    }
    text[size] = '\0';
    return text;
}

static void prepare(size_t place)
{
    z_stream stream = {.next_in = (Bytef *)messages[place].text, .avail_in = (uInt)size};
    uint8_t *packed = malloc(size);
    uint8_t *frame = malloc(size + FRAME_HEAD_MAX);
    if (packed == NULL || frame == NULL ||
        deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        fail("out of memory");
    stream.next_out = packed;
    stream.avail_out = (uInt)size;
    deflate(&stream, Z_SYNC_FLUSH);
    size_t length = stream.total_out - (sizeof TAIL - 1);
    deflateEnd(&stream);
    messages[place].frame = frame;
    messages[place].frame_length =
        frame_compose(frame, FIN | COMPRESSED | OPCODE_TEXT, 0, packed, length);
    free(packed);
}

static void send_next(struct connection *connection)
{
    size_t place = ++connection->sequence % KINDS;
    client_send_bytes(connection, messages[place].frame, messages[place].frame_length);
}

static void check(const struct connection *connection, const uint8_t *payload, size_t length)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)payload,
                       .avail_in = (uInt)length,
                       .next_out = expanded,
                       .avail_out = (uInt)size + 1};
    if (inflateInit2(&stream, -15) != Z_OK)
        fail("out of memory");
    inflate(&stream, Z_SYNC_FLUSH);
    if (stream.total_out != size ||
        memcmp(expanded, messages[connection->sequence % KINDS].text, size) != 0)
        fail("connection %u: the echo of message %u is another", connection->number,
             connection->sequence);
    inflateEnd(&stream);
}

void packed_message(struct client *client, struct connection *connection, const uint8_t *payload,
                    size_t length)
{
    (void)client;
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
    if (connection->sequence % CHECKED == 1)
        check(connection, payload, length);
    send_next(connection);
}

void run_packed(void)
{
    size = (size_t)run.settings->json;
    expanded = malloc(size + 1);
    for (size_t i = 0; i < KINDS; i++) {
        messages[i].text = compose((unsigned)i + 1);
        prepare(i);
    }
    client_open(&run.client, (size_t)run.settings->sessions);
    server_settle(run.server);
    for (size_t i = 0; i < run.client.connection_count; i++)
        send_next(&run.client.connections[i]);
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    print_rate(duration, cpu);
}
