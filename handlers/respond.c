/*
 * respond: one fixed answer to every request, whatever its method. It is put together at the
 * start; a mistake in it ends the start and is never met by a client.
 */
#include "handlers/handler.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "config/buffer.h"
#include "config/file.h"
#include "config/problems.h"

enum { OPTION_STATUS, OPTION_TYPE, OPTION_BODY, OPTION_FILE, OPTION_HEADER };

enum { TYPE_MAX = 255, BODY_MAX = 65536, PATH_SIZE = 4096, HEADER_MAX = 4096 };

static const struct option options[] = {
    [OPTION_STATUS] = {.name = "status",
                       .type = OPTION_COUNT,
                       .fallback = "200",
                       .minimum = 200,
                       .maximum = 599,
                       .help = "the status; an answer with 204, 205 or 304 has no body"},
    [OPTION_TYPE] = {.name = "type",
                     .type = OPTION_TEXT,
                     .fallback = "text/plain; charset=utf-8",
                     .minimum = 1,
                     .maximum = TYPE_MAX,
                     .help = "the Content-Type"},
    [OPTION_BODY] = {.name = "body",
                     .type = OPTION_TEXT,
                     .fallback = "",
                     .maximum = BODY_MAX,
                     .help = "the body"},
    [OPTION_FILE] = {.name = "file",
                     .type = OPTION_TEXT,
                     .fallback = "",
                     .maximum = PATH_SIZE - 1,
                     .help = "the file that is the body, instead of the key body; it is read once, "
                             "at the start,\nand holds at most 1M"},
    [OPTION_HEADER] = {.name = "header",
                       .type = OPTION_TEXT,
                       .fallback = "",
                       .maximum = HEADER_MAX,
                       .help = "further headers, each written Name: value and separated by |, "
                               "which none can hold"},
    {0},
};

struct response {
    struct http_answer answer;
    const char *body;
    struct buffer headers;
    struct buffer file;
};

/* What the server, or another key, sets. */
static const struct {
    const char *name;
    const char *why;
} taken_headers[] = {
    {"Content-Type", "write the key type instead"},
    {"Content-Length", "the server sets it"},
    {"Transfer-Encoding", "the server sets it"},
    {"Connection", "the server sets it"},
    {"Date", "the server sets it"},
};

/* Where the message about a value goes. */
struct complaint {
    char *text;
    size_t size;
};

static int complain(const struct complaint *complaint, const char *key, const char *value,
                    size_t length, const char *why)
{
    char shown[SHOWN_SIZE];

    snprintf(complaint->text, complaint->size, "%s = %s: %s", key,
             problems_show(value, length, shown), why);
    return -1;
}

/* The length of the token at `text` (RFC 9110, section 5.6.2; no |, which separates headers). */
static size_t token_length(const char *text)
{
    return strspn(text,
                  "!#$%&'*+-.^_`~0123456789abcdefghijklmnopqrstuvwxyz"
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

/* Whether all of it may stand in a header: others read other bytes in different ways. */
static bool is_printable(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

static bool has_no_body(int status)
{
    return status == 204 || status == 205 || status == 304;
}

static int check_type(const char *type, const struct complaint *complaint)
{
    size_t name = token_length(type);
    size_t kind = type[name] == '/' ? token_length(type + name + 1) : 0;
    const char *rest = type + name + 1 + kind;

    if (!is_printable(type, strlen(type)))
        return complain(complaint, "type", type, strlen(type),
                        "only the letters, digits and marks of ASCII can stand in a header");
    if (name == 0 || kind == 0 || (*rest != '\0' && *rest != ';' && *rest != ' '))
        return complain(complaint, "type", type, strlen(type),
                        "no media type: write TYPE/SUBTYPE, and parameters behind a semicolon, as "
                        "in text/html; charset=utf-8");
    return 0;
}

/* Takes the blanks around a text away. */
static const char *trim(const char *text, size_t *length)
{
    while (*length > 0 && *text == ' ') {
        text++;
        (*length)--;
    }
    while (*length > 0 && text[*length - 1] == ' ')
        (*length)--;
    return text;
}

static const char *why_taken(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof taken_headers / sizeof *taken_headers; i++)
        if (strlen(taken_headers[i].name) == length &&
            strncasecmp(taken_headers[i].name, name, length) == 0)
            return taken_headers[i].why;
    return NULL;
}

/* Adds one header, as written without the blanks around it. */
static int add_header(struct buffer *headers, const char *line, size_t length,
                      const struct complaint *complaint)
{
    size_t name = token_length(line);
    const char *value = line + name + 1;
    size_t value_length = name < length ? length - name - 1 : 0;

    if (name == 0 || name >= length || line[name] != ':')
        return complain(complaint, "header", line, length,
                        "no header: write Name: value, without a blank before the colon, and | "
                        "between two");
    if (why_taken(line, name) != NULL)
        return complain(complaint, "header", line, name, why_taken(line, name));
    value = trim(value, &value_length);
    if (value_length == 0)
        return complain(complaint, "header", line, length, "nothing is written behind the colon");
    if (!is_printable(value, value_length))
        return complain(complaint, "header", line, length,
                        "only the letters, digits and marks of ASCII can stand in a header");
    buffer_add(headers, line, name);
    buffer_add(headers, ": ", 2);
    buffer_add(headers, value, value_length);
    buffer_add(headers, "\r\n", 2);
    return 0;
}

static int add_headers(struct buffer *headers, const char *text, const struct complaint *complaint)
{
    const char *next = text;

    while (*text != '\0' && next != NULL) {
        size_t whole = strcspn(next, "|");
        size_t length = whole;
        const char *line = trim(next, &length);
        if (length == 0)
            return complain(complaint, "header", text, strlen(text),
                            "nothing is written on one side of a |");
        if (add_header(headers, line, length, complaint) != 0)
            return -1;
        next = next[whole] == '|' ? next + whole + 1 : NULL;
    }
    return 0;
}

/* The body from where it is written, or from its file. */
static int read_body(struct response *response, const struct option_value *values,
                     const struct complaint *complaint)
{
    const char *body = values[OPTION_BODY].text;
    const char *file = values[OPTION_FILE].text;
    char why[160];

    response->body = body;
    response->answer.length = (int64_t)strlen(body);
    if (*file == '\0')
        return 0;
    if (*body != '\0')
        return complain(complaint, "file", file, strlen(file),
                        "body is given too; leave one of the two out");
    if (file_read(file, &response->file, why, sizeof why) != 0)
        return complain(complaint, "file", file, strlen(file), why);
    response->body = response->file.text;
    response->answer.length = (int64_t)response->file.length;
    return 0;
}

static int prepare(struct response *response, const struct option_value *values,
                   const struct complaint *complaint)
{
    struct http_answer *answer = &response->answer;

    answer->status = (int)values[OPTION_STATUS].number;
    answer->type = values[OPTION_TYPE].text;
    if (check_type(answer->type, complaint) != 0 || read_body(response, values, complaint) != 0 ||
        add_headers(&response->headers, values[OPTION_HEADER].text, complaint) != 0)
        return -1;
    if (has_no_body(answer->status)) {
        if (*values[OPTION_BODY].text != '\0' || *values[OPTION_FILE].text != '\0') {
            snprintf(complaint->text, complaint->size,
                     "status = %d: such an answer has no body; leave body and file out, or write "
                     "another status",
                     answer->status);
            return -1;
        }
        answer->type = NULL;
    }
    if (response->headers.failed) {
        snprintf(complaint->text, complaint->size, "out of memory");
        return -1;
    }
    answer->headers = response->headers.text;
    return 0;
}

static void respond_stop(void *state)
{
    struct response *response = state;

    buffer_free(&response->headers);
    buffer_free(&response->file);
    free(response);
}

static int respond_start(const struct option_value *values, void **state, char *error,
                         size_t error_size)
{
    const struct complaint complaint = {.text = error, .size = error_size};
    struct response *response = calloc(1, sizeof *response);

    if (response == NULL) {
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    if (prepare(response, values, &complaint) != 0) {
        respond_stop(response);
        return -1;
    }
    *state = response;
    return 0;
}

static void respond_http(void *state, const struct http_request *request)
{
    const struct response *response = state;

    if (http_begin(request, &response->answer) == 0)
        http_write(request, response->body, (size_t)response->answer.length);
}

const struct handler handler_respond = {
    .name = "respond",
    .help = "one fixed answer, whatever the method; a HEAD gets it without the body",
    .options = options,
    .start = respond_start,
    .stop = respond_stop,
    .http = respond_http,
};
