#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "server/access.h"
#include "server/address.h"
#include "server/log.h"
#include "server/route.h"
#include "server/session_private.h"

enum { FAILURE_BURST = 20 }; /* lines of one kind that a loop writes at once */

/* --- what is kept of the request --- */

/* Copies a text to *end; NULL stays NULL. */
static const char *copy_text(char **end, const char *text)
{
    const char *copy = *end;
    if (text == NULL)
        return NULL;
    *end = stpcpy(*end, text) + 1;
    return copy;
}

static size_t copy_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* One block: the request, its headers, then all texts. */
static struct session_request *copy_request(const struct http_request *given)
{
    size_t size = sizeof(struct session_request) + given->header_count * sizeof *given->headers +
                  copy_size(given->raw_path) + copy_size(given->path) + copy_size(given->rest) +
                  copy_size(given->query) + copy_size(given->remote_address);
    for (size_t i = 0; i < given->header_count; i++)
        size += copy_size(given->headers[i].name) + copy_size(given->headers[i].value);
    struct session_request *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    char *end = (char *)(copy->headers + given->header_count);
    for (size_t i = 0; i < given->header_count; i++) {
        copy->headers[i].name = copy_text(&end, given->headers[i].name);
        copy->headers[i].value = copy_text(&end, given->headers[i].value);
    }
    copy->request = (struct http_request){
        .method = "GET",
        .raw_path = copy_text(&end, given->raw_path),
        .path = copy_text(&end, given->path),
        .rest = copy_text(&end, given->rest),
        .exact = given->exact,
        .query = copy_text(&end, given->query),
        .remote_address = copy_text(&end, given->remote_address),
        .remote_port = given->remote_port,
        .local_port = given->local_port,
        .headers = copy->headers,
        .header_count = given->header_count,
        .header = given->header,
    };
    return copy;
}

/* Copies a text behind those that are there, no more of it than a line of the log can show; NULL
   stays NULL. */
static const char *keep_text(char **end, const char *text)
{
    if (text == NULL)
        return NULL;
    const char *copy = *end;
    size_t length = strnlen(text, LOG_LINE_MAX);
    memcpy(*end, text, length);
    (*end)[length] = '\0';
    *end += length + 1;
    return copy;
}

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strnlen(text, LOG_LINE_MAX) + 1;
}

/* For the handler and for the line at the end: one block, and none where nothing is needed. */
static struct session_kept *keep_texts(const struct session_opening *opening)
{
    const struct http_request *request = opening->request;
    const char *path = request->path;
    const char *referer = header_find(request->headers, request->header_count, "Referer");
    const char *agent = header_find(request->headers, request->header_count, "User-Agent");
    if (!access_on())
        path = referer = agent = NULL;
    struct session_kept *kept = malloc(sizeof *kept + text_size(opening->subprotocol) +
                                       text_size(path) + text_size(referer) + text_size(agent));
    if (kept == NULL)
        return NULL;
    char *end = kept->text;
    kept->subprotocol = keep_text(&end, opening->subprotocol);
    kept->path = keep_text(&end, path);
    kept->referer = keep_text(&end, referer);
    kept->user_agent = keep_text(&end, agent);
    return kept;
}

int session_keep(struct session *session, const struct session_opening *opening)
{
    if (opening->subprotocol != NULL || access_on()) {
        session->kept = keep_texts(opening);
        if (session->kept == NULL)
            return -1;
    }
    if (session->route->handler->open == NULL)
        return 0;
    session->request = copy_request(opening->request);
    return session->request == NULL ? -1 : 0;
}

/* --- what is said of it --- */

void session_log_opened(const struct session *session)
{
    if (!log_wanted(LOG_DEBUG))
        return;
    char address[ADDRESS_TEXT_SIZE];
    address_format(&session->client.any, address, sizeof address);
    log_event(LOG_DEBUG, "session opened", LOG_TEXT("address", address),
              LOG_TEXT("route", session->route->name));
}

/* One kind of line for each code, and each of them limited. */
void session_log_failed(const struct session *session, uint16_t code, const char *why)
{
    struct log_limit *limit = &session->home->failures[code - CLOSE_GOING_AWAY];
    int64_t left_out = 0;
    limit->burst = FAILURE_BURST;
    if (!log_wanted(LOG_INFO) || !log_limit_pass(limit, session_now(session), &left_out))
        return;
    char address[ADDRESS_TEXT_SIZE];
    address_format(&session->client.any, address, sizeof address);
    struct log_field fields[5] = {
        LOG_TEXT("address", address),
        LOG_TEXT("route", session->route->name),
        LOG_NUMBER("code", code),
        LOG_TEXT("why", why),
    };
    size_t count = 4;
    if (left_out > 0)
        fields[count++] = (struct log_field)LOG_NUMBER("not_logged", left_out);
    log_fields(LOG_INFO, "closing", fields, count);
}

static void write_access(const struct session *session, enum tracker_outcome outcome)
{
    char address[ADDRESS_TEXT_SIZE];
    const struct session_kept *kept = session->kept;
    address_host(&session->client.any, address, sizeof address);
    access_write(&(struct access_entry){
        .address = address,
        .method = "GET",
        .path = kept->path,
        .http_version = "1.1",
        .status = 101,
        .bytes_sent = (int64_t)session->sent_bytes,
        .referer = kept->referer,
        .user_agent = kept->user_agent,
        .route = session->route->name,
        .duration = session_now(session) - session->asked_at / 1000,
        .session = true,
        .close_code = session->code,
        .outcome = tracker_outcome_names[outcome],
        .messages_received = (int64_t)session->received,
        .messages_sent = (int64_t)session->sent,
        .bytes_received = (int64_t)session->received_bytes,
    });
}

void session_log_closed(const struct session *session, enum tracker_outcome outcome)
{
    if (session->kept != NULL && access_on())
        write_access(session, outcome);
    if (!log_wanted(LOG_DEBUG))
        return;
    char address[ADDRESS_TEXT_SIZE];
    address_format(&session->client.any, address, sizeof address);
    log_event(LOG_DEBUG, "session closed", LOG_TEXT("address", address),
              LOG_TEXT("route", session->route->name),
              LOG_NUMBER("duration_ms", session_now(session) - session->opened_at),
              LOG_NUMBER("received", session->received), LOG_NUMBER("sent", session->sent),
              LOG_NUMBER("bytes_received", session->received_bytes),
              LOG_NUMBER("bytes_sent", session->sent_bytes), LOG_NUMBER("code", session->code),
              LOG_TEXT("outcome", tracker_outcome_names[outcome]));
}
