/*
 * status: a page that shows how the server is, live, and the same as plain JSON (?json).
 *
 * Whoever watches is sent a snapshot at once, then one every `refresh`, all in step, so that it is
 * made once for all of them. During a drain it comes faster, and the last one when all others have
 * gone. A watcher that has not taken the one before is left out: nothing piles up for a slow one.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/handler.h"
#include "server/clock.h"
#include "server/frame.h"
#include "server/query.h"
#include "server/session.h"
#include "server/status.h"

extern const char embedded_status[]; /* status.html */

enum {
    HEADERS_SIZE = 1024,
    HASH_SIZE = 48,       /* of SHA-256 in base64 */
    DRAIN_REFRESH = 250,  /* milliseconds between two snapshots while the server stops */
    PHASE_INTERVAL = 250, /* in which a watcher looks whether that has begun */
    FRESH = 250,          /* age of a snapshot that a newcomer is content with */
    LAST_FRESH = 50,      /* and of the last one */
    LOOK_TIME = 20,       /* milliseconds that the loops have to see who is still there */
    MESSAGES_MAX = 100,   /* that a watcher may send; they mean nothing */
};

enum { OPTION_REFRESH };

static const struct option options[] = {
    [OPTION_REFRESH] = {.name = "refresh",
                        .type = OPTION_DURATION,
                        .fallback = "1s",
                        .minimum = 100,
                        .maximum = 3600000,
                        .help = "how often the page is sent new figures"},
    {0},
};

struct status_page {
    int64_t refresh;
    char headers[HEADERS_SIZE];
};

/* One that watches. */
struct watcher {
    int64_t tick;  /* the step in which it was sent something last */
    int64_t asked; /* the step for which the loops were asked who is still there */
    enum status_phase phase;
    unsigned messages;
};

#define COMMON_HEADERS                                                                             \
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"                               \
    "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"

static const char json_headers[] =
    COMMON_HEADERS "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n";

/* --- the page --- */

/* Writes the SHA-256 of what an element of the page contains, as a policy names it. Returns false
   where libcrypto cannot compute it. */
static bool hash_element(const char *begin, const char *end, char hash[HASH_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    unsigned length = 0;
    const char *content = strstr(embedded_status, begin) + strlen(begin);
    const char *behind = strstr(content, end);
    if (EVP_Digest(content, (size_t)(behind - content), digest, &length, EVP_sha256(), NULL) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)hash, digest, (int)length);
    return true;
}

/* The browser is to run and to load what is in the page, and nothing else. */
static bool write_headers(struct status_page *page)
{
    char style[HASH_SIZE];
    char script[HASH_SIZE];
    if (!hash_element("<style>", "</style>", style) ||
        !hash_element("<script>", "</script>", script))
        return false;
    snprintf(page->headers, sizeof page->headers,
             COMMON_HEADERS
             "Content-Security-Policy: default-src 'none'; style-src 'sha256-%s'; "
             "script-src 'sha256-%s'; img-src data:; connect-src 'self'; base-uri 'none'; "
             "form-action 'none'; frame-ancestors 'none'\r\n",
             style, script);
    return true;
}

static int status_start(const struct option_value *values, void **state, char *error,
                        size_t error_size)
{
    struct status_page *page = malloc(sizeof *page);
    if (page == NULL) {
        snprintf(error, error_size, "out of memory");
        return -1;
    }
    page->refresh = values[OPTION_REFRESH].number;
    if (!write_headers(page)) {
        snprintf(error, error_size, "libcrypto has no memory, or no SHA-256");
        free(page);
        errno = ENOMEM;
        return -1;
    }
    *state = page;
    return 0;
}

/* --- HTTP --- */

static void answer_json(const struct http_request *request)
{
    struct status_snapshot *snapshot = status_get(0);
    if (snapshot == NULL) {
        http_respond(request, 503, "text/plain", "there is no memory, or the server ends\n");
        return;
    }
    const struct http_answer answer = {.status = 200,
                                       .type = "application/json",
                                       .length = (int64_t)snapshot->length + 1,
                                       .headers = json_headers};
    if (http_begin(request, &answer) == 0 &&
        http_write(request, snapshot->text, snapshot->length) == 0)
        http_write(request, "\n", 1);
    status_release(snapshot);
}

static void status_http(void *state, const struct http_request *request)
{
    const struct status_page *page = state;
    if (!http_gets(request))
        return;
    size_t length;
    if (query_find(request->query, "json", &length) != NULL) {
        answer_json(request);
        return;
    }
    const struct http_answer answer = {.status = 200,
                                       .type = "text/html; charset=utf-8",
                                       .length = (int64_t)strlen(embedded_status),
                                       .headers = page->headers};
    if (http_begin(request, &answer) == 0)
        http_write(request, embedded_status, strlen(embedded_status));
}

/* --- WebSocket --- */

/* Sends a snapshot that is at most `age` old, unless the one before still waits to be taken. */
static void send_snapshot(struct session *session, int64_t age)
{
    if (session_queued(session) > 0)
        return;
    struct status_snapshot *snapshot = status_get(age);
    if (snapshot == NULL)
        return;
    session_send(session, MESSAGE_TEXT, snapshot->text, snapshot->length);
    status_release(snapshot);
}

/* All watchers of a route wake at the same moments, multiples of the refresh. */
static void keep_step(struct session *session, struct watcher *watcher)
{
    const struct status_page *page = session_route_state(session);
    int64_t now = clock_milliseconds();
    enum status_phase phase = status_phase();
    int64_t refresh = phase == STATUS_SERVING ? page->refresh : DRAIN_REFRESH;
    int64_t pause = refresh < PHASE_INTERVAL ? refresh : PHASE_INTERVAL;
    int64_t tick = now / refresh;
    if (phase == STATUS_DRAINING && watcher->asked != tick) {
        watcher->asked = tick;
        status_look();
        session_wake(session, LOOK_TIME);
        return;
    }
    if (tick != watcher->tick || phase != watcher->phase) {
        watcher->tick = tick;
        watcher->phase = phase;
        /* In a drain only one that was made after the look. */
        send_snapshot(session, phase == STATUS_DRAINING ? LOOK_TIME / 2 : now % refresh);
    }
    session_wake(session, pause - now % pause);
}

static void status_open(struct session *session)
{
    const struct status_page *page = session_route_state(session);
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL) {
        session_close(session, CLOSE_TRY_LATER, "out of memory");
        return;
    }
    session_set_data(session, watcher);
    watcher->phase = status_phase();
    watcher->tick = clock_milliseconds() / page->refresh;
    send_snapshot(session, page->refresh < FRESH ? page->refresh : FRESH);
    keep_step(session, watcher);
}

static void status_wake(struct session *session)
{
    keep_step(session, session_data(session));
}

/* When the drain begins, and again before the Close. */
static void status_drain(struct session *session)
{
    struct watcher *watcher = session_data(session);
    if (watcher == NULL)
        return;
    watcher->phase = status_phase();
    watcher->tick = watcher->asked = -1; /* with names soon after */
    send_snapshot(session, LAST_FRESH);
    keep_step(session, watcher);
}

static void status_message(struct session *session, enum message_kind kind, void *data,
                           size_t length)
{
    struct watcher *watcher = session_data(session);
    (void)kind;
    (void)data;
    (void)length;
    if (watcher != NULL && ++watcher->messages > MESSAGES_MAX)
        session_close(session, CLOSE_POLICY, "nothing is to be said here");
}

static void status_close(struct session *session, uint16_t code)
{
    (void)code;
    free(session_data(session));
}

const struct handler handler_status = {
    .name = "status",
    .help =
        "a live page: state, limits, every route with its rates, and the progress of a drain;\n"
        "the same as JSON for scripts with ?json",
    .options = options,
    .start = status_start,
    .stop = free,
    .open = status_open,
    .message = status_message,
    .wake = status_wake,
    .drain = status_drain,
    .close = status_close,
    .http = status_http,
    .last = true,
};
