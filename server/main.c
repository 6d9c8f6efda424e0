#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
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
    sigset_t children; /* read by who waits for them, if there are any: server/children.h */
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a report that is too large is an error of its write */
    if (getpid() == 1) {
        signal(SIGCHLD, SIG_IGN); /* orphans become ours: the kernel is to reap them */
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ; /* and those that have ended already */
    }
    return signals;
}

/* How messages call the configuration. */
static const char *source_name(const struct command_line *line)
{
    return line->path == NULL ? "(default)" : line->path;
}

static int test(const struct config *config, const char *name)
{
    struct program program;
    int status = program_prepare(&program, config, name, stderr);
    if (status == 0)
        printf("lastcall: the configuration is good\n");
    program_free(&program, INT64_MAX);
    return status;
}

/* Asks the first health route at the first address. */
static int health(const struct config *config)
{
    if (config->server.listen[0].port == 0) {
        fprintf(stderr,
                "lastcall: server.listen has port 0, any free one: nobody can know which\n");
        return 1;
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (handlers[route->group] != &handler_health)
            continue;
        char path[512];
        char error[256];
        snprintf(path, sizeof path, "%s%s", route->path, route->prefix ? "/live" : "");
        /* A route without a star has readiness alone: 503 is the answer of one who lives, too. */
        if (probe(config->server.listen[0].host, config->server.listen[0].port, path,
                  route->prefix ? 0 : 503, PROBE_PATIENCE, error, sizeof error) == 0)
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
        return test(config, source_name(line));
    case COMMAND_DUMP:
        config_dump(config, handler_groups(), stdout);
        return 0;
    case COMMAND_HEALTH:
        sigprocmask(SIG_UNBLOCK, blocked, NULL); /* nothing to drain: Ctrl-C ends it */
        return health(config);
    default:
        return run(config, source_name(line), blocked);
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
    int loaded = config_load(&config, &source, stderr);
    if (loaded != 0)
        return loaded == CONFIG_REFUSED ? EXIT_SYSTEM : EXIT_CONFIGURATION;
    int status = execute(&line, &config, &blocked);
    config_free(&config);
    return status;
}
