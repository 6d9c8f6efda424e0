/*
 * The mode `echo`: each session sends its next message when an earlier one is back, and so has as
 * many on their way as the window holds.
 */
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* When each message on its way was sent: `window` places for each session. */
static uint64_t *sent;

/* Every message is another one: number and session, and letters up to the size that was asked. */
static size_t compose(const struct connection *connection, unsigned sequence,
                      char payload[PAYLOAD_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = (size_t)run.settings->bytes;
    memset(payload, 'm', length);
    for (unsigned i = 0; i < 8; i++) {
        payload[i] = digits[sequence >> 4 * i & 15];
        payload[8 + i] = digits[connection->number >> 4 * i & 15];
    }
    return length;
}

void echo_send(struct connection *connection)
{
    char payload[PAYLOAD_MAX + 1];
    size_t length = compose(connection, connection->sequence, payload);
    client_frame(connection, payload, length);
    client_send(connection, length);
}

void echo_check(const struct connection *connection, unsigned sequence, const uint8_t *payload,
                size_t length)
{
    char wanted[PAYLOAD_MAX + 1];
    if (length != compose(connection, sequence, wanted) || memcmp(payload, wanted, length) != 0)
        fail("connection %u: the echo of message %u is another", connection->number, sequence);
}

static uint64_t *sent_at(const struct connection *connection, unsigned sequence)
{
    size_t window = (size_t)run.settings->window;
    return &sent[connection->number * window + sequence % window];
}

static void send_next(struct connection *connection)
{
    connection->sequence++;
    echo_send(connection);
    *sent_at(connection, connection->sequence) = connection->since;
}

void echo_message(struct client *client, struct connection *connection, const uint8_t *payload,
                  size_t length)
{
    (void)client;
    unsigned sequence = connection->sequence - (unsigned)run.settings->window + 1;
    echo_check(connection, sequence, payload, length);
    if (run.measuring)
        histogram_add(&run.times, now() - *sent_at(connection, sequence));
    send_next(connection);
}

void run_echo(void)
{
    sent = calloc(run.client.connection_count * (size_t)run.settings->window, sizeof *sent);
    if (sent == NULL)
        fail("out of memory");
    client_open(&run.client, (size_t)run.settings->sessions);
    server_settle(run.server);
    for (long i = 0; i < run.settings->window; i++)
        for (size_t j = 0; j < run.client.connection_count; j++)
            send_next(&run.client.connections[j]);
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    print_rate(duration, cpu);
}
