#include "server/program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/network.h"
#include "config/origin.h"
#include "handlers/handler.h"
#include "server/address.h"
#include "server/announce.h"
#include "server/arrivals.h"
#include "server/children.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/handshake.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/memory.h"
#include "server/metrics.h"
#include "server/readiness.h"
#include "server/report.h"
#include "server/status.h"
#include "server/takeover.h"

enum {
    CONNECTIONS_AUTO_MAX = 100000,
    DESCRIPTORS_RESERVE = 64, /* above the floor, for everything that is not a session */
    DESCRIPTORS_OF_LOOP = 4,
};

/* --- routes --- */

static char *route_name(const struct config_route *route)
{
    char *name = NULL;
    if (asprintf(&name, "%s%s", route->path, route->prefix ? "/*" : "") < 0)
        return NULL;
    return name;
}

/* Who may open a WebSocket; the lists were checked with the configuration. Returns -1 without
   memory. */
static int prepare_door(struct route *route, const struct config_route *from)
{
    char why[16];
    int count = origins_parse(from->origins, NULL, why, sizeof why);
    struct origin *origins = calloc((size_t)count, sizeof *origins);
    if (origins == NULL)
        return -1;
    route->origin_count = (size_t)origins_parse(from->origins, origins, why, sizeof why);
    route->origins = origins;
    route->origins_required = from->origins_required != 0;
    route->subprotocols = from->subprotocols;
    route->subprotocols_required = from->subprotocols_required != 0;
    route->compression = from->compression != 0;
    return 0;
}

static int prepare_trusted(struct program *program)
{
    char why[16];
    const char *text = program->config->server.trusted_proxies;
    int count = networks_parse(text, NULL, why, sizeof why);
    program->trusted = calloc((size_t)count + 1, sizeof *program->trusted);
    if (program->trusted == NULL)
        return -1;
    program->trusted_count = (size_t)networks_parse(text, program->trusted, why, sizeof why);
    return 0;
}

/* The exit status for what errno says: a configuration can be right, and the system refuse. */
static int status_of(int error)
{
    bool refused = error == ENOMEM || error == EMFILE || error == ENFILE;
    return refused ? EXIT_SYSTEM : EXIT_CONFIGURATION;
}

/* Returns 0, or an exit status, having written why. */
static int prepare_route(struct program *program, const struct config_route *from, const char *name,
                         FILE *errors)
{
    struct session_limits *limits = &program->limits[program->route_count];
    struct route *route = &program->routes[program->route_count++];
    const struct handler *handler = handlers[from->group];
    char why[512];
    route->path = from->path;
    route->prefix = from->prefix;
    route->drain_waits = from->drain == CONFIG_DRAIN_WAIT;
    *limits = limits_of_route(program->config, from, program->receive_buffer);
    route->limits = limits;
    route->name = route_name(from);
    if (route->name == NULL || prepare_door(route, from) != 0) {
        fprintf(errors, "lastcall: out of memory\n");
        return EXIT_SYSTEM;
    }
    errno = 0;
    if (handler->start != NULL &&
        handler->start(from->values, &route->state, why, sizeof why) != 0) {
        int status = status_of(errno);
        if (from->line > 0)
            fprintf(errors, "%s:%d: [%s]: %s\n", name, from->line, from->section, why);
        else
            fprintf(errors, "%s: [%s]: %s\n", name, from->section, why);
        return status;
    }
    route->handler = handler; /* from here on there is something to stop */
    return 0;
}

int program_prepare(struct program *program, const struct config *config, const char *name,
                    FILE *errors)
{
    *program = (struct program){.config = config, .receive_buffer = limits_receive_buffer(config)};
    if (handshake_prepare() != 0) {
        fprintf(errors,
                "lastcall: no WebSocket could be opened: libcrypto has no memory, or no "
                "SHA-1\n");
        return EXIT_SYSTEM;
    }
    program->routes = calloc(config->route_count, sizeof *program->routes);
    program->limits = calloc(config->route_count, sizeof *program->limits);
    if (program->routes == NULL || program->limits == NULL || prepare_trusted(program) != 0) {
        fprintf(errors, "lastcall: out of memory\n");
        return EXIT_SYSTEM;
    }
    int status = 0;
    for (size_t i = 0; i < config->route_count; i++) {
        int one = prepare_route(program, &config->routes[i], name, errors);
        if (one != 0)
            status = one;
    }
    char why[512];
    if (*config->shutdown.report != '\0' &&
        report_check(config->shutdown.report, why, sizeof why) != 0) {
        status = status_of(errno);
        fprintf(errors, "%s: shutdown.report: %s\n", name, why);
    }
    return status;
}

/* --- limits --- */

/* The lowest number that is free now: whatever was inherited lies below. */
static int lowest_free(void)
{
    int descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    close(descriptor);
    return descriptor;
}

static int set_limits(struct program *program, char *error, size_t error_size)
{
    const struct config *config = program->config;
    size_t available = descriptor_raise_limit();
    int floor = lowest_free();
    if (floor < 0) {
        snprintf(error, error_size, "/dev/null cannot be opened: %s", strerror(errno));
        return EXIT_SYSTEM;
    }
    floor += server_descriptors((unsigned)config->server.http_threads, config->server.listen_count);
    program->loop_count = limits_loops(config);
    size_t needed = (size_t)floor + DESCRIPTORS_RESERVE +
                    program->loop_count * DESCRIPTORS_OF_LOOP + children_descriptors();
    size_t wanted =
        config->limits.connections == OPTION_AUTO ? 1 : (size_t)config->limits.connections;
    size_t left = available > needed ? available - needed : 0;
    if (limits_descriptors(config, wanted) > left) {
        char programs[64] = "";
        if (children_descriptors() > 0)
            snprintf(programs, sizeof programs, " (%zu of them for programs: max)",
                     children_descriptors());
        snprintf(error, error_size,
                 "limits.connections = %zu needs %zu descriptors%s, but this process may have %zu: "
                 "raise its limit (ulimit -n, LimitNOFILE=) or lower limits.connections to %zu",
                 wanted, needed + limits_descriptors(config, wanted), programs, available,
                 limits_connections(config, left, wanted));
        return EXIT_SYSTEM;
    }
    program->connections = wanted;
    if (config->limits.connections == OPTION_AUTO)
        program->connections = limits_connections(config, left, CONNECTIONS_AUTO_MAX);
    size_t most = needed + limits_descriptors(config, program->connections);
    if (descriptor_init(floor, most) != 0 || takeover_init() != 0) {
        snprintf(error, error_size, "descriptors cannot be had: %s", strerror(errno));
        return EXIT_SYSTEM;
    }
    return 0;
}

/* --- start --- */

static int start_tracker(struct program *program, char *error, size_t error_size)
{
    program->tracker = tracker_new(program->connections, program->loop_count);
    if (program->tracker != NULL)
        program->elsewhere = tracker_add_route(program->tracker, "(none)");
    bool complete = program->elsewhere != NULL;
    if (complete)
        tracker_memory(program->tracker)->limit = limits_memory(program->config);
    for (size_t i = 0; complete && i < program->route_count; i++) {
        struct route *route = &program->routes[i];
        int64_t limit = program->config->routes[i].connections;
        route->counts = tracker_add_route(program->tracker, route->name);
        complete = route->counts != NULL;
        if (!complete)
            break;
        route->counts->last = route->handler->last;
        if (limit != OPTION_AUTO)
            route->counts->limit = (size_t)limit;
    }
    if (!complete) {
        snprintf(error, error_size, "the tracker cannot be made: %s", strerror(errno));
        return EXIT_SYSTEM;
    }
    const struct addresses_limits limits = {
        .connections = (size_t)program->config->limits.connections_per_address,
        .requests = limits_requests_per_address(program->config),
        .rate = program->config->limits.rate_per_address,
    };
    program->addresses = addresses_new(&limits, program->connections);
    if (program->addresses == NULL) {
        snprintf(error, error_size, "out of memory");
        return EXIT_SYSTEM;
    }
    arrivals_init(&(struct arrivals_options){
        .addresses = program->addresses,
        .trusted = program->trusted,
        .trusted_count = program->trusted_count,
        .counts = program->elsewhere,
    });
    metrics_init(program->tracker, program->routes, program->route_count);
    if (descriptor_fill() == 0) {
        program->loops = loops_start(program->loop_count, program->tracker);
        descriptor_clear();
    }
    if (program->loops == NULL) {
        snprintf(error, error_size, "threads for %zu event loops cannot be had: %s",
                 program->loop_count, strerror(errno));
        return EXIT_SYSTEM;
    }
    status_init(&(struct status_sources){
        .tracker = program->tracker,
        .loops = program->loops,
        .routes = program->routes,
        .route_count = program->route_count,
        .elsewhere = program->elsewhere,
        .http_threads = (size_t)program->config->server.http_threads,
    });
    return 0;
}

static int start_server(struct program *program, char *error, size_t error_size)
{
    const struct config *config = program->config;
    size_t count = config->server.listen_count;
    program->listen = calloc(count + 1, sizeof *program->listen);
    for (size_t i = 0; program->listen != NULL && i < count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_join(config->server.listen[i].host, config->server.listen[i].port, text,
                     sizeof text);
        program->listen[i] = strdup(text);
        if (program->listen[i] == NULL)
            count = 0;
    }
    if (program->listen == NULL || count == 0) {
        snprintf(error, error_size, "out of memory");
        return EXIT_SYSTEM;
    }
    const struct server_options options = {
        .listen = (const char *const *)program->listen,
        .listen_count = count,
        .http_threads = (unsigned)config->server.http_threads,
        .handshake_timeout = config->limits.handshake_timeout,
        .receive_buffer = (size_t)program->receive_buffer,
        .tracker = program->tracker,
        .loops = program->loops,
        .routes = program->routes,
        .route_count = program->route_count,
        .trusted = program->trusted,
        .trusted_count = program->trusted_count,
        .addresses = program->addresses,
        .elsewhere = program->elsewhere,
    };
    program->server = server_start(&options, error, error_size);
    if (program->server == NULL)
        return errno == EADDRNOTAVAIL ? EXIT_LISTEN : EXIT_SYSTEM;
    if (server_self_test(program->server, error, error_size) == 0)
        return 0;
    tracker_close_gate(program->tracker);
    server_refuse(program->server, clock_milliseconds());
    program_stop_server(program);
    return EXIT_SYSTEM;
}

static bool in_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
           getenv("container") != NULL || getenv("KUBERNETES_SERVICE_HOST") != NULL;
}

static bool loopback_only(const struct config *config)
{
    for (size_t i = 0; i < config->server.listen_count; i++) {
        const char *host = config->server.listen[i].host;
        if (strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0)
            return false;
    }
    return true;
}

static void say_ready(const struct program *program)
{
    const struct config *config = program->config;
    for (size_t i = 0; i < server_listeners(program->server); i++) {
        char address[ADDRESS_TEXT_SIZE];
        server_listener(program->server, i, address, sizeof address);
        log_event(LOG_INFO, "listening", LOG_TEXT("address", address));
    }
    if (in_container() && loopback_only(config))
        log_event(LOG_WARNING, "only this container itself can connect: *:PORT would let others in",
                  LOG_TEXT("key", "server.listen"));
    for (size_t i = 0; i < program->route_count; i++)
        log_event(LOG_INFO, "route", LOG_TEXT("path", program->routes[i].name),
                  LOG_TEXT("handler", program->routes[i].handler->name));
    log_event(LOG_INFO, "ready", LOG_TEXT("version", LASTCALL_VERSION),
              LOG_TEXT("civetweb", server_civetweb_version()),
              LOG_NUMBER("routes", program->route_count),
              LOG_NUMBER("connections", program->connections),
              LOG_NUMBER("http_threads", config->server.http_threads),
              LOG_NUMBER("loops", program->loop_count),
              LOG_NUMBER("memory_limit", tracker_memory(program->tracker)->limit),
              LOG_NUMBER("message_limit", config->limits.message),
              LOG_NUMBER("send_queue", config->limits.send_queue),
              LOG_NUMBER("timeout_ms", config->shutdown.timeout));
}

static int start_children(char *error, size_t error_size)
{
    if (children_start() == 0)
        return 0;
    snprintf(error, error_size, "a thread that waits for programs cannot be had: %s",
             strerror(errno));
    return EXIT_SYSTEM;
}

int program_start(struct program *program, char *error, size_t error_size)
{
    int status = set_limits(program, error, error_size);
    if (status == 0)
        announce_open();
    if (status == 0)
        status = start_children(error, error_size);
    if (status == 0)
        status = start_tracker(program, error, error_size);
    if (status == 0)
        status = start_server(program, error, error_size);
    if (status != 0)
        return status;
    server_open(program->server);
    readiness_set(READINESS_READY);
    say_ready(program);
    return 0;
}

/* --- stop --- */

void program_refuse(void *argument, int64_t deadline)
{
    struct program *program = argument;
    server_refuse(program->server, deadline);
}

void program_stop_server(void *argument)
{
    struct program *program = argument;
    server_stop(program->server);
    program->server = NULL;
}

void program_cut(void *argument)
{
    struct program *program = argument;
    loops_cut(program->loops);
}

int program_free(struct program *program, int64_t deadline)
{
    status_end();
    if (!children_stop(deadline))
        return -1;
    if (program->loops != NULL && loops_stop(program->loops, deadline) != 0)
        return -1;
    for (size_t i = 0; i < program->route_count; i++) {
        struct route *route = &program->routes[i];
        if (route->handler != NULL && route->handler->stop != NULL)
            route->handler->stop(route->state);
        free((char *)(uintptr_t)route->name);
        free((struct origin *)(uintptr_t)route->origins);
    }
    for (size_t i = 0; program->listen != NULL && program->listen[i] != NULL; i++)
        free(program->listen[i]);
    free(program->listen);
    free(program->routes);
    free(program->limits);
    free(program->trusted);
    arrivals_init(NULL);
    addresses_free(program->addresses);
    tracker_free(program->tracker);
    takeover_free();
    *program = (struct program){0};
    return 0;
}
