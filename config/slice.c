#include "config/slice.h"

#include <string.h>
#include <strings.h>

#include "config/text.h"

struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

struct slice slice_trim(struct slice slice)
{
    while (slice.length > 0 && text_is_blank(slice.text[0])) {
        slice.text++;
        slice.length--;
    }
    while (slice.length > 0 && text_is_blank(slice.text[slice.length - 1]))
        slice.length--;
    return slice;
}

bool slice_equals(struct slice one, struct slice other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.text, other.text, one.length) == 0);
}

bool slice_equals_without_case(struct slice one, struct slice other)
{
    return one.length == other.length &&
           (one.length == 0 || strncasecmp(one.text, other.text, one.length) == 0);
}

bool slice_next(const char **list, struct slice *item)
{
    if (!*list)
        return false;
    size_t length = strcspn(*list, ",");
    *item = slice_trim((struct slice){*list, length});
    *list = (*list)[length] ? *list + length + 1 : NULL;
    return true;
}
