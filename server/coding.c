#include "server/coding.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { ABSENT = -1, FULL_WEIGHT = 1000 };

static const char blanks[] = " \t";

/* One coding of the list. */
struct element {
    const char *name;
    size_t length;
    int weight; /* in thousandths */
};

/* "0", "0.5", "1.000": at most three decimals, at most 1 (12.4.2). Returns 0 for all else. */
static int parse_weight(const char *text, size_t length)
{
    static const int places[] = {100, 10, 1};
    if (length == 0 || length > 5 || (text[0] != '0' && text[0] != '1') ||
        (length > 1 && text[1] != '.'))
        return 0;
    int weight = text[0] == '1' ? FULL_WEIGHT : 0;
    for (size_t i = 2; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return 0;
        weight += (text[i] - '0') * places[i - 2];
    }
    return weight <= FULL_WEIGHT ? weight : 0;
}

/* What stands behind the name, from ";q=" on or nothing, up to `end`. */
static int read_weight(const char *text, const char *end)
{
    while (end > text && strchr(blanks, end[-1]) != NULL)
        end--;
    text += strspn(text, blanks);
    if (text >= end)
        return FULL_WEIGHT;
    if (*text != ';')
        return 0;
    text++;
    text += strspn(text, blanks);
    if (strncasecmp(text, "q=", 2) != 0)
        return 0;
    text += 2;
    return text < end ? parse_weight(text, (size_t)(end - text)) : 0;
}

/* Reads the element at *list and moves it behind that. Returns whether there was one. */
static bool next_element(const char **list, struct element *element)
{
    const char *text = *list + strspn(*list, " \t,");
    const char *end = text + strcspn(text, ",");
    if (text == end)
        return false;
    *list = end;
    element->name = text;
    element->length = strcspn(text, " \t;,");
    element->weight = read_weight(text + element->length, end);
    return true;
}

static bool is_called(const struct element *element, const char *name)
{
    return element->length == strlen(name) &&
           strncasecmp(element->name, name, element->length) == 0;
}

bool coding_wants_gzip(const char *accept_encoding)
{
    int gzip = ABSENT;
    int plain = ABSENT;
    int other = ABSENT;
    struct element element;
    while (accept_encoding != NULL && next_element(&accept_encoding, &element)) {
        if (is_called(&element, "gzip") || is_called(&element, "x-gzip"))
            gzip = element.weight;
        else if (is_called(&element, "identity"))
            plain = element.weight;
        else if (is_called(&element, "*"))
            other = element.weight;
    }
    gzip = gzip == ABSENT ? other : gzip;
    plain = plain == ABSENT ? other : plain;
    return gzip > 0 && gzip >= plain;
}
