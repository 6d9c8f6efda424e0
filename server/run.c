#include "server/run.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server/access.h"
#include "server/announce.h"
#include "server/children.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/program.h"
#include "server/readiness.h"
#include "server/report.h"
#include "server/shutdown.h"
#include "server/status.h"
#include "server/workers.h"

/* Milliseconds. */
enum {
    LOG_PATIENCE = 500, /* that whoever reads the log may take at the end */
    AT_LEAST = 10,      /* for the end itself, even when the time is up */
};

/* Out of service, and back: the balancer is told, nothing else changes. */
static void toggle_readiness(void)
{
    bool pause = readiness_get() == READINESS_READY;
    readiness_set(pause ? READINESS_PAUSED : READINESS_READY);
    log_event(LOG_INFO,
              pause ? "paused: /health/ready answers 503 until the next SIGUSR2"
                    : "ready again: /health/ready answers 200",
              LOG_TEXT("name", "SIGUSR2"));
}

/* A signal that stops nothing. */
static void take_signal(void *argument, int number)
{
    const struct program *program = argument;
    if (number == SIGUSR1)
        announce_state(program->tracker);
    else if (number == SIGHUP)
        log_event(LOG_INFO, "nothing has changed: the configuration is read at the start only",
                  LOG_TEXT("name", "SIGHUP"));
    else if (number == SIGUSR2 && readiness_get() != READINESS_STOPPING)
        toggle_readiness();
}

/* Returns when SIGTERM or SIGINT has come. */
static void wait_for_stop(struct program *program, int signals)
{
    struct signalfd_siginfo info;
    struct pollfd event = {.fd = signals, .events = POLLIN};
    int64_t next_look = 0;
    for (;;) {
        poll(&event, 1, clock_poll_timeout(next_look));
        if (clock_milliseconds() >= next_look) {
            server_look(program->server);
            next_look = clock_milliseconds() + workers_look();
            announce_alive(program->loops);
        }
        if (read(signals, &info, sizeof info) != sizeof info)
            continue;
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            break;
        take_signal(program, (int)info.ssi_signo);
    }
    tracker_mark(program->tracker); /* whoever sees one of the two below counts from here */
    readiness_set(READINESS_STOPPING);
    log_event(LOG_INFO, "signal", LOG_TEXT("name", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM"),
              LOG_NUMBER("sender", info.ssi_pid));
    announce_stopping(program->tracker, (long)program->config->shutdown.timeout);
}

static void tell_progress(void *argument, const struct shutdown_progress *progress)
{
    const struct program *program = argument;
    announce_progress(program->tracker, progress);
    announce_alive(program->loops);
    if (!progress->draining)
        server_look(program->server);
    workers_look();
}

static void write_report(const struct program *program, const struct shutdown_result *result)
{
    const char *path = program->config->shutdown.report;
    char error[512];
    if (*path != '\0' && report_write(path, program->tracker, result, error, sizeof error) != 0)
        log_event(LOG_ERROR, error, LOG_TEXT("key", "shutdown.report"));
}

/* Frees everything, and the log at last, with what is left of the time. Returns the status. */
static int end(struct program *program, const struct shutdown_result *result, int64_t deadline)
{
    int64_t soon = clock_milliseconds() + AT_LEAST;
    if (deadline < soon)
        deadline = soon;
    bool joined = result->stop == STOP_RETURNED && program_free(program, deadline) == 0;
    announce_close();
    int64_t left = deadline - clock_milliseconds();
    log_stop(left < 0 ? 0 : left > LOG_PATIENCE ? LOG_PATIENCE : (int)left);
    if (!joined)
        _exit(result->status); /* threads that cannot be joined still use what would be freed */
    return result->status;
}

/* Programs whose session has gone before them have what is left of the time. */
static void end_children(const struct shutdown_options *options, struct shutdown_result *result,
                         int64_t deadline)
{
    bool hurry = result->status >= 128;
    size_t programs = children_left();
    if (programs > 0)
        log_event(LOG_INFO, "ending programs", LOG_NUMBER("programs", programs),
                  LOG_NUMBER("left_ms", deadline - clock_milliseconds()));
    if (!hurry) {
        int number = shutdown_wait(options, children_end(deadline), deadline);
        if (number != 0)
            result->status = 128 + number;
        hurry = number != 0;
    }
    children_stop(hurry ? 0 : deadline);
    result->duration = clock_milliseconds() - options->signal_at;
}

static int drain(struct program *program, int signals)
{
    const struct config *config = program->config;
    const struct shutdown_options options = {
        .times = {.timeout = config->shutdown.timeout, .delay = config->shutdown.delay},
        .tracker = program->tracker,
        .signal_at = clock_milliseconds(),
        .tolerate = config->shutdown.tolerate.number,
        .tolerate_percent = config->shutdown.tolerate.percent,
        .signals = signals,
        .argument = program,
        .refuse = program_refuse,
        .stop = program_stop_server,
        .cut = program_cut,
        .progress = tell_progress,
        .signal = take_signal,
    };
    struct shutdown_result result;
    int64_t deadline = options.signal_at + options.times.timeout;
    const struct drain_plan plan = {
        .signal_at = options.signal_at,
        .spread = config->shutdown.spread,
        .wait_until = deadline - config->shutdown.close_timeout,
    };
    loops_plan_drain(program->loops, &plan);
    status_stopping(options.signal_at, options.times.timeout);
    shutdown_run(&options, &result);
    end_children(&options, &result, deadline);
    write_report(program, &result);
    announce_result(program->tracker, &result);
    return end(program, &result, deadline);
}

/* Says why nothing was started. */
static int give_up(struct program *program, int status, const char *why)
{
    log_event(LOG_ERROR, why, LOG_NUMBER("status", status));
    program_free(program, INT64_MAX);
    log_stop(LOG_PATIENCE);
    return status;
}

int run(const struct config *config, const char *name, const sigset_t *blocked)
{
    struct program program;
    char error[512];
    int status = program_prepare(&program, config, name, stderr);
    access_init(config->log.access != 0, (enum log_format)config->log.format);
    if (status == 0 &&
        log_start((enum log_level)config->log.level, (enum log_format)config->log.format) != 0) {
        fprintf(stderr, "lastcall: no thread for the log can be had\n");
        status = EXIT_SYSTEM;
    }
    if (status != 0) {
        program_free(&program, INT64_MAX);
        return status;
    }
    int signals = signalfd(-1, blocked, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return give_up(&program, EXIT_SYSTEM, "no descriptor for signals can be had");
    status = program_start(&program, error, sizeof error);
    if (status == 0) {
        announce_ready();
        wait_for_stop(&program, signals);
        status = drain(&program, signals);
    } else {
        give_up(&program, status, error);
    }
    close(signals);
    return status;
}
