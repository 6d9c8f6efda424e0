#include "server/loop_private.h"

static void on_later(uv_timer_t *timer);

static void set_timer(struct loop *loop)
{
    int64_t now = (int64_t)uv_now(&loop->home.uv);
    if (loop->first_later == NULL)
        return;
    int64_t wait = loop->first_later->at - now;
    uv_timer_start(&loop->later, on_later, wait > 0 ? (uint64_t)wait : 0, 0);
}

static void on_later(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    int64_t now = (int64_t)uv_now(&loop->home.uv);
    while (loop->first_later != NULL && loop->first_later->at <= now) {
        struct later *later = loop->first_later;
        loop->first_later = later->next;
        later->task.run(&later->task);
    }
    set_timer(loop);
}

void loops_post_later(struct loops *loops, size_t place, struct later *later, int64_t milliseconds)
{
    struct loop *loop = loops->loop[place];
    struct later **at = &loop->first_later;
    later->at = (int64_t)uv_now(&loop->home.uv) + milliseconds;
    while (*at != NULL && (*at)->at <= later->at)
        at = &(*at)->next;
    later->next = *at;
    *at = later;
    set_timer(loop); /* does nothing once the loop ends */
}
