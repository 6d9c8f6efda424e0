#include <poll.h>

#include "server/route.h"
#include "server/session_private.h"
#include "server/tcp.h"

enum {
    END_RETRY = 10,    /* milliseconds between two looks at the socket's send queue */
    PAUSE_LOOK = 1000, /* milliseconds between two looks at a peer that is not read from */
    PING_SIZE = 2,
};

static void on_timer(uv_timer_t *handle);

static int64_t sooner(int64_t one, int64_t other)
{
    return one == 0 || (other != 0 && other < one) ? other : one;
}

static int64_t session_next_time(const struct session *session)
{
    const struct session_limits *limits = session_limits(session);
    if (session->state == SESSION_ENDING && session->fin_sent)
        return sooner(session->end_at, session_now(session) + END_RETRY);
    if (session->state != SESSION_OPEN)
        return session->end_at;
    if (session->finish_at != 0)
        return sooner(session->finish_at, session->wake_at);
    int64_t next = 0;
    if (session->pinged_at != 0 && session->heard_at <= session->pinged_at)
        next = session->pinged_at + limits->ping_timeout;
    else if (limits->ping_interval != 0)
        next = session->heard_at + limits->ping_interval;
    if (session->paused)
        next = sooner(next, session_now(session) + PAUSE_LOOK);
    if (limits->idle_timeout != 0)
        next = sooner(next, session->spoken_at + limits->idle_timeout);
    if (limits->message_timeout != 0 && session->begun_at != 0)
        next = sooner(next, session->begun_at + limits->message_timeout);
    if (session->rests_until > session_now(session))
        next = sooner(next, session->rests_until);
    return sooner(sooner(next, session->expires_at), session->wake_at);
}

/* Sees to it that the timer fires in time; one that fires too early does no harm. */
void session_schedule(struct session *session)
{
    if (session->state == SESSION_ENDED)
        return;
    int64_t next = session_next_time(session);
    if (next == 0 || (session->timer_at != 0 && session->timer_at <= next))
        return;
    int64_t now = session_now(session);
    session->timer_at = next;
    uv_timer_start(&session->timer, on_timer, next > now ? (uint64_t)(next - now) : 0, 0);
}

void session_advance_soon(struct session *session)
{
    session->timer_at = session_now(session);
    uv_timer_start(&session->timer, on_timer, 0, 0);
}

void session_wake(struct session *session, int64_t milliseconds)
{
    session->wake_at = milliseconds < 0 ? 0 : session_now(session) + milliseconds;
    session_schedule(session);
}

/* When a session of this age is closed: up to a tenth earlier than the limit says. */
int64_t session_expiry(struct session *session)
{
    struct session_home *home = session->home;
    int64_t age = session_limits(session)->max_age;
    home->random = home->random * 6364136223846793005U + 1442695040888963407U;
    uint64_t share = home->random >> 33; /* the low bits are not random enough; 31 are left */
    return age == 0 ? 0 : session->opened_at + age - (int64_t)(share % (uint64_t)(age / 10 + 1));
}

static void note_ping(struct session *session, int64_t now, uint64_t taken)
{
    session->pinged_at = now;
    session->taken_at_ping = taken;
}

static void look_at_ping(struct session *session, int64_t now)
{
    const struct session_limits *limits = session_limits(session);
    if (limits->ping_interval == 0)
        return;
    if (session->pinged_at != 0 && session->heard_at >= session->pinged_at)
        session->pinged_at = 0;
    if (session->pinged_at != 0) {
        if (now < session->pinged_at + limits->ping_timeout)
            return;
        uint64_t taken = tcp_bytes_acknowledged(session->socket);
        if (session->paused && taken >= session->taken_at_ping + PING_SIZE)
            session->heard_at = now; /* its answer is not read, but its side has the Ping */
        else if (taken > session->taken_at_ping + PING_SIZE)
            note_ping(session, now, taken); /* slow, but there: the Ping may still be on its way */
        else
            session_close(session, CLOSE_GOING_AWAY, "no answer to a ping");
    } else if (now >= session->heard_at + limits->ping_interval) {
        note_ping(session, now, tcp_bytes_acknowledged(session->socket));
        output_frame(session, FRAME_PING, NULL, 0);
    }
}

/* Whether a message takes too long to arrive; the time in which it is not read from does not count
   against the peer. */
static void look_at_message(struct session *session, int64_t now)
{
    int64_t timeout = session_limits(session)->message_timeout;
    if (timeout == 0 || session->begun_at == 0 || now < session->begun_at + timeout)
        return;
    if (session->unread)
        session->begun_at = now;
    else
        session_refuse(session, CLOSE_POLICY, "a message has not arrived whole in time");
}

/*
 * A peer that is not read from: epoll is not asked, for it would tell the end of the peer's side
 * again and again, and what comes before that end has to wait. Who has ended it may still want
 * answers; a Ping makes one that has gone say so.
 */
static void look_at_pause(struct session *session)
{
    struct pollfd event = {.fd = session->socket, .events = POLLRDHUP};
    if (!session->paused || poll(&event, 1, 0) <= 0)
        return;
    if ((event.revents & (POLLERR | POLLHUP)) != 0) {
        session_broken(session);
    } else if (!session->probed) {
        session->probed = true;
        output_frame(session, FRAME_PING, NULL, 0);
    }
}

static void look_at_limits(struct session *session, int64_t now)
{
    const struct session_limits *limits = session_limits(session);
    look_at_pause(session);
    look_at_ping(session, now);
    look_at_message(session, now);
    if (limits->idle_timeout != 0 && now >= session->spoken_at + limits->idle_timeout)
        session_finish(session, CLOSE_GOING_AWAY, "idle for too long");
    if (session->expires_at != 0 && now >= session->expires_at)
        session_finish(session, CLOSE_GOING_AWAY, "open for long enough: please connect again");
}

static void look_at_times(struct session *session, int64_t now)
{
    if (session->finish_at == 0)
        look_at_limits(session, now);
    else if (now >= session->finish_at)
        session_close(session, session->code, session->reason);
    if (session->state != SESSION_OPEN || session->wake_at == 0 || now < session->wake_at)
        return;
    session->wake_at = 0;
    if (session->route->handler->wake != NULL)
        session->route->handler->wake(session);
}

static void on_timer(uv_timer_t *handle)
{
    struct session *session = handle->data;
    int64_t now = session_now(session);
    session->timer_at = 0;
    if (session->state == SESSION_OPEN) {
        look_at_times(session, now);
    } else if (session->end_at != 0 && now >= session->end_at) {
        session_end(session, session_closed_by_both(session) ? OUTCOME_HANDSHAKE : OUTCOME_FORCED);
        return;
    }
    session_advance(session);
    session_relieve(session->home);
}
