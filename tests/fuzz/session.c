/*
 * A whole session between its handler and a peer that does what the input says: sends frames,
 * right or wrong and in any chops, takes what it is sent, waits, vanishes; while the server closes,
 * drains or cuts. Everything that the peer is sent must be what RFC 6455 allows, everything that
 * the handler is given what the model says that the peer sent, and in the end all must have been
 * given back.
 *
 * Input: nine bytes that choose the limits and how peer and handler are; then actions, each a
 * byte that chooses one of the table and what that one reads.
 */
#include <sys/ioctl.h>

#include "tests/fuzz/session_sent.h"
#include "tests/fuzz/session_world.h"

enum { ACTIONS_MAX = 200, RUNS_MAX = 20000, CHOPS_MAX = 1000, ENOUGH = 500000, SLACK = 100 };

static const int64_t times[] = {0, 1, 99, 100, 500, 1000, 2000, 3001, 10000, 60000};
static const size_t sizes[] = {0, 1, 124, 125, 126, 1000, 4096, 65535, 65536, 70000};

/* --- the loop and the peer --- */

/* Whether the Close of an end that has not come yet is on its way. */
static bool is_closing(const struct world *world)
{
    struct session_glance glance;
    session_look(world->session, &glance);
    return glance.wait > WAIT_ITSELF;
}

/* No session holds more than handler.h and session.c promise, whatever it is asked. */
static void run(struct world *world)
{
    session_flush_all(world->home); /* as a loop does before it waits */
    uv_run(&world->home->uv, UV_RUN_NOWAIT);
    if (world->session == NULL)
        return;
    uint64_t most = world->limits.send_queue + world->limits.message + SESSION_INPUT_SIZE;
    MUST(session_queued(world->session) <= most + sizes[COUNT(sizes) - 1] + SLACK);
    MUST(is_closing(world) || world->memory->held <= world->memory->limit);
}

/* Hands over what the peer has to say, as much as the socket takes, in its chops, but not in very
   many. Returns whether it took any. */
static bool say(struct world *world)
{
    size_t before = world->said;
    size_t left = world->to_say.length - world->said;
    size_t chop = world->chop > left / CHOPS_MAX ? world->chop : left / CHOPS_MAX;
    while (left > 0 && world->peer >= 0 && !world->peer_silent) {
        size_t most = world->chop > 0 && chop < left ? chop : left;
        ssize_t sent = send(world->peer, world->to_say.data + world->said, most, MSG_NOSIGNAL);
        if (sent <= 0)
            break;
        world->said += (size_t)sent;
        left -= (size_t)sent;
        world->silent = 0;
        if (world->chop > 0)
            run(world);
    }
    return world->said > before;
}

/* Takes at most so many bytes. Returns whether there were any. */
static bool hear(struct world *world, size_t most)
{
    uint8_t piece[4096];
    size_t before = world->heard.length;
    while (most > 0 && world->peer >= 0) {
        ssize_t got = recv(world->peer, piece, most < sizeof piece ? most : sizeof piece, 0);
        if (got <= 0)
            break;
        bytes_add(&world->heard, piece, (size_t)got);
        most -= (size_t)got;
        world->silent = 0;
    }
    still_clock_acknowledged = world->heard.length;
    return world->heard.length > before;
}

/* --- actions --- */

/* A frame; `length` bytes of the payload, or as many as are there. */
static void put_frame(struct world *world, struct input *input, uint8_t first, uint8_t *payload,
                      size_t length)
{
    uint8_t head[14] = {first};
    size_t size = 2;
    size_t more = length < 126 ? 0 : length < 65536 ? 2 : 8;
    head[1] = (uint8_t)(0x80 | (more == 0 ? length : more == 2 ? 126 : 127));
    for (size_t i = more; i > 0; i--)
        head[size++] = (uint8_t)((uint64_t)length >> 8 * (i - 1));
    for (size_t i = 0; i < 4; i++)
        head[size + i] = (uint8_t)(take_byte(input) * (i + 1));
    for (size_t i = 0; i < length; i++)
        payload[i] ^= head[size + i % 4];
    bytes_add(&world->to_say, head, size + 4);
    bytes_add(&world->to_say, payload, length);
    free(payload);
    say(world);
}

static void act_frame(struct world *world, struct input *input)
{
    uint8_t first = take_byte(input);
    size_t length = take_byte(input);
    uint8_t *payload = take_bytes(input, &length);
    put_frame(world, input, first, payload, length);
}

/* Bytes that show where each of them stood; of a small `seed` they are ASCII. To be freed. */
static uint8_t *pattern(size_t length, uint8_t seed)
{
    uint8_t *data = malloc(length + 1);
    MUST(data != NULL);
    for (size_t i = 0; i <= length; i++)
        data[i] = (uint8_t)(seed ^ i % 29);
    return data;
}

/* A frame of any length. */
static void act_large_frame(struct world *world, struct input *input)
{
    uint8_t first = take_byte(input);
    size_t length = sizes[take_byte(input) % COUNT(sizes)];
    if (world->to_say.length > ENOUGH)
        length = 0;
    uint8_t *payload = pattern(length, take_byte(input));
    put_frame(world, input, first, payload, length);
}

/* A message that expands to much more. */
static void act_compressed(struct world *world, struct input *input)
{
    uint8_t first = take_byte(input);
    size_t length = sizes[take_byte(input) % COUNT(sizes)];
    uint8_t *whole = pattern(length, take_byte(input));
    struct deflate *codec = deflate_new();
    struct deflate_output output;
    MUST(codec != NULL);
    if (deflate_compress(codec, 15, whole, length, &output)) {
        struct input made = {output.data, output.length};
        size_t size = output.length;
        uint8_t *payload = take_bytes(&made, &size);
        put_frame(world, input, first | 0x40, payload, size);
    }
    deflate_free(codec);
    free(whole);
}

static void act_bytes(struct world *world, struct input *input)
{
    size_t length = take_byte(input);
    uint8_t *bytes = take_bytes(input, &length);
    bytes_add(&world->to_say, bytes, length);
    free(bytes);
    say(world);
}

static void act_run(struct world *world, struct input *input)
{
    (void)input;
    run(world);
}

static void act_hear(struct world *world, struct input *input)
{
    hear(world, take_byte(input));
}

static void act_hear_all(struct world *world, struct input *input)
{
    (void)input;
    hear(world, SIZE_MAX);
    say(world);
}

/* What must have happened by now on an open session. */
static void check_times(struct world *world)
{
    if (is_closing(world))
        return;
    const struct session_limits *limits = &world->limits;
    MUST(limits->max_age == 0 || still_clock_milliseconds - FIRST_MOMENT < limits->max_age);
    MUST(limits->idle_timeout == 0 ||
         still_clock_milliseconds - world->spoken_at < limits->idle_timeout);
    MUST(limits->ping_interval == 0 || world->silent < 2 || world->paused);
}

static void act_wait(struct world *world, struct input *input)
{
    int64_t time = times[take_byte(input) % COUNT(times)];
    world->pure = false;
    run(world); /* what came before this time has come before it */
    still_clock_milliseconds += time;
    if (time >= world->limits.ping_interval + world->limits.ping_timeout)
        world->silent++;
    run(world);
    if (world->session != NULL)
        check_times(world);
}

static void act_peer_ends(struct world *world, struct input *input)
{
    (void)input;
    world->pure = false;
    world->peer_silent = true;
    if (world->peer >= 0)
        shutdown(world->peer, SHUT_WR);
}

static void act_peer_vanishes(struct world *world, struct input *input)
{
    (void)input;
    world->pure = false;
    if (world->peer >= 0)
        close(world->peer);
    world->peer = -1;
}

/* As a broadcast does: not in answer to the peer. */
static void act_send(struct world *world, struct input *input)
{
    size_t length = sizes[take_byte(input) % COUNT(sizes)];
    uint8_t *data = pattern(length, 'b');
    world->pure = false;
    speak(world, MESSAGE_TEXT, data, length);
    session_relieve(world->home); /* as at the end of what has happened to another session */
    free(data);
}

/* As a broadcast does it in fact: once for all. */
static void act_send_message(struct world *world, struct input *input)
{
    size_t length = sizes[take_byte(input) % COUNT(sizes)];
    uint8_t *data = pattern(length, 'm');
    const struct iovec part = {.iov_base = data, .iov_len = length};
    world->pure = false;
    struct message *message = message_new(world->memory, MESSAGE_TEXT, &part, 1);
    MUST(message != NULL);
    if (world->session != NULL && session_send_message(world->session, message) == SESSION_SENT) {
        items_add(
            &world->spoken,
            (struct item){.kind = ITEM_MESSAGE, .opcode = (uint8_t)MESSAGE_TEXT, .length = length},
            data);
        world->spoken_at = still_clock_milliseconds;
    }
    message_release(message);
    session_relieve(world->home);
    free(data);
}

static void act_pause(struct world *world, struct input *input)
{
    (void)input;
    world->pure = false;
    world->paused = !world->paused;
    world->pauses++;
    world->silent = 0;
    if (world->session != NULL)
        session_pause(world->session, world->paused);
    session_relieve(world->home);
}

static void act_close(struct world *world, struct input *input)
{
    uint16_t code = take_pair(input);
    world->pure = false;
    if (world->session != NULL)
        session_close(world->session, code,
                      "closed by the handler, which said more than fits in a "
                      "Close: \xF0\x9F\x8D\xBA\xF0\x9F\x8D\xBA\xF0\x9F\x8D"
                      "\xBA and so on, far behind what is left of it here");
}

static void act_wake(struct world *world, struct input *input)
{
    int64_t time = times[take_byte(input) % COUNT(times)];
    world->pure = false;
    if (world->session != NULL)
        session_wake(world->session, time - 1);
}

static void drain(struct world *world, bool at_last)
{
    struct session_home *home = world->home;
    if (!home->draining) {
        tracker_mark(world->tracker);
        tracker_close_gate(world->tracker);
        home->draining = true;
        home->plan = (struct drain_plan){.signal_at = still_clock_milliseconds,
                                         .wait_until = still_clock_milliseconds + 1000};
        home->next_to_drain = home->last;
    }
    if (world->session != NULL)
        session_drain(world->session, at_last);
}

static void act_drain(struct world *world, struct input *input)
{
    world->pure = false;
    drain(world, (take_byte(input) & 1) != 0);
}

static void act_cut(struct world *world, struct input *input)
{
    (void)input;
    world->pure = false;
    if (world->session != NULL)
        session_cut(world->session);
}

static void (*const actions[])(struct world *, struct input *) = {
    act_frame,    act_large_frame, act_compressed,    act_bytes, act_run,          act_hear,
    act_hear_all, act_wait,        act_send,          act_close, act_wake,         act_drain,
    act_cut,      act_peer_ends,   act_peer_vanishes, act_pause, act_send_message,
};

/* --- the course of it --- */

static void choose(struct world *world, struct input *input)
{
    static const uint64_t messages[] = {1 << 20, 125, 1000, 65536, 70000};
    static const uint64_t queues[] = {1 << 20, 4096, 65536};
    static const int64_t rates[] = {0, 0, 1, 3};
    static const int64_t chops[] = {0, 0, 1, 3, 7, 100, 5000};
    static const int buffers[] = {1 << 16, 1, 1 << 13};
    static const int windows[] = {0, 15, 9, 12};
    static const size_t memories[] = {SIZE_MAX, SIZE_MAX, 1000, 100000};
    static const int64_t controls[] = {0, 0, 2, 50};
    world->limits = (struct session_limits){
        .message = messages[take_byte(input) % COUNT(messages)],
        .send_queue = queues[take_byte(input) % COUNT(queues)],
        .ping_timeout = 500,
        .rate = rates[take_byte(input) % COUNT(rates)],
        .close_timeout = 3000,
        .close_code = CLOSE_GOING_AWAY,
        .close_reason = "server shutting down",
    };
    uint8_t on = take_byte(input);
    world->limits.ping_interval = (on & 1) != 0 ? 1000 : 0;
    world->limits.idle_timeout = (on & 2) != 0 ? 4000 : 0;
    world->limits.max_age = (on & 4) != 0 ? 20000 : 0;
    world->limits.message_timeout = (on & 32) != 0 ? 1500 : 0;
    world->limits.receive_buffer = (on & 64) != 0 ? 10000 : 0;
    world->route.drain_waits = (on & 8) != 0;
    world->finishes = (on & 128) != 0;
    world->echo = (on & 16) == 0;
    world->chop = (size_t)chops[take_byte(input) % COUNT(chops)];
    int send_buffer = buffers[take_byte(input) % COUNT(buffers)];
    int window_bits = windows[take_byte(input) % COUNT(windows)];
    uint8_t bounds = take_byte(input);
    size_t memory = memories[bounds % COUNT(memories)];
    world->limits.control_frames = controls[bounds / 16 % COUNT(controls)];
    world->pure = world->echo && world->limits.rate == 0 && world->limits.control_frames == 0 &&
                  memory == SIZE_MAX;
    world_open(world, window_bits, send_buffer, memory);
}

/* Bytes that the server has not read yet. */
static int unread(const struct world *world)
{
    int bytes = 0;
    if (world->session != NULL)
        ioctl(world->socket, FIONREAD, &bytes);
    return bytes;
}

/* Goes on until nothing changes any more. */
static void settle(struct world *world)
{
    bool moved = true;
    for (int i = 0; i < RUNS_MAX && moved; i++) {
        moved = say(world);
        int before = unread(world);
        run(world);
        moved = hear(world, SIZE_MAX) || unread(world) != before || moved;
    }
    MUST(!moved);
}

/* However things stand, it ends within close_timeout when the server wants to. */
static void finish(struct world *world, bool peer_takes)
{
    if (peer_takes)
        settle(world);
    bool before = world->session == NULL;
    drain(world, true);
    run(world);
    if (peer_takes)
        settle(world);
    MUST(!before || world->session == NULL);
    still_clock_milliseconds += world->limits.close_timeout + 1;
    run(world);
    MUST(world->session == NULL);
    hear(world, SIZE_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct world world = {.session = NULL};
    choose(&world, &input);
    bool peer_takes = (take_byte(&input) & 1) == 0;
    for (int i = 0; i < ACTIONS_MAX && input.left > 0; i++)
        actions[take_byte(&input) % COUNT(actions)](&world, &input);
    finish(&world, peer_takes);
    check_delivered(&world, peer_takes);
    check_sent(&world, peer_takes);
    world_close(&world);
    return 0;
}
