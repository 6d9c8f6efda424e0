#include "config/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LENGTH_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * How many letters must be put in, left out, changed or swapped with their neighbour. Only the
 * last three rows of the usual table are kept.
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][LENGTH_MAX + 1];
    size_t length_a = strlen(a);
    size_t length_b = strlen(b);

    if (length_a > LENGTH_MAX || length_b > LENGTH_MAX)
        return LENGTH_MAX;
    for (size_t j = 0; j <= length_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            row[j] = least(above[j], row[j - 1]) + 1;
            row[j] = least(row[j], above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[length_a % 3][length_b];
}

/* Far enough off to be a guess that only confuses. */
static size_t too_far(const char *read)
{
    return 2 + strlen(read) / 4;
}

void names_offer(struct names *names, const char *name)
{
    size_t used = strlen(names->list);
    size_t away = distance(names->read, name);

    snprintf(names->list + used, sizeof(names->list) - used, "%s%s", used ? ", " : "", name);
    /* "threads" for "http_threads": many letters away, yet plain what is meant. */
    if (strlen(names->read) >= 4 && strcasestr(name, names->read))
        away = least(away, too_far(names->read) - 1);
    /* Of a short word as much as half must be right: "on" is not a misspelt "no". */
    if (away < (names->nearest ? names->distance : too_far(names->read)) &&
        away * 2 < strlen(name)) {
        names->nearest = name;
        names->distance = away;
    }
}

const char *names_hint(const struct names *names, char *text, size_t size)
{
    snprintf(text, size, "%s%s%s%s%s", names->nearest ? "did you mean " : "",
             names->nearest ? names->nearest : "", names->nearest ? "? " : "",
             names->list[0] ? "allowed: " : "", names->list);
    return text;
}
