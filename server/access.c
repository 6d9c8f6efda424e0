#include "server/access.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "server/json_escape.h"

#define CUT "..."

/* How a text is written. */
enum style {
    STYLE_WORD,   /* as nginx does, and blanks too, so that a line can be split at them */
    STYLE_QUOTED, /* as nginx does between its quotes */
    STYLE_JSON,
};

/* A text of the entry and how much of it may be written. */
struct piece {
    enum style style;
    const char *text;
    size_t length;
    bool cut;     /* there was more, which is left out in any case */
    size_t limit; /* bytes, escaped */
};

/* The texts that anybody can make long; they share what the others leave of a line. */
enum { PATH, REFERER, USER_AGENT, LONG_COUNT };

/* The others' limits: far above what they hold, small enough for a line to have room for PATH. */
enum {
    ADDRESS_LIMIT = 64,
    METHOD_LIMIT = 24,
    VERSION_LIMIT = 8,
    ROUTE_LIMIT = 96,
    OUTCOME_LIMIT = 24,
};

/* A buffer that forgets what does not fit; the last byte is kept for the newline. */
struct line {
    char *data;
    size_t length;
    bool full; /* it has forgotten something */
};

static struct {
    bool on;
    enum log_format format;
} settings;

void access_init(bool on, enum log_format format)
{
    settings.on = on;
    settings.format = format;
}

bool access_on(void)
{
    return settings.on;
}

/* --- characters --- */

/* The number of bytes at `at` that are written as they are. */
static size_t plain_length(enum style style, const char *at, size_t left)
{
    size_t length = 0;
    while (length < left && at[length] >= ' ' && at[length] < 0x7F && at[length] != '"' &&
           at[length] != '\\' && (at[length] != ' ' || style != STYLE_WORD))
        length++;
    return length;
}

/* The next part of a text: bytes as they are, or one character that has to be escaped. */
struct part {
    const char *text;
    size_t length;
    size_t read; /* so many bytes it stands for */
    char escaped[JSON_ESCAPED_MAX];
};

static void read_part(struct part *part, enum style style, const char *at, size_t left)
{
    part->text = at;
    part->length = part->read = plain_length(style, at, left);
    if (part->length > 0)
        return;
    part->text = part->escaped;
    part->read = 1;
    if (style == STYLE_JSON)
        part->read = json_escape(at, left, part->escaped, &part->length);
    else /* as nginx does (ngx_http_log_module) */
        part->length =
            (size_t)snprintf(part->escaped, JSON_ESCAPED_MAX, "\\x%02X", (unsigned char)*at);
}

/* --- pieces --- */

static struct piece piece_of(enum style style, const char *text, size_t limit)
{
    return (struct piece){
        .style = style, .text = text, .length = text == NULL ? 0 : strlen(text), .limit = limit};
}

/* A path that was sent with %3F holds a question mark, and may hold what should not be seen. */
static struct piece path_piece(enum style style, const char *path)
{
    struct piece piece = piece_of(style, path, LOG_LINE_MAX);
    const char *mark = piece.length == 0 ? NULL : memchr(path, '?', piece.length);
    if (mark != NULL) {
        piece.length = (size_t)(mark - path) + 1;
        piece.cut = true;
    }
    return piece;
}

/* Copies a Referer without userinfo, query and fragment, as RFC 9110, section 10.1.3 wants it. */
static struct piece referer_piece(enum style style, const char *referer, char copy[LOG_LINE_MAX])
{
    if (referer == NULL)
        return piece_of(style, NULL, 0);
    size_t end = strcspn(referer, "?#");
    size_t colon = strcspn(referer, ":");
    size_t authority = colon < end ? colon + 1 : 0;
    size_t slashes = strspn(referer + authority, "/\\");
    if (slashes == 0) /* no scheme, then, but perhaps a name and a password */
        authority = strspn(referer, "/\\");
    else
        authority += slashes;
    size_t host = authority;
    for (size_t i = authority; i < end && referer[i] != '/' && referer[i] != '\\'; i++)
        if (referer[i] == '@')
            host = i + 1;
    /* Longer than a line it is cut again, and visibly, when it is written. */
    snprintf(copy, LOG_LINE_MAX, "%.*s%.*s", (int)authority, referer, (int)(end - host),
             referer + host);
    return piece_of(style, copy, LOG_LINE_MAX);
}

/* How much the piece takes, escaped; counted no further than the length of a line. */
static size_t piece_size(const struct piece *piece)
{
    struct part part;
    size_t size = piece->cut ? strlen(CUT) : 0;
    for (size_t i = 0; i < piece->length && size <= LOG_LINE_MAX; i += part.read) {
        read_part(&part, piece->style, piece->text + i, piece->length - i);
        size += part.length;
    }
    return size;
}

/* Divides `room` evenly; what one does not need, the others have. */
static void share(size_t room, struct piece pieces[LONG_COUNT])
{
    size_t part = room / LONG_COUNT;
    size_t spare = 0;
    size_t greedy = 0;
    for (size_t i = 0; i < LONG_COUNT; i++) {
        size_t size = piece_size(&pieces[i]);
        pieces[i].limit = size < part ? size : part;
        spare += part - pieces[i].limit;
        greedy += size > part;
    }
    for (size_t i = 0; i < LONG_COUNT; i++)
        if (pieces[i].limit == part && greedy > 0)
            pieces[i].limit += spare / greedy;
}

/* --- lines --- */

static void put(struct line *line, const char *data, size_t length)
{
    size_t room = LOG_LINE_MAX - line->length - 1;
    if (length > room) {
        length = room;
        line->full = true;
    }
    memcpy(line->data + line->length, data, length);
    line->length += length;
}

__attribute__((format(printf, 2, 3))) static void print(struct line *line, const char *format, ...)
{
    char text[256]; /* names and numbers of ours; nothing that a peer sends */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0)
        put(line, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static void put_piece(struct line *line, const struct piece *piece)
{
    if (piece->length == 0) {
        print(line, "%s", piece->style == STYLE_JSON ? "" : "-");
        return;
    }
    struct part part;
    bool cut = piece->cut || (piece->limit < piece->length * JSON_ESCAPED_MAX &&
                              piece_size(piece) > piece->limit);
    size_t room = piece->limit;
    if (cut)
        room = room > strlen(CUT) ? room - strlen(CUT) : 0;
    for (size_t i = 0; i < piece->length && room > 0; i += part.read) {
        read_part(&part, piece->style, piece->text + i, piece->length - i);
        if (part.length > room && part.text == part.escaped)
            break;
        if (part.length > room)
            part.length = room;
        put(line, part.text, part.length);
        room -= part.length;
    }
    if (cut && piece->limit >= strlen(CUT))
        put(line, CUT, strlen(CUT));
}

static void put_text(struct line *line, enum style style, const char *text, size_t limit)
{
    const struct piece piece = piece_of(style, text, limit);
    put_piece(line, &piece);
}

/* Time as strftime has it, in UTC: log files of several machines are read side by side. */
static void put_time(struct line *line, const char *format, const struct timespec *time)
{
    char text[64];
    struct tm utc;
    if (gmtime_r(&time->tv_sec, &utc) != NULL)
        put(line, text, strftime(text, sizeof text, format, &utc));
}

static void put_request(struct line *line, const struct access_entry *entry,
                        const struct piece *path)
{
    put_text(line, STYLE_WORD, entry->method, METHOD_LIMIT);
    if (entry->method == NULL || *entry->method == '\0')
        return;
    print(line, " ");
    put_piece(line, path);
    print(line, " HTTP/");
    put_text(line, STYLE_WORD, entry->http_version, VERSION_LIMIT);
}

static void format_text(struct line *line, const struct access_entry *entry,
                        const struct piece pieces[LONG_COUNT])
{
    put_text(line, STYLE_WORD, entry->address, ADDRESS_LIMIT);
    put_time(line, " - - [%d/%b/%Y:%H:%M:%S +0000] \"", &entry->time);
    put_request(line, entry, &pieces[PATH]);
    print(line, "\" %d %lld \"", entry->status, (long long)entry->bytes_sent);
    put_piece(line, &pieces[REFERER]);
    print(line, "\" \"");
    put_piece(line, &pieces[USER_AGENT]);
    print(line, "\" rt=%lld.%03d route=", (long long)(entry->duration / 1000),
          (int)(entry->duration % 1000));
    put_text(line, STYLE_WORD, entry->route, ROUTE_LIMIT);
    if (!entry->session)
        return;
    print(line, " code=%u outcome=", (unsigned)entry->close_code);
    put_text(line, STYLE_WORD, entry->outcome, OUTCOME_LIMIT);
    print(line, " received=%lld sent=%lld received_bytes=%lld", (long long)entry->messages_received,
          (long long)entry->messages_sent, (long long)entry->bytes_received);
}

/* Member of the object behind another. */
static void put_member(struct line *line, const char *name, const struct piece *piece)
{
    print(line, ",\"%s\":\"", name);
    put_piece(line, piece);
    print(line, "\"");
}

static void put_text_member(struct line *line, const char *name, const char *text, size_t limit)
{
    const struct piece piece = piece_of(STYLE_JSON, text, limit);
    put_member(line, name, &piece);
}

static void format_json(struct line *line, const struct access_entry *entry,
                        const struct piece pieces[LONG_COUNT])
{
    print(line, "{\"time\":\"");
    put_time(line, "%Y-%m-%dT%H:%M:%S", &entry->time);
    print(line, ".%03dZ\",\"level\":\"info\",\"message\":\"access\"",
          (int)(entry->time.tv_nsec / 1000000));
    put_text_member(line, "address", entry->address, ADDRESS_LIMIT);
    put_text_member(line, "method", entry->method, METHOD_LIMIT);
    put_member(line, "path", &pieces[PATH]);
    put_text_member(line, "http_version", entry->http_version, VERSION_LIMIT);
    print(line, ",\"status\":%d,\"bytes_sent\":%lld", entry->status, (long long)entry->bytes_sent);
    put_member(line, "referer", &pieces[REFERER]);
    put_member(line, "user_agent", &pieces[USER_AGENT]);
    put_text_member(line, "route", entry->route, ROUTE_LIMIT);
    print(line, ",\"duration_ms\":%lld", (long long)entry->duration);
    if (entry->session) {
        print(line, ",\"code\":%u", (unsigned)entry->close_code);
        put_text_member(line, "outcome", entry->outcome, OUTCOME_LIMIT);
        print(line, ",\"received\":%lld,\"sent\":%lld,\"received_bytes\":%lld",
              (long long)entry->messages_received, (long long)entry->messages_sent,
              (long long)entry->bytes_received);
    }
    print(line, "}");
}

size_t access_format(char text[LOG_LINE_MAX], enum log_format format,
                     const struct access_entry *entry)
{
    char referer[LOG_LINE_MAX];
    const bool json = format == LOG_FORMAT_JSON;
    const enum style quoted = json ? STYLE_JSON : STYLE_QUOTED;
    struct piece pieces[LONG_COUNT] = {
        [PATH] = path_piece(json ? STYLE_JSON : STYLE_WORD, entry->path),
        [REFERER] = referer_piece(quoted, entry->referer, referer),
        [USER_AGENT] = piece_of(quoted, entry->user_agent, LOG_LINE_MAX),
    };
    void (*write)(struct line *, const struct access_entry *, const struct piece *) =
        json ? format_json : format_text;
    struct line line = {.data = text};
    write(&line, entry, pieces);
    if (line.full) { /* see what is left without the long ones, and share that */
        for (size_t i = 0; i < LONG_COUNT; i++)
            pieces[i].limit = 0;
        line = (struct line){.data = text};
        write(&line, entry, pieces);
        share(LOG_LINE_MAX - 1 - line.length, pieces);
        line.length = 0;
        write(&line, entry, pieces);
    }
    text[line.length++] = '\n';
    return line.length;
}

void access_write(const struct access_entry *entry)
{
    if (!settings.on)
        return;
    char line[LOG_LINE_MAX];
    struct access_entry dated = *entry;
    if (dated.time.tv_sec == 0)
        clock_gettime(CLOCK_REALTIME, &dated.time);
    log_frequent(line, access_format(line, settings.format, &dated));
}
