#include "server/query.h"

#include <string.h>

const char *query_find(const char *query, const char *name, size_t *length)
{
    size_t name_length = strlen(name);
    for (const char *at = query; at != NULL && *at != '\0';) {
        size_t part = strcspn(at, "&");
        if (part >= name_length && memcmp(at, name, name_length) == 0 &&
            (part == name_length || at[name_length] == '=')) {
            bool has_value = part > name_length;
            *length = has_value ? part - name_length - 1 : 0;
            return at + name_length + has_value;
        }
        at += part + (at[part] == '&');
    }
    return NULL;
}

bool query_number(const char *query, const char *name, uint64_t *number)
{
    size_t length;
    const char *value = query_find(query, name, &length);
    *number = 0;
    if (value == NULL)
        return false;
    uint64_t read = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned char)value[i] - (unsigned)'0';
        if (digit > 9 || read > (UINT64_MAX - digit) / 10)
            return true;
        read = read * 10 + digit;
    }
    *number = read;
    return true;
}
