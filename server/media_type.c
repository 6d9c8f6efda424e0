#include "server/media_type.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    ENDING_MAX = 31, /* bytes; longer ones are passed over */
    TYPE_MAX = 127,  /* RFC 6838, section 4.2 allows so many for either half */
    FIRST_ROWS = 2048,
};

static const char unknown[] = "application/octet-stream";
static const char charset[] = "; charset=utf-8";

/* What the web cannot do without, in the form of the system's table. */
static const char own_table[] =
    "application/gzip gz\n"
    "application/json json map\n"
    "application/manifest+json webmanifest\n"
    "application/pdf pdf\n"
    "application/wasm wasm\n"
    "application/xml xml\n"
    "application/zip zip\n"
    "audio/mpeg mp3\n"
    "audio/ogg oga ogg opus\n"
    "font/ttf ttf\n"
    "font/woff woff\n"
    "font/woff2 woff2\n"
    "image/avif avif\n"
    "image/gif gif\n"
    "image/jpeg jpeg jpg\n"
    "image/png png\n"
    "image/svg+xml svg\n"
    "image/vnd.microsoft.icon ico\n"
    "image/webp webp\n"
    "text/css css\n"
    "text/csv csv\n"
    "text/html htm html\n"
    "text/javascript js mjs\n"
    "text/markdown md\n"
    "text/plain txt\n"
    "video/mp4 mp4\n"
    "video/webm webm\n";

struct row {
    const char *ending; /* in small letters */
    const char *type;
};

struct media_types {
    struct row *rows; /* sorted by ending, each once */
    size_t count;
    size_t room;
    char *text; /* what the rows point to */
    size_t used;
};

/* A word of a line; it does not end with a zero. */
struct word {
    const char *text;
    size_t length;
};

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r';
}

/* Takes the next word off a line that ends at `end`. Returns whether there was one. */
static bool next_word(const char **line, const char *end, struct word *word)
{
    while (*line < end && is_blank(**line))
        (*line)++;
    word->text = *line;
    while (*line < end && !is_blank(**line))
        (*line)++;
    word->length = (size_t)(*line - word->text);
    return word->length > 0;
}

/* Whether all of it is letters of a token (RFC 9110, section 5.6.2), which is what halves of types
   are made of. */
static bool is_token(const char *text, size_t length)
{
    static const char letters[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\0' || strchr(letters, text[i]) == NULL)
            return false;
    return length > 0;
}

static bool is_type(const struct word *word)
{
    const char *slash = memchr(word->text, '/', word->length);
    if (slash == NULL || word->length > 2 * TYPE_MAX + 1)
        return false;
    size_t first = (size_t)(slash - word->text);
    return is_token(word->text, first) && is_token(slash + 1, word->length - first - 1);
}

static const char *keep(struct media_types *types, const char *text, size_t length)
{
    char *kept = types->text + types->used;
    memcpy(kept, text, length);
    kept[length] = '\0';
    types->used += length + 1;
    return kept;
}

static const char *keep_type(struct media_types *types, const struct word *word)
{
    char type[2 * TYPE_MAX + 2 + sizeof charset];
    bool text = word->length > 5 && strncasecmp(word->text, "text/", 5) == 0;
    memcpy(type, word->text, word->length);
    memcpy(type + word->length, charset, text ? strlen(charset) : 0);
    return keep(types, type, word->length + (text ? strlen(charset) : 0));
}

static const char *keep_ending(struct media_types *types, const struct word *word)
{
    char ending[ENDING_MAX];
    for (size_t i = 0; i < word->length; i++) {
        char letter = word->text[i];
        ending[i] = letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
    }
    return keep(types, ending, word->length);
}

/* Adds a row. Returns 0, or -1 without memory. */
static int add_row(struct media_types *types, const char *ending, const char *type)
{
    if (types->count == types->room) {
        size_t room = types->room == 0 ? FIRST_ROWS : 2 * types->room;
        struct row *rows = realloc(types->rows, room * sizeof *rows);
        if (rows == NULL)
            return -1;
        types->rows = rows;
        types->room = room;
    }
    types->rows[types->count++] = (struct row){.ending = ending, .type = type};
    return 0;
}

static int add_line(struct media_types *types, const char *line, const char *end)
{
    struct word type;
    struct word ending;
    const char *kept = NULL;
    if (!next_word(&line, end, &type) || !is_type(&type))
        return 0;
    while (next_word(&line, end, &ending)) {
        if (*ending.text == '#')
            break;
        if (ending.length > ENDING_MAX || !is_token(ending.text, ending.length))
            continue;
        if (kept == NULL)
            kept = keep_type(types, &type);
        if (add_row(types, keep_ending(types, &ending), kept) != 0)
            return -1;
    }
    return 0;
}

static int add_table(struct media_types *types, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline == NULL ? end : newline;
        if (add_line(types, text, line_end) != 0)
            return -1;
        text = newline == NULL ? end : newline + 1;
    }
    return 0;
}

/* By ending; of equal ones that which was read first, whose text lies lower. */
static int compare_rows(const void *one, const void *other)
{
    const struct row *left = one;
    const struct row *right = other;
    int order = strcmp(left->ending, right->ending);
    if (order != 0)
        return order;
    return left->ending < right->ending ? -1 : 1;
}

static void sort_rows(struct media_types *types)
{
    size_t kept = 0;
    if (types->count == 0)
        return;
    qsort(types->rows, types->count, sizeof *types->rows, compare_rows);
    for (size_t i = 0; i < types->count; i++)
        if (i == 0 || strcmp(types->rows[i].ending, types->rows[kept - 1].ending) != 0)
            types->rows[kept++] = types->rows[i];
    types->count = kept;
}

struct media_types *media_types_parse(const char *text, size_t length)
{
    struct media_types *types = calloc(1, sizeof *types);
    if (types == NULL)
        return NULL;
    /* A line keeps at most its own bytes, a zero in the place of each blank, and the charset: with
       the shortest line, "text/a b", that is less than three times as much. */
    types->text = malloc(3 * (length + sizeof own_table));
    if (types->text == NULL || add_table(types, text, length) != 0 ||
        add_table(types, own_table, strlen(own_table)) != 0) {
        media_types_free(types);
        return NULL;
    }
    sort_rows(types);
    return types;
}

/* Reads the beginning of a file. Returns how many bytes; 0 for one that cannot be read. */
static size_t read_beginning(const char *path, char *text, size_t size)
{
    size_t used = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (file >= 0 && used < size) {
        ssize_t got = read(file, text + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    if (file >= 0)
        close(file);
    return used;
}

struct media_types *media_types_read(const char *path)
{
    char *text = malloc(MEDIA_TYPES_MAX);
    if (text == NULL)
        return NULL;
    size_t length = read_beginning(path, text, MEDIA_TYPES_MAX);
    if (length == MEDIA_TYPES_MAX)
        while (length > 0 && text[length - 1] != '\n')
            length--;
    struct media_types *types = media_types_parse(text, length);
    free(text);
    return types;
}

void media_types_free(struct media_types *types)
{
    if (types == NULL)
        return;
    free(types->rows);
    free(types->text);
    free(types);
}

static int compare_ending(const void *ending, const void *row)
{
    return strcasecmp(ending, ((const struct row *)row)->ending);
}

const char *media_type_find(const struct media_types *types, const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(slash == NULL ? name : slash, '.');
    if (dot == NULL)
        return unknown;
    const struct row *row =
        bsearch(dot + 1, types->rows, types->count, sizeof *types->rows, compare_ending);
    return row == NULL ? unknown : row->type;
}
