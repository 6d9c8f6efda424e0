#include "config/member.h"

#include <stdlib.h>
#include <string.h>

#include "config/buffer.h"

int member_set(void *base, const struct config_key *key, const struct option_value *value)
{
    char *member = (char *)base + key->offset;

    if (key->option.type == OPTION_TEXT) {
        char *copy = buffer_copy(value->text, strlen(value->text));
        memcpy(member, &copy, sizeof(copy));
        return copy ? 0 : -1;
    }
    if (key->option.type == OPTION_TOLERANCE) {
        struct config_tolerance tolerance = {.number = value->number, .percent = value->percent};
        memcpy(member, &tolerance, sizeof(tolerance));
    } else {
        memcpy(member, &value->number, sizeof(value->number));
    }
    return 0;
}

struct option_value member_get(const void *base, const struct config_key *key)
{
    const char *member = (const char *)base + key->offset;
    struct option_value value = {0};

    if (key->option.type == OPTION_TEXT) {
        memcpy(&value.text, member, sizeof(value.text));
    } else if (key->option.type == OPTION_TOLERANCE) {
        struct config_tolerance tolerance;
        memcpy(&tolerance, member, sizeof(tolerance));
        value.number = tolerance.number;
        value.percent = tolerance.percent;
    } else {
        memcpy(&value.number, member, sizeof(value.number));
    }
    return value;
}

void member_free(void *base, const struct config_key *key)
{
    char *text;

    if (key->option.type != OPTION_TEXT)
        return;
    memcpy(&text, (char *)base + key->offset, sizeof(text));
    free(text);
}
