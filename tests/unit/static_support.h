/* What the tests of the static handler share: a folder of its own, and fakes that catch what is
   answered. */
#ifndef LASTCALL_TESTS_UNIT_STATIC_SUPPORT_H
#define LASTCALL_TESTS_UNIT_STATIC_SUPPORT_H

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers/handler.h"

#define LARGE 1000000

static char folder[64]; /* holds outside.txt and root/ */
static char root[sizeof folder + 8];
static void *state;

/* What the handler has answered. */
static struct {
    int begun;
    int status;
    char type[64];
    char headers[2048];
    int64_t length;
    char body[LARGE + 1];
    size_t size;
    size_t fail_after;          /* the peer has gone after so many bytes; 0: it stays */
    void (*before_write)(void); /* called once, before the first piece is taken */
} answer;

int http_begin(const struct http_request *request, const struct http_answer *begin)
{
    (void)request;
    answer.begun++;
    answer.status = begin->status;
    answer.length = begin->length;
    snprintf(answer.type, sizeof answer.type, "%s", begin->type == NULL ? "" : begin->type);
    snprintf(answer.headers, sizeof answer.headers, "%s",
             begin->headers == NULL ? "" : begin->headers);
    return 0;
}

int http_write(const struct http_request *request, const void *data, size_t length)
{
    (void)request;
    if (answer.before_write != NULL)
        answer.before_write();
    answer.before_write = NULL;
    ck_assert_uint_le(answer.size + length, LARGE);
    memcpy(answer.body + answer.size, data, length);
    answer.size += length;
    return answer.fail_after != 0 && answer.size >= answer.fail_after ? -1 : 0;
}

/* In pieces, as the server sends them: a file may change meanwhile. */
int http_send_file(const struct http_request *request, int descriptor, int64_t offset,
                   int64_t length)
{
    static char piece[16384];

    if (strcmp(request->method, "HEAD") == 0)
        return 0;
    while (length > 0) {
        size_t want = length < (int64_t)sizeof piece ? (size_t)length : sizeof piece;
        ssize_t got = pread(descriptor, piece, want, offset);
        if (got <= 0 || http_write(request, piece, (size_t)got) != 0)
            return -1;
        offset += got;
        length -= got;
    }
    return 0;
}

int http_respond(const struct http_request *request, int status, const char *type, const char *text)
{
    struct http_answer begin = {.status = status, .type = type, .length = (int64_t)strlen(text)};

    http_begin(request, &begin);
    return http_write(request, text, strlen(text));
}

int http_refuse_method(const struct http_request *request, const char *allowed)
{
    char headers[64];
    struct http_answer begin = {.status = 405, .headers = headers};

    snprintf(headers, sizeof headers, "Allow: %s\r\n", allowed);
    return http_begin(request, &begin);
}

/* The headers of the next requests: name, value, ..., NULL. */
static const char *asked[16];

static const char *find_asked(const struct http_request *request, const char *name)
{
    (void)request;
    for (size_t i = 0; asked[i] != NULL; i += 2)
        if (strcasecmp(asked[i], name) == 0)
            return asked[i + 1];
    return NULL;
}

/* Asks on the route named by a slash and a star. */
static void ask(const char *method, const char *path)
{
    struct http_request request = {
        .method = method, .path = path, .rest = path + 1, .header = find_asked};

    answer.begun = 0;
    answer.size = 0;
    memset(answer.body, 0, sizeof answer.body);
    handler_static.http(state, &request);
    ck_assert_int_eq(answer.begun, 1);
    if (answer.fail_after == 0 && strcmp(method, "HEAD") != 0)
        ck_assert_uint_le(answer.size, (size_t)answer.length);
}

static const char *at(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static int start(const char *folder_to_serve, int64_t cache, void **started, char *error,
                 size_t size)
{
    const struct option_value values[] = {
        {.text = folder_to_serve}, {.text = "index.html"}, {.number = cache}};

    return handler_static.start(values, started, error, size);
}

static void set_up(void)
{
    char error[256];

    snprintf(folder, sizeof folder, "/tmp/lastcall-static-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(root, sizeof root, "%s/root", folder);
    ck_assert_int_eq(mkdir(root, 0755), 0);
    write_file(at("../outside.txt"), "secret");
    write_file(at("index.html"), "<p>home");
    write_file(at("a b.txt"), "blanks");
    write_file(at("empty.css"), "");
    ck_assert_int_eq(mkdir(at("sub"), 0755), 0);
    write_file(at("sub/index.html"), "<p>sub");
    ck_assert_int_eq(mkdir(at("bare"), 0755), 0);
    ck_assert_int_eq(start(root, 0, &state, error, sizeof error), 0);
    memset(&answer, 0, sizeof answer);
    memset(asked, 0, sizeof asked);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

static void tear_down(void)
{
    handler_static.stop(state);
    ck_assert_int_eq(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER "Sun, 06 Nov 1994 08:49:36 GMT"
#define THEN_SECONDS 784111777

enum { VALUE_SIZE = 256 };

static inline bool has(const char *line)
{
    char whole[VALUE_SIZE];

    snprintf(whole, sizeof whole, "%s\r\n", line);
    const char *found = strstr(answer.headers, whole);
    return found != NULL && (found == answer.headers || found[-1] == '\n');
}

/* The value of a header of the answer; "" without one. */
static inline const char *value_of(const char *name)
{
    static char value[VALUE_SIZE];
    const char *line = strstr(answer.headers, name);

    snprintf(value, sizeof value, "%s", line == NULL ? "" : line + strlen(name) + 2);
    value[strcspn(value, "\r")] = '\0';
    return value;
}

static inline void date_file(const char *name, int64_t seconds, long nanoseconds)
{
    const struct timespec times[] = {{.tv_sec = seconds, .tv_nsec = nanoseconds},
                                     {.tv_sec = seconds, .tv_nsec = nanoseconds}};

    ck_assert_int_eq(utimensat(AT_FDCWD, at(name), times, 0), 0);
}

static inline void set_up_files(void)
{
    set_up();
    write_file(at("ten.txt"), "0123456789");
    date_file("ten.txt", THEN_SECONDS, 0);
}

/* The tag of a file, in memory that lasts. */
static inline const char *tag_of(const char *path)
{
    static char tags[8][VALUE_SIZE];
    static size_t next;
    char *tag = tags[next++ % 8];

    ask("GET", path);
    ck_assert_int_eq(answer.status, 200);
    snprintf(tag, sizeof tags[0], "%s", value_of("ETag"));
    return tag;
}

#endif
