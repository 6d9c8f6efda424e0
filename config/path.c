#include <stdio.h>
#include <string.h>

#include "config/routes.h"
#include "config/text.h"

static bool is_hexadecimal(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* What is wrong with the byte at `at`; NULL: nothing. */
static const char *check_byte(const char *at)
{
    if (text_is_control(*at) || *at == '\t')
        return "a control character";
    if (*at == '*')
        return "a star stands only at the end, as /*: for everything below";
    if (*at == '?' || *at == '#')
        return "a path only, without a query (?) or a fragment (#)";
    if (*at == '\\')
        return "a backslash: segments are separated by /";
    if (*at == '%' && is_hexadecimal(at[1]) && is_hexadecimal(at[2]))
        return "write the path decoded: \"/a b\", not /a%20b";
    return NULL;
}

/* What is wrong with the segment behind the slash at `slash`. */
static const char *check_segment(const char *slash, const char *end)
{
    const char *begin = slash + 1;
    size_t length = 0;

    while (begin + length < end && begin[length] != '/')
        length++;
    if (length == 0 && begin < end)
        return "two slashes in a row never match: write one";
    if (length > 0 && length <= 2 && strncmp(begin, "..", length) == 0)
        return "the segments . and .. never match: leave them out";
    return NULL;
}

int routes_check_path(const char *path, size_t *length, bool *prefix, char *why, size_t size)
{
    const char *wrong = *path == '/' ? NULL : "a path begins with /";
    size_t end = strlen(path);

    *prefix = end >= 2 && strcmp(path + end - 2, "/*") == 0;
    *length = *prefix ? end - 2 : end;
    for (const char *at = path; !wrong && at < path + *length; at++) {
        wrong = check_byte(at);
        /* The slash of the star is one too: the prefix of "//" and a star is wrong. */
        if (!wrong && *at == '/')
            wrong = check_segment(at, path + *length + (*prefix ? 1 : 0));
    }
    if (!wrong && !text_is_utf8(path, end))
        wrong = "bytes that are no UTF-8: they could be shown nowhere";
    if (!wrong)
        return 0;
    snprintf(why, size, "%s", wrong);
    return -1;
}
