/*
 * What the tracker itself costs: nanoseconds for one enter and leave, alone and from four threads.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "server/tracker.h"

enum { ROUNDS = 2000000, THREADS = 4 };

static struct tracker *tracker;
static struct tracker_route *route;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *enter_and_leave_requests(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++)
        if (tracker_enter_request(tracker))
            tracker_leave_request(tracker, true);
    return NULL;
}

static void *enter_and_leave_sessions(void *unused)
{
    (void)unused;
    for (int i = 0; i < ROUNDS; i++) {
        if (tracker_enter_session(tracker, route) != 0)
            continue;
        tracker_session_opened(route);
        tracker_session_ended(route, OUTCOME_HANDSHAKE, 1001);
        tracker_leave_session(tracker, route);
    }
    return NULL;
}

static void measure(const char *what, void *(*run)(void *), int threads)
{
    pthread_t thread[THREADS];
    double began = seconds();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread[i], NULL, run, NULL) != 0)
            threads = i;
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    double each = (seconds() - began) * 1e9 / ROUNDS / (threads == 0 ? 1 : threads);
    printf("tracker: enter and leave of a %s, %d thread%s: %.1f ns each\n", what, threads,
           threads == 1 ? "" : "s", each);
}

int main(void)
{
    tracker = tracker_new(1000, 1);
    if (tracker == NULL || (route = tracker_add_route(tracker, "/")) == NULL)
        return 1;
    measure("request", enter_and_leave_requests, 1);
    measure("request", enter_and_leave_requests, THREADS);
    measure("session", enter_and_leave_sessions, 1);
    measure("session", enter_and_leave_sessions, THREADS);
    tracker_free(tracker);
    return 0;
}
