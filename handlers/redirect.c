/*
 * redirect: leads to another address, a part of which can be the request's own.
 *
 * Where an answer leads is decided at the start: `to` is checked to be a path, or a URL whose
 * authority ends before any word begins, and words are written so that they cannot change that. So
 * no request can choose another host, nor add to the headers.
 */
#include "handlers/handler.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/problems.h"

/* RFC 9110, section 4.1, wants everybody to take 8000 bytes; more is not sure to arrive. */
enum { LOCATION_MAX = 8000 };

enum { OPTION_TO, OPTION_STATUS };

/* Names and numbers, in the same order. */
static const char *const statuses[] = {"301", "302", "303", "307", "308", NULL};
static const int status_codes[] = {301, 302, 303, 307, 308};

static const struct option options[] = {
    [OPTION_TO] = {.name = "to",
                   .type = OPTION_TEXT,
                   .minimum = 1,
                   .maximum = 4000,
                   .help = "where to: a path that begins with one slash, or a URL of http or "
                           "https. In it $path stands\nfor the path of the request, $rest for what "
                           "the star of the route stands for, and $query\nfor a question mark and "
                           "the query, if there is one"},
    [OPTION_STATUS] = {.name = "status",
                       .type = OPTION_CHOICE,
                       .fallback = "302",
                       .choices = statuses,
                       .help = "301 and 308 are remembered by browsers; 307 and 308 keep the "
                               "method, 303 makes it a GET"},
    {0},
};

struct target {
    const char *to;
    int status;
};

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define UNRESERVED LETTERS DIGITS "-._~" /* RFC 3986, section 2.3 */

/* Which bytes stay as they are; all others are percent-encoded. */
static const char plain_in_path[] = UNRESERVED "/:@!$&()*+,;=";
static const char plain_in_query[] = UNRESERVED "/:@!$&()*+,;=?%[]"; /* as sent: %41 stays %41 */
static const char plain_as_value[] = UNRESERVED "/"; /* of a parameter, or in a fragment */

/* The words of `to`. */
enum word { WORD_PATH, WORD_REST, WORD_QUERY, WORD_COUNT };

static const char *const words[WORD_COUNT] = {"path", "rest", "query"};

/* Finds the word behind the dollar at `dollar`. Returns WORD_COUNT when there is none; *length is
   what is written in any case, with the dollar. */
static enum word find_word(const char *dollar, size_t *length)
{
    enum word word = 0;

    *length = 1 + strspn(dollar + 1, LETTERS DIGITS "_");
    while (word < WORD_COUNT && (strlen(words[word]) != *length - 1 ||
                                 strncmp(words[word], dollar + 1, *length - 1) != 0))
        word++;
    return word;
}

/* --- the start: is `to` such that it can lead nowhere else? --- */

static const char to_allowed[] =
    "write a path that begins with one slash, or http://HOST/... or "
    "https://HOST/...";

/* The end of "https://"; NULL: there is no such beginning. */
static const char *behind_scheme(const char *to)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(to, schemes[i], strlen(schemes[i])) == 0)
            return to + strlen(schemes[i]);
    return NULL;
}

/* The length of the host at `text`: a name, an IPv4 address, or an IPv6 address in brackets. */
static size_t host_length(const char *text)
{
    size_t length;

    if (*text != '[')
        return strspn(text, LETTERS DIGITS "-._");
    length = 1 + strspn(text + 1, DIGITS "abcdefABCDEF:.");
    return length > 1 && text[length] == ']' ? length + 1 : 0;
}

/* What is wrong with the authority at `text`; NULL: nothing. */
static const char *check_authority(const char *text)
{
    const char *end = text + host_length(text);
    size_t length;

    if (memchr(text, '@', strcspn(text, "/?#$")) != NULL)
        return "a name or a password before an @ is shown to everybody; write https://HOST/...";
    if (end == text)
        return "no host stands behind the ://; write https://HOST/...";
    if (*end == ':') {
        size_t port = strspn(end + 1, DIGITS);
        if (port == 0)
            return "no port stands behind the colon; write https://HOST:PORT/...";
        if (port > 5 || atoi(end + 1) < 1 || atoi(end + 1) > 65535)
            return "a port is a number from 1 to 65535; write https://HOST:PORT/...";
        end += 1 + port;
    }
    if (*end == '\0' || strchr("/?#", *end) != NULL)
        return NULL;
    if (*end == '$' && find_word(end, &length) == WORD_REST)
        return "$rest would become a part of the host; write a slash before it";
    if (*end == '$')
        return NULL; /* both begin with what ends a host; another word is refused with all others */
    return "the host holds what no host can hold; write https://HOST/...";
}

/* Whether the path that `to` leads to is the request's own. */
static bool is_own_path(const char *to)
{
    const char *word = to + (*to == '/'); /* a slash more is not written: see put */
    size_t length;

    if (*word != '$' || find_word(word, &length) != WORD_PATH)
        return false;
    word += length;
    return *word == '\0' || *word == '?' || *word == '#' ||
           (*word == '$' && find_word(word, &length) == WORD_QUERY);
}

/* What is wrong with where `to` leads; NULL: nothing. */
static const char *check_target(const char *to)
{
    const char *authority = behind_scheme(to);
    size_t length;

    if (authority != NULL)
        return check_authority(authority);
    if (is_own_path(to))
        return "it leads every request back to itself, for ever; write another path, or "
               "https://HOST$path";
    if (*to == '$' && find_word(to, &length) == WORD_PATH)
        return NULL;
    if (*to == '/' && to[1] == '/')
        return "two slashes would begin with a host; write one slash, or https://HOST/...";
    return *to == '/' ? NULL : to_allowed;
}

/* What is wrong with the byte at `at`, which is part of no word; NULL: nothing. */
static const char *check_byte(const char *at)
{
    if (*at == '\\')
        return "a backslash, which browsers take for a slash; write / or %5C";
    if (*at == '%' && (strspn(at + 1, DIGITS "abcdefABCDEF") < 2))
        return "a % stands before two hexadecimal digits; write %25 for one of its own";
    if (*at <= ' ' || *at > '~' || strchr("\"<>^`{|}", *at) != NULL)
        return "it holds a byte that no URL can hold; write it as % and two hexadecimal digits";
    return NULL;
}

/* What is wrong with the word at `dollar`; NULL: nothing. */
static const char *check_word(const char *to, const char *dollar)
{
    size_t length;
    enum word word = find_word(dollar, &length);

    if (word == WORD_COUNT)
        return "there are $path, $rest and $query, and no others; write %24 for a dollar";
    if (word == WORD_QUERY && memchr(to, '#', (size_t)(dollar - to)) != NULL)
        return "$query would become a part of the fragment; write it before the #";
    if (word == WORD_QUERY && dollar[length] != '\0' && dollar[length] != '#')
        return "$query stands at the end, or before a #: what follows would become a part of it";
    return NULL;
}

static const char *check_to(const char *to)
{
    const char *why = NULL;
    size_t length;

    for (const char *at = to; *at != '\0' && why == NULL; at += length) {
        length = 1;
        if (*at == '$') {
            why = check_word(to, at);
            find_word(at, &length);
        } else {
            why = check_byte(at);
        }
    }
    return why != NULL ? why : check_target(to);
}

static int redirect_start(const struct option_value *values, void **state, char *error,
                          size_t error_size)
{
    const char *to = values[OPTION_TO].text;
    const char *why = check_to(to);
    char shown[SHOWN_SIZE];
    struct target *target;

    if (why != NULL) {
        snprintf(error, error_size, "to = %s: %s", problems_show(to, strlen(to), shown), why);
        return -1;
    }
    target = malloc(sizeof *target);
    if (target == NULL) {
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    target->to = to;
    target->status = status_codes[values[OPTION_STATUS].number];
    *state = target;
    return 0;
}

static void redirect_stop(void *state)
{
    free(state);
}

/* --- a request --- */

#define LOCATION "Location: "

/* The header while it is written. */
struct location {
    char header[sizeof LOCATION + LOCATION_MAX + 2];
    char *text; /* the address in it */
    size_t length;
    bool is_path;  /* else a URL */
    bool in_path;  /* no ? and no # has been written */
    bool too_long; /* something is missing */
};

/* Adds a byte that may stand in a URL. */
static void put(struct location *location, char byte)
{
    /* A path's second slash, wherever it comes from, would make what follows a host. */
    if (location->is_path && location->length == 1 && byte == '/')
        return;
    if (byte == '?' || byte == '#')
        location->in_path = false;
    if (location->length == LOCATION_MAX)
        location->too_long = true;
    else
        location->text[location->length++] = byte;
}

static void put_encoded(struct location *location, const char *text, const char *plain)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (strchr(plain, *text) != NULL) {
            put(location, *text);
        } else {
            put(location, '%');
            put(location, digits[byte >> 4]);
            put(location, digits[byte & 15]);
        }
    }
}

/* The query and what separates it from what has been written. */
static void put_query(struct location *location, const char *query)
{
    char last = location->text[location->length - 1];

    if (query == NULL || *query == '\0')
        return;
    if (location->in_path)
        put(location, '?');
    else if (last != '?' && last != '&')
        put(location, '&');
    put_encoded(location, query, plain_in_query);
}

static void put_word(struct location *location, enum word word, const struct http_request *request)
{
    const char *plain = location->in_path ? plain_in_path : plain_as_value;

    if (word == WORD_PATH) {
        put(location, '/');
        put_encoded(location, request->path + strspn(request->path, "/"), plain);
    } else if (word == WORD_REST) {
        put_encoded(location, request->rest, plain);
    } else {
        put_query(location, request->query);
    }
}

static void put_all(struct location *location, const char *to, const struct http_request *request)
{
    size_t length;

    memcpy(location->header, LOCATION, sizeof LOCATION);
    location->text = location->header + sizeof LOCATION - 1;
    location->length = 0;
    location->is_path = behind_scheme(to) == NULL;
    location->in_path = true;
    location->too_long = false;
    while (*to != '\0' && !location->too_long) {
        length = 1;
        if (*to == '$')
            put_word(location, find_word(to, &length), request);
        else
            put(location, *to);
        to += length;
    }
    memcpy(location->text + location->length, "\r\n", 3);
}

static void redirect_http(void *state, const struct http_request *request)
{
    const struct target *target = state;
    struct location location;

    put_all(&location, target->to, request);
    if (location.too_long) {
        http_respond(request, 414, "text/plain; charset=utf-8",
                     "this leads to an address of more than 8000 bytes\n");
        return;
    }
    http_begin(request,
               &(struct http_answer){.status = target->status, .headers = location.header});
}

const struct handler handler_redirect = {
    .name = "redirect",
    .help = "leads to another address, whatever the method",
    .options = options,
    .start = redirect_start,
    .stop = redirect_stop,
    .http = redirect_http,
};
