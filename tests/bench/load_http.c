/*
 * The mode `http`: each GET has a connection of its own. What is counted came whole: a 200, as many
 * bytes as it announced, and those of the file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

static struct {
    char *text; /* NULL: any will do */
    size_t size;
} wanted;

static void read_wanted(const char *path, size_t room)
{
    FILE *file = fopen(path, "rb");
    wanted.text = malloc(room);
    if (file == NULL || wanted.text == NULL)
        fail("%s: %s", path, strerror(errno));
    wanted.size = fread(wanted.text, 1, room, file);
    fclose(file);
}

void http_answered(struct client *client, struct connection *connection, const char *body,
                   size_t length)
{
    (void)client;
    if (wanted.text != NULL && (length != wanted.size || memcmp(body, wanted.text, length) != 0))
        fail("connection %u: the body is not what %s holds", connection->number,
             run.settings->file);
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
}

void run_http(void)
{
    if (run.settings->file != NULL)
        read_wanted(run.settings->file, run.client.message_size);
    run_handshakes();
}
