#include <stdio.h>
#include <string.h>

#include "config/text.h"
#include "server/json_escape.h"
#include "server/log.h"

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[32m", "\033[2m"};

/* A buffer that forgets what does not fit; the last byte is kept for the newline. */
struct text {
    char *data;
    size_t size;
    size_t length;
};

static void put(struct text *text, const char *data, size_t length)
{
    size_t room = text->size - text->length - 1;
    if (length > room)
        length = room;
    memcpy(text->data + text->length, data, length);
    text->length += length;
}

static void put_text(struct text *text, const char *data)
{
    put(text, data, strlen(data));
}

/* Quoted as JSON wants it. */
static void put_quoted(struct text *text, const char *data)
{
    size_t left = strlen(data);
    put_text(text, "\"");
    while (left > 0) {
        char escaped[JSON_ESCAPED_MAX];
        size_t written;
        size_t read = json_escape(data, left, escaped, &written);
        put(text, escaped, written);
        data += read;
        left -= read;
    }
    put_text(text, "\"");
}

static bool is_plain(const char *data)
{
    if (*data == '\0' || !text_is_utf8(data, strlen(data)))
        return false;
    for (const char *p = data; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f ||
            ((unsigned char)*p == 0xC2 && (unsigned char)p[1] < 0xA0)) /* control, too */
            return false;
    return true;
}

static void put_value(struct text *text, const struct log_field *field, bool json)
{
    char number[24];
    const char *value = field->text == NULL ? "" : field->text;
    if (field->is_number)
        put(text, number,
            (size_t)snprintf(number, sizeof number, "%lld", (long long)field->number));
    else if (!json && is_plain(value))
        put_text(text, value);
    else
        put_quoted(text, value);
}

static void format_text(struct text *line, bool colour, const char *time, enum log_level level,
                        const char *message, const struct log_field *fields, size_t count)
{
    if (time != NULL) {
        put_text(line, time);
        put_text(line, " ");
    }
    if (colour)
        put_text(line, level_colours[level]);
    put_text(line, level_names[level]);
    if (colour)
        put_text(line, "\033[0m");
    put_text(line, " ");
    put_text(line, message);
    for (size_t i = 0; i < count; i++) {
        put_text(line, " ");
        put_text(line, fields[i].name);
        put_text(line, "=");
        put_value(line, &fields[i], false);
    }
}

static void format_json(struct text *line, const char *time, enum log_level level,
                        const char *message, const struct log_field *fields, size_t count)
{
    put_text(line, "{");
    if (time != NULL) {
        put_text(line, "\"time\":");
        put_quoted(line, time);
        put_text(line, ",");
    }
    put_text(line, "\"level\":");
    put_quoted(line, level_names[level]);
    put_text(line, ",\"message\":");
    put_quoted(line, message);
    for (size_t i = 0; i < count; i++) {
        size_t before = line->length;
        put_text(line, ",");
        put_quoted(line, fields[i].name);
        put_text(line, ":");
        put_value(line, &fields[i], true);
        if (line->length + 2 >= line->size) { /* a cut field would not be JSON: leave it out */
            line->length = before;
            break;
        }
    }
    put_text(line, "}");
}

size_t log_format_line(char *line, size_t size, enum log_format format, bool colour,
                       const char *time, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count)
{
    struct text text = {.data = line, .size = size};
    if (format == LOG_FORMAT_JSON)
        format_json(&text, time, level, message, fields, count);
    else
        format_text(&text, colour, time, level, message, fields, count);
    line[text.length++] = '\n';
    return text.length;
}

bool log_limit_pass(struct log_limit *limit, int64_t now, int64_t *left_out)
{
    if (limit->refilled_at == 0) {
        limit->tokens = limit->burst;
        limit->refilled_at = now;
    }
    int64_t seconds = (now - limit->refilled_at) / 1000;
    if (seconds > 0) {
        limit->refilled_at += seconds * 1000;
        limit->tokens += seconds;
        if (limit->tokens > limit->burst)
            limit->tokens = limit->burst;
    }
    if (limit->tokens == 0) {
        limit->left_out++;
        return false;
    }
    limit->tokens--;
    *left_out = limit->left_out;
    limit->left_out = 0;
    return true;
}
