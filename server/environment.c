#include "server/environment.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/buffer.h"
#include "config/problems.h"
#include "config/text.h"
#include "server/handshake.h"

#define PATH_FALLBACK "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Variables while they are written, each ended by a zero. */
struct variables {
    struct buffer text;
    size_t count;
    char *const *additions;
};

/* --- NAME=value --- */

/* The length of the name that it begins with; 0: none. */
static size_t name_length(const char *word)
{
    size_t length = 0;
    if (*word >= '0' && *word <= '9')
        return 0;
    while (text_is_name(word[length]))
        length++;
    return length;
}

/* Whether `variable` is NAME=... for this name. */
static bool is_named(const char *variable, const char *name, size_t length)
{
    return strncmp(variable, name, length) == 0 && variable[length] == '=';
}

static void put(struct variables *variables, const char *text)
{
    buffer_add(&variables->text, text, strlen(text));
}

/* The zero behind a variable. */
static void end(struct variables *variables)
{
    buffer_add(&variables->text, "", 1);
    variables->count++;
}

/* Copies them behind the pointers to them; frees the text. NULL: out of memory. */
static char **pack(struct variables *variables)
{
    struct buffer *text = &variables->text;
    size_t pointers = (variables->count + 1) * sizeof(char *);
    char **block = text->failed ? NULL : malloc(pointers + text->length + 1);
    if (block != NULL) {
        char *next = (char *)block + pointers;
        if (text->length > 0)
            memcpy(next, text->text, text->length);
        for (size_t i = 0; i < variables->count; i++) {
            block[i] = next;
            next += strlen(next) + 1;
        }
        block[variables->count] = NULL;
    }
    buffer_free(text);
    return block;
}

/* --- what the configuration adds --- */

/* Returns false with the mistake in `why`. */
static bool check_addition(char *const *words, size_t place, char *why, size_t size)
{
    const char *word = words[place];
    size_t length = name_length(word);
    char shown[SHOWN_SIZE];
    problems_show(word, strlen(word), shown);
    if (length == 0 || (word[length] != '=' && word[length] != '\0')) {
        snprintf(why, size,
                 "%s is neither NAME=value nor NAME; a name has letters, digits and underscores, "
                 "and blanks in a value need quotes: NAME='a b'",
                 shown);
        return false;
    }
    for (size_t i = 0; i < place; i++) {
        if (name_length(words[i]) == length && strncmp(words[i], word, length) == 0) {
            snprintf(why, size, "%.*s is there twice", (int)length, word);
            return false;
        }
    }
    return true;
}

char **environment_additions(char *const *words, char *why, size_t size)
{
    struct variables variables = {0};
    for (size_t i = 0; words[i] != NULL; i++) {
        if (!check_addition(words, i, why, size)) {
            buffer_free(&variables.text);
            return NULL;
        }
        bool whole = strchr(words[i], '=') != NULL;
        const char *ours = whole ? NULL : getenv(words[i]);
        if (!whole && ours == NULL)
            continue;
        put(&variables, words[i]);
        if (!whole) {
            put(&variables, "=");
            put(&variables, ours);
        }
        end(&variables);
    }
    why[0] = '\0';
    return pack(&variables);
}

/* --- what a request says --- */

static bool is_added(const struct variables *variables, const char *name)
{
    for (size_t i = 0; variables->additions[i] != NULL; i++)
        if (is_named(variables->additions[i], name, strlen(name)))
            return true;
    return false;
}

/* `length` bytes of a value, unless the configuration has one of that name. */
static void set_part(struct variables *variables, const char *name, const char *value,
                     size_t length)
{
    if (is_added(variables, name))
        return;
    put(variables, name);
    put(variables, "=");
    buffer_add(&variables->text, value, length);
    end(variables);
}

static void set(struct variables *variables, const char *name, const char *value)
{
    set_part(variables, name, value, strlen(value));
}

static void set_port(struct variables *variables, const char *name, uint16_t port)
{
    char text[8];
    snprintf(text, sizeof text, "%u", (unsigned)port);
    set(variables, name, text);
}

/* The path and the query as they were sent. */
static void set_target(struct variables *variables, const struct http_request *request)
{
    static const char name[] = "REQUEST_URI";
    if (!is_added(variables, name)) {
        put(variables, name);
        put(variables, "=");
        put(variables, request->raw_path);
        if (request->query != NULL) {
            put(variables, "?");
            put(variables, request->query);
        }
        end(variables);
    }
    set(variables, "QUERY_STRING", request->query == NULL ? "" : request->query);
}

/* What the route stands for is the script, what its star stands for the path behind it. */
static void set_path(struct variables *variables, const struct http_request *request)
{
    size_t length = strlen(request->path) - strlen(request->rest);
    if (!request->exact && length > 0 && request->path[length - 1] == '/')
        length--; /* the slash belongs to what is behind */
    set_part(variables, "SCRIPT_NAME", request->path, length);
    set(variables, "PATH_INFO", request->path + length);
}

/* The host that the client has asked for, without its port. */
static void set_server(struct variables *variables, const struct http_request *request)
{
    const char *host = header_find(request->headers, request->header_count, "Host");
    if (host == NULL)
        host = "";
    const char *bracket = *host == '[' ? strchr(host, ']') : NULL;
    const char *colon = strchr(bracket == NULL ? host : bracket, ':');
    bool bare = bracket == NULL && colon != NULL && strchr(colon + 1, ':') != NULL; /* IPv6 */
    set_part(variables, "SERVER_NAME", host,
             colon == NULL || bare ? strlen(host) : (size_t)(colon - host));
    set_port(variables, "SERVER_PORT", request->local_port);
}

/* --- headers --- */

/* Whether a program may be told this header under the name that it would have. */
static bool is_told(const char *name)
{
    static const char *const kept_back[] = {"Proxy", "Authorization", "Proxy-Authorization"};
    static const char body[] = "Content-";
    for (const char *byte = name; *byte != '\0'; byte++)
        if (*byte != '-' && (*byte == '_' || !text_is_name(*byte)))
            return false;
    for (size_t i = 0; i < sizeof kept_back / sizeof kept_back[0]; i++)
        if (strcasecmp(name, kept_back[i]) == 0)
            return false;
    return *name != '\0' && strncasecmp(name, body, sizeof body - 1) != 0;
}

/* Writes HTTP_NAME. */
static void name_variable(const char *header, char *name, size_t size)
{
    size_t length = (size_t)snprintf(name, size, "HTTP_%s", header);
    for (size_t i = 0; i < length && i < size; i++) {
        if (name[i] == '-')
            name[i] = '_';
        else if (name[i] >= 'a' && name[i] <= 'z')
            name[i] = (char)(name[i] - 'a' + 'A');
    }
}

/* One variable for all headers of this one's name, of which it is the first. */
static void set_header(struct variables *variables, const struct http_request *request,
                       size_t place)
{
    const struct header *header = &request->headers[place];
    const char *between = strcasecmp(header->name, "Cookie") == 0 ? "; " : ", ";
    char name[256];
    if (strlen(header->name) + sizeof "HTTP_" > sizeof name)
        return;
    name_variable(header->name, name, sizeof name);
    if (is_added(variables, name))
        return;
    put(variables, name);
    put(variables, "=");
    put(variables, header->value);
    for (size_t i = place + 1; i < request->header_count; i++) {
        if (!header_is(&request->headers[i], header->name))
            continue;
        put(variables, between);
        put(variables, request->headers[i].value);
    }
    end(variables);
}

static void set_headers(struct variables *variables, const struct http_request *request)
{
    for (size_t i = 0; i < request->header_count; i++) {
        const char *name = request->headers[i].name;
        if (is_told(name) && header_find(request->headers, i, name) == NULL)
            set_header(variables, request, i);
    }
}

char **environment_make(const struct http_request *request, char *const *additions)
{
    struct variables variables = {.additions = additions};
    const char *path = getenv("PATH");
    set(&variables, "PATH", path == NULL ? PATH_FALLBACK : path);
    set(&variables, "GATEWAY_INTERFACE", "CGI/1.1");
    set(&variables, "SERVER_SOFTWARE", "lastcall/" LASTCALL_VERSION);
    set(&variables, "SERVER_PROTOCOL", "HTTP/1.1");
    set(&variables, "REQUEST_METHOD", request->method);
    set_target(&variables, request);
    set(&variables, "REMOTE_ADDR", request->remote_address);
    set_port(&variables, "REMOTE_PORT", request->remote_port);
    set_path(&variables, request);
    set_server(&variables, request);
    set_headers(&variables, request);
    for (size_t i = 0; additions[i] != NULL; i++) {
        put(&variables, additions[i]);
        end(&variables);
    }
    return pack(&variables);
}
