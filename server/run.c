#include "server/run.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server/announce.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/log.h"
#include "server/program.h"
#include "server/readiness.h"
#include "server/report.h"
#include "server/shutdown.h"
#include "server/workers.h"

enum { LOG_PATIENCE = 100 }; /* milliseconds */

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
    for (;;) {
        if (poll(&event, 1, WORKERS_LOOK_INTERVAL) == 0) {
            workers_look();
            announce_alive(program->loops);
        } else if (read(signals, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
                break;
            take_signal(program, (int)info.ssi_signo);
        }
    }
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
}

static void write_report(const struct program *program, const struct shutdown_result *result)
{
    const char *path = program->config->shutdown.report;
    char error[512];
    if (*path != '\0' && report_write(path, program->tracker, result, error, sizeof error) != 0)
        log_event(LOG_ERROR, error, LOG_TEXT("key", "shutdown.report"));
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
    const struct drain_plan plan = {
        .signal_at = options.signal_at,
        .spread = config->shutdown.spread,
        .wait_until = options.signal_at + options.times.timeout - config->shutdown.close_timeout,
    };
    loops_plan_drain(program->loops, &plan);
    shutdown_run(&options, &result);
    write_report(program, &result);
    announce_result(program->tracker, &result);
    announce_close();
    log_stop(LOG_PATIENCE);
    if (result.stop != STOP_RETURNED || program_free(program) != 0)
        _exit(result.status); /* threads that cannot be joined still use what would be freed */
    return result.status;
}

/* Returns 0, or an exit status with one line in `error`. */
static int start(struct program *program, const struct config *config, char *error,
                 size_t error_size)
{
    int status = program_prepare(program, config, error, error_size);
    if (status != 0)
        return status;
    if (*config->shutdown.report != '\0' &&
        report_check(config->shutdown.report, error, error_size) != 0)
        return EXIT_CONFIGURATION;
    return program_start(program, error, error_size);
}

int run(const struct config *config, const sigset_t *blocked)
{
    struct program program;
    char error[512];
    if (log_start((enum log_level)config->log.level, (enum log_format)config->log.format) != 0) {
        fprintf(stderr, "lastcall: no thread for the log can be had\n");
        return EXIT_SYSTEM;
    }
    int status = start(&program, config, error, sizeof error);
    int signals =
        status == 0 ? descriptor_keep(signalfd(-1, blocked, SFD_CLOEXEC | SFD_NONBLOCK)) : -1;
    if (status != 0 || signals < 0) {
        log_event(LOG_ERROR, status != 0 ? error : "no descriptor for signals",
                  LOG_NUMBER("status", status != 0 ? status : EXIT_SYSTEM));
        log_stop(LOG_PATIENCE);
        if (status == 0)
            _exit(EXIT_SYSTEM);
        program_free(&program);
        return status;
    }
    announce_ready();
    wait_for_stop(&program, signals);
    status = drain(&program, signals);
    close(signals);
    return status;
}
