/*
 * The mode `broadcast`: the first session publishes, and all others are the members of its channel.
 * Each of them must be sent every message, in order, and the publisher none of its own. It sends on
 * when all members have one of those that are on their way; so many of them the window holds. With
 * ids each session is told the channel's last id first, and of every message its own, on a line
 * before it, which counts up by one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "load_frame.h"

#define SIZE 128                                           /* of a message */
#define SHOWN(length) (int)((length) > 32 ? 32 : (length)) /* of one that is wrong */

/* A message on its way. */
struct message {
    uint64_t sent;
    size_t missing; /* members that it has not reached */
    char text[SIZE];
};

static struct message *on_way; /* `window` places; a message is at its number modulo that */
static unsigned published;
static uint64_t *ids; /* of each session: the last one; NULL: none are sent */

static struct message *place_of(unsigned sequence)
{
    return &on_way[sequence % (unsigned)run.settings->window];
}

/* Its number, and letters that depend on that, too. */
static void compose(char text[SIZE], unsigned sequence)
{
    char number[9];
    snprintf(number, sizeof number, "%08x", sequence);
    memset(text, 'a' + (int)(sequence % 26), SIZE);
    memcpy(text, number, 8);
}

static void publish(void)
{
    uint8_t frame[FRAME_HEAD_MAX + SIZE];
    struct connection *publisher = &run.client.connections[0];
    struct message *message = place_of(++published);
    compose(message->text, published);
    message->missing = run.client.connection_count - 1;
    size_t length = frame_compose(frame, FIN | OPCODE_TEXT, published * UINT32_C(2654435761),
                                  message->text, SIZE);
    client_send_bytes(publisher, frame, length);
    message->sent = publisher->since;
}

/* Returns the bytes that the id before a message takes: all of them where it stands alone. */
static size_t take_id(const struct connection *connection, const uint8_t *payload, size_t length)
{
    uint64_t *last = &ids[connection->number];
    uint64_t id = 0;
    size_t digits = 0;
    for (; digits < length && payload[digits] >= '0' && payload[digits] <= '9'; digits++)
        id = id * 10 + (payload[digits] - '0');
    bool alone = digits == length;
    if (digits == 0 || alone != (*last == 0) ||
        (!alone && (id != *last + 1 || payload[digits] != '\n')))
        fail("session %u: an id was due, behind %llu, not \"%.*s\"", connection->number,
             (unsigned long long)*last, SHOWN(length), (const char *)payload);
    *last = id;
    return alone ? length : digits + 1;
}

static void take_message(struct connection *connection, const uint8_t *payload, size_t length)
{
    unsigned sequence = ++connection->sequence;
    struct message *message = place_of(sequence);
    if (connection->number == 0)
        fail("the publisher was sent what it published");
    if (sequence > published || length != SIZE || memcmp(payload, message->text, SIZE) != 0)
        fail("member %u: message %u was due, not \"%.*s\"", connection->number, sequence,
             SHOWN(length), (const char *)payload);
    if (run.measuring)
        histogram_add(&run.times, now() - message->sent);
    if (--message->missing == 0)
        publish();
}

void broadcast_message(struct client *client, struct connection *connection, const uint8_t *payload,
                       size_t length)
{
    (void)client;
    size_t id = ids == NULL ? 0 : take_id(connection, payload, length);
    if (id == 0 || id < length)
        take_message(connection, payload + id, length - id);
}

void run_broadcast(void)
{
    if (run.settings->sessions < 2)
        fail("broadcast needs --sessions=2 or more: one publishes");
    on_way = calloc((size_t)run.settings->window, sizeof *on_way);
    if (run.settings->ids)
        ids = calloc(run.client.connection_count, sizeof *ids);
    if (on_way == NULL || (run.settings->ids && ids == NULL))
        fail("out of memory");
    client_open(&run.client, (size_t)run.settings->sessions);
    server_settle(run.server);
    for (long i = 0; i < run.settings->window; i++)
        publish();
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    print_rate(duration, cpu);
}
