/*
 * headers: the lines of an input as a request's headers, and their values as lists, the slow way.
 */
#ifndef LASTCALL_TESTS_FUZZ_HEADERS_H
#define LASTCALL_TESTS_FUZZ_HEADERS_H

#include <strings.h>

#include "server/handshake.h"
#include "tests/fuzz/fuzz.h"

enum { HEADERS_MAX = 64 };

struct headers {
    struct header list[HEADERS_MAX];
    size_t count;
};

/* Takes lines like "Name: value"; one without a colon has an empty value. To be freed. */
static inline struct headers take_headers(struct input *input)
{
    struct headers headers = {.count = 0};
    while (input->left > 0 && headers.count < HEADERS_MAX) {
        char *name = take_text(input, '\n');
        size_t length = strcspn(name, ":");
        char *value = strdup(name + length + strspn(name + length, ": "));
        MUST(value != NULL);
        name[length] = '\0';
        headers.list[headers.count++] = (struct header){.name = name, .value = value};
    }
    return headers;
}

static inline void headers_free(struct headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        free_text(headers->list[i].name);
        free_text(headers->list[i].value);
    }
}

/* A copy without the blanks and tabs around it. To be freed. */
static inline char *trimmed(const char *text, size_t length)
{
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    char *copy = strndup(text, length);
    MUST(copy != NULL);
    return copy;
}

/* The texts between the separators, each trimmed. */
struct parts {
    char **list;
    size_t count;
};

static inline void parts_add(struct parts *parts, const char *text, char separator)
{
    for (;;) {
        const char *end = strchr(text, separator);
        size_t length = end == NULL ? strlen(text) : (size_t)(end - text);
        parts->list = realloc(parts->list, (parts->count + 1) * sizeof *parts->list);
        MUST(parts->list != NULL);
        parts->list[parts->count++] = trimmed(text, length);
        if (end == NULL)
            return;
        text = end + 1;
    }
}

static inline void parts_free(struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        free(parts->list[i]);
    free(parts->list);
}

/* Everything that the headers of that name list between their commas. To be freed. */
static inline struct parts list_of(const struct headers *headers, const char *name)
{
    struct parts parts = {.count = 0};
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->list[i].name, name) == 0)
            parts_add(&parts, headers->list[i].value, ',');
    return parts;
}

/* Whether it is one in any case. */
static inline bool lists(const struct headers *headers, const char *name, const char *wanted)
{
    struct parts parts = list_of(headers, name);
    bool found = false;
    for (size_t i = 0; i < parts.count; i++)
        found = found || strcasecmp(parts.list[i], wanted) == 0;
    parts_free(&parts);
    return found;
}

/* How many headers have that name; the last one's value is copied to *value, trimmed, and is to be
   freed; "" for none. */
static inline size_t count_of(const struct headers *headers, const char *name, char **value)
{
    size_t count = 0;
    *value = trimmed("", 0);
    for (size_t i = 0; i < headers->count; i++) {
        if (strcasecmp(headers->list[i].name, name) != 0)
            continue;
        free(*value);
        *value = trimmed(headers->list[i].value, strlen(headers->list[i].value));
        count++;
    }
    return count;
}

/* RFC 9110, section 5.6.2. */
static inline bool is_token(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && strspn(text,
                                "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

/* Whether a text that goes into a header holds nothing that ends or breaks the line. */
static inline bool fits_a_line(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            return false;
    return true;
}

/* A head: lines that end with CRLF, no other CR or LF, and an empty one at its end. Returns what
   stands behind it. */
static inline const char *behind_head(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    MUST(end != NULL);
    for (const char *at = text; at < end; at++) {
        MUST(*at != '\n' || (at > text && at[-1] == '\r'));
        MUST(*at != '\r' || at[1] == '\n');
        MUST(at == text || (unsigned char)*at >= ' ' || *at == '\r' || *at == '\n');
    }
    return end + 4;
}

#endif
