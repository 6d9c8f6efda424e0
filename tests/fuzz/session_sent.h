/*
 * session_sent: what must hold of everything that a session has said, when it has ended, and of
 * everything that it has handed to its handler.
 */
#ifndef LASTCALL_TESTS_FUZZ_SESSION_SENT_H
#define LASTCALL_TESTS_FUZZ_SESSION_SENT_H

#include "server/frame.h"
#include "tests/fuzz/session_world.h"

/* --- to the handler --- */

/* What the peer has said, as the model reads it, expanded where it was compressed. It ends where
   the session must have stopped to listen, with an item that says why. */
static struct items peer_items(const struct world *world)
{
    struct items raw =
        model_read(world->to_say.data, world->said, world->limits.message, world->deflate);
    struct items items = {0};
    struct deflate *codec = deflate_new();
    bool ended = false;
    MUST(codec != NULL);
    for (size_t i = 0; i < raw.count && !ended; i++) {
        struct item item = raw.list[i];
        const uint8_t *data = item_data(&raw, &item);
        struct deflate_output output = {.data = NULL};
        enum deflate_result result = DEFLATE_DONE;
        if (item.kind == ITEM_MESSAGE && item.compressed) {
            result = deflate_expand(codec, data == NULL ? (const void *)"" : data, item.length,
                                    world->limits.message, &output);
            item.length = output.length;
            data = output.data;
        }
        if (result == DEFLATE_TOO_LARGE)
            item = (struct item){.kind = ITEM_FAILURE, .code = CLOSE_TOO_LARGE};
        else if (result != DEFLATE_DONE ||
                 (item.compressed && item.opcode == FRAME_TEXT && item.kind == ITEM_MESSAGE &&
                  !utf8_is_text(data, item.length)))
            item = (struct item){.kind = ITEM_FAILURE, .code = CLOSE_INVALID_DATA};
        items_add(&items, item, data);
        ended =
            item.kind == ITEM_FAILURE || (item.kind == ITEM_CONTROL && item.opcode == FRAME_CLOSE);
        deflate_release(codec, &output);
    }
    deflate_free(codec);
    items_free(&raw);
    return items;
}

/* The next item from *at on that is of that kind, and opcode if one is given; NULL: none. */
static const struct item *next_item(const struct items *items, size_t *at, enum item_kind kind,
                                    uint8_t opcode)
{
    while (*at < items->count) {
        const struct item *item = &items->list[(*at)++];
        if (item->kind == kind && (opcode == 0 || item->opcode == opcode))
            return item;
    }
    return NULL;
}

/* Its messages came in their order, none was changed, made up or left out, and of an undisturbed
   session's none is missing at the end. */
static void check_delivered(const struct world *world, bool peer_took)
{
    struct items items = peer_items(world);
    size_t at = 0;
    for (size_t i = 0; i < world->delivered.count; i++) {
        const struct item *got = &world->delivered.list[i];
        const struct item *meant = next_item(&items, &at, ITEM_MESSAGE, 0);
        MUST(meant != NULL && meant->opcode == got->opcode);
        MUST(bytes_equal(item_data(&world->delivered, got), got->length, item_data(&items, meant),
                         meant->length));
    }
    if (world->pure && peer_took)
        MUST(next_item(&items, &at, ITEM_MESSAGE, 0) == NULL);
    items_free(&items);
}

/* --- to the peer --- */

/* A frame of the server's. */
struct sent {
    uint8_t first;
    const uint8_t *payload;
    size_t length;
};

/* Takes a frame off; false: it has not come whole, which is right only for one that was cut. */
static bool take_sent(struct input *input, struct sent *sent)
{
    if (input->left < 2)
        return false;
    uint8_t short_length = input->at[1];
    size_t more = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
    MUST(short_length < 128); /* servers do not mask */
    if (input->left < 2 + more)
        return false;
    sent->first = input->at[0];
    sent->length = more == 0 ? short_length : 0;
    for (size_t i = 0; i < more; i++)
        sent->length = sent->length << 8 | input->at[2 + i];
    MUST(more != 2 || sent->length >= 126);
    MUST(more != 8 || sent->length >= 65536);
    if (sent->length > input->left - 2 - more)
        return false;
    sent->payload = input->at + 2 + more;
    input->at += 2 + more + sent->length;
    input->left -= 2 + more + sent->length;
    return true;
}

/* What has been found in all that was sent. */
struct checking {
    const struct world *world;
    struct items items; /* of the peer */
    size_t next_ping;   /* among them */
    size_t spoken;      /* messages so far */
    struct deflate *codec;
    bool closed;
    uint16_t code;
};

static void check_message(struct checking *checking, const struct sent *sent)
{
    const struct items *spoken = &checking->world->spoken;
    struct deflate_output whole = {(uint8_t *)(uintptr_t)sent->payload, sent->length};
    bool compressed = (sent->first & 0x40) != 0;
    MUST((sent->first & 0xB0) == 0x80 && (!compressed || checking->world->deflate));
    MUST(checking->spoken < spoken->count);
    const struct item *said = &spoken->list[checking->spoken++];
    if (compressed)
        MUST(deflate_expand(checking->codec, sent->payload, sent->length, said->length, &whole) ==
             DEFLATE_DONE);
    MUST((sent->first & 15) == said->opcode);
    MUST(bytes_equal(whole.data, whole.length, item_data(spoken, said), said->length));
    if (compressed)
        deflate_release(checking->codec, &whole);
}

static void check_control(struct checking *checking, const struct sent *sent)
{
    MUST(sent->length <= FRAME_CONTROL_MAX);
    if (sent->first == 0x8A) {
        const struct item *ping =
            next_item(&checking->items, &checking->next_ping, ITEM_CONTROL, FRAME_PING);
        MUST(ping != NULL);
        MUST(bytes_equal(sent->payload, sent->length, item_data(&checking->items, ping),
                         ping->length));
        return;
    }
    if (sent->first == 0x89) {
        const struct world *world = checking->world;
        MUST((world->limits.ping_interval > 0 || world->pauses > 0) && !world->pure);
        return;
    }
    MUST(sent->first == 0x88 && sent->length != 1);
    checking->closed = true;
    checking->code = CLOSE_NO_STATUS;
    if (sent->length == 0)
        return;
    checking->code = (uint16_t)(sent->payload[0] << 8 | sent->payload[1]);
    MUST(model_code_valid(checking->code));
    MUST(utf8_is_text(sent->payload + 2, sent->length - 2));
}

/* Of a session that nothing disturbed everything is known: each Ping was answered, each message
   sent back, and the Close is the answer to what came last, or that of the end. */
static void check_undisturbed(struct checking *checking)
{
    const struct items *items = &checking->items;
    const struct item *last = items->count > 0 ? &items->list[items->count - 1] : NULL;
    uint16_t code = CLOSE_GOING_AWAY;
    if (last != NULL &&
        (last->kind == ITEM_FAILURE || (last->kind == ITEM_CONTROL && last->opcode == FRAME_CLOSE)))
        code = last->code;
    MUST(next_item(items, &checking->next_ping, ITEM_CONTROL, FRAME_PING) == NULL);
    MUST(checking->closed && checking->code == code);
    /* The last words of the drain are spoken where no Close was said before. */
    MUST(checking->spoken == checking->world->spoken.count);
}

static void check_sent(const struct world *world, bool peer_took)
{
    struct checking checking = {.world = world, .items = peer_items(world)};
    struct input input = {world->heard.data, world->heard.length};
    struct sent sent;
    checking.codec = deflate_new();
    MUST(checking.codec != NULL);
    while (take_sent(&input, &sent)) {
        MUST(!checking.closed); /* nothing follows a Close */
        if ((sent.first & 8) == 0)
            check_message(&checking, &sent);
        else
            check_control(&checking, &sent);
    }
    MUST(!checking.closed || input.left == 0);
    if (world->route.counts->closed[OUTCOME_HANDSHAKE] == 1 && world->peer >= 0) {
        MUST(checking.closed);
        MUST(checking.spoken == world->spoken.count || world->memory->relieved > 0);
        size_t at = 0; /* both have sent their Close */
        MUST(next_item(&checking.items, &at, ITEM_CONTROL, FRAME_CLOSE) != NULL);
    }
    if (world->pure && peer_took)
        check_undisturbed(&checking);
    deflate_free(checking.codec);
    items_free(&checking.items);
}

#endif
