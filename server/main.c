#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "handlers/handler.h"
#include "server/command_line.h"
#include "server/probe.h"
#include "server/program.h"
#include "server/run.h"

extern const char embedded_default_ini[]; /* config/default.ini */

enum { PROBE_PATIENCE = 3000 }; /* milliseconds */

/* A descriptor below 3 that was closed would be given to a socket, and the log written there. */
static void open_standard_descriptors(void)
{
    int descriptor;
    do
        descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor > STDERR_FILENO)
        close(descriptor);
}

/* They wait in a descriptor; every thread started later inherits the mask. */
static sigset_t block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGUSR2);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (getpid() == 1)
        signal(SIGCHLD, SIG_IGN); /* orphans become ours: the kernel is to reap them */
    return signals;
}

static int test(const struct config *config)
{
    struct program program;
    char error[512];
    int status = program_prepare(&program, config, error, sizeof error);
    if (status != 0)
        fprintf(stderr, "lastcall: %s\n", error);
    else
        printf("lastcall: the configuration is good\n");
    program_free(&program);
    return status;
}

/* Asks the first health route at the first address. */
static int health(const struct config *config)
{
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (handlers[route->group] != &handler_health)
            continue;
        char path[512];
        char error[256];
        snprintf(path, sizeof path, "%s%s", route->path, route->prefix ? "/live" : "");
        if (probe(config->server.listen[0].host, config->server.listen[0].port, path,
                  PROBE_PATIENCE, error, sizeof error) == 0)
            return 0;
        fprintf(stderr, "lastcall: %s\n", error);
        return 1;
    }
    fprintf(stderr,
            "lastcall: no route has handler = health, so there is nothing to ask; add\n"
            "[route /health/*]\nhandler = health\n");
    return 1;
}

static int print(const struct command_line *line)
{
    if (line->command == COMMAND_VERSION)
        printf("lastcall %s (CivetWeb %s)\n", LASTCALL_VERSION, server_civetweb_version());
    else if (line->topic == NULL)
        command_line_help(stdout);
    else if (strcmp(line->topic, "config") == 0)
        config_sample(handler_groups(), stdout);
    else
        config_describe_groups(handler_groups(), stdout);
    return 0;
}

static int execute(const struct command_line *line, const struct config *config,
                   const sigset_t *blocked)
{
    switch (line->command) {
    case COMMAND_TEST:
        return test(config);
    case COMMAND_DUMP:
        config_dump(config, handler_groups(), stdout);
        return 0;
    case COMMAND_HEALTH:
        return health(config);
    default:
        return run(config, blocked);
    }
}

int main(int count, char **words)
{
    struct command_line line;
    struct config config;

    open_standard_descriptors();
    sigset_t blocked = block_signals();
    if (command_line_parse(&line, count, words, stderr) != 0) {
        fprintf(stderr, "lastcall: lastcall -h shows how to call it\n");
        return EXIT_USAGE;
    }
    if (line.command == COMMAND_VERSION || line.command == COMMAND_HELP)
        return print(&line);

    const struct config_source source = {
        .path = line.path,
        .text = embedded_default_ini,
        .settings = line.settings,
        .setting_count = line.setting_count,
        .groups = handler_groups(),
    };
    if (config_load(&config, &source, stderr) != 0)
        return EXIT_CONFIGURATION;
    int status = execute(&line, &config, &blocked);
    config_free(&config);
    return status;
}
