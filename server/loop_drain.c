#include <string.h>

#include "handlers/handler.h"
#include "server/loop_private.h"
#include "server/pace.h"
#include "server/route.h"
#include "server/tracker.h"

enum { PACE_INTERVAL = 10 }; /* milliseconds */

/* The loops take turns: each begins a little later than the one before, so that few sessions on
   many loops are spread as well. */
static int64_t phase(const struct loop *loop)
{
    const struct session_home *home = &loop->home;
    double turns = (double)home->plan.turns * (double)loop->to_drain;
    return turns == 0 ? 0 : (int64_t)((double)home->plan.spread * (double)home->plan.turn / turns);
}

/* Those that have had no turn: they were to wait, or to be the last. */
static void drain_rest(struct session_home *home)
{
    for (struct session *session = home->first, *older; session != NULL; session = older) {
        older = session_older(session);
        session_drain(session, true);
    }
    session_relieve(home);
}

/* Every session that is due by now, the oldest first. What is due together counts as one moment:
   with no spread all have until `close_timeout` after the beginning of the drain. */
static void drain_due(struct loop *loop)
{
    struct session_home *home = &loop->home;
    int64_t elapsed = (int64_t)uv_now(&home->uv) - loop->drain_began;
    size_t due = pace_due(loop->to_drain, elapsed - phase(loop), home->plan.spread);
    while (loop->drained < due && home->next_to_drain != NULL) {
        struct session *session = home->next_to_drain;
        home->next_to_drain = session_newer(session);
        if (!session_paced(session))
            continue;
        loop->drained++;
        session_drain(session, false);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    struct session_home *home = &loop->home;
    drain_due(loop);
    session_relieve(home);
    if (loop->drained < loop->to_drain && home->next_to_drain != NULL)
        return;
    if (home->watchers > 0 && !tracker_only_last(home->tracker))
        return;
    uv_timer_stop(timer);
    if (home->watchers > 0)
        drain_rest(home);
}

/* The time of the routes that wait is up. */
static void on_waited(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    drain_rest(&loop->home);
}

void loop_drain(struct loop *loop, const struct drain_plan *plan)
{
    struct session_home *home = &loop->home;
    uv_update_time(&home->uv);
    home->draining = true;
    home->plan = *plan;
    home->next_to_drain = home->last;
    loop->drain_began = (int64_t)uv_now(&home->uv);
    for (struct session *session = home->last, *newer; session != NULL; session = newer) {
        newer = session_newer(session);
        if (session_paced(session))
            loop->to_drain++;
        else
            session_drain(session, false); /* it is told, and not closed yet */
    }
    uv_timer_start(&loop->pace, on_pace, 0, PACE_INTERVAL);
    on_pace(&loop->pace);
    int64_t left = plan->wait_until - loop->drain_began;
    uv_timer_start(&loop->wait, on_waited, left > 0 ? (uint64_t)left : 0, 0);
}

void loop_drain_goes_on(struct loop *loop)
{
    if (loop->home.draining && loop->home.watchers > 0)
        uv_timer_start(&loop->pace, on_pace, 0, PACE_INTERVAL);
}

void loop_look(struct loop *loop)
{
    struct loops_survey *seen = &loop->seen;
    seen->listed = 0;
    memset(seen->waiting, 0, sizeof seen->waiting);
    for (struct session *session = loop->home.last; session != NULL;
         session = session_newer(session)) {
        struct session_glance glance;
        session_look(session, &glance);
        if (glance.route->handler->last)
            continue;
        seen->waiting[glance.wait]++;
        if (seen->listed < SURVEY_SESSIONS)
            seen->sessions[seen->listed++] = glance;
    }
    pthread_mutex_lock(&loop->lock);
    loop->survey = *seen;
    pthread_mutex_unlock(&loop->lock);
}

void loops_begin_drain(void *argument)
{
    struct loops *loops = argument;
    size_t turns = 0;
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        loop->plan = loops->plan;
        loop->plan.turn = turns;
        pthread_mutex_unlock(&loop->lock);
        turns += atomic_load(&loop->home.sessions) > 0;
    }
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        loop->plan.turns = turns;
        pthread_mutex_unlock(&loop->lock);
        loop_ask(loop, ASKED_DRAIN);
    }
}

void loops_plan_drain(struct loops *loops, const struct drain_plan *plan)
{
    loops->plan = *plan;
}

void loops_look(struct loops *loops)
{
    for (size_t i = 0; i < loops->count; i++)
        loop_ask(loops->loop[i], ASKED_LOOK);
}

void loops_survey(struct loops *loops, struct loops_survey *sum)
{
    sum->listed = 0;
    memset(sum->waiting, 0, sizeof sum->waiting);
    for (size_t i = 0; i < loops->count; i++) {
        struct loop *loop = loops->loop[i];
        pthread_mutex_lock(&loop->lock);
        for (size_t wait = 0; wait < WAIT_COUNT; wait++)
            sum->waiting[wait] += loop->survey.waiting[wait];
        for (size_t j = 0; j < loop->survey.listed && sum->listed < SURVEY_SESSIONS; j++)
            sum->sessions[sum->listed++] = loop->survey.sessions[j];
        pthread_mutex_unlock(&loop->lock);
    }
}
