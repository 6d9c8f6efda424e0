#include "config/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/problems.h"

/* Bytes of a value on one line of output: far below what a line may hold, easy to read. */
#define PIECE_MAX 100

/* Where the decoder stands. */
struct decoder {
    const char *next;
    struct buffer *out;
    char *why;
    size_t size;
};

bool text_is_control(char byte)
{
    return ((uint8_t)byte < 0x20 && byte != '\t') || byte == 0x7F;
}

bool text_is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool text_is_name(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

static int fail(struct decoder *decoder, const char *why)
{
    snprintf(decoder->why, decoder->size, "%s", why);
    return -1;
}

/* The value of ${NAME}, or of ${NAME:-fallback}; `fallback` is NULL without one. */
static int decode_variable(struct decoder *decoder, const char *name, const char *fallback,
                           size_t fallback_length)
{
    char shown[SHOWN_SIZE];
    const char *value = getenv(name);

    if (fallback && (!value || !*value)) {
        buffer_add(decoder->out, fallback, fallback_length);
        return 0;
    }
    if (!value) {
        snprintf(decoder->why, decoder->size,
                 "${%s} is not set in the environment; ${%s:-text} gives it a default",
                 problems_show(name, strlen(name), shown), shown);
        return -1;
    }
    for (const char *byte = value; *byte; byte++) {
        if (text_is_control(*byte)) {
            snprintf(decoder->why, decoder->size, "${%s} holds a control character",
                     problems_show(name, strlen(name), shown));
            return -1;
        }
    }
    buffer_add(decoder->out, value, strlen(value));
    return 0;
}

/* Stands behind "${". */
static int decode_braces(struct decoder *decoder)
{
    const char *begin = decoder->next;
    const char *end = strchr(begin, '}');
    size_t length = 0;
    char name[64];

    if (!end)
        return fail(decoder, "${ is not closed by }");
    while (text_is_name(begin[length]))
        length++;
    bool fallback = strncmp(begin + length, ":-", 2) == 0;
    if (length == 0 || length >= sizeof(name) || (*begin >= '0' && *begin <= '9') ||
        (begin + length != end && !fallback))
        return fail(decoder,
                    "after $ write {NAME} or {NAME:-text}, NAME of at most 63 letters, "
                    "digits and underscores");
    memcpy(name, begin, length);
    name[length] = '\0';
    decoder->next = end + 1;
    if (!fallback)
        return decode_variable(decoder, name, NULL, 0);
    begin += length + 2;
    if (memchr(begin, '$', (size_t)(end - begin)) || memchr(begin, '"', (size_t)(end - begin)))
        return fail(decoder, "the text after :- may hold no $ and no quote");
    return decode_variable(decoder, name, begin, (size_t)(end - begin));
}

/* Whether a dollar before it stays as it is. */
static bool begins_word(char byte)
{
    return byte >= 'a' && byte <= 'z';
}

/* Stands behind a dollar. */
static int decode_dollar(struct decoder *decoder)
{
    char next = *decoder->next;

    if (begins_word(next)) {
        buffer_add(decoder->out, "$", 1);
        return 0;
    }
    if (next != '$' && next != '{')
        return fail(decoder,
                    "a lone $: write $$ for a dollar, ${NAME} for a variable of the "
                    "environment");
    decoder->next++;
    if (next == '{')
        return decode_braces(decoder);
    buffer_add(decoder->out, "$", 1);
    return 0;
}

/* Stands behind an opening quote, and afterwards behind the closing one. */
static int decode_quoted(struct decoder *decoder)
{
    for (;;) {
        char byte = *decoder->next;
        if (byte == '\0')
            return fail(decoder,
                        "the quote is not closed: write \"...\" around the value and "
                        "\"\" for a quote within it");
        decoder->next++;
        if (byte == '$') {
            if (decode_dollar(decoder) < 0)
                return -1;
        } else if (byte == '"' && *decoder->next != '"') {
            return 0;
        } else {
            if (byte == '"')
                decoder->next++;
            buffer_add(decoder->out, &byte, 1);
        }
    }
}

static int decode_pieces(struct decoder *decoder)
{
    while (*decoder->next == '"') {
        decoder->next++;
        if (decode_quoted(decoder) < 0)
            return -1;
        while (text_is_blank(*decoder->next))
            decoder->next++;
    }
    if (*decoder->next)
        return fail(decoder,
                    "text behind a closing quote: put the whole value in quotes, with "
                    "\"\" for a quote within it");
    return 0;
}

static int decode_plain(struct decoder *decoder)
{
    const char *end = decoder->next + strlen(decoder->next);

    while (end > decoder->next && text_is_blank(end[-1]))
        end--;
    while (decoder->next < end) {
        const char *byte = decoder->next++;
        if (*byte == '"')
            return fail(decoder,
                        "a quote within plain text: put the whole value in quotes, with "
                        "\"\" for a quote within it");
        if (*byte == '$') {
            if (decode_dollar(decoder) < 0)
                return -1;
        } else {
            buffer_add(decoder->out, byte, 1);
        }
    }
    return 0;
}

int text_decode(const char *written, struct buffer *out, char *why, size_t size)
{
    struct decoder decoder = {.next = written, .out = out, .why = why, .size = size};

    for (const char *byte = written; *byte; byte++)
        if (text_is_control(*byte))
            return fail(&decoder, "holds a control character");
    why[0] = '\0';
    buffer_clear(out);
    while (text_is_blank(*decoder.next))
        decoder.next++;
    int result = *decoder.next == '"' ? decode_pieces(&decoder) : decode_plain(&decoder);
    return result < 0 || out->failed ? -1 : 0;
}

/* How many bytes a byte takes between quotes at most. */
static size_t width(char byte)
{
    return byte == '"' || byte == '$' ? 2 : 1;
}

/* How much of `text` goes into one piece: not too much, and no character in halves. */
static size_t piece_length(const char *text)
{
    size_t length = 0;
    size_t used = 0;

    while (text[length] && used + width(text[length]) <= PIECE_MAX) {
        used += width(text[length]);
        length++;
    }
    for (size_t back = 0; back < 3 && back < length && text[length - back]; back++)
        if (((uint8_t)text[length - back] & 0xC0) != 0x80)
            return length - back;
    return length;
}

static void print_escaped(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        bool word = text[i] == '$' && i + 1 < length && begins_word(text[i + 1]);
        if (width(text[i]) == 2 && !word)
            fputc(text[i], out);
        fputc(text[i], out);
    }
}

static bool needs_quotes(const char *value, size_t length)
{
    return length == 0 || text_is_blank(value[0]) || text_is_blank(value[length - 1]) ||
           value[strcspn(value, "\"#;\t")] != '\0' || piece_length(value) < length;
}

void text_print(FILE *out, const char *name, const char *value)
{
    size_t length = strlen(value);

    fprintf(out, "%s = ", name);
    if (!needs_quotes(value, length)) {
        print_escaped(out, value, length);
        fputc('\n', out);
        return;
    }
    do {
        length = piece_length(value);
        fputc('"', out);
        print_escaped(out, value, length);
        fprintf(out, "\"\n%s", value[length] ? "    " : "");
        value += length;
    } while (*value);
}

/* The bytes that may follow `lead` first; none for a byte that begins no character. */
static bool second_byte(uint8_t lead, uint8_t *lowest, uint8_t *highest)
{
    *lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    return lead >= 0xC2 && lead <= 0xF4;
}

bool text_is_utf8(const char *text, size_t length)
{
    uint8_t lowest;
    uint8_t highest;

    for (size_t i = 0; i < length; i++) {
        uint8_t lead = (uint8_t)text[i];
        if (lead < 0x80)
            continue;
        if (!second_byte(lead, &lowest, &highest))
            return false;
        for (int left = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3; left > 0; left--) {
            i++;
            if (i == length || (uint8_t)text[i] < lowest || (uint8_t)text[i] > highest)
                return false;
            lowest = 0x80;
            highest = 0xBF;
        }
    }
    return true;
}
