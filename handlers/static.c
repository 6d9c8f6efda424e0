/*
 * static: files below one folder, and nothing else.
 *
 * The kernel keeps a path below the folder (openat2, RESOLVE_BENEATH), so there is no rule about
 * dots or links here that could be wrong. Whatever cannot be served is a plain 404: an answer never
 * tells what exists outside, or what exists and may not be read.
 */
#include "handlers/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_SIZE 16384 /* request threads have small stacks */
#define OPEN_TRIES 8      /* openat2 asks for another try when a folder is renamed meanwhile */

enum { OPTION_ROOT, OPTION_INDEX };

static const struct option options[] = {
    [OPTION_ROOT] = {.name = "root",
                     .type = OPTION_TEXT,
                     .minimum = 1,
                     .maximum = PATH_MAX - 1,
                     .help = "the folder; files below it are served, and nothing else"},
    [OPTION_INDEX] = {.name = "index",
                      .type = OPTION_TEXT,
                      .fallback = "index.html",
                      .minimum = 1,
                      .maximum = NAME_MAX,
                      .help = "the file that answers for a folder"},
    {0},
};

enum { QUERY_MAX = 1024 }; /* of a redirect; a longer query is left out */

struct folder {
    int descriptor;
    const char *index;
};

/* By the end of the name, in any case. */
static const struct {
    const char *ending;
    const char *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/markdown; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".xml", "application/xml"},
    {".json", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".wasm", "application/wasm"},
    {".pdf", "application/pdf"},
    {".zip", "application/zip"},
    {".gz", "application/gzip"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".avif", "image/avif"},
    {".ico", "image/vnd.microsoft.icon"},
    {".woff", "font/woff"},
    {".woff2", "font/woff2"},
    {".mp3", "audio/mpeg"},
    {".ogg", "audio/ogg"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
};

static const char *type_of(const char *path)
{
    size_t length = strlen(path);

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t ending = strlen(types[i].ending);
        if (length > ending && strcasecmp(path + length - ending, types[i].ending) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

/* Opens what `path` names below the folder. Returns a descriptor, or -1 with errno. */
static int open_below(int folder, const char *path, uint64_t flags)
{
    const struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long descriptor = -1;

    for (int i = 0; i < OPEN_TRIES; i++) {
        descriptor = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (descriptor >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)descriptor;
}

static int static_start(const struct option_value *values, void **state, char *error,
                        size_t error_size)
{
    const char *root = values[OPTION_ROOT].text;
    struct folder *folder = malloc(sizeof *folder);
    int probe;

    if (folder == NULL) {
        snprintf(error, error_size, "root = %s: out of memory", root);
        return -1;
    }
    folder->index = values[OPTION_INDEX].text;
    folder->descriptor = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder->descriptor < 0) {
        snprintf(error, error_size, "root = %s: %s; name a folder that exists", root,
                 errno == ENOTDIR ? "is not a folder" : strerror(errno));
        goto failed;
    }
    probe = open_below(folder->descriptor, ".", O_PATH | O_DIRECTORY);
    if (probe < 0) {
        snprintf(error, error_size,
                 "root = %s: openat2: %s; serving files needs Linux 5.6 or later, and a sandbox "
                 "that allows this call",
                 root, strerror(errno));
        close(folder->descriptor);
        goto failed;
    }
    close(probe);
    *state = folder;
    return 0;

failed:
    free(folder);
    return -1;
}

static void static_stop(void *state)
{
    struct folder *folder = state;

    close(folder->descriptor);
    free(folder);
}

static void refuse(const struct http_request *request, int status, const char *text)
{
    http_respond(request, status, "text/plain; charset=utf-8", text);
}

/* errno of a failed open as an answer. */
static void refuse_open(const struct http_request *request, int error)
{
    if (error == EMFILE || error == ENFILE || error == ENOMEM)
        refuse(request, 503, "too many files are open, try again\n");
    else
        refuse(request, 404, "not found\n");
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
        refuse(request, 404, "not found\n");
        return;
    }
    for (; *name != '\0'; name++) {
        if (strchr(plain, *name) != NULL)
            *end++ = *name;
        else
            end += sprintf(end, "%%%02X", (unsigned)(unsigned char)*name);
    }
    if (request->query != NULL && strlen(request->query) < QUERY_MAX)
        sprintf(end, "/?%s\r\n", request->query);
    else
        memcpy(end, ending, sizeof ending);
    http_begin(request, &(struct http_answer){.status = 301, .headers = headers});
}

/* Sends an open file. One that shrinks meanwhile is cut off there: the server then ends the
 * connection, because it was told another length; what a growing one gains is left out. */
static void send_file(const struct http_request *request, int file, const struct stat *about,
                      const char *type)
{
    char headers[128];
    char buffer[BUFFER_SIZE];
    struct tm modified;
    int64_t left = about->st_size;

    if (gmtime_r(&about->st_mtime, &modified) == NULL ||
        strftime(headers, sizeof headers,
                 "Last-Modified: %a, %d %b %Y %H:%M:%S GMT\r\nX-Content-Type-Options: nosniff\r\n",
                 &modified) == 0)
        headers[0] = '\0';
    if (http_begin(request, &(struct http_answer){
                                .status = 200, .type = type, .length = left, .headers = headers}))
        return;
    if (strcmp(request->method, "HEAD") == 0)
        return;
    while (left > 0) {
        size_t want = left < BUFFER_SIZE ? (size_t)left : BUFFER_SIZE;
        ssize_t got = read(file, buffer, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || http_write(request, buffer, (size_t)got) != 0)
            return;
        left -= got;
    }
}

/* Opens the folder's index instead of the folder. Returns a descriptor, or -1 with errno. */
static int open_index(const struct folder *folder, const char *path, char *index, size_t size)
{
    int length = snprintf(index, size, "%s%s", path, folder->index);

    if (length < 0 || (size_t)length >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    /* Without O_NONBLOCK opening a FIFO would wait for someone to write into it. */
    return open_below(folder->descriptor, index, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

/* Answers for what was asked and opened; `file` stays the caller's. */
static void answer_file(const struct http_request *request, int file, const char *path)
{
    struct stat about;

    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
        refuse(request, 404, "not found\n");
    else
        send_file(request, file, &about, type_of(path));
}

static void static_http(void *state, const struct http_request *request)
{
    const struct folder *folder = state;
    const char *path = request->rest;
    char index[PATH_MAX];
    struct stat about;
    int file;

    if (!http_gets(request))
        return;
    if (strchr(path, '\\') != NULL) {
        refuse(request, 404, "not found\n");
        return;
    }
    file = open_below(folder->descriptor, *path == '\0' ? "." : path,
                      O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (file >= 0 && fstat(file, &about) == 0 && S_ISDIR(about.st_mode)) {
        close(file);
        if (!request->exact && request->path[strlen(request->path) - 1] != '/') {
            redirect(request);
            return;
        }
        file = open_index(folder, path, index, sizeof index);
        path = index;
    }
    if (file < 0) {
        refuse_open(request, errno);
        return;
    }
    answer_file(request, file, path);
    close(file);
}

const struct handler handler_static = {
    .name = "static",
    .help = "files below a folder",
    .options = options,
    .start = static_start,
    .stop = static_stop,
    .http = static_http,
};
