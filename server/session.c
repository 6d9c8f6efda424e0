#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/addresses.h"
#include "server/clock.h"
#include "server/route.h"
#include "server/session_private.h"
#include "server/tcp.h"
#include "server/tracker.h"

void session_enter(struct session *session, enum session_state state)
{
    session->state = (uint8_t)state;
}

int64_t session_now(const struct session *session)
{
    return (int64_t)uv_now(&session->home->uv);
}

const struct session_limits *session_limits(const struct session *session)
{
    return session->route->limits;
}

struct tracker_traffic *session_traffic(const struct session *session)
{
    return &session->route->counts->traffic[session->home->place];
}

/* --- what to wait for --- */

static void on_poll(uv_poll_t *handle, int status, int events);

/*
 * Watches the socket for what can be dealt with. An open session is not read from while what it
 * has to send fills half of its queue: TCP then slows down the peer that asks for so much; nor
 * while it rests, nor while its handler does not want it.
 */
void session_watch(struct session *session)
{
    if (session->state == SESSION_ENDED)
        return;
    const bool open = session->state == SESSION_OPEN && !session->peer_fin && !session->peer_closed;
    const bool held = session->paused && session->lingers && !session->peer_closed &&
                      session->state == SESSION_CLOSE_QUEUED;
    session_note_unread(
        session, held || (open && (session->paused ||
                                   session->queued > session_limits(session)->send_queue / 2)));
    int wanted = 0;
    if (session->first != NULL && session->unflushed_link == NULL)
        wanted |= UV_WRITABLE;
    if (session->peer_fin)
        ; /* nothing more will come; epoll would go on saying so */
    else if ((!open && !held) || (!session->unread && session->rests_until <= session_now(session)))
        wanted |= UV_READABLE;
    if (wanted == session->watched)
        return;
    session->watched = (int8_t)wanted;
    uv_poll_start(&session->poll, wanted, on_poll); /* fails only for a handle that is closing */
}

bool session_closed_by_both(const struct session *session)
{
    return session->peer_closed && session->close_sent;
}

static void peer_ended(struct session *session)
{
    if (session->peer_closed && (!session->close_sent || session->lingers) && !session->broken) {
        session->peer_fin = true; /* it has said its Close and waits for what is still to come */
        session_advance(session);
        return;
    }
    session_end(session, session_closed_by_both(session) ? OUTCOME_HANDSHAKE : OUTCOME_GONE);
}

/* What came before the error is still there to be read. */
void session_broken(struct session *session)
{
    int available = 0;
    session->broken = true;
    output_discard(session);
    while (ioctl(session->socket, FIONREAD, &available) == 0 && available > 0 &&
           input_read(session))
        ;
    peer_ended(session);
}

static void tell_room(struct session *session)
{
    if (!session->clogged || session->state != SESSION_OPEN ||
        session->queued > session_limits(session)->send_queue / 4)
        return;
    session->clogged = false;
    if (session->route->handler->room != NULL)
        session->route->handler->room(session);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct session *session = handle->data;
    if (status < 0) {
        session_broken(session);
        return;
    }
    if ((events & UV_WRITABLE) != 0) {
        output_flush(session);
        tell_room(session);
    }
    if ((events & UV_READABLE) != 0 && !input_read(session))
        peer_ended(session);
    else
        session_advance(session);
    session_relieve(session->home);
}

void session_flush_all(struct session_home *home)
{
    if (home->unflushed == NULL)
        return;
    while (home->unflushed != NULL) {
        struct session *session = home->unflushed;
        output_leave_unflushed(session);
        output_flush(session);
        tell_room(session);
        session_advance(session);
    }
    session_relieve(home);
}

/* --- birth and end --- */

static void session_free(struct session *session)
{
    free(session->request);
    free(session->kept);
    free(session);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    if (--session->handles == 0)
        session_free(session);
}

void session_end(struct session *session, enum tracker_outcome outcome)
{
    struct session_home *home = session->home;
    session_enter(session, SESSION_ENDED);
    if (session->code == 0)
        session->code = CLOSE_ABNORMAL;
    uv_close((uv_handle_t *)&session->poll, on_handle_closed); /* leaves epoll at once */
    uv_close((uv_handle_t *)&session->timer, on_handle_closed);
    if (outcome == OUTCOME_FORCED && !home->draining)
        tcp_forget(session->socket);
    if (!session->broken)
        shutdown(session->socket, SHUT_RDWR); /* also where a child process should hold a copy */
    close(session->socket);
    output_discard(session);
    output_leave_unflushed(session);
    input_forget(session);
    session_note_unread(session, false);

    if (home->next_to_drain == session)
        home->next_to_drain = session->newer;
    *(session->newer == NULL ? &home->first : &session->newer->older) = session->older;
    *(session->older == NULL ? &home->last : &session->older->newer) = session->newer;
    atomic_fetch_sub_explicit(&home->sessions, 1, memory_order_relaxed);
    home->watchers -= session->route->handler->last;

    tracker_duration(&session_traffic(session)->session, tracker_session_bounds,
                     (session_now(session) - session->opened_at) * 1000);
    tracker_session_ended(session->route->counts, outcome, session->code);
    session_log_closed(session, outcome);
    if (session->route->handler->close != NULL)
        session->route->handler->close(session, session->code);
    addresses_leave_session(session->use);
    tracker_leave_session(home->tracker, session->route->counts);
}

void session_discard(struct session *session)
{
    shutdown(session->socket, SHUT_RDWR);
    close(session->socket);
    session_free(session);
}

struct session *session_new(int socket, const struct route *route,
                            const struct session_opening *opening)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return NULL;
    session->socket = socket;
    session->route = route;
    session->use = opening->use;
    session->watched = -1;
    session->window_bits = (uint8_t)opening->window_bits;
    session->asked_at = opening->asked_at;
    if (opening->client->sa_family == AF_INET6)
        memcpy(&session->client.v6, opening->client, sizeof session->client.v6);
    else
        memcpy(&session->client.v4, opening->client, sizeof session->client.v4);
    if (session_keep(session, opening) == 0)
        return session;
    session_free(session);
    return NULL;
}

void session_open(struct session *session, struct session_home *home)
{
    const struct handler *handler = session->route->handler;
    if (uv_poll_init_socket(&home->uv, &session->poll, session->socket) != 0) {
        struct tracker_route *counts = session->route->counts;
        tracker_refused(counts, REFUSED_DESCRIPTORS);
        addresses_leave_session(session->use);
        session_discard(session);
        atomic_fetch_sub_explicit(&home->sessions, 1, memory_order_relaxed);
        tracker_leave_session(home->tracker, counts);
        return;
    }
    uv_timer_init(&home->uv, &session->timer); /* cannot fail */
    session->poll.data = session;
    session->timer.data = session;
    session->handles = 2;
    session->home = home;
    session->opened_at = session->heard_at = session->spoken_at = session_now(session);
    session->expires_at = session_expiry(session);
    input_begin(session);
    frame_parser_init(&session->parser, session_limits(session)->message,
                      session->window_bits != 0);

    session->newer = NULL;
    session->older = home->first;
    *(home->first == NULL ? &home->last : &home->first->newer) = session;
    home->first = session;
    home->watchers += handler->last;

    tracker_duration(&session_traffic(session)->handshake, tracker_handshake_bounds,
                     clock_microseconds() - session->asked_at);
    tracker_session_opened(session->route->counts);
    session_log_opened(session);
    if (handler->open != NULL)
        handler->open(session);
    free(session->request);
    session->request = NULL;
    if (home->draining)
        session_drain(session, session_now(session) >= home->plan.wait_until);
    else
        session_advance(session);
}

bool session_paced(const struct session *session)
{
    return !session->route->drain_waits && !session->route->handler->last;
}

void session_drain(struct session *session, bool at_last)
{
    const struct handler *handler = session->route->handler;
    const struct session_limits *limits = session_limits(session);
    bool again = at_last && handler->last; /* it has seen the others go */
    if (session->state == SESSION_OPEN && (!session->drained || again) && handler->drain != NULL)
        handler->drain(session);
    session->drained = true;
    if (at_last || session_paced(session))
        session_finish(session, limits->close_code, limits->close_reason);
    session_advance(session);
}

const char *const session_wait_names[] = {
    "waits for its turn",
    "is left to end by itself",
    "is open until what is behind it has ended",
    "has not taken what goes before our Close",
    "has not answered our Close",
    "is ending",
};

static enum session_wait session_wait(const struct session *session)
{
    if (session->state == SESSION_OPEN && session->finish_at != 0)
        return WAIT_FINISH;
    if (session->state == SESSION_OPEN)
        return session_paced(session) ? WAIT_TURN : WAIT_ITSELF;
    if (!session->close_sent)
        return WAIT_TAKEN;
    return session->state == SESSION_CLOSE_QUEUED ? WAIT_ANSWER : WAIT_END;
}

void session_look(const struct session *session, struct session_glance *glance)
{
    *glance = (struct session_glance){
        .route = session->route,
        .open = session_now(session) - session->opened_at,
        .queued = session->queued,
        .wait = session_wait(session),
    };
    memcpy(&glance->client, &session->client, sizeof session->client);
}

void session_cut(struct session *session)
{
    if (session->state != SESSION_ENDED)
        session_end(session, session_closed_by_both(session) ? OUTCOME_HANDSHAKE : OUTCOME_FORCED);
}

struct session *session_older(const struct session *session)
{
    return session->older;
}

struct session *session_newer(const struct session *session)
{
    return session->newer;
}

void session_link(struct session *session, struct session *next)
{
    session->older = next;
}
