/*
 * What is published on one loop and not yet delivered by all others is counted, whoever delivers
 * it last takes it off the count, and a loop with too much of it pauses who publishes there. A
 * loop that pauses looks at the count once more afterwards: between the two it may have come down.
 */
#include <stdlib.h>
#include <string.h>

#include "server/channel_private.h"
#include "server/message.h"

enum {
    RESUMED_AT_ONCE = 16, /* members, so that not all of them speak at the same moment */
    COUNT_MAX = 256,      /* publications on their way: each is work, however small it is */
};

static size_t most_waiting(const struct place *place)
{
    return place->channels->ground.send_queue;
}

/* --- what is on its way --- */

/* Bytes that it counts for: as many members as there are wait for each. */
static size_t weight(const struct place *place, size_t bytes)
{
    size_t least = most_waiting(place) / COUNT_MAX;
    return bytes > least ? bytes : least;
}

/* Without a history nothing is to be added to it: it is encoded where it comes from, so that the
   home has less to do. */
static bool encode_or_copy(struct publication *publication, const void *data)
{
    const struct channels *channels = publication->place->channels;
    if (channels->rules.history > 0) {
        if (publication->length > 0)
            memcpy(publication->data, data, publication->length);
        return true;
    }
    const struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = publication->length};
    publication->message = message_new(channels->ground.memory, publication->kind, &part, 1);
    return publication->message != NULL;
}

struct publication *publication_new(struct member *member, enum message_kind kind, const void *data,
                                    size_t length)
{
    struct place *place = member->group->place;
    const struct channels *channels = place->channels;
    size_t size = sizeof(struct publication) + channels->ground.count * sizeof(struct delivery);
    size_t copied = channels->rules.history > 0 ? length : 0;
    struct publication *publication = malloc(size + copied);
    if (publication == NULL)
        return NULL;
    *publication = (struct publication){
        .task.run = home_publish,
        .place = place,
        .group = member->group,
        .member = member,
        .sender = member->sender,
        .counted = weight(place, size + length),
        .kind = kind,
        .length = length,
        .data = (uint8_t *)publication + size,
    };
    if (encode_or_copy(publication, data))
        return publication;
    free(publication);
    return NULL;
}

static void resume_soon(struct place *place)
{
    enum flow expected = STOPPED;
    if (atomic_compare_exchange_strong(&place->flow, &expected, RESUMING))
        channel_post(place, &place->resume);
}

void publication_end(struct publication *publication)
{
    struct place *place = publication->place;
    size_t counted = publication->counted;
    if (publication->message != NULL)
        message_release(publication->message);
    free(publication);
    size_t left = atomic_fetch_sub(&place->waiting, counted) - counted;
    if (left <= most_waiting(place) / 2)
        resume_soon(place);
}

/* --- who waits for it --- */

static void stop(struct place *place)
{
    enum flow expected = FLOWING;
    atomic_compare_exchange_strong(&place->flow, &expected, STOPPED);
    if (atomic_load(&place->waiting) <= most_waiting(place) / 2)
        resume_soon(place);
}

static void pause_member(struct member *member)
{
    struct place *place = member->group->place;
    if (member->paused)
        return;
    member->paused = true;
    member->paused_before = place->paused_last;
    *(place->paused_last == NULL ? &place->paused_first : &place->paused_last->paused_next) =
        member;
    place->paused_last = member;
    place->channels->rules.pause(member->session, true);
}

void flow_forget(struct member *member)
{
    struct place *place = member->group->place;
    if (!member->paused)
        return;
    *(member->paused_before == NULL ? &place->paused_first : &member->paused_before->paused_next) =
        member->paused_next;
    *(member->paused_next == NULL ? &place->paused_last : &member->paused_next->paused_before) =
        member->paused_before;
    member->paused_before = member->paused_next = NULL;
    member->paused = false;
}

void flow_publish(struct publication *publication, struct member *member)
{
    struct place *place = publication->place;
    size_t counted = publication->counted;
    size_t before = atomic_fetch_add(&place->waiting, counted);
    channel_post(member->group->home, &publication->task);
    if (before + counted <= most_waiting(place))
        return;
    pause_member(member);
    stop(place);
}

void flow_resume(struct task *task)
{
    struct place *place = CONTAINER_OF(task, struct place, resume);
    atomic_store(&place->flow, FLOWING);
    for (int i = 0; i < RESUMED_AT_ONCE && place->paused_first != NULL; i++) {
        if (atomic_load(&place->waiting) > most_waiting(place) / 2)
            break;
        struct member *member = place->paused_first;
        flow_forget(member);
        place->channels->rules.pause(member->session, false);
    }
    if (place->paused_first != NULL)
        stop(place);
}
