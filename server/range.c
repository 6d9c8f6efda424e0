#include "server/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define ABSENT ((int64_t)-1)

/* Reads the digits at *text and moves it behind them; a number that is too large becomes
   INT64_MAX, which is as far behind every end as the number itself. */
static int64_t read_number(const char **text)
{
    int64_t number = ABSENT;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        int64_t before = number == ABSENT ? 0 : number;
        int digit = **text - '0';
        number = before > (INT64_MAX - digit) / 10 ? INT64_MAX : before * 10 + digit;
    }
    return number;
}

/* "500-999", "500-" or "-500" (14.1.2). */
static bool read_positions(const char *text, int64_t *first, int64_t *last)
{
    *first = read_number(&text);
    if (*text++ != '-')
        return false;
    *last = read_number(&text);
    if (*text != '\0' || (*first == ABSENT && *last == ABSENT))
        return false;
    return *first == ABSENT || *last == ABSENT || *first <= *last;
}

enum range_kind range_parse(const char *text, int64_t size, struct range *range)
{
    static const char unit[] = "bytes=";
    int64_t first;
    int64_t last;
    if (text == NULL || size <= 0 || strncasecmp(text, unit, strlen(unit)) != 0 ||
        !read_positions(text + strlen(unit), &first, &last))
        return RANGE_ALL;
    if (first == ABSENT) { /* the last so many bytes */
        first = last < size ? size - last : 0;
        last = ABSENT;
    }
    if (first >= size)
        return RANGE_UNSATISFIABLE;
    if (last == ABSENT || last >= size)
        last = size - 1;
    *range = (struct range){.first = first, .length = last - first + 1};
    return RANGE_PART;
}
