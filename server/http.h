/*
 * http: one HTTP request on a CivetWeb connection, as handlers see it, and the answers to it.
 *
 * The glue between handler.h and CivetWeb: http_begin, http_write and http_respond of handler.h
 * are implemented here. Everything on the request's worker thread.
 */
#ifndef LASTCALL_SERVER_HTTP_H
#define LASTCALL_SERVER_HTTP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "handlers/handler.h"
#include "server/addresses.h"
#include "server/forwarded.h"
#include "server/handshake.h"
#include "server/takeover.h"

struct mg_connection;
struct tracker_route;

#define HTTP_PATH_MAX 4096
#define HTTP_HEADERS_MAX 64      /* that CivetWeb keeps; a request with so many may have had more */
#define HTTP_REQUEST_MAX "16380" /* bytes of a request without its body; text, for CivetWeb */
#define HTTP_OUTPUT_SIZE 16384

/*
 * A request and the way back; made by http_read, valid during the callback. An answer is gathered
 * in `output`, so that a small one leaves in one piece, head and body.
 */
struct http_exchange {
    struct http_request request;
    struct mg_connection *connection;
    struct header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    struct tracker_route *counts; /* of the route, or of what is elsewhere */
    const char *http_version;
    int64_t began; /* clock_microseconds */
    struct takeover_peer peer;
    struct sockaddr_storage peer_address; /* the same, once the door has read it */
    struct client client;                 /* once the door has read it */
    struct address_request place;         /* among those of its address; `use` is NULL: none */
    char client_host[INET6_ADDRSTRLEN];
    int patience; /* milliseconds that the peer may take nothing of a file */
    int status;   /* of the answer; 0: none yet */
    bool head;
    bool body;     /* the request has one */
    bool failed;   /* the answer did not reach the peer whole */
    bool cut;      /* and it was us who stopped */
    uint64_t sent; /* bytes of the answer's body */
    size_t gathered;
    char path[HTTP_PATH_MAX];
    char output[HTTP_OUTPUT_SIZE];
};

/*
 * Fills in the request: the path is decoded and its dot segments are removed. Returns 0, or the
 * status to refuse it with (400, 414, 431) and the reason in *why; the path is then as it came.
 */
int http_read(struct http_exchange *exchange, struct mg_connection *connection, const char **why);

/*
 * Checks the Host of a request (RFC 9112, section 3.2): exactly one line in HTTP/1.1, at most one
 * in any version, and in it no blank, no control character, and nothing that ends a host in a URL
 * or a list. An empty one is let through, and so is an underscore. Returns 0, or 400 and the reason
 * in *why. Pure.
 */
int http_check_host(const struct header *headers, size_t count, const char *http_version,
                    const char **why);

/* Refuses with a whole response (handshake_refusal). */
void http_refuse(struct http_exchange *exchange, int status, const char *why);

/* Sends what is still gathered; when the handler has returned. */
void http_finish(struct http_exchange *exchange);

/*
 * Decodes a path (%41, as RFC 3986 says) and removes its dot segments and empty ones. Returns 0,
 * or -1 for one that is not a path: no slash at its beginning, a broken escape, a zero byte, dot
 * segments that lead above the root, or longer than `size` - 1 bytes. Pure.
 */
int http_clean_path(const char *raw, char *path, size_t size);

#endif
