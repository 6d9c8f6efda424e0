#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel_private.h"
#include "server/message.h"

enum {
    PIECE_MESSAGES = 512, /* for one that catches up, at a time */
    PIECE_SHARE = 4,      /* and at most one in so many of its send queue, in bytes */
    MEMORY_SHARE = 4,     /* all histories: one in so many of limits.memory */
    RESERVE_SHARE = 8,    /* and nothing where less of it is left than this */
    SWEEP_LEAST = 100,    /* milliseconds */
    ID_MAX = 20,          /* digits */
};

/* --- the shelf: what keeps messages, by the time at which it was added to --- */

static struct shelf *shelf_of(const struct channel *channel)
{
    return &channel->home->channels->ground.shelves->shelf[channel->home->number];
}

/* What a history takes; nothing without messages. */
static size_t weight(const struct channel *channel)
{
    return channel->history.count == 0
               ? 0
               : channel->history.bytes + sizeof *channel + channel->named.length;
}

static void take_off_shelf(struct channel *channel)
{
    struct shelf *shelf = shelf_of(channel);
    if (channel->newer == NULL && shelf->newest != channel)
        return;
    *(channel->newer == NULL ? &shelf->newest : &channel->newer->older) = channel->older;
    *(channel->older == NULL ? &shelf->oldest : &channel->older->newer) = channel->newer;
    channel->newer = channel->older = NULL;
}

static void put_on_shelf(struct channel *channel)
{
    struct shelf *shelf = shelf_of(channel);
    channel->older = shelf->newest;
    *(shelf->newest == NULL ? &shelf->oldest : &shelf->newest->newer) = channel;
    shelf->newest = channel;
}

/* --- channels come and go --- */

static void forget_idle(struct place *home, struct channel *channel)
{
    if (channel->idle_before == NULL && home->idle_first != channel)
        return;
    *(channel->idle_before == NULL ? &home->idle_first : &channel->idle_before->idle_after) =
        channel->idle_after;
    *(channel->idle_after == NULL ? &home->idle_last : &channel->idle_after->idle_before) =
        channel->idle_before;
    channel->idle_before = channel->idle_after = NULL;
}

static void free_channel(struct place *home, struct channel *channel)
{
    if (channel->history.last > home->last)
        home->last = channel->history.last;
    shelf_of(channel)->bytes -= weight(channel);
    take_off_shelf(channel);
    forget_idle(home, channel);
    history_clear(&channel->history);
    names_remove(&home->homes, &channel->named);
    free(channel);
}

/* No id may be given twice, nor be a position that was told for another channel of the same name:
   whoever comes back with it would be told that nothing is missing. */
static uint64_t first_position(const struct place *home)
{
    uint64_t now = home->channels->ground.wall();
    return now > home->last ? now : home->last + 1;
}

/* Returns NULL without memory. */
static struct channel *make_channel(struct place *home, const struct named *name)
{
    struct channel *channel = calloc(1, sizeof *channel + name->length);
    if (channel == NULL)
        return NULL;
    if (name->length > 0)
        memcpy(channel->name, name->text, name->length);
    channel->named = *name;
    channel->named.text = channel->name;
    channel->home = home;
    channel->history.last = first_position(home);
    if (names_add(&home->homes, &channel->named))
        return channel;
    free(channel);
    return NULL;
}

/* The group's channel, made if there is none; the group is one of its groups then. */
static struct channel *enter_channel(struct group *group)
{
    struct place *home = group->home;
    if (group->channel != NULL)
        return group->channel;
    const struct named *name = &group->named;
    struct named *found = names_find(&home->homes, name->hash, name->text, name->length);
    struct channel *channel =
        found == NULL ? make_channel(home, name) : CONTAINER_OF(found, struct channel, named);
    if (channel == NULL)
        return NULL;
    forget_idle(home, channel);
    group->channel = channel;
    group->next = channel->groups;
    channel->groups = group;
    return channel;
}

/* --- channels without members --- */

static void sweep(struct task *task);

static void sweep_later(struct place *home)
{
    const struct channel_ground *ground = &home->channels->ground;
    if (home->sweeping || home->idle_first == NULL)
        return;
    int64_t wait = home->idle_first->free_at - ground->now();
    home->sweeping = true;
    home->sweep.task.run = sweep;
    ground->post_later(ground->loops, home->number, &home->sweep,
                       wait < SWEEP_LEAST ? SWEEP_LEAST : wait);
}

static void sweep(struct task *task)
{
    struct place *home = CONTAINER_OF(task, struct place, sweep.task);
    int64_t now = home->channels->ground.now();
    home->sweeping = false;
    while (home->idle_first != NULL && home->idle_first->free_at <= now)
        free_channel(home, home->idle_first);
    sweep_later(home);
}

/* The last member has left. */
static void keep_or_free(struct channel *channel)
{
    struct place *home = channel->home;
    const struct channels *channels = home->channels;
    if (channel->history.count == 0 || channels->rules.keep == 0) {
        free_channel(home, channel);
        return;
    }
    channel->free_at = channels->ground.now() + channels->rules.keep;
    channel->idle_before = home->idle_last;
    *(home->idle_last == NULL ? &home->idle_first : &home->idle_last->idle_after) = channel;
    home->idle_last = channel;
    sweep_later(home);
}

void home_free(struct place *place)
{
    while (place->idle_first != NULL)
        free_channel(place, place->idle_first);
}

/* Whether the histories here take more than their share, or everything together nearly all there
   is: what is kept for who may come back gives way to who is there. */
static bool too_full(const struct place *home)
{
    const struct channel_ground *ground = &home->channels->ground;
    size_t limit = ground->memory->limit;
    size_t held = atomic_load_explicit(&ground->memory->held, memory_order_relaxed);
    return ground->shelves->shelf[home->number].bytes > limit / MEMORY_SHARE / ground->count ||
           held > limit - limit / RESERVE_SHARE;
}

/* Lets go of the oldest of whichever channel has been quiet for longest. */
static void relieve_shelf(const struct place *home)
{
    struct shelf *shelf = &home->channels->ground.shelves->shelf[home->number];
    while (shelf->oldest != NULL && too_full(home)) {
        struct channel *oldest = shelf->oldest;
        size_t before = weight(oldest);
        history_drop(&oldest->history);
        shelf->bytes -= before - weight(oldest);
        if (oldest->history.count > 0)
            continue;
        take_off_shelf(oldest);
        if (oldest->groups == NULL)
            free_channel(oldest->home, oldest);
    }
}

/* --- members --- */

/* Where a newcomer begins, behind which message. */
static void place_newcomer(const struct channel_rules *rules, struct member *member,
                           const struct history *history)
{
    if (rules->history > 0 && member->resumes)
        member->position = history_resume(history, member->position);
    else
        member->position = history->last;
    member->begins = member->position;
}

/* Hands over the next messages, but for those that it has published itself and is not to get. */
static void fill_piece(const struct channels *channels, struct member *member,
                       const struct history *history)
{
    size_t room = channels->ground.send_queue / PIECE_SHARE;
    struct piece *piece = member->piece;
    size_t bytes = 0;
    while (member->position < history->last && piece->count < PIECE_MESSAGES && bytes <= room) {
        const struct history_entry *entry = history_at(history, ++member->position);
        if (entry->sender == member->sender && !channels->rules.echo_self)
            continue;
        message_keep(entry->message);
        piece->messages[piece->count++] = entry->message;
        bytes += message_length(entry->message);
    }
}

/* Gives a member what comes after its position, or as much of it as it takes at a time. */
static void serve(const struct channels *channels, struct member *member,
                  const struct history *history)
{
    member->piece = NULL;
    member->live = member->position == history->last;
    if (member->live)
        return;
    if (member->position + 1 < history_oldest(history)) {
        member->failure = "the history has moved on faster than it was read";
        return;
    }
    uint64_t left = history->last - member->position;
    size_t most = left < PIECE_MESSAGES ? (size_t)left : PIECE_MESSAGES;
    member->piece = calloc(1, sizeof *member->piece + most * sizeof(struct message *));
    if (member->piece == NULL) {
        member->failure = "out of memory for the history";
        return;
    }
    fill_piece(channels, member, history);
    member->live = member->position == history->last;
}

void home_admit(struct task *task)
{
    struct member *member = CONTAINER_OF(task, struct member, task);
    struct group *group = member->group;
    const struct channels *channels = group->home->channels;
    struct channel *channel = enter_channel(group);
    if (channel == NULL) {
        member->failure = "out of memory for the channel";
    } else {
        if (!member->counted) {
            place_newcomer(&channels->rules, member, &channel->history);
            group->counted++;
            member->counted = true;
        }
        serve(channels, member, &channel->history);
        relieve_shelf(group->home); /* what others compress for a newcomer is kept, too */
    }
    task->run = member_answered;
    channel_post(group->place, task);
}

static void leave_channel(struct group *group)
{
    struct channel *channel = group->channel;
    struct group **at = &channel->groups;
    while (*at != group)
        at = &(*at)->next;
    *at = group->next;
    group->next = NULL;
    group->channel = NULL;
    if (channel->groups == NULL)
        keep_or_free(channel);
}

void home_dismiss(struct task *task)
{
    struct member *member = CONTAINER_OF(task, struct member, task);
    struct group *group = member->group;
    if (member->counted && --group->counted == 0)
        leave_channel(group);
    task->run = member_dismissed;
    channel_post(group->place, task);
}

/* --- what is published --- */

/* Keeps the message. */
static void keep_message(struct channel *channel, const struct publication *publication)
{
    struct shelf *shelf = shelf_of(channel);
    size_t before = weight(channel);
    take_off_shelf(channel);
    history_add(&channel->history, channel->home->channels->rules.history, publication->message,
                publication->sender);
    shelf->bytes += weight(channel) - before;
    if (channel->history.count > 0)
        put_on_shelf(channel);
    relieve_shelf(channel->home);
}

/* Gives it its id, and its place in the order. Returns false without memory. */
static bool enlist(struct channel *channel, struct publication *publication)
{
    const struct channels *channels = channel->home->channels;
    char id[ID_MAX + 2];
    if (publication->message == NULL) {
        int length = snprintf(id, sizeof id, "%" PRIu64 "\n", channel->history.last + 1);
        const struct iovec parts[] = {
            {.iov_base = id, .iov_len = (size_t)length},
            {.iov_base = publication->data, .iov_len = publication->length}};
        publication->message = message_new(channels->ground.memory, publication->kind, parts, 2);
    }
    if (publication->message == NULL)
        return false;
    keep_message(channel, publication);
    return true;
}

static void send_delivery(struct publication *publication, size_t number, struct group *to,
                          void (*run)(struct task *task))
{
    struct delivery *delivery = &publication->deliveries[number];
    *delivery = (struct delivery){
        .task.run = run,
        .publication = publication,
        .group = to,
    };
    channel_post(to->place, &delivery->task);
}

void home_publish(struct task *task)
{
    struct publication *publication = CONTAINER_OF(task, struct publication, task);
    struct channel *channel = publication->group->channel;
    if (channel == NULL) { /* there was no memory for it, and its members are being closed */
        publication_end(publication);
        return;
    }
    if (!enlist(channel, publication)) {
        send_delivery(publication, 0, publication->group, member_unpublished);
        return;
    }
    size_t groups = 0;
    for (const struct group *group = channel->groups; group != NULL; group = group->next)
        groups++;
    atomic_store(&publication->undelivered, groups);
    size_t number = 0;
    for (struct group *group = channel->groups; number < groups; group = group->next)
        send_delivery(publication, number++, group, member_delivered);
}
