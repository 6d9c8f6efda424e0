/*
 * static: files below one folder, and nothing else.
 *
 * Whatever cannot be served is a plain 404: an answer never tells what exists outside, or what
 * exists and may not be read.
 *
 * What would be sent is chosen first, the file or the .gz beside it; the conditions and the range
 * of the request then count for that (RFC 9110, sections 12 to 14).
 */
#include "handlers/handler.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/coding.h"
#include "server/date.h"
#include "server/folder.h"
#include "server/media_type.h"
#include "server/precondition.h"
#include "server/range.h"

#define TYPES_FILE "/etc/mime.types"

enum {
    QUERY_MAX = 1024,     /* of a redirect; one that is longer is left out */
    TAG_SIZE = 72,        /* three numbers of 64 bits in hexadecimal, what is between, a zero */
    HEADERS_SIZE = 512,   /* the longest come to 350 */
    CACHE_MAX = 31536000, /* seconds: a year, which caches take for always */
    MILLISECONDS = 1000,
    DATED_FROM = 631152000, /* 1990, in seconds since 1970: behind what packers write: 1980, 1985 */
};

enum { OPTION_ROOT, OPTION_INDEX, OPTION_CACHE };

static const struct option options[] = {
    [OPTION_ROOT] =
        {.name = "root",
         .type = OPTION_TEXT,
         .minimum = 1,
         .maximum = PATH_MAX - 1,
         .help = "the folder, which is opened once, at the start; files below it are served, and "
                 "nothing else: no link that leads out or is absolute, and no name that begins "
                 "with a dot but /.well-known. NAME.gz beside NAME is sent to those who take "
                 "gzip, unless it is the older one"},
    [OPTION_INDEX] = {.name = "index",
                      .type = OPTION_TEXT,
                      .fallback = "index.html",
                      .minimum = 1,
                      .maximum = NAME_MAX,
                      .help = "the file that answers for a folder"},
    [OPTION_CACHE] = {.name = "cache",
                      .type = OPTION_DURATION,
                      .fallback = "0",
                      .minimum = 0,
                      .maximum = (int64_t)CACHE_MAX * MILLISECONDS,
                      .help = "how long browsers and proxies may use a file without asking again, "
                              "in whole seconds; 0: they keep it, and ask each time whether it has "
                              "changed. A file dated before 1990, as builds that are to be the "
                              "same each time write them, cannot tell: it is sent each time"},
    {0},
};

struct folder {
    int descriptor;
    const char *index;
    char cache[32]; /* the value of Cache-Control */
};

/* What is sent for a path. */
struct found {
    int file;
    struct stat about;
    bool gzip;   /* it is the .gz beside the file that was asked for */
    bool varies; /* there is one */
    const char *type;
    bool dated;       /* its time tells whether it has changed; else the next two are empty */
    int64_t modified; /* for Last-Modified, in seconds since 1970 */
    char tag[TAG_SIZE];
};

/* One table for all routes, from the first start to the last stop. */
static struct media_types *types;
static size_t folder_count;

/* --- start and stop --- */

static void write_cache(int64_t milliseconds, char *text, size_t size)
{
    int64_t seconds = (milliseconds + MILLISECONDS - 1) / MILLISECONDS;

    if (seconds == 0)
        snprintf(text, size, "no-cache");
    else
        snprintf(text, size, "max-age=%" PRId64, seconds);
}

static void static_stop(void *state)
{
    struct folder *folder = state;

    if (folder->descriptor >= 0)
        close(folder->descriptor);
    free(folder);
    if (--folder_count > 0)
        return;
    media_types_free(types);
    types = NULL;
}

static int static_start(const struct option_value *values, void **state, char *error,
                        size_t error_size)
{
    const char *root = values[OPTION_ROOT].text;
    struct folder *folder = malloc(sizeof *folder);
    char why[256];

    if (types == NULL)
        types = media_types_read(TYPES_FILE);
    if (folder == NULL || types == NULL) {
        snprintf(error, error_size, "root = %s: out of memory", root);
        free(folder);
        return -1;
    }
    folder_count++;
    folder->index = values[OPTION_INDEX].text;
    write_cache(values[OPTION_CACHE].number, folder->cache, sizeof folder->cache);
    folder->descriptor = folder_open(root, why, sizeof why);
    if (folder->descriptor < 0) {
        snprintf(error, error_size, "root = %s: %s", root, why);
        static_stop(folder);
        return -1;
    }
    *state = folder;
    return 0;
}

/* --- answers without a file --- */

static void refuse(const struct http_request *request, int status, const char *headers,
                   const char *text)
{
    const struct http_answer answer = {.status = status,
                                       .type = "text/plain; charset=utf-8",
                                       .length = (int64_t)strlen(text),
                                       .headers = headers};

    if (http_begin(request, &answer) == 0)
        http_write(request, text, strlen(text));
}

/* errno of a failed open as an answer. */
static void refuse_open(const struct http_request *request, int error)
{
    if (error == EMFILE || error == ENFILE || error == ENOMEM)
        refuse(request, 503, NULL, "too many files are open, try again\n");
    else
        refuse(request, 404, NULL, "not found\n");
}

/* Whether a query can be part of a header as it is. */
static bool is_plain(const char *query)
{
    size_t length = 0;

    while (query[length] > ' ' && query[length] <= '~')
        length++;
    return query[length] == '\0' && length < QUERY_MAX;
}

/*
 * A folder was asked for without its final slash: links on its page would lead one level too high.
 * The new address is relative (RFC 9110, section 10.2.2), the last name and a slash, so it holds
 * behind a proxy too and can never lead to another host. Every byte that could mean anything is
 * percent-encoded; a line break would otherwise end the header.
 */
static void redirect(const struct http_request *request)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    static const char ending[] = "/\r\n";
    const char *slash = strrchr(request->path, '/');
    const char *name = slash == NULL ? request->path : slash + 1;
    char headers[3 * NAME_MAX + QUERY_MAX + 64] = "Location: ";
    char *end = headers + strlen(headers);

    if (*name == '\0' || strlen(name) > NAME_MAX) {
        refuse(request, 404, NULL, "not found\n");
        return;
    }
    for (; *name != '\0'; name++) {
        if (strchr(plain, *name) != NULL)
            *end++ = *name;
        else
            end += sprintf(end, "%%%02X", (unsigned)(unsigned char)*name);
    }
    if (request->query != NULL && is_plain(request->query))
        sprintf(end, "/?%s\r\n", request->query);
    else
        memcpy(end, ending, sizeof ending);
    http_begin(request, &(struct http_answer){.status = 301, .headers = headers});
}

/* --- what is sent --- */

static bool is_older(const struct stat *one, const struct stat *other)
{
    if (one->st_mtim.tv_sec != other->st_mtim.tv_sec)
        return one->st_mtim.tv_sec < other->st_mtim.tv_sec;
    return one->st_mtim.tv_nsec < other->st_mtim.tv_nsec;
}

/* Takes the .gz beside the file in its place, if the peer prefers it. One that is older than the
   file is as none. */
static void choose_gzip(const struct folder *folder, const struct http_request *request,
                        const char *path, struct found *found)
{
    struct stat about;
    int file = folder_open_file(folder->descriptor, path, &about);

    if (file < 0)
        return;
    found->varies = !is_older(&about, &found->about);
    found->gzip = found->varies && coding_wants_gzip(request->header(request, "Accept-Encoding"));
    close(found->gzip ? found->file : file);
    if (found->gzip) {
        found->file = file;
        found->about = about;
    }
}

/*
 * The tag is strong: whoever changes a file changes its time or its size. It is the same on every
 * server that has the same files, behind one balancer. A time that is still to come counts as now
 * (RFC 9110, section 8.8.2.1). Builds that are to be the same each time date all files alike, at
 * the beginning of what Unix or ZIP can date: such a time would not tell the next version.
 */
static void describe(struct found *found, int64_t now)
{
    const struct stat *about = &found->about;

    found->dated = about->st_mtim.tv_sec >= DATED_FROM;
    if (!found->dated)
        return;
    found->modified = about->st_mtim.tv_sec < now ? about->st_mtim.tv_sec : now;
    snprintf(found->tag, TAG_SIZE, "\"%" PRIx64 "-%lx-%" PRIx64 "%s\"",
             (uint64_t)about->st_mtim.tv_sec, (unsigned long)about->st_mtim.tv_nsec,
             (uint64_t)about->st_size, found->gzip ? "-gz" : "");
}

/* What 200, 206 and 304 have in common (RFC 9110, section 15.4.5). Returns its length. */
static size_t write_common(const struct folder *folder, const struct found *found, char *headers)
{
    int length = snprintf(headers, HEADERS_SIZE, "%s%s%sCache-Control: %s\r\n%s",
                          found->dated ? "ETag: " : "", found->tag, found->dated ? "\r\n" : "",
                          folder->cache, found->varies ? "Vary: Accept-Encoding\r\n" : "");

    return (size_t)length;
}

/* What comes with the file or a part of it. */
static void write_rest(const struct found *found, int status, const struct range *part,
                       char *headers, size_t size)
{
    char date[DATE_SIZE];
    bool dated = found->dated && date_write(found->modified, date) == 0;
    int length = snprintf(headers, size,
                          "%s%s%s%sAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n",
                          dated ? "Last-Modified: " : "", dated ? date : "", dated ? "\r\n" : "",
                          found->gzip ? "Content-Encoding: gzip\r\n" : "");

    if (status == 206)
        snprintf(headers + length, size - (size_t)length,
                 "Content-Range: bytes %" PRId64 "-%" PRId64 "/%" PRId64 "\r\n", part->first,
                 part->first + part->length - 1, (int64_t)found->about.st_size);
}

/*
 * Answers 200, 206 or 304. Of a file that shrinks meanwhile there is no rest: the server then ends
 * the connection, because the peer was told another length. What a growing one gains is left out.
 */
static void send_found(const struct folder *folder, const struct http_request *request,
                       const struct found *found, int status, const struct range *part)
{
    char headers[HEADERS_SIZE];
    size_t length = write_common(folder, found, headers);
    const struct http_answer answer = {.status = status,
                                       .type = status == 304 ? NULL : found->type,
                                       .length = part->length,
                                       .headers = headers};

    if (status != 304)
        write_rest(found, status, part, headers + length, sizeof headers - length);
    if (http_begin(request, &answer) == 0 && status != 304)
        http_send_file(request, found->file, part->first, part->length);
}

static void refuse_range(const struct http_request *request, int64_t size)
{
    char headers[64];

    snprintf(headers, sizeof headers, "Content-Range: bytes */%" PRId64 "\r\n", size);
    refuse(request, 416, headers, "the range begins behind the end of the file\n");
}

/* Which part is asked for. Only GET knows ranges (RFC 9110, section 14.2). */
static enum range_kind read_range(const struct http_request *request, const struct found *found,
                                  const struct validators *validators, int64_t now,
                                  struct range *part)
{
    const char *text = request->header(request, "Range");

    if (text == NULL || strcmp(request->method, "GET") != 0 ||
        !precondition_range(request->header(request, "If-Range"), validators, now))
        return RANGE_ALL;
    return range_parse(text, found->about.st_size, part);
}

/* Answers with what was found. */
static void answer(const struct folder *folder, const struct http_request *request,
                   const struct found *found, int64_t now)
{
    const struct validators validators = {.tag = found->dated ? found->tag : NULL,
                                          .modified = found->modified};
    const struct preconditions conditions = {
        .if_match = request->header(request, "If-Match"),
        .if_none_match = request->header(request, "If-None-Match"),
        .if_modified_since = request->header(request, "If-Modified-Since"),
        .if_unmodified_since = request->header(request, "If-Unmodified-Since"),
    };
    int status = precondition_check(&conditions, &validators, now);
    struct range part = {.first = 0, .length = found->about.st_size};

    if (status == 200) {
        static const int statuses[] = {
            [RANGE_ALL] = 200, [RANGE_PART] = 206, [RANGE_UNSATISFIABLE] = 416};
        status = statuses[read_range(request, found, &validators, now, &part)];
    }
    if (status == 412)
        refuse(request, 412, NULL, "the file is another one now\n");
    else if (status == 416)
        refuse_range(request, found->about.st_size);
    else
        send_found(folder, request, found, status, &part);
}

/* --- the path --- */

/*
 * Whether a name on the path begins with a dot: such files are not meant for everybody. Only the
 * first name of a whole path may be .well-known (RFC 8615); a route's own part of the path was
 * chosen by whoever wrote it.
 */
static bool is_hidden(const struct http_request *request)
{
    static const char known[] = ".well-known";
    const char *name = request->rest;
    size_t length = strcspn(name, "/");

    if (strlen(request->path) == 1 + strlen(name) && length == strlen(known) &&
        strncmp(name, known, length) == 0)
        name += length;
    for (; name != NULL; name = strchr(name, '/')) {
        name += *name == '/' ? 1 : 0;
        if (*name == '.')
            return true;
    }
    return false;
}

static void static_http(void *state, const struct http_request *request)
{
    const struct folder *folder = state;
    const char *rest = request->rest;
    size_t length = strlen(request->path);
    bool is_folder = request->exact || request->path[length - 1] == '/';
    char path[PATH_MAX + NAME_MAX + sizeof ".gz"];
    struct found found = {0};
    int64_t now = time(NULL);

    if (!http_gets(request))
        return;
    if (is_hidden(request) || strchr(rest, '\\') != NULL || strlen(rest) >= PATH_MAX) {
        refuse(request, 404, NULL, "not found\n");
        return;
    }
    if (*rest == '\0' && !is_folder)
        rest = ".";
    length = (size_t)sprintf(path, "%s%s", rest, is_folder ? folder->index : "");
    found.file = folder_open_file(folder->descriptor, path, &found.about);
    if (found.file < 0 && errno == EISDIR && !is_folder) {
        redirect(request);
        return;
    }
    if (found.file < 0) {
        refuse_open(request, errno);
        return;
    }
    found.type = media_type_find(types, path);
    memcpy(path + length, ".gz", sizeof ".gz");
    choose_gzip(folder, request, path, &found);
    describe(&found, now);
    answer(folder, request, &found, now);
    close(found.file);
}

const struct handler handler_static = {
    .name = "static",
    .help = "files below a folder",
    .options = options,
    .start = static_start,
    .stop = static_stop,
    .http = static_http,
};
