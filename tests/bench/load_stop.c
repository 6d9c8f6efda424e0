/*
 * The mode `stop`: SIGTERM, with sessions that answer their Close at once, or never.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#include "load.h"
#include "load_socket.h"

#define SLICE (500 * MILLISECOND) /* of a spread; each has a share of the Closes */
#define SLICES_MAX 120

/* The Closes that came in each slice of the spread, and those that came after it. */
static struct {
    size_t count;
    uint64_t closes[SLICES_MAX];
    uint64_t late;
} slices;

static double milliseconds(uint64_t duration)
{
    return (double)duration / (double)MILLISECOND;
}

static void check_limit(const char *awaited)
{
    if (now() > run.client.limit)
        fail("%s did not come within %ld s", awaited, run.settings->limit);
}

void stop_closed(struct client *client, struct connection *connection)
{
    (void)client;
    if (run.signalled == 0)
        fail("connection %u was closed before the signal", connection->number);
    uint64_t elapsed = now() - run.signalled;
    histogram_add(&run.times, elapsed);
    if (elapsed / SLICE < slices.count)
        slices.closes[elapsed / SLICE]++;
    else
        slices.late++;
}

/* Nothing is answered meanwhile: the listener is to go before the sessions do. */
static uint64_t await_refusal(void)
{
    while (!socket_refused(run.client.port)) {
        check_limit("a refusal to connect");
        pause_for(50 * MICROSECOND);
    }
    return now() - run.signalled;
}

/*
 * A mute client has nothing to do between the last Close and the server's exit, and so leaves the
 * processors to the server: it looks at how its connections ended afterwards.
 */
static bool is_asleep(void)
{
    return run.client.mute && run.times.count == run.client.connection_count;
}

static uint64_t await_exit(int server_fd)
{
    struct pollfd exited = {.fd = server_fd, .events = POLLIN};
    while (poll(&exited, 1, is_asleep() ? 100 : 0) != 1) {
        check_limit("the server's exit");
        if (!is_asleep())
            client_step(&run.client, 100);
    }
    return now() - run.signalled;
}

/* Returns a descriptor that is readable once the server has exited. */
static int open_sessions(void)
{
    client_open(&run.client, (size_t)run.settings->sessions);
    for (long i = 0; i < run.settings->silent; i++)
        socket_silent(run.client.port);
    int server_fd = pidfd_open(run.server, 0);
    if (server_fd < 0)
        fail("process %d: %s", (int)run.server, strerror(errno));
    client_watch(&run.client, server_fd);
    server_settle(run.server);
    return server_fd;
}

/*
 * The share of the Closes in each slice, how far the one that is furthest off is from an even
 * pace, in percent of what was due in it, and the load on the server's processor from the signal
 * to its exit.
 */
static void print_slices(uint64_t exited, uint64_t used)
{
    double all = (double)run.client.connection_count;
    double due = all / (double)slices.count;
    double furthest = 0;
    printf("\"shares\": [");
    for (size_t i = 0; i < slices.count; i++) {
        double off = (double)slices.closes[i] - due;
        if (off < 0)
            off = -off;
        if (off > furthest)
            furthest = off;
        printf("%s%.2f", i == 0 ? "" : ", ", (double)slices.closes[i] * 100 / all);
    }
    printf("], \"late_percent\": %.3f, \"deviation_percent\": %.2f, \"cpu_percent\": %.2f, ",
           (double)slices.late * 100 / all, furthest * 100 / due,
           (double)used * 100 / (double)exited);
}

static void print_stop(uint64_t exited, uint64_t refused, uint64_t used)
{
    const struct settings *settings = run.settings;
    printf("{\"sessions\": %ld, \"silent\": %ld, \"exit_ms\": %.3f, ", settings->sessions,
           settings->silent, milliseconds(exited));
    if (settings->probe)
        printf("\"refused_ms\": %.3f, ", milliseconds(refused));
    if (settings->close_timeout > 0)
        printf("\"overtime_ms\": %.3f, ", milliseconds(exited) - (double)settings->close_timeout);
    if (slices.count > 0)
        print_slices(exited, used);
    printf(
        "\"close_p50_ms\": %.3f, \"close_p99_ms\": %.3f, \"close_max_ms\": %.3f, "
        "\"cpu_ms\": %.3f}\n",
        milliseconds(histogram_quantile(&run.times, 0.5)),
        milliseconds(histogram_quantile(&run.times, 0.99)), milliseconds(run.times.maximum),
        milliseconds(used));
}

void run_stop(void)
{
    const struct settings *settings = run.settings;
    slices.count = (size_t)settings->spread * MILLISECOND / SLICE;
    if ((uint64_t)settings->spread * MILLISECOND % SLICE != 0)
        fail("--spread=%ld: write whole half seconds", settings->spread);
    if (slices.count > 0 && settings->sessions == 0)
        fail("--spread needs --sessions");
    int server_fd = open_sessions();
    uint64_t used = server_cpu(run.server);
    run.signalled = now();
    if (kill(run.server, SIGTERM) < 0)
        fail("process %d: %s", (int)run.server, strerror(errno));
    uint64_t refused = settings->probe ? await_refusal() : 0;
    uint64_t exited = await_exit(server_fd);
    used = server_cpu(run.server) - used;
    while (run.client.ended < run.client.connection_count) {
        check_limit("the end of every session");
        client_step(&run.client, 100);
    }
    if (exited < (uint64_t)settings->close_timeout * MILLISECOND)
        fail("the server was gone after %.3f ms: it did not wait %ld ms for the answers",
             milliseconds(exited), settings->close_timeout);
    print_stop(exited, refused, used);
}
