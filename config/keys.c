#include "config/keys.h"

#include <string.h>

#include "config/network.h"
#include "config/text.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define AT(member) offsetof(struct config, member)

static const char *const level_names[] = {"error", "warning", "info", "debug", NULL};
static const char *const format_names[] = {"text", "json", NULL};
static const char *const access_names[] = {"off", "on", NULL};

/* Those of RFC 6455, section 7.4.1, and of its registry that a server can mean when it stops. */
static bool check_close_code(const struct option_value *value, char *why, size_t size)
{
    static const int64_t codes[] = {1000, 1001, 1008, 1011, 1012, 1013};

    (void)why;
    (void)size;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (value->number == codes[i])
            return true;
    return value->number >= 3000 && value->number <= 4999;
}

/* Anything else would make every peer fail the connection (RFC 6455, section 5.5.1). */
static bool check_close_reason(const struct option_value *value, char *why, size_t size)
{
    (void)why;
    (void)size;
    return text_is_utf8(value->text, strlen(value->text));
}

const struct config_section config_sections[] = {
    {"server", "Where it listens and what it runs on"},
    {"limits", "What one peer, and all of them together, may take"},
    {"shutdown", "What happens from SIGTERM or SIGINT to the exit"},
    {"log", "One line each on the standard error output"},
    {NULL, NULL},
};

const struct config_key config_keys[KEY_COUNT] = {
    [KEY_LISTEN] =
        {
            .section = "server",
            .offset = AT(server.listen),
            .option =
                {
                    .name = "listen",
                    .type = OPTION_ADDRESSES,
                    .fallback = "127.0.0.1:8080",
                    .help = "Addresses to listen on. The default is reached from this machine "
                            "only; in a container write *:8080. Port 0 is any free one",
                },
        },
    [KEY_HTTP_THREADS] =
        {
            .section = "server",
            .offset = AT(server.http_threads),
            .option =
                {
                    .name = "http_threads",
                    .type = OPTION_COUNT,
                    .fallback = "128",
                    .minimum = 2,
                    .maximum = 1024,
                    .help = "So many HTTP requests and opening handshakes are served at a time. An "
                            "open WebSocket needs none of them",
                },
        },
    [KEY_LOOPS] =
        {
            .section = "server",
            .offset = AT(server.loops),
            .option =
                {
                    .name = "loops",
                    .type = OPTION_COUNT,
                    .fallback = "auto",
                    .minimum = 1,
                    .maximum = 64,
                    .automatic =
                        "the processors that this process may use, a cgroup's quota included",
                    .help = "Threads that serve the WebSockets",
                },
        },
    [KEY_TRUSTED_PROXIES] =
        {
            .section = "server",
            .offset = AT(server.trusted_proxies),
            .option =
                {
                    .name = "trusted_proxies",
                    .type = OPTION_TEXT,
                    .fallback = "",
                    .minimum = 0,
                    .maximum = 4095,
                    .help = "Proxies whose word is taken for who the client is and which host it "
                            "asked for (X-Forwarded-For, X-Forwarded-Host, or Forwarded): "
                            "addresses and networks, comma separated, as in 127.0.0.1, 10.0.0.0/8",
                },
            .extra = {.check = networks_check, .allowed = networks_allowed},
        },
    [KEY_CONNECTIONS] =
        {
            .section = "limits",
            .offset = AT(limits.connections),
            .option =
                {
                    .name = "connections",
                    .type = OPTION_COUNT,
                    .fallback = "auto",
                    .minimum = 1,
                    .maximum = 1000000,
                    .automatic = "what the limit of open files allows, at most 100000",
                    .help = "So many WebSockets may be open at a time; one more is refused with "
                            "503. A number that the system cannot give ends the start",
                },
        },
    [KEY_CONNECTIONS_PER_ADDRESS] =
        {
            .section = "limits",
            .offset = AT(limits.connections_per_address),
            .extra = {.zero = "any number"},
            .option =
                {
                    .name = "connections_per_address",
                    .type = OPTION_COUNT,
                    .fallback = "0",
                    .minimum = 1,
                    .maximum = 1000000,
                    .help = "So many WebSockets may be open from one client address (of IPv6: one "
                            "/64) at a time; one more is refused with 429. Many clients may share "
                            "an address, and do behind a proxy that trusted_proxies does not name",
                },
        },
    [KEY_REQUESTS_PER_ADDRESS] =
        {
            .section = "limits",
            .offset = AT(limits.requests_per_address),
            .option =
                {
                    .name = "requests_per_address",
                    .type = OPTION_COUNT,
                    .fallback = "auto",
                    .minimum = 1,
                    .maximum = 1024,
                    .automatic = "half of server.http_threads, at least 8",
                    .help =
                        "So many HTTP requests and opening handshakes of one client address "
                        "are served at a time: one more is refused with 429, and of requests "
                        "that take over a second to arrive (while threads are scarce, a tenth) the "
                        "oldest are ended",
                },
        },
    [KEY_RATE_PER_ADDRESS] =
        {
            .section = "limits",
            .offset = AT(limits.rate_per_address),
            .extra = {.zero = "any number"},
            .option =
                {
                    .name = "rate_per_address",
                    .type = OPTION_COUNT,
                    .fallback = "0",
                    .minimum = 1,
                    .maximum = 1000000,
                    .help = "HTTP requests and opening handshakes a second from one client "
                            "address; one more is refused with 429. A second's worth may come at "
                            "once",
                },
        },
    [KEY_HANDSHAKE_TIMEOUT] =
        {
            .section = "limits",
            .offset = AT(limits.handshake_timeout),
            .option =
                {
                    .name = "handshake_timeout",
                    .type = OPTION_DURATION,
                    .fallback = "5s",
                    .minimum = 100,
                    .maximum = 5 * MINUTE,
                    .help = "A request must have arrived whole, and an answer must make progress, "
                            "within this time",
                },
        },
    [KEY_MEMORY] =
        {
            .section = "limits",
            .offset = AT(limits.memory),
            .option =
                {
                    .name = "memory",
                    .type = OPTION_SIZE,
                    .fallback = "auto",
                    .minimum = MIB,
                    .maximum = 1024 * GIB,
                    .automatic = "a quarter of what the cgroup allows, else of the machine's",
                    .help = "What waits to be sent to all peers, and has arrived of messages that "
                            "are not whole yet, together, with what the kernel holds for peers "
                            "that do not read. Over it the WebSocket that holds the most is "
                            "closed with 1013; the largest message must fit into it",
                },
        },
    [KEY_MESSAGE] =
        {
            .section = "limits",
            .offset = AT(limits.message),
            .option =
                {
                    .name = "message",
                    .type = OPTION_SIZE,
                    .fallback = "1M",
                    .minimum = 125,
                    .maximum = 2 * GIB - 1,
                    .help = "The largest message that is taken, over all its fragments. A larger "
                            "one is closed with 1009 before memory is spent on it",
                },
        },
    [KEY_MESSAGE_TIMEOUT] =
        {
            .section = "limits",
            .offset = AT(limits.message_timeout),
            .extra = {.zero = "any"},
            .option =
                {
                    .name = "message_timeout",
                    .type = OPTION_DURATION,
                    .fallback = "1m",
                    .minimum = 100,
                    .maximum = DAY,
                    .help = "A message must have arrived whole, over all its fragments, within "
                            "this time, else the WebSocket is closed with 1008",
                },
        },
    [KEY_SEND_QUEUE] =
        {
            .section = "limits",
            .offset = AT(limits.send_queue),
            .option =
                {
                    .name = "send_queue",
                    .type = OPTION_SIZE,
                    .fallback = "1M",
                    .minimum = 4 * KIB,
                    .maximum = GIB,
                    .help = "What may wait to be sent to one peer, above one message. A peer that "
                            "reads too slowly for what others send it is closed with 1013",
                },
        },
    [KEY_RECEIVE_BUFFER] =
        {
            .section = "limits",
            .offset = AT(limits.receive_buffer),
            .option =
                {
                    .name = "receive_buffer",
                    .type = OPTION_SIZE,
                    .fallback = "auto",
                    .minimum = 4 * KIB,
                    .maximum = GIB,
                    .automatic = "limits.memory / 2048, but 16k to 256k",
                    .help = "What the kernel keeps of what one peer sends and is not read yet. So "
                            "much can come in one round trip: where one peer sends much from far "
                            "away, more is faster. The kernel gives no more than "
                            "net.core.rmem_max",
                },
        },
    [KEY_CONTROL_FRAMES] =
        {
            .section = "limits",
            .offset = AT(limits.control_frames),
            .extra = {.zero = "any number"},
            .option =
                {
                    .name = "control_frames",
                    .type = OPTION_COUNT,
                    .fallback = "100",
                    .minimum = 1,
                    .maximum = 1000000,
                    .help = "Pings, pongs and empty fragments a second that one peer may send; "
                            "one that sends more is closed with 1008. A second's worth may come "
                            "at once",
                },
        },
    [KEY_PING_INTERVAL] =
        {
            .section = "limits",
            .offset = AT(limits.ping_interval),
            .extra = {.zero = "never"},
            .option =
                {
                    .name = "ping_interval",
                    .type = OPTION_DURATION,
                    .fallback = "30s",
                    .minimum = SECOND,
                    .maximum = DAY,
                    .help = "A peer that has sent nothing for so long is sent a ping",
                },
        },
    [KEY_PING_TIMEOUT] =
        {
            .section = "limits",
            .offset = AT(limits.ping_timeout),
            .option =
                {
                    .name = "ping_timeout",
                    .type = OPTION_DURATION,
                    .fallback = "10s",
                    .minimum = 100,
                    .maximum = HOUR,
                    .help = "A peer that sends nothing for so long after a ping is cut",
                },
        },
    [KEY_IDLE_TIMEOUT] =
        {
            .section = "limits",
            .offset = AT(limits.idle_timeout),
            .extra = {.zero = "never"},
            .option =
                {
                    .name = "idle_timeout",
                    .type = OPTION_DURATION,
                    .fallback = "0",
                    .minimum = SECOND,
                    .maximum = 7 * DAY,
                    .help = "A WebSocket on which no message has passed for so long is closed with "
                            "1001",
                },
        },
    [KEY_TIMEOUT] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.timeout),
            .option =
                {
                    .name = "timeout",
                    .type = OPTION_DURATION,
                    .fallback = "8s",
                    .minimum = 600,
                    .maximum = DAY,
                    .help = "The whole time from the signal to the exit; what is left then is cut. "
                            "The default is below the 10 s after which docker stop kills",
                },
        },
    [KEY_CLOSE_TIMEOUT] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.close_timeout),
            .option =
                {
                    .name = "close_timeout",
                    .type = OPTION_DURATION,
                    .fallback = "3s",
                    .minimum = 100,
                    .maximum = HOUR,
                    .help = "A peer that has not answered the Close frame within this time is cut. "
                            "delay, spread and close_timeout together must fit into timeout",
                },
        },
    [KEY_DELAY] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.delay),
            .option =
                {
                    .name = "delay",
                    .type = OPTION_DURATION,
                    .fallback = "0",
                    .minimum = 0,
                    .maximum = DAY,
                    .help = "For so long after the signal only /health/ready says that it is "
                            "stopping and all else goes on, so that a load balancer can turn away "
                            "first",
                },
        },
    [KEY_SPREAD] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.spread),
            .option =
                {
                    .name = "spread",
                    .type = OPTION_DURATION,
                    .fallback = "0",
                    .minimum = 0,
                    .maximum = DAY,
                    .help = "The Close frames are paced evenly over this time, the oldest "
                            "WebSocket first, so that not all peers come back at once",
                },
        },
    [KEY_TOLERATE] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.tolerate),
            .option =
                {
                    .name = "tolerate",
                    .type = OPTION_TOLERANCE,
                    .fallback = "0",
                    .minimum = 0,
                    .maximum = 1000000,
                    .help = "So many WebSockets may have to be cut and the exit status is still 0: "
                            "a number, or a percentage of those that were open",
                },
        },
    [KEY_CLOSE_CODE] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.close_code),
            .option =
                {
                    .name = "close_code",
                    .type = OPTION_COUNT,
                    .fallback = "1001",
                    .minimum = 1000,
                    .maximum = 4999,
                    .help = "The status code of the Close frame. 1000 tells many clients not to "
                            "come back; 1012 (service restart) is a protocol error to clients that "
                            "know only RFC 6455 itself, such as those built on wslay",
                },
            .extra = {.check = check_close_code,
                      .allowed = "1000, 1001, 1008, 1011, 1012, 1013 or 3000 to 4999"},
        },
    [KEY_CLOSE_REASON] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.close_reason),
            .option =
                {
                    .name = "close_reason",
                    .type = OPTION_TEXT,
                    .fallback = "server shutting down",
                    .minimum = 0,
                    .maximum = 123,
                    .help = "The reason in the Close frame",
                },
            .extra = {.check = check_close_reason, .allowed = "at most 123 bytes of UTF-8"},
        },
    [KEY_REPORT] =
        {
            .section = "shutdown",
            .offset = AT(shutdown.report),
            .option =
                {
                    .name = "report",
                    .type = OPTION_TEXT,
                    .fallback = "",
                    .minimum = 0,
                    .maximum = 4095,
                    .help = "The file to which a report of the shutdown is written at the end, as "
                            "JSON; empty: none is written",
                },
        },
    [KEY_LEVEL] =
        {
            .section = "log",
            .offset = AT(log.level),
            .option =
                {
                    .name = "level",
                    .type = OPTION_CHOICE,
                    .fallback = "info",
                    .choices = level_names,
                    .help = "How much is logged. debug adds every WebSocket's opening and closing",
                },
        },
    [KEY_FORMAT] =
        {
            .section = "log",
            .offset = AT(log.format),
            .option =
                {
                    .name = "format",
                    .type = OPTION_CHOICE,
                    .fallback = "text",
                    .choices = format_names,
                    .help = "text is for people, json is one object a line for machines",
                },
        },
    [KEY_ACCESS] =
        {
            .section = "log",
            .offset = AT(log.access),
            .option =
                {
                    .name = "access",
                    .type = OPTION_CHOICE,
                    .fallback = "off",
                    .choices = access_names,
                    .help = "on: a line for each HTTP request and each WebSocket that has ended, "
                            "whatever the level; text is the combined format that nginx writes. "
                            "What stands behind the ? of an address is never logged",
                },
        },
};
