#include "server/json_escape.h"

#include <stdio.h>
#include <string.h>

#include "config/text.h"

/* The bytes of the character of UTF-8 at `at`; 0: there is none. */
static size_t character_length(const char *at, size_t left)
{
    unsigned char lead = (unsigned char)*at;
    size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return length <= left && text_is_utf8(at, length) ? length : 0;
}

size_t json_escape(const char *at, size_t left, char out[JSON_ESCAPED_MAX], size_t *written)
{
    unsigned char byte = (unsigned char)*at;
    size_t length = character_length(at, left);
    if (length == 0)
        *written = (size_t)snprintf(out, JSON_ESCAPED_MAX, "\\ufffd");
    else if (byte < ' ' || byte == 0x7F)
        *written = (size_t)snprintf(out, JSON_ESCAPED_MAX, "\\u%04x", byte);
    else if (byte == 0xC2 && (unsigned char)at[1] < 0xA0)
        *written = (size_t)snprintf(out, JSON_ESCAPED_MAX, "\\u%04x", (unsigned char)at[1]);
    else if (byte == '"' || byte == '\\')
        *written = (size_t)snprintf(out, JSON_ESCAPED_MAX, "\\%c", byte);
    else
        memcpy(out, at, *written = length);
    return length > 0 ? length : 1;
}
