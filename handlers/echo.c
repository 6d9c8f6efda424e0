#include "handlers/handler.h"
#include "server/session.h"

static const struct option no_options[] = {{0}};

static void echo_message(struct session *session, enum message_kind kind, void *data, size_t length)
{
    session_send(session, kind, data, length);
}

const struct handler handler_echo = {
    .name = "echo",
    .help = "sends every message back",
    .options = no_options,
    .message = echo_message,
};
