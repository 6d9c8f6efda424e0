/*
 * The log: whatever stands in a request, a line is one line, holds nothing that a terminal obeys,
 * and is JSON where it says that it is; and JSON says again what was put in.
 *
 * Input: texts, each ended by a zero byte: message's fields, and those of the access log.
 */
#include "server/log.h"

#include <jansson.h>

#include "server/access.h"
#include "server/json_escape.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/model.h"

enum { TEXTS = 7, SMALL_LINE = 100 };

/* Control characters, those above ASCII too. */
static void must_be_quiet(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        MUST(byte >= ' ' && byte != 0x7F);
        MUST(byte != 0xC2 || i + 1 == length || (uint8_t)text[i + 1] >= 0xA0);
    }
}

/* One line: its only line feed is its last byte. */
static void check_line(const char *line, size_t length, size_t size)
{
    MUST(length > 0 && length <= size && line[length - 1] == '\n');
    must_be_quiet(line, length - 1);
}

/* To be freed by json_decref. */
static json_t *must_be_json(const char *text, size_t length)
{
    json_error_t error;
    json_t *value = json_loadb(text, length, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    MUST(value != NULL);
    return value;
}

/* --- json_escape --- */

/* The whole text between quotes. */
static struct bytes escaped(const char *text, size_t length)
{
    struct bytes quoted = {0};
    bytes_add(&quoted, "\"", 1);
    for (size_t at = 0; at < length;) {
        char out[JSON_ESCAPED_MAX];
        size_t written = SIZE_MAX;
        size_t read = json_escape(text + at, length - at, out, &written);
        MUST(read > 0 && read <= length - at && written > 0 && written <= sizeof out);
        bytes_add(&quoted, out, written);
        at += read;
    }
    bytes_add(&quoted, "\"", 1);
    return quoted;
}

/* What JSON is to say of the bytes: each that is no part of UTF-8 becomes U+FFFD. */
static struct bytes meant(const uint8_t *text, size_t length)
{
    struct bytes said = {0};
    for (size_t at = 0; at < length;) {
        size_t most = length - at < 4 ? length - at : 4;
        size_t size = 1;
        while (size < most && !utf8_is_text(text + at, size))
            size++;
        if (!utf8_is_text(text + at, size)) {
            bytes_add(&said, "\xEF\xBF\xBD", 3);
            at++;
            continue;
        }
        bytes_add(&said, text + at, size);
        at += size;
    }
    return said;
}

static void check_escape(const char *text)
{
    size_t length = strlen(text);
    struct bytes quoted = escaped(text, length);
    struct bytes said = meant((const uint8_t *)text, length);
    must_be_quiet((const char *)quoted.data, quoted.length);
    json_t *value = must_be_json((const char *)quoted.data, quoted.length);
    MUST(bytes_equal(json_string_value(value), json_string_length(value), said.data, said.length));
    json_decref(value);
    free(said.data);
    free(quoted.data);
}

/* --- lines of the log --- */

static void check_json_line(const char *line, size_t length, const struct log_field *fields,
                            size_t count)
{
    json_t *object = must_be_json(line, length);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (value == NULL)
            continue; /* there was no room */
        if (fields[i].is_number) {
            MUST(json_integer_value(value) == fields[i].number);
            continue;
        }
        size_t size = strlen(fields[i].text);
        struct bytes said = meant((const uint8_t *)fields[i].text, size);
        MUST(bytes_equal(json_string_value(value), json_string_length(value), said.data,
                         said.length));
        free(said.data);
    }
    json_decref(object);
}

static void check_log(char *const texts[TEXTS], size_t room)
{
    const struct log_field fields[] = {
        LOG_TEXT("address", texts[0]),
        LOG_NUMBER("status", strtoll(texts[1], NULL, 10)),
        LOG_TEXT("why", texts[2]),
        LOG_TEXT("path", texts[3]),
    };
    for (int json = 0; json < 2; json++) {
        char *line = malloc(room);
        MUST(line != NULL);
        size_t length =
            log_format_line(line, room, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, false,
                            "2026-11-22T10:15:00.123Z", LOG_INFO, "refused", fields, COUNT(fields));
        check_line(line, length, room);
        if (json)
            check_json_line(line, length, fields, COUNT(fields));
        free(line);
    }
}

/* --- the access log --- */

/* The quotes and blanks that split a line of nginx's format are where they belong. */
static void check_combined(const char *line, size_t length, bool session)
{
    size_t quotes = 0;
    for (size_t i = 0; i < length - 1; i++) {
        MUST((uint8_t)line[i] < 0x7F);
        quotes += line[i] == '"';
    }
    MUST(quotes == 6);
    const char *end = memrchr(line, '"', length);
    size_t words = 0;
    for (const char *at = end; at < line + length; at++)
        words += *at == ' ';
    MUST(words == (session ? 7 : 2));
}

/* What stands behind a question mark is said nowhere. */
static void check_secret(const char *line, size_t length)
{
    static const char secret[] = "SECRET";
    MUST(memmem(line, length, secret, strlen(secret)) == NULL);
}

static void check_access(char *const texts[TEXTS], bool session)
{
    const struct access_entry entry = {.address = texts[0],
                                       .time = {.tv_sec = 1795357173},
                                       .method = texts[1],
                                       .path = texts[3],
                                       .http_version = "1.1",
                                       .status = 200,
                                       .referer = texts[4],
                                       .user_agent = texts[5],
                                       .route = texts[6],
                                       .session = session,
                                       .outcome = "gone"};
    for (int json = 0; json < 2; json++) {
        char *line = malloc(LOG_LINE_MAX);
        MUST(line != NULL);
        size_t length = access_format(line, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, &entry);
        check_line(line, length, LOG_LINE_MAX);
        if (json)
            json_decref(must_be_json(line, length));
        else
            check_combined(line, length, session);
        free(line);
    }
}

/* The same once more with a query that nobody is to see. */
static void check_queries(const char *path)
{
    char secret[64];
    snprintf(secret, sizeof secret, "%.40s?SECRET", path);
    const struct access_entry entry = {
        .method = "GET", .path = secret, .referer = secret, .http_version = "1.1"};
    char line[LOG_LINE_MAX];
    check_secret(line, access_format(line, LOG_FORMAT_TEXT, &entry));
    check_secret(line, access_format(line, LOG_FORMAT_JSON, &entry));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *texts[TEXTS];
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i] = take_text(&input, '\0');
        check_escape(texts[i]);
    }
    check_log(texts, LOG_LINE_MAX);
    check_log(texts, SMALL_LINE + size % 400);
    check_access(texts, size % 2 == 0);
    if (strstr(texts[3], "SECRET") == NULL)
        check_queries(texts[3]);
    for (size_t i = 0; i < TEXTS; i++)
        free(texts[i]);
    return 0;
}
