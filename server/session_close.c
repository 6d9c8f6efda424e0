#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "server/clock.h"
#include "server/route.h"
#include "server/session_private.h"
#include "server/tracker.h"

enum { READ_AWAY_TIMES = 16 };

static struct tracker_timing *session_timing(const struct session *session)
{
    return tracker_timing(session->home->tracker, session->home->place);
}

static void queue_close(struct session *session, uint16_t code, const char *reason)
{
    uint8_t frame[2 + FRAME_CONTROL_MAX];
    size_t size = frame_close(frame, code, reason);
    int64_t now = session_now(session);
    if (session->code == 0)
        session->code = code;
    session->close_queued_at = now;
    session->end_at = now + session_limits(session)->close_timeout;
    if (session->finish_at != 0 && session->finish_end_at < session->end_at)
        session->end_at = session->finish_end_at;
    if (!output_frame(session, FRAME_CLOSE, frame + 2, size - 2))
        session->end_at = now; /* no memory even for this: the end comes without it */
}

/* Our Close may have been handed to the socket whole. */
static void note_close_sent(struct session *session)
{
    const struct session_home *home = session->home;
    if (session->close_sent || session->close_queued_at == 0 || !output_empty(session) ||
        session->broken)
        return;
    session->close_sent = true;
    if (!home->draining)
        return;
    session->close_sent_at = clock_microseconds();
    histogram_add(&session_timing(session)->signal_to_close,
                  session->close_sent_at - home->plan.signal_at * 1000);
}

static void close_with(struct session *session, uint16_t code, const char *reason)
{
    if (session->state != SESSION_OPEN)
        return;
    queue_close(session, code, reason);
    session_enter(session, session->peer_closed ? SESSION_ENDING : SESSION_CLOSE_QUEUED);
    note_close_sent(session);
    session_watch(session);
    session_schedule(session);
    if (session->peer_closed)
        session_advance_soon(session); /* nothing that it still says will be waited for */
}

void session_close(struct session *session, uint16_t code, const char *reason)
{
    if (session->finish_at != 0)
        close_with(session, session->code, session->reason);
    else
        close_with(session, code, reason);
}

void session_finish(struct session *session, uint16_t code, const char *reason)
{
    const struct handler *handler = session->route->handler;
    int64_t timeout = session_limits(session)->close_timeout;
    if (session->state != SESSION_OPEN || session->finish_at != 0)
        return;
    if (handler->finish == NULL) {
        close_with(session, code, reason);
        return;
    }
    session->code = code;
    session->reason = reason;
    session->finish_at = session_now(session) + timeout * 2 / 3;
    session->finish_end_at = session_now(session) + timeout;
    handler->finish(session);
    session_schedule(session);
}

void session_refuse(struct session *session, uint16_t code, const char *why)
{
    if (session->state == SESSION_OPEN)
        session_log_failed(session, code, why);
    close_with(session, code, why);
}

/* The peer cannot be understood any more (RFC 6455, section 7.1.7). */
void session_fail(struct session *session, uint16_t code, const char *why)
{
    if (session->state == SESSION_OPEN) {
        session_log_failed(session, code, why);
        queue_close(session, code, why);
    }
    session_enter(session, SESSION_FAILED);
    input_forget(session);
}

/* The peer's Close (section 5.5.1): answered with its own code unless it answers ours; when what is
   behind the session has said all, which section 5.5.1 leaves time for. */
void session_peer_close(struct session *session, uint16_t code)
{
    const bool open = session->state == SESSION_OPEN;
    session->peer_closed = true;
    input_forget(session);
    if (open && session->route->handler->finish != NULL) {
        session_finish(session, code, "");
        return;
    }
    if (open)
        queue_close(session, code, "");
    else if (session->close_sent_at != 0) /* it was sent in the drain, which is what is timed */
        histogram_add(&session_timing(session)->close_to_answer,
                      clock_microseconds() - session->close_sent_at);
    session_enter(session, SESSION_ENDING);
}

/* Reads away what has come, within reason: a peer that never stops sending is not waited for. */
static void read_away(struct session *session)
{
    for (int i = 0; i < READ_AWAY_TIMES; i++)
        if (recv(session->socket, session->home->input, SESSION_INPUT_SIZE, MSG_DONTWAIT) <= 0)
            return;
}

/*
 * The last steps, when all that was to be sent has been handed to the socket: the server ends TCP
 * first (section 7.1.1), leaves when the peer has everything, and leaves no input unread behind,
 * which would turn the end into a reset.
 */
static void end_tcp(struct session *session)
{
    int unsent = 0;
    if (session->state == SESSION_ENDING) {
        if (ioctl(session->socket, SIOCOUTQ, &unsent) != 0 || unsent == 0) {
            read_away(session);
            session_end(session, OUTCOME_HANDSHAKE);
            return;
        }
    }
    if (!session->fin_sent) {
        shutdown(session->socket, SHUT_WR);
        session->fin_sent = true;
    }
}

/* At the end of everything that happens to a session: go on as far as possible. */
void session_advance(struct session *session)
{
    if (session->state == SESSION_ENDED)
        return;
    note_close_sent(session);
    if (session->close_sent && !session->lingers &&
        (session->state == SESSION_ENDING || session->state == SESSION_FAILED))
        end_tcp(session);
    session_watch(session);
    session_schedule(session);
}
