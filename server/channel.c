#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "server/channel_private.h"

struct shelves *shelves_new(void)
{
    return calloc(1, sizeof(struct shelves));
}

void shelves_free(struct shelves *shelves)
{
    free(shelves);
}

struct channels *channels_new(const struct channel_rules *rules)
{
    struct channels *channels = calloc(1, sizeof *channels);
    if (channels == NULL)
        return NULL;
    if (getrandom(channels->key, sizeof channels->key, 0) != sizeof channels->key) {
        free(channels);
        errno = EIO;
        return NULL;
    }
    channels->rules = *rules;
    pthread_mutex_init(&channels->lock, NULL);
    for (size_t i = 0; i < MEMORY_SHARES_MAX; i++) {
        channels->places[i].channels = channels;
        channels->places[i].number = i;
        channels->places[i].resume.run = flow_resume;
    }
    return channels;
}

void channels_begin(struct channels *channels, const struct channel_ground *ground)
{
    pthread_mutex_lock(&channels->lock);
    if (channels->ground.count == 0)
        channels->ground = *ground;
    pthread_mutex_unlock(&channels->lock);
}

void channels_free(struct channels *channels)
{
    for (size_t i = 0; i < MEMORY_SHARES_MAX; i++)
        home_free(&channels->places[i]);
    pthread_mutex_destroy(&channels->lock);
    free(channels);
}
