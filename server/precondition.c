#include "server/precondition.h"

#include <stddef.h>
#include <string.h>

#include "server/date.h"

enum comparison { STRONG, WEAK };

static const char blanks[] = " \t";

/*
 * Compares the tag at `text` with ours, and returns what stands behind it; NULL: that is no tag.
 * A weak one, W/"...", is never equal by strong comparison (8.8.3.2); ours is none.
 */
static const char *compare_tag(const char *text, const char *ours, enum comparison how, bool *equal)
{
    bool weak = strncmp(text, "W/", 2) == 0;
    text += weak ? 2 : 0;
    const char *end = *text == '"' ? strchr(text + 1, '"') : NULL;
    if (end == NULL)
        return NULL;
    end++;
    size_t length = (size_t)(end - text);
    *equal = !(weak && how == STRONG) && ours != NULL && strlen(ours) == length &&
             memcmp(text, ours, length) == 0;
    return end;
}

/* Whether our tag is in the list, or the list is a star: there is something. */
static bool list_holds(const char *list, const char *ours, enum comparison how)
{
    list += strspn(list, blanks);
    if (*list == '*' && list[1 + strspn(list + 1, blanks)] == '\0')
        return true;
    for (list += strspn(list, " \t,"); *list != '\0'; list += strspn(list, " \t,")) {
        bool equal = false;
        list = compare_tag(list, ours, how, &equal);
        if (list == NULL || equal)
            return equal;
        size_t gap = strspn(list, blanks);
        if (list[gap] != ',' && list[gap] != '\0')
            return false;
    }
    return false;
}

static bool modified_after(const char *date, const struct validators *validators, int64_t now,
                           bool otherwise)
{
    int64_t seconds;
    if (date == NULL || validators->tag == NULL || date_parse(date, now, &seconds) != 0)
        return otherwise;
    return validators->modified > seconds;
}

int precondition_check(const struct preconditions *conditions, const struct validators *validators,
                       int64_t now)
{
    if (conditions->if_match != NULL) {
        if (!list_holds(conditions->if_match, validators->tag, STRONG))
            return 412;
    } else if (modified_after(conditions->if_unmodified_since, validators, now, false)) {
        return 412;
    }
    if (conditions->if_none_match != NULL)
        return list_holds(conditions->if_none_match, validators->tag, WEAK) ? 304 : 200;
    return modified_after(conditions->if_modified_since, validators, now, true) ? 200 : 304;
}

bool precondition_range(const char *if_range, const struct validators *validators, int64_t now)
{
    int64_t seconds;
    bool equal = false;
    if (if_range == NULL)
        return true;
    const char *behind = compare_tag(if_range, validators->tag, STRONG, &equal);
    if (behind != NULL)
        return equal && *behind == '\0';
    return validators->tag != NULL && date_parse(if_range, now, &seconds) == 0 &&
           seconds == validators->modified && seconds < now; /* else it is a weak one */
}
