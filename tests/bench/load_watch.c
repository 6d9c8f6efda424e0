/*
 * The mode `watch`: sessions that say nothing and are sent something now and then, as browsers with
 * the status page open. Prints the server's load in percent of one processor.
 */
#include <stdio.h>

#include "load.h"

static struct {
    uint64_t messages;
    uint64_t bytes;
} sent;

void watch_message(struct client *client, struct connection *connection, const uint8_t *payload,
                   size_t length)
{
    (void)client;
    if (payload[0] != '{' || payload[length - 1] != '}')
        fail("connection %u: a message that is no JSON object", connection->number);
    connection->sequence++;
    if (!run.measuring)
        return;
    sent.messages++;
    sent.bytes += length;
}

void run_watch(void)
{
    const struct client *client = &run.client;
    client_open(&run.client, (size_t)run.settings->sessions);
    uint64_t cpu;
    double duration = (double)measure(&cpu);
    for (size_t i = 0; i < client->connection_count; i++)
        if (client->connections[i].sequence < run.settings->duration / 2000)
            fail("session %zu was sent only %u messages", i, client->connections[i].sequence);
    printf(
        "{\"messages\": %llu, \"each_per_second\": %.3f, \"message_bytes\": %.0f, "
        "\"cpu_percent\": %.3f}\n",
        (unsigned long long)sent.messages,
        (double)sent.messages / (double)client->connection_count / (duration / (double)SECOND),
        (double)sent.bytes / (double)sent.messages, (double)cpu * 100 / duration);
}
