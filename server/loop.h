/*
 * loop: the event loops on which the sessions live.
 *
 * A session is handed to the loop with the fewest and stays there. Every other word to a loop is
 * posted to it as well: nothing here touches a session on a foreign thread. Knows sessions; knows
 * nothing of CivetWeb.
 */
#ifndef LASTCALL_SERVER_LOOP_H
#define LASTCALL_SERVER_LOOP_H

#include <stddef.h>

#include "server/session_home.h"

struct loops;

/*
 * Starts `count` loops, at most MEMORY_SHARES_MAX, each on a thread of its own, and registers them
 * with the tracker, which makes them drain. Returns NULL with errno when the system refuses.
 */
struct loops *loops_start(size_t count, struct tracker *tracker);

/* Hands a session over; it belongs to its loop from here on. Any thread; does not wait. */
void loops_add(struct loops *loops, struct session *session);

/* How they drain when the tracker says so; before that, zeroed: all at once. Main thread. */
void loops_plan_drain(struct loops *loops, const struct drain_plan *plan);

/*
 * Asks every loop for a sign of life. Returns whether all have answered the last call: each loop
 * has turned since. Main thread; does not wait.
 */
bool loops_beat(struct loops *loops);

/* Who is still there during a drain, without those that are drained last. */
#define SURVEY_SESSIONS 50
struct loops_survey {
    uint64_t waiting[WAIT_COUNT]; /* how many wait for what */
    size_t listed;
    struct session_glance sessions[SURVEY_SESSIONS]; /* some of them: the oldest of each loop */
};

/* Asks every loop to look through its sessions. Any thread; does not wait. */
void loops_look(struct loops *loops);

/* Sums up what the loops saw when they looked last; zeroes before. Any thread. */
void loops_survey(struct loops *loops, struct loops_survey *sum);

/* Makes every loop cut all of its sessions. Any thread; does not wait. */
void loops_cut(struct loops *loops);

/*
 * Ends the loops and waits for their threads until `deadline` (clock_milliseconds); sessions that
 * are left are cut. Main thread. Returns 0 and frees all, or -1 when a handler still blocks a
 * loop, or the look-up of a name still runs: the process must then end without them, by _exit.
 */
int loops_stop(struct loops *loops, int64_t deadline);

#endif
