/*
 * Somebody else's CivetWeb program: its own options, one WebSocket route wrapped by the tracker,
 * and a stop with both errors joined. Prints its port when it listens.
 */
#include <civetweb.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "handlers/handler.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/server.h"
#include "server/shutdown.h"
#include "server/takeover.h"

static struct tracker *tracker;
static struct loops *loops;
static struct mg_context *context;
static int64_t deadline;

static int connect_route(const struct mg_connection *connection, void *route)
{
    server_upgrade((struct mg_connection *)connection, route, tracker, loops);
    return 1; /* the socket is ours now, or refused */
}

static void refuse(void *unused, int64_t until)
{
    (void)unused;
    deadline = until;
    server_refuse_connections();
}

static void stop(void *unused)
{
    (void)unused;
    server_stop_context(context, deadline);
}

static void cut(void *unused)
{
    (void)unused;
    loops_cut(loops);
}

int main(void)
{
    static const struct session_limits limits = {.message = 65536,
                                                 .send_queue = 65536,
                                                 .close_timeout = 1000,
                                                 .close_code = 1001,
                                                 .close_reason = "so long"};
    const char *options[] = {"listening_ports", "127.0.0.1:0", "num_threads", "8", NULL};
    struct mg_server_port port;
    struct signalfd_siginfo signal;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (descriptor_init(server_descriptors(8, 1), 1024) != 0 || takeover_init() != 0)
        return 71;
    tracker = tracker_new(100, 1);
    loops = loops_start(1, tracker);
    struct route route = {.name = "/echo",
                          .path = "/echo",
                          .handler = &handler_echo,
                          .limits = &limits,
                          .counts = tracker_add_route(tracker, "/echo")};
    context = mg_start(NULL, NULL, options);
    if (context == NULL || takeover_find_listeners(0) != 1)
        return 69;
    mg_set_websocket_handler(context, "/echo$", connect_route, NULL, NULL, NULL, &route);
    mg_get_server_ports(context, 1, &port);
    printf("%d\n", port.port);
    fflush(stdout);

    int descriptor = descriptor_keep(signalfd(-1, &signals, SFD_CLOEXEC));
    if (read(descriptor, &signal, sizeof signal) != sizeof signal)
        return 71;
    const struct shutdown_options shutdown = {.times = {.timeout = 4000},
                                              .tracker = tracker,
                                              .signal_at = clock_milliseconds(),
                                              .signals = descriptor,
                                              .refuse = refuse,
                                              .stop = stop,
                                              .cut = cut};
    struct shutdown_result result;
    shutdown_run(&shutdown, &result);
    loops_stop(loops, INT64_MAX);
    tracker_free(tracker);
    takeover_free();
    close(descriptor);
    return result.status;
}
