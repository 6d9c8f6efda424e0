/*
 * access: the access log, one line for each HTTP request and each ended WebSocket session.
 *
 * Text is nginx's combined format with ` key=value` pairs behind it, JSON is one object. A line
 * never holds a value of a query, neither of the request's own nor of the Referer's, and is never
 * longer than LOG_LINE_MAX: of a path, Referer or User-Agent that is too long the end is replaced
 * by "...". Every byte that could be taken for something else is escaped. Knows the log and
 * nothing of requests or sessions: the caller fills in an entry.
 */
#ifndef LASTCALL_SERVER_ACCESS_H
#define LASTCALL_SERVER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "server/log.h"

/* What a line says. Texts may be NULL or empty: text shows a "-" then, JSON an empty string. */
struct access_entry {
    const char *address;      /* the client's, without a port: "192.0.2.7" */
    struct timespec time;     /* of the wall clock; zeroed: access_write takes the present */
    const char *method;       /* empty: the request could not be read */
    const char *path;         /* decoded; what stands behind a question mark is left out */
    const char *http_version; /* "1.1" */
    int status;               /* of the answer; of a session 101 */
    int64_t bytes_sent;       /* of the body; of a session all payload */
    const char *referer;      /* as sent; userinfo, query and fragment are left out */
    const char *user_agent;   /* as sent */
    const char *route;        /* its name; empty: none matched */
    int64_t duration;         /* milliseconds, from the request to the end of answer or session */

    bool session; /* an ended WebSocket: what follows is written too */
    uint16_t close_code;
    const char *outcome;       /* one word: "handshake" */
    int64_t messages_received; /* whole ones */
    int64_t messages_sent;
    int64_t bytes_received; /* of their payload */
};

/* Turns the access log on or off (it is off before). Once, before any thread starts. */
void access_init(bool on, enum log_format format);

/* Whether lines are written; for callers whose entry costs something. Any thread. */
bool access_on(void);

/* Hands the line for `entry` to the log, whatever its level is, or does nothing when the access
   log is off. Any thread; never waits. */
void access_write(const struct access_entry *entry);

/* Formats one line with its newline. Returns its length, at most LOG_LINE_MAX. Pure. */
size_t access_format(char line[LOG_LINE_MAX], enum log_format format,
                     const struct access_entry *entry);

#endif
