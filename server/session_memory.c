#include "server/session_private.h"
#include "server/tracker.h"

static const char why[] = "all WebSockets together hold too much memory, and this one the most";

void session_hold(struct session *session, int64_t bytes)
{
    memory_hold(&session->home->share, &session->holder, bytes);
}

void session_hold_shared(struct session *session, int64_t bytes)
{
    memory_rank(&session->home->share, &session->holder, bytes);
}

void session_note_unread(struct session *session, bool unread)
{
    int64_t cost = 2 * (int64_t)session_limits(session)->receive_buffer;
    if (unread == session->unread)
        return;
    session_hold(session, unread ? cost : -cost);
    session->unread = unread;
    if (!unread && session->begun_at != 0)
        session->begun_at = session_now(session); /* only from now on it can become whole */
}

/* A session that cannot take its Close soon, or is too large even for that wait, is cut when its
   turn comes again. */
static void take_memory(struct session *session)
{
    struct memory *memory = session->home->share.memory;
    bool first = session->code != CLOSE_TRY_LATER;
    if (first)
        atomic_fetch_add_explicit(&memory->relieved, 1, memory_order_relaxed);
    if (session->state != SESSION_OPEN) {
        if (first)
            session_log_failed(session, CLOSE_TRY_LATER, why);
        session_cut(session);
        return;
    }
    session->muted = true; /* half a message will never be whole */
    input_forget(session);
    output_drop(session);
    session_refuse(session, CLOSE_TRY_LATER, why);
    session_advance(session);
}

void session_relieve(struct session_home *home)
{
    struct holder *holder;
    while ((holder = memory_relieve(&home->share)) != NULL)
        take_memory((struct session *)((char *)holder - offsetof(struct session, holder)));
}
