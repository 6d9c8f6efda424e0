/*
 * load_request: the requests of the load client, and whether what comes back is the answer. Text
 * in, text out; knows no sockets.
 */
#ifndef LASTCALL_BENCH_LOAD_REQUEST_H
#define LASTCALL_BENCH_LOAD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request_plan {
    const char *path;
    const char *headers; /* further header lines, each ended by CRLF; NULL: none */
    size_t size;         /* the request is filled up to so many bytes by a Cookie */
    uint16_t port;
    bool upgrade; /* to a WebSocket; else a plain GET */
};

/* Returns the request, allocated, and stores its length. */
char *request_compose(const struct request_plan *plan, size_t *length);

/* Returns where the body begins, or NULL while the head of the answer is not whole. */
const char *response_body(const char *response, size_t length);

/* Whether this is the answer of a server that agrees to become a WebSocket (RFC 6455, 4.2.2). */
bool response_accepts(const char *response, size_t length);

/* Whether the head holds this line. */
bool response_has(const char *response, size_t length, const char *line);

/* Whether it is a 200 with a body as long as Content-Length says; *body and *size are the body. */
bool response_whole(const char *response, size_t length, const char **body, size_t *size);

#endif
