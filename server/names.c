#include "server/names.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_LEAST = 16, FEW = 8 /* a table of which less than one in so many is used shrinks */ };

static uint64_t turn(uint64_t word, unsigned bits)
{
    return word << bits | word >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = turn(v[1], 13) ^ v[0];
    v[3] = turn(v[3], 16) ^ v[2];
    v[0] = turn(v[0], 32) + v[3];
    v[2] += v[1];
    v[3] = turn(v[3], 21) ^ v[0];
    v[1] = turn(v[1], 17) ^ v[2];
    v[2] = turn(v[2], 32);
}

uint64_t names_hash(const uint64_t key[2], const char *text, size_t length)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575U, key[1] ^ 0x646f72616e646f6dU,
                     key[0] ^ 0x6c7967656e657261U, key[1] ^ 0x7465646279746573U};
    uint64_t last = (uint64_t)length << 56;
    size_t left = length;
    for (; left >= 8; left -= 8, text += 8) {
        uint64_t word = 0;
        for (unsigned i = 0; i < 8; i++)
            word |= (uint64_t)(unsigned char)text[i] << 8 * i;
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (unsigned i = 0; i < left; i++)
        last |= (uint64_t)(unsigned char)text[i] << 8 * i;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct named *names_find(const struct names *names, uint64_t hash, const char *text, size_t length)
{
    if (names->size == 0)
        return NULL;
    struct named *named = names->lists[hash & (names->size - 1)];
    while (named != NULL && (named->hash != hash || named->length != length ||
                             memcmp(named->text, text, length) != 0))
        named = named->next;
    return named;
}

/* Returns false without memory; the table is then as it was. */
static bool resize(struct names *names, size_t size)
{
    struct named **lists = calloc(size, sizeof *lists);
    if (lists == NULL)
        return false;
    for (size_t i = 0; i < names->size; i++) {
        for (struct named *named = names->lists[i], *next; named != NULL; named = next) {
            struct named **list = &lists[named->hash & (size - 1)];
            next = named->next;
            named->next = *list;
            *list = named;
        }
    }
    free(names->lists);
    names->lists = lists;
    names->size = size;
    return true;
}

bool names_add(struct names *names, struct named *named)
{
    if (names->count >= names->size &&
        !resize(names, names->size == 0 ? SIZE_LEAST : 2 * names->size) && names->size == 0)
        return false;
    struct named **list = &names->lists[named->hash & (names->size - 1)];
    named->next = *list;
    *list = named;
    names->count++;
    return true;
}

void names_remove(struct names *names, struct named *named)
{
    struct named **at = &names->lists[named->hash & (names->size - 1)];
    while (*at != named)
        at = &(*at)->next;
    *at = named->next;
    names->count--;
    if (names->count == 0) {
        free(names->lists);
        *names = (struct names){0};
    } else if (names->size > SIZE_LEAST && names->count < names->size / FEW) {
        resize(names, names->size / 2);
    }
}
