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

/* One block: the array, then all texts. */
static struct session_request *copy_headers(const struct header *headers, size_t header_count)
{
    size_t size = sizeof(struct session_request) + header_count * sizeof *headers;
    for (size_t i = 0; i < header_count; i++)
        size += strlen(headers[i].name) + strlen(headers[i].value) + 2;
    struct session_request *request = malloc(size);
    if (request == NULL)
        return NULL;
    char *text = (char *)(request->headers + header_count);
    request->header_count = header_count;
    for (size_t i = 0; i < header_count; i++) {
        request->headers[i].name = text;
        text = stpcpy(text, headers[i].name) + 1;
        request->headers[i].value = text;
        text = stpcpy(text, headers[i].value) + 1;
    }
    return request;
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
    const char *path = opening->path;
    const char *referer = header_find(opening->headers, opening->header_count, "Referer");
    const char *agent = header_find(opening->headers, opening->header_count, "User-Agent");
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
    session->request = copy_headers(opening->headers, opening->header_count);
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
