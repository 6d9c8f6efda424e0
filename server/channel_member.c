#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/channel_private.h"
#include "server/message.h"

static const struct channel_rules *rules_of(const struct member *member)
{
    return &member->group->place->channels->rules;
}

static void go(struct member *member, void (*run)(struct task *task))
{
    member->state = MEMBER_AWAY;
    member->task.run = run;
    channel_post(member->group->home, &member->task);
}

/* --- members and groups come and go --- */

/* The group of that channel here, made if there is none; NULL: no memory. */
static struct group *find_group(struct place *place, const char *name, size_t length)
{
    struct channels *channels = place->channels;
    uint64_t hash = names_hash(channels->key, name, length);
    struct named *found = names_find(&place->groups, hash, name, length);
    if (found != NULL)
        return CONTAINER_OF(found, struct group, named);
    struct group *group = calloc(1, sizeof *group + length);
    if (group == NULL)
        return NULL;
    if (length > 0)
        memcpy(group->name, name, length);
    group->named = (struct named){.text = group->name, .length = length, .hash = hash};
    group->place = place;
    group->home = &channels->places[(hash >> 32) % channels->ground.count];
    if (names_add(&place->groups, &group->named))
        return group;
    free(group);
    return NULL;
}

static void free_group_if_empty(struct group *group)
{
    if (group->first != NULL)
        return;
    names_remove(&group->place->groups, &group->named);
    free(group);
}

static void free_member(struct member *member)
{
    struct group *group = member->group;
    *(member->before == NULL ? &group->first : &member->before->next) = member->next;
    if (member->next != NULL)
        member->next->before = member->before;
    free(member);
    free_group_if_empty(group);
}

struct member *member_join(struct channels *channels, size_t place,
                           const struct member_opening *opening)
{
    struct place *here = &channels->places[place];
    struct group *group = find_group(here, opening->name, opening->name_length);
    struct member *member = calloc(1, sizeof *member);
    if (group == NULL || member == NULL) {
        if (group != NULL)
            free_group_if_empty(group);
        free(member);
        return NULL;
    }
    member->session = opening->session;
    member->group = group;
    member->sender = ++here->senders * MEMORY_SHARES_MAX + place;
    member->resumes = opening->resumes;
    member->position = opening->since;
    member->next = group->first;
    if (group->first != NULL)
        group->first->before = member;
    group->first = member;
    go(member, home_admit);
    return member;
}

size_t member_cost(const struct member *member)
{
    return sizeof *member + sizeof(struct group) + sizeof(struct channel) +
           2 * member->group->named.length;
}

void member_leave(struct member *member)
{
    flow_forget(member);
    member->session = NULL;
    if (member->state != MEMBER_AWAY) /* else when its task is back */
        go(member, home_dismiss);
}

void member_dismissed(struct task *task)
{
    free_member(CONTAINER_OF(task, struct member, task));
}

/* --- catching up --- */

static void free_piece(struct piece *piece)
{
    for (size_t i = 0; piece != NULL && i < piece->count; i++)
        message_release(piece->messages[i]);
    free(piece);
}

/* Returns false when nothing more can be sent. */
static bool send_piece(const struct member *member)
{
    const struct channel_rules *rules = rules_of(member);
    for (size_t i = 0; member->piece != NULL && i < member->piece->count; i++)
        if (!rules->send(member->session, member->piece->messages[i]))
            return false;
    return true;
}

/* Goes on with what the home has answered. */
static void proceed(struct member *member)
{
    const struct channel_rules *rules = rules_of(member);
    member->state = MEMBER_LAGGING;
    if (member->failure != NULL) {
        rules->refuse(member->session, member->failure);
        return;
    }
    if (rules->history > 0 && !member->announced)
        rules->tell_position(member->session, member->begins);
    member->announced = true;
    if (!send_piece(member))
        return;
    if (member->live)
        member->state = MEMBER_LIVE;
    else if (!rules->clogged(member->session))
        go(member, home_admit);
}

void member_answered(struct task *task)
{
    struct member *member = CONTAINER_OF(task, struct member, task);
    struct piece *piece = member->piece;
    if (member->session == NULL) {
        go(member, home_dismiss);
    } else {
        proceed(member);
    }
    free_piece(piece);
}

void member_continue(struct member *member)
{
    if (member->state == MEMBER_LAGGING && member->failure == NULL)
        go(member, home_admit);
}

/* --- publishing --- */

bool member_publish(struct member *member, enum message_kind kind, const void *data, size_t length)
{
    struct publication *publication = publication_new(member, kind, data, length);
    if (publication == NULL)
        return false;
    flow_publish(publication, member);
    return true;
}

void member_delivered(struct task *task)
{
    struct delivery *delivery = CONTAINER_OF(task, struct delivery, task);
    struct publication *publication = delivery->publication;
    const struct channel_rules *rules = &publication->place->channels->rules;
    for (struct member *member = delivery->group->first, *next; member != NULL; member = next) {
        next = member->next;
        if (member->state == MEMBER_LIVE && member->session != NULL &&
            (rules->echo_self || member->sender != publication->sender))
            rules->send(member->session, publication->message);
    }
    if (atomic_fetch_sub(&publication->undelivered, 1) == 1)
        publication_end(publication);
}

void member_unpublished(struct task *task)
{
    struct delivery *delivery = CONTAINER_OF(task, struct delivery, task);
    struct publication *publication = delivery->publication;
    struct member *member = publication->member;
    if (member->session != NULL)
        rules_of(member)->refuse(member->session, "out of memory for what it has published");
    publication_end(publication);
}
