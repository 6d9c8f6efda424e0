/*
 * session_world: a session on a loop of its own, whose clock stands still until it is told to go
 * on, the peer at the other end of a socket pair, and everything that both have said.
 */
#ifndef LASTCALL_TESTS_FUZZ_SESSION_WORLD_H
#define LASTCALL_TESTS_FUZZ_SESSION_WORLD_H

#include <sys/socket.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/deflate.h"
#include "server/log.h"
#include "server/message.h"
#include "server/route.h"
#include "server/session_home.h"
#include "server/tracker.h"
#include "tests/fuzz/model.h"
#include "tests/support/still_clock.h"

enum { FIRST_MOMENT = 1000000 }; /* milliseconds: no time is 0, which says that there is none */

struct world {
    struct session_home *home;
    struct session *session; /* NULL: it has ended */
    struct tracker *tracker;
    struct memory *memory; /* of all sessions, which is this one */
    struct session_limits limits;
    struct handler handler;
    struct route route;
    bool echo;     /* the handler sends every message back; else it does what the message says */
    bool finishes; /* the handler does, when it is woken next */
    bool paused;
    int pauses; /* and how often it was */
    bool deflate;
    int socket;       /* the session's; it may not be looked at when that has ended */
    int peer;         /* its socket; -1: closed */
    bool peer_silent; /* it has ended its side */
    size_t chop;      /* it sends so many bytes at a time; 0: as many as it can */
    struct bytes to_say;
    size_t said; /* of them: handed to its socket */
    struct bytes heard;
    struct items delivered; /* messages that the handler was given */
    struct items spoken;    /* messages that session_send took */
    int opened;
    int finished; /* times that the handler was asked to finish */
    int closed;
    uint16_t code;     /* that the handler was told */
    int64_t spoken_at; /* a message went in either direction */
    int silent;        /* times in a row that the peer said and took nothing for too long */
    bool pure;         /* nothing was done but frames sent and taken */
};

/* --- the handler --- */

static struct world *world_of(const struct session *session)
{
    return session_route_state(session);
}

static void speak(struct world *world, enum message_kind kind, const void *data, size_t length)
{
    if (world->session == NULL || session_send(world->session, kind, data, length) != SESSION_SENT)
        return;
    items_add(&world->spoken,
              (struct item){.kind = ITEM_MESSAGE, .opcode = (uint8_t)kind, .length = length}, data);
    world->spoken_at = still_clock_milliseconds;
}

static void on_open(struct session *session)
{
    struct world *world = world_of(session);
    MUST(world->opened++ == 0);
    world->session = session;
    const char *agent = session_header(session, "user-agent");
    MUST(agent != NULL && strcmp(agent, "fuzz") == 0);
}

/* What a message can ask of the handler that does not echo. */
static void obey(struct world *world, struct input order)
{
    uint8_t what = take_byte(&order);
    uint8_t how = take_byte(&order);
    if (what == 's')
        for (int i = 0; i < how; i++)
            speak(world, MESSAGE_BINARY, order.at, order.left);
    else if (what == 'c')
        session_close(world->session, (uint16_t)(4000 + how), "as you wish");
    else if (what == 'w')
        session_wake(world->session, how);
}

static void on_message(struct session *session, enum message_kind kind, void *data, size_t length)
{
    struct world *world = world_of(session);
    MUST(world->opened == 1 && world->closed == 0 && data != NULL);
    items_add(&world->delivered,
              (struct item){.kind = ITEM_MESSAGE, .opcode = (uint8_t)kind, .length = length}, data);
    world->spoken_at = still_clock_milliseconds;
    if (world->echo)
        speak(world, kind, data, length);
    else
        obey(world, (struct input){data, length});
    if (length > 0)
        memset(data, 0xEE, length); /* it may be changed in place */
}

static void on_wake(struct session *session)
{
    MUST(world_of(session)->closed == 0);
    speak(world_of(session), MESSAGE_TEXT, "awake", 5);
    if (world_of(session)->finished > 0)
        session_close(session, CLOSE_NORMAL, "finished");
}

static void on_finish(struct session *session)
{
    struct world *world = world_of(session);
    MUST(world->finished++ == 0 && world->closed == 0);
    speak(world, MESSAGE_TEXT, "to finish", 9);
    MUST(session_time_to_finish(session) == world->limits.close_timeout * 2 / 3);
}

static void on_drain(struct session *session)
{
    MUST(world_of(session)->closed == 0);
    speak(world_of(session), MESSAGE_TEXT, "last words", 10);
}

static void on_close(struct session *session, uint16_t code)
{
    struct world *world = world_of(session);
    MUST(world->closed++ == 0 && code != 0);
    world->code = code;
    world->session = NULL;
}

/* --- birth and end --- */

/* What is logged of peers that break the rules is nothing to read here. */
static void silence(void)
{
    static bool silent;
    if (!silent)
        MUST(log_start(LOG_ERROR, LOG_FORMAT_TEXT) == 0);
    silent = true;
}

/* `window_bits` 0: messages are not compressed. */
static void world_open(struct world *world, int window_bits, int send_buffer, size_t memory_limit)
{
    silence();
    const struct sockaddr_in client = {.sin_family = AF_INET};
    const struct header headers[] = {{"Host", "example.org"}, {"User-Agent", "fuzz"}};
    int pair[2];
    world->home = calloc(1, sizeof *world->home);
    world->tracker = tracker_new(1, 1);
    MUST(world->home != NULL && world->tracker != NULL);
    world->handler = (struct handler){.name = "fuzz",
                                      .open = on_open,
                                      .message = on_message,
                                      .wake = on_wake,
                                      .drain = on_drain,
                                      .finish = world->finishes ? on_finish : NULL,
                                      .close = on_close};
    world->route.name = "/fuzz";
    world->route.path = "/fuzz";
    world->route.state = world;
    world->route.handler = &world->handler;
    world->route.limits = &world->limits;
    world->route.counts = tracker_add_route(world->tracker, "/fuzz");
    world->deflate = window_bits != 0;
    still_clock_milliseconds = world->spoken_at = FIRST_MOMENT;
    still_clock_acknowledged = 0;
    MUST(uv_loop_init(&world->home->uv) == 0);
    world->home->tracker = world->tracker;
    world->memory = tracker_memory(world->tracker);
    world->memory->limit = memory_limit;
    world->home->share.memory = world->memory;
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    world->socket = pair[0];
    world->peer = pair[1];
    MUST(tracker_enter_session(world->tracker, world->route.counts) == 0);
    const struct http_request request = {
        .path = "/fuzz", .headers = headers, .header_count = COUNT(headers)};
    struct session *session =
        session_new(pair[0], &world->route,
                    &(struct session_opening){.client = (const struct sockaddr *)&client,
                                              .request = &request,
                                              .window_bits = window_bits,
                                              .asked_at = clock_microseconds()});
    MUST(session != NULL);
    atomic_fetch_add(&world->home->sessions, 1);
    session_open(session, world->home);
}

/* Everything is given back, and every count is what it must be. */
static void world_close(struct world *world)
{
    struct tracker_route *counts = world->route.counts;
    uint64_t ends = 0;
    uint64_t codes = 0;
    uv_run(&world->home->uv, UV_RUN_NOWAIT);
    MUST(uv_loop_close(&world->home->uv) == 0); /* no handle is left */
    MUST(world->home->first == NULL && world->home->last == NULL);
    MUST(world->home->sessions == 0 && world->home->watchers == 0);
    MUST(tracker_sessions(world->tracker) == 0);
    MUST(world->opened == 1 && world->closed == 1 && counts->opened == 1 && counts->open == 0);
    for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++) {
        ends += counts->closed[outcome];
        for (size_t code = 0; code < TRACKER_CODES; code++)
            codes += counts->codes[code][outcome];
    }
    MUST(ends == 1 && codes == 1);
    MUST(counts->traffic->queued == 0);
    MUST(counts->traffic->sent == world->spoken.count);
    MUST(counts->traffic->sent_bytes == world->spoken.text.length);
    uint64_t refused = counts->traffic->received - world->delivered.count;
    MUST(refused == 0 || (refused == 1 && world->limits.rate > 0));
    MUST(world->memory->held == 0);
    if (world->peer >= 0)
        close(world->peer);
    tracker_free(world->tracker);
    deflate_free(world->home->codec);
    free(world->home->spare);
    free(world->home);
    free(world->to_say.data);
    free(world->heard.data);
    items_free(&world->delivered);
    items_free(&world->spoken);
}

#endif
