/*
 * load: puts one kind of load on a server and prints what it measured as one line
 * of JSON. Bounded by count and time; status 1, and why on stderr, when an answer was wrong.
 */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "load.h"

struct run run;

static double microseconds(uint64_t duration)
{
    return (double)duration / 1e3;
}

/* Runs the load for `duration`. */
static void keep_going(uint64_t duration)
{
    uint64_t end = now() + duration;
    while (now() < end)
        client_step(&run.client, 100);
}

uint64_t measure(uint64_t *cpu)
{
    uint64_t duration = (uint64_t)run.settings->duration * MILLISECOND;
    keep_going(duration / 4);
    run.measuring = true;
    uint64_t begun = now();
    uint64_t used = server_cpu(run.server);
    keep_going(duration);
    *cpu = server_cpu(run.server) - used;
    return now() - begun;
}

void print_rate(uint64_t duration, uint64_t cpu)
{
    const struct histogram *times = &run.times;
    if (times->count == 0)
        fail("nothing was answered in %.1f s", (double)duration / 1e9);
    printf(
        "{\"count\": %llu, \"per_second\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"max_us\": %.1f, \"cpu_us\": %.3f}\n",
        (unsigned long long)times->count, (double)times->count / ((double)duration / 1e9),
        microseconds(histogram_quantile(times, 0.5)), microseconds(histogram_quantile(times, 0.99)),
        microseconds(times->maximum), microseconds(cpu) / (double)times->count);
}

/* idle: sessions that say nothing, and the memory that the server needs for them. */

static void run_idle(void)
{
    size_t sessions = (size_t)run.settings->sessions;
    size_t first = sessions / 9;
    server_settle(run.server);
    uint64_t before = server_memory(run.server);
    client_open(&run.client, first);
    server_settle(run.server);
    uint64_t some = server_memory(run.server);
    client_open(&run.client, sessions);
    server_settle(run.server);
    uint64_t all = server_memory(run.server);
    printf(
        "{\"sessions\": %zu, \"before_kb\": %.0f, \"after_kb\": %.0f, \"session_kb\": %.3f, "
        "\"further_kb\": %.3f}\n",
        sessions, (double)before / 1024, (double)all / 1024,
        ((double)all - (double)before) / 1024 / (double)sessions,
        ((double)all - (double)some) / 1024 / (double)(sessions - first));
}

/* handshakes: connect, upgrade, reset, again. */

static void handshake_done(struct client *client, struct connection *connection)
{
    (void)client;
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
    client_drop(connection);
}

void run_handshakes(void)
{
    client_open(&run.client, (size_t)run.settings->sessions);
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    print_rate(duration, cpu);
}

static const struct mode {
    const char *name;
    const char *help;
    void (*run)(void);
    struct client_events events;
    bool reset;
    bool again;
    bool packed;
    size_t message_size;
} modes[] = {
    {"idle", "open SESSIONS and print the server's memory for each", run_idle, .reset = true},
    {"stop", "open SESSIONS, send SIGTERM, answer each Close; print when the server was gone",
     run_stop, .events.closed = stop_closed},
    {"echo", "echo on SESSIONS for a time; print messages per second and latency", run_echo,
     .events.message = echo_message, .reset = true},
    {"broadcast", "one of SESSIONS publishes to all others for a time; print deliveries per second",
     run_broadcast, .events.message = broadcast_message, .reset = true, .message_size = 1 << 13},
    {"bridge", "send 1 GB through a bridge to --target; print the rate", .run = run_bridge},
    {"packed", "echo of compressed JSON on SESSIONS for a time", run_packed,
     .events.message = packed_message, .reset = true, .packed = true, .message_size = 1 << 17},
    {"steady", "echo on SESSIONS, each once in a pace, for a time; print the latency", run_steady,
     .events.message = steady_message, .reset = true},
    {"handshakes", "open and reset sessions, SESSIONS at a time, for a time", run_handshakes,
     .events.opened = handshake_done, .reset = true, .again = true},
    {"http", "GET, each on a connection of its own, SESSIONS at a time, for a time", run_http,
     .events.answered = http_answered, .reset = true, .again = true, .message_size = 1 << 20},
    {"watch", "listen on SESSIONS for a time; print the server's load and what it sent", run_watch,
     .events.message = watch_message, .reset = true, .message_size = 1 << 20},
};
#define MODE_COUNT (sizeof modes / sizeof *modes)

/* What stands behind an option, and where it goes: AT(member) of the settings. */
enum kind { NUMBER, TEXT, HEADER, FLAG };
#define AT(member) offsetof(struct settings, member)

static const struct choice {
    const char *name;
    const char *help;
    size_t place;
    enum kind kind;
    long minimum;
    long maximum;
} choices[] = {
    {"port", "of the server, on 127.0.0.1", AT(port), NUMBER, 1, 65535},
    {"pid", "of the server", AT(pid), NUMBER, 1, INT32_MAX},
    {"sessions", "default 0", AT(sessions), NUMBER, 0, 1000000},
    {"silent", "stop: TCP connections beside them", AT(silent), NUMBER, 0, 10000},
    {"request", "bytes that a request is filled up to", AT(request), NUMBER, 0, 8000},
    {"bytes", "echo: a message's, default 32", AT(bytes), NUMBER, 16, PAYLOAD_MAX},
    {"json", "packed: bytes of a message, default 1024", AT(json), NUMBER, 512, 1 << 17},
    {"ms", "of measuring, default 3000", AT(duration), NUMBER, 1, 3600000},
    {"pace", "steady: ms from a session's message to its next, default 50", AT(pace), NUMBER, 1,
     10000},
    {"window", "echo, broadcast: messages on their way at a time, default 1", AT(window), NUMBER, 1,
     64},
    {"ids", "broadcast: the server sends ids", AT(ids), FLAG, 0, 0},
    {"target", "bridge: the port on 127.0.0.1 that it leads to; we listen there", AT(target),
     NUMBER, 1, 65535},
    {"down", "bridge: the target sends, not the client", AT(down), FLAG, 0, 0},
    {"plain", "bridge: the client speaks TCP alone", AT(plain), FLAG, 0, 0},
    {"limit", "seconds until a wait is over, default 60", AT(limit), NUMBER, 1, 3600},
    {"spread", "stop: ms; count Closes in each half s", AT(spread), NUMBER, 0, 60000},
    {"mute", "stop: answer no Close; the server waits so many ms for that", AT(close_timeout),
     NUMBER, 0, 3600000},
    {"probe", "stop: connect until that is refused", AT(probe), FLAG, 0, 0},
    {"path", "of the request, default /echo", AT(path), TEXT, 0, 0},
    {"header", "\"NAME: VALUE\" for the request; may be given again", AT(headers), HEADER, 0, 0},
    {"answer", "a line that the answer to an upgrade must have", AT(answer), TEXT, 0, 0},
    {"file", "http: what the body must be", AT(file), TEXT, 0, 0},
};
#define CHOICE_COUNT (sizeof choices / sizeof *choices)

static noreturn void usage(void)
{
    fputs("usage: load MODE --port=N --pid=N [OPTION...]\n", stderr);
    for (size_t i = 0; i < MODE_COUNT; i++)
        fprintf(stderr, "  %-12s %s\n", modes[i].name, modes[i].help);
    for (size_t i = 0; i < CHOICE_COUNT; i++)
        fprintf(stderr, "  --%-10s %s\n", choices[i].name, choices[i].help);
    exit(64);
}

static long number(const struct choice *choice, const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < choice->minimum ||
        value > choice->maximum) {
        fprintf(stderr, "load: --%s=%s: write a number from %ld to %ld\n", choice->name, text,
                choice->minimum, choice->maximum);
        exit(64);
    }
    return value;
}

static void add_header(struct settings *settings, const char *line)
{
    size_t used = strlen(settings->headers);
    size_t room = sizeof settings->headers - used;
    if ((size_t)snprintf(settings->headers + used, room, "%s\r\n", line) >= room) {
        fprintf(stderr, "load: more than %zu bytes of --header\n", sizeof settings->headers);
        exit(64);
    }
}

static void take_option(struct settings *settings, const struct choice *choice, const char *text)
{
    char *place = (char *)settings + choice->place;
    switch (choice->kind) {
    case NUMBER:
        *(long *)(void *)place = number(choice, text);
        break;
    case TEXT:
        *(const char **)(void *)place = text;
        break;
    case HEADER:
        add_header(settings, text);
        break;
    case FLAG:
        *(bool *)place = true;
        break;
    }
}

static void read_options(int argc, char *argv[], struct settings *settings)
{
    struct option options[CHOICE_COUNT + 1] = {0};
    for (size_t i = 0; i < CHOICE_COUNT; i++) {
        options[i].name = choices[i].name;
        options[i].has_arg = choices[i].kind == FLAG ? no_argument : required_argument;
    }
    int index = 0;
    for (int found; (found = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (found == '?')
            usage();
        take_option(settings, &choices[index], optarg);
    }
    if (optind != argc - 1 || settings->port == 0 || settings->pid == 0)
        usage();
}

/* The client as the mode and the command line want it. */
static struct client make_client(const struct mode *mode, const struct settings *settings)
{
    return (struct client){
        .events = &mode->events,
        .port = (uint16_t)settings->port,
        .connection_count = (size_t)settings->sessions,
        .window = 50,
        .reset = mode->reset,
        .again = mode->again,
        .packed = mode->packed,
        .mute = settings->close_timeout > 0,
        .path = settings->path,
        .headers = settings->headers,
        .answer_line = settings->answer,
        .request_size = (size_t)settings->request,
        .message_size = mode->message_size > 0 ? mode->message_size : PAYLOAD_MAX,
        .limit = now() + (uint64_t)settings->limit * SECOND,
    };
}

int main(int argc, char *argv[])
{
    static struct settings settings = {.bytes = 32,
                                       .json = 1024,
                                       .duration = 3000,
                                       .pace = 50,
                                       .window = 1,
                                       .limit = 60,
                                       .path = "/echo"};
    read_options(argc, argv, &settings);
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(argv[optind], modes[i].name) != 0)
            continue;
        prctl(PR_SET_TIMERSLACK, 1UL);
        run.settings = &settings;
        run.server = (pid_t)settings.pid;
        run.client = make_client(&modes[i], &settings);
        client_prepare(&run.client);
        modes[i].run();
        return 0;
    }
    usage();
}
