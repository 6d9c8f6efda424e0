#include "config/keys.h"
#include "config/origin.h"
#include "config/tokens.h"

#define SECOND INT64_C(1000)
#define DAY (SECOND * 60 * 60 * 24)
#define GIB (INT64_C(1) << 30)
#define AT(member) offsetof(struct config_route, member)

static const char *const no_or_yes[] = {"no", "yes", NULL};
static const char *const off_or_on[] = {"off", "on", NULL};
static const char *const drain_names[] = {"close", "wait", NULL};

const struct config_key config_route_keys[] = {
    {
        .offset = AT(origins),
        .extra = {.check = origins_check, .allowed = origins_allowed},
        .option =
            {
                .name = "origins",
                .type = OPTION_TEXT,
                .fallback = "same",
                .minimum = 1,
                .maximum = 4095,
                .help =
                    "Pages that may open a WebSocket here, comma separated: https://example.org "
                    "is that one, https://*.example.org all below it, same the host that was "
                    "asked for, * every page. Another page's browser is answered 403",
            },
    },
    {
        .offset = AT(origins_required),
        .option =
            {
                .name = "origins_required",
                .type = OPTION_CHOICE,
                .fallback = "no",
                .choices = no_or_yes,
                .help = "yes: a client that names no origin, and so is no browser, is answered 403 "
                        "as well",
            },
    },
    {
        .offset = AT(subprotocols),
        .extra = {.check = tokens_check, .allowed = tokens_allowed},
        .option =
            {
                .name = "subprotocols",
                .type = OPTION_TEXT,
                .fallback = "",
                .minimum = 0,
                .maximum = 1023,
                .help = "The subprotocols that are spoken here, comma separated. The first that "
                        "the client asks for and that is among them is agreed on",
            },
    },
    {
        .offset = AT(subprotocols_required),
        .option =
            {
                .name = "subprotocols_required",
                .type = OPTION_CHOICE,
                .fallback = "no",
                .choices = no_or_yes,
                .help = "yes: a client that has none in common is answered 400; no: it is let in "
                        "without one",
            },
    },
    {
        .offset = AT(compression),
        .option =
            {
                .name = "compression",
                .type = OPTION_CHOICE,
                .fallback = "off",
                .choices = off_or_on,
                .help = "on: messages are compressed with clients that want it "
                        "(permessage-deflate). An idle WebSocket takes no memory for it",
            },
    },
    {
        .offset = AT(message),
        .option =
            {
                .name = "message",
                .type = OPTION_SIZE,
                .fallback = "auto",
                .minimum = 125,
                .maximum = 2 * GIB - 1,
                .automatic = "what limits.message says",
                .help = "The largest message that is taken here",
            },
    },
    {
        .offset = AT(send_queue),
        .option =
            {
                .name = "send_queue",
                .type = OPTION_SIZE,
                .fallback = "auto",
                .minimum = 4096,
                .maximum = GIB,
                .automatic = "what limits.send_queue says",
                .help = "What may wait here to be sent to one peer, above one message",
            },
    },
    {
        .offset = AT(connections),
        .option =
            {
                .name = "connections",
                .type = OPTION_COUNT,
                .fallback = "auto",
                .minimum = 1,
                .maximum = 1000000,
                .automatic = "no limit but that of all routes together",
                .help = "So many WebSockets may be open here at a time; one more is refused with "
                        "503",
            },
    },
    {
        .offset = AT(max_age),
        .extra = {.zero = "any"},
        .option =
            {
                .name = "max_age",
                .type = OPTION_DURATION,
                .fallback = "0",
                .minimum = SECOND,
                .maximum = DAY * 30,
                .help = "A WebSocket that is older is closed with 1001, so that its client comes "
                        "back and load moves to new servers; up to a tenth earlier, so that not "
                        "all come at once",
            },
    },
    {
        .offset = AT(rate),
        .extra = {.zero = "any number"},
        .option =
            {
                .name = "rate",
                .type = OPTION_COUNT,
                .fallback = "0",
                .minimum = 1,
                .maximum = 1000000,
                .help = "Messages a second that one peer may send; one that sends more is closed "
                        "with 1008. A second's worth may come at once: what a stalled network "
                        "delivers together must fit into it",
            },
    },
    {
        .offset = AT(drain),
        .option =
            {
                .name = "drain",
                .type = OPTION_CHOICE,
                .fallback = "close",
                .choices = drain_names,
                .help = "How WebSockets are ended when the server stops. close: with a Close "
                        "frame; wait: no Close until the handler or the peer ends the session, or "
                        "shutdown.timeout - shutdown.close_timeout has come",
            },
    },
    {.section = NULL},
};

const struct option config_route_options[] = {
    {
        .name = "path",
        .type = OPTION_TEXT,
        .maximum = 1024,
        .help = "Where the route stands, when the section's name does not say it",
    },
    {
        .name = "handler",
        .type = OPTION_TEXT,
        .maximum = 64,
        .help = "What answers there",
    },
    {.name = NULL},
};
