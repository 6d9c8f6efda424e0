/*
 * load: puts one kind of load on a WebSocket echo server and prints what it measured as one line
 * of JSON. Bounded by count and time; status 1, and why on stderr, when an answer was wrong.
 */
#include <errno.h>
#include <getopt.h>
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

/*
 * After a fourth of the time as warm-up, measures for all of it. Returns how long that really
 * took; the server's processor time in it is stored in *cpu.
 */
static uint64_t measure(uint64_t *cpu)
{
    uint64_t duration = (uint64_t)run.settings->seconds * SECOND;
    keep_going(duration / 4);
    run.measuring = true;
    uint64_t begun = now();
    uint64_t used = server_cpu(run.server);
    keep_going(duration);
    *cpu = server_cpu(run.server) - used;
    return now() - begun;
}

static void print_rate(uint64_t duration, uint64_t cpu)
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

/* echo: each session sends its next message when the last one is back. */

/* Every message is another one: number and session, and letters up to the size that was asked. */
static size_t echo_payload(const struct connection *connection, char payload[PAYLOAD_MAX + 1])
{
    static const char digits[] = "0123456789abcdef";
    size_t length = (size_t)run.settings->bytes;
    memset(payload, 'm', length);
    for (unsigned i = 0; i < 8; i++) {
        payload[i] = digits[connection->sequence >> 4 * i & 15];
        payload[8 + i] = digits[connection->number >> 4 * i & 15];
    }
    return length;
}

static void echo_next(struct client *client, struct connection *connection)
{
    (void)client;
    char payload[PAYLOAD_MAX + 1];
    connection->sequence++;
    size_t length = echo_payload(connection, payload);
    client_frame(connection, payload, length);
    client_send(connection, length);
}

static void echo_message(struct client *client, struct connection *connection,
                         const uint8_t *payload, size_t length)
{
    char wanted[PAYLOAD_MAX + 1];
    if (length != echo_payload(connection, wanted) || memcmp(payload, wanted, length) != 0)
        fail("connection %u: the echo of message %u is another", connection->number,
             connection->sequence);
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
    echo_next(client, connection);
}

static void run_echo(void)
{
    client_open(&run.client, (size_t)run.settings->sessions);
    server_settle(run.server);
    for (size_t i = 0; i < run.client.connection_count; i++)
        echo_next(&run.client, &run.client.connections[i]);
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    print_rate(duration, cpu);
}

/* handshakes: connect, upgrade, reset, again. */

static void handshake_done(struct client *client, struct connection *connection)
{
    (void)client;
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
    client_drop(connection);
}

static void run_handshakes(void)
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
} modes[] = {
    {"idle", "open SESSIONS and print the server's memory for each", run_idle, {0}, true, false},
    {"stop",
     "open SESSIONS, send SIGTERM, answer each Close; print when the server was gone",
     run_stop,
     {.closed = stop_closed},
     false,
     false},
    {"echo",
     "echo on SESSIONS for SECONDS; print messages per second and latency",
     run_echo,
     {.message = echo_message},
     true,
     false},
    {"handshakes",
     "open and reset sessions, SESSIONS at a time, for SECONDS",
     run_handshakes,
     {.opened = handshake_done},
     true,
     true},
};
#define MODE_COUNT (sizeof modes / sizeof *modes)

static const struct choice {
    struct option option;
    long minimum;
    long maximum;
    const char *help;
} choices[] = {
    {{"port", required_argument, NULL, 'p'}, 1, 65535, "of the server, on 127.0.0.1"},
    {{"pid", required_argument, NULL, 'P'}, 1, INT32_MAX, "of the server"},
    {{"sessions", required_argument, NULL, 'n'}, 0, 1000000, "default 0"},
    {{"silent", required_argument, NULL, 's'}, 0, 10000, "stop: TCP connections beside them"},
    {{"request", required_argument, NULL, 'r'}, 0, 8000, "bytes that a handshake is filled up to"},
    {{"bytes", required_argument, NULL, 'b'}, 16, PAYLOAD_MAX, "echo: a message's, default 32"},
    {{"seconds", required_argument, NULL, 't'}, 1, 3600, "of measuring, default 3"},
    {{"limit", required_argument, NULL, 'l'}, 1, 3600, "seconds until a wait is over, default 60"},
    {{"spread", required_argument, NULL, 'S'}, 0, 60000, "stop: ms; count Closes in each half s"},
    {{"mute", required_argument, NULL, 'm'},
     0,
     3600000,
     "stop: answer no Close; the server waits so many ms for that"},
    {{"probe", no_argument, NULL, 'c'}, 0, 0, "stop: connect until that is refused"},
};
#define CHOICE_COUNT (sizeof choices / sizeof *choices)

static noreturn void usage(void)
{
    fputs("usage: load MODE --port=N --pid=N [OPTION...]\n", stderr);
    for (size_t i = 0; i < MODE_COUNT; i++)
        fprintf(stderr, "  %-12s %s\n", modes[i].name, modes[i].help);
    for (size_t i = 0; i < CHOICE_COUNT; i++)
        fprintf(stderr, "  --%-10s %s\n", choices[i].option.name, choices[i].help);
    exit(64);
}

static long number(const struct choice *choice, const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < choice->minimum ||
        value > choice->maximum) {
        fprintf(stderr, "load: --%s=%s: write a number from %ld to %ld\n", choice->option.name,
                text, choice->minimum, choice->maximum);
        exit(64);
    }
    return value;
}

static void read_options(int argc, char *argv[], struct settings *settings)
{
    long *const places[CHOICE_COUNT] = {
        &settings->port,    &settings->pid,           &settings->sessions, &settings->silent,
        &settings->request, &settings->bytes,         &settings->seconds,  &settings->limit,
        &settings->spread,  &settings->close_timeout,
    };
    struct option options[CHOICE_COUNT + 1] = {0};
    for (size_t i = 0; i < CHOICE_COUNT; i++)
        options[i] = choices[i].option;
    int index = 0;
    for (int found; (found = getopt_long(argc, argv, "", options, &index)) != -1;) {
        if (found == '?')
            usage();
        if (places[index] == NULL)
            settings->probe = true;
        else
            *places[index] = number(&choices[index], optarg);
    }
    if (optind != argc - 1 || settings->port == 0 || settings->pid == 0)
        usage();
}

int main(int argc, char *argv[])
{
    struct settings settings = {.bytes = 32, .seconds = 3, .limit = 60};
    read_options(argc, argv, &settings);
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(argv[optind], modes[i].name) != 0)
            continue;
        prctl(PR_SET_TIMERSLACK, 1UL);
        run.settings = &settings;
        run.server = (pid_t)settings.pid;
        run.client = (struct client){
            .events = &modes[i].events,
            .port = (uint16_t)settings.port,
            .connection_count = (size_t)settings.sessions,
            .window = 50,
            .reset = modes[i].reset,
            .again = modes[i].again,
            .mute = settings.close_timeout > 0,
            .path = "/echo",
            .request_size = (size_t)settings.request,
            .limit = now() + (uint64_t)settings.limit * SECOND,
        };
        client_prepare(&run.client);
        modes[i].run();
        return 0;
    }
    usage();
}
