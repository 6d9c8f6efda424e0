/*
 * The mode `steady`: sessions that echo a small message each at a steady pace, as people do, while
 * somebody else may not behave. A message that is due while the last one is not back yet is sent as
 * soon as that is, and counted from when it was due: a server that stalls cannot hide it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "load.h"

static struct {
    uint64_t pace;
    uint64_t *due; /* of each session: its next message, or since when it waits to be sent */
    bool *busy;    /* its last message is not back yet */
    int timer;
} steady;

static void send_due(struct connection *connection)
{
    uint64_t *due = &steady.due[connection->number];
    uint64_t moment = now();
    bool late = moment >= *due + steady.pace;
    connection->sequence++;
    echo_send(connection);
    if (late)
        connection->since = *due;
    *due += steady.pace;
    steady.busy[connection->number] = true;
}

void steady_message(struct client *client, struct connection *connection, const uint8_t *payload,
                    size_t length)
{
    (void)client;
    echo_check(connection, connection->sequence, payload, length);
    if (run.measuring)
        histogram_add(&run.times, now() - connection->since);
    steady.busy[connection->number] = false;
    if (steady.due[connection->number] <= now())
        send_due(connection);
}

static void on_tick(void)
{
    uint64_t ticks;
    if (read(steady.timer, &ticks, sizeof ticks) < 0)
        return;
    uint64_t moment = now();
    for (size_t i = 0; i < run.client.connection_count; i++)
        if (!steady.busy[i] && steady.due[i] <= moment)
            send_due(&run.client.connections[i]);
}

/* Each session's turn comes once in a pace; the turns are spread evenly over it. */
static void start_clock(size_t sessions)
{
    uint64_t step = steady.pace / sessions;
    uint64_t first = now() + step;
    for (size_t i = 0; i < sessions; i++)
        steady.due[i] = first + i * step;
    struct itimerspec every = {.it_interval.tv_nsec = (long)step, .it_value.tv_nsec = (long)step};
    if (timerfd_settime(steady.timer, 0, &every, NULL) < 0)
        fail("timerfd_settime: %s", strerror(errno));
    client_watch(&run.client, steady.timer);
    run.client.watched = on_tick;
}

void run_steady(void)
{
    size_t sessions = (size_t)run.settings->sessions;
    if (sessions == 0)
        fail("steady needs --sessions");
    steady.pace = (uint64_t)run.settings->pace * MILLISECOND;
    steady.due = calloc(sessions, sizeof *steady.due);
    steady.busy = calloc(sessions, sizeof *steady.busy);
    steady.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (steady.due == NULL || steady.busy == NULL || steady.timer < 0)
        fail("%s", strerror(errno));
    client_open(&run.client, sessions);
    start_clock(sessions);
    uint64_t cpu;
    uint64_t duration = measure(&cpu);
    for (size_t i = 0; i < sessions; i++) /* what never came back counts as long as it is missed */
        if (steady.busy[i])
            histogram_add(&run.times, now() - run.client.connections[i].since);
    print_rate(duration, cpu);
}
