/*
 * broadcast: publish and subscribe. What one member of a channel sends reaches all others, in one
 * order for all; what ids are, and how clients get them, stands in docs/broadcast.md. The channels
 * themselves know no sessions (server/channel.h): this file brings the two together.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "handlers/handler.h"
#include "server/channel.h"
#include "server/clock.h"
#include "server/frame.h"
#include "server/message.h"
#include "server/query.h"
#include "server/session.h"
#include "server/task.h"

enum { OPTION_CHANNEL, OPTION_HISTORY, OPTION_KEEP, OPTION_ECHO_SELF };

enum { NAME_MAX_BYTES = 1024, HISTORY_MAX = 100000, KEEP_MAX = 86400000 };

static const char *const no_or_yes[] = {"no", "yes", NULL};

static const struct option options[] = {
    [OPTION_CHANNEL] = {.name = "channel",
                        .type = OPTION_TEXT,
                        .fallback = "",
                        .maximum = NAME_MAX_BYTES,
                        .help = "the one channel of this route; empty: each path is a channel of "
                                "its own,\nas below /chat/*"},
    [OPTION_HISTORY] = {.name = "history",
                        .type = OPTION_COUNT,
                        .fallback = "0",
                        .maximum = HISTORY_MAX,
                        .help = "so many messages of a channel are kept for who comes back with "
                                "?since=ID, and every\nmessage is sent with its id; 0: neither"},
    [OPTION_KEEP] = {.name = "keep",
                     .type = OPTION_DURATION,
                     .fallback = "5m",
                     .maximum = KEEP_MAX,
                     .help = "how long the history of a channel without members is kept"},
    [OPTION_ECHO_SELF] = {.name = "echo_self",
                          .type = OPTION_CHOICE,
                          .fallback = "no",
                          .choices = no_or_yes,
                          .help =
                              "yes: a member gets what it sends itself, too, in its place among "
                              "the others'"},
    {0},
};

struct broadcast {
    struct channels *channels;
    const char *channel; /* NULL: the path */
};

/* What the histories of all routes take together; there is one while there is any such route. The
   functions `start` and `stop` run on one thread. */
static struct {
    struct shelves *shelves;
    size_t routes;
} all;

/* --- what a channel does to a member --- */

static void tell_position(void *session, uint64_t id)
{
    char text[24];
    int length = snprintf(text, sizeof text, "%" PRIu64, id);
    session_send(session, MESSAGE_TEXT, text, (size_t)length);
}

static bool send_to(void *session, struct message *message)
{
    return session_send_message(session, message) == SESSION_SENT;
}

static bool clogged(void *session)
{
    return session_clogged(session);
}

/* Also one that is being closed: what it has sent before its Close is published, but no faster. */
static void pause_reading(void *session, bool paused)
{
    session_pause(session, paused);
    session_linger(session, paused);
}

static void refuse(void *session, const char *why)
{
    session_refuse(session, CLOSE_TRY_LATER, why);
}

/* --- start and stop --- */

static void broadcast_stop(void *state)
{
    struct broadcast *broadcast = state;
    channels_free(broadcast->channels);
    free(broadcast);
    if (--all.routes > 0)
        return;
    shelves_free(all.shelves);
    all.shelves = NULL;
}

static int broadcast_start(const struct option_value *values, void **state, char *error,
                           size_t error_size)
{
    const struct channel_rules rules = {
        .history = (size_t)values[OPTION_HISTORY].number,
        .keep = values[OPTION_KEEP].number,
        .echo_self = values[OPTION_ECHO_SELF].number != 0,
        .tell_position = tell_position,
        .send = send_to,
        .clogged = clogged,
        .pause = pause_reading,
        .refuse = refuse,
    };
    struct broadcast *broadcast = calloc(1, sizeof *broadcast);
    if (broadcast != NULL)
        broadcast->channels = channels_new(&rules);
    if (all.shelves == NULL)
        all.shelves = shelves_new();
    if (broadcast == NULL || broadcast->channels == NULL || all.shelves == NULL) {
        snprintf(error, error_size, "no memory, or no random numbers");
        if (broadcast != NULL && broadcast->channels != NULL)
            channels_free(broadcast->channels);
        free(broadcast);
        if (all.routes == 0) {
            shelves_free(all.shelves);
            all.shelves = NULL;
        }
        return -1;
    }
    if (values[OPTION_CHANNEL].text[0] != '\0')
        broadcast->channel = values[OPTION_CHANNEL].text;
    all.routes++;
    *state = broadcast;
    return 0;
}

/* --- WebSocket --- */

static uint64_t wall_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void post(void *loops, size_t place, struct task *task)
{
    loops_post(loops, place, task);
}

static void post_later(void *loops, size_t place, struct later *later, int64_t milliseconds)
{
    loops_post_later(loops, place, later, milliseconds);
}

static void prepare(const struct broadcast *broadcast, struct session *session)
{
    struct loops *loops = session_loops(session);
    const struct channel_ground ground = {
        .loops = loops,
        .count = loops_count(loops),
        .post = post,
        .post_later = post_later,
        .now = clock_milliseconds,
        .wall = wall_microseconds,
        .memory = session_memory(session),
        .shelves = all.shelves,
        .send_queue = session_send_queue(session),
    };
    channels_begin(broadcast->channels, &ground);
}

static void broadcast_open(struct session *session)
{
    const struct broadcast *broadcast = session_route_state(session);
    const struct http_request *request = session_request(session);
    struct member_opening opening = {
        .session = session,
        .name = broadcast->channel == NULL ? request->path : broadcast->channel,
    };
    opening.name_length = strlen(opening.name);
    opening.resumes = query_number(request->query, "since", &opening.since);
    prepare(broadcast, session);
    struct member *member = member_join(broadcast->channels, session_place(session), &opening);
    if (member == NULL) {
        refuse(session, "out of memory");
        return;
    }
    session_set_data(session, member);
    session_hold(session, (int64_t)member_cost(member));
}

static void broadcast_message(struct session *session, enum message_kind kind, void *data,
                              size_t length)
{
    struct member *member = session_data(session);
    if (member != NULL && !member_publish(member, kind, data, length))
        refuse(session, "out of memory for what it has published");
}

static void broadcast_room(struct session *session)
{
    if (session_data(session) != NULL)
        member_continue(session_data(session));
}

static void broadcast_close(struct session *session, uint16_t code)
{
    struct member *member = session_data(session);
    (void)code;
    if (member == NULL)
        return;
    session_hold(session, -(int64_t)member_cost(member));
    member_leave(member);
}

const struct handler handler_broadcast = {
    .name = "broadcast",
    .help = "what one member of a channel sends reaches all others, in one order for all",
    .options = options,
    .start = broadcast_start,
    .stop = broadcast_stop,
    .open = broadcast_open,
    .message = broadcast_message,
    .room = broadcast_room,
    .close = broadcast_close,
};
