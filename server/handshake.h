/*
 * handshake: the opening handshake of RFC 6455, section 4.2, and the text of every answer that is
 * not a handler's: text in, text out. No socket, no CivetWeb.
 */
#ifndef LASTCALL_SERVER_HANDSHAKE_H
#define LASTCALL_SERVER_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/tokens.h"

/* One header line of a request, in the order in which it came. */
struct header {
    const char *name;
    const char *value;
};

/* What the checks look at. */
struct handshake_request {
    const char *method;
    const char *http_version; /* "1.1" */
    const struct header *headers;
    size_t header_count;
};

#define HANDSHAKE_ACCEPT_SIZE 29      /* 28 characters and the zero */
#define HANDSHAKE_RESPONSE_SIZE 512   /* of the 101 with the longest subprotocol and extension */
#define EXTENSION_SIZE 128            /* of the answer to extensions, and the zero */
#define HANDSHAKE_SUBPROTOCOLS_MAX 64 /* that a client may ask for */

/* Whether the request asks for any upgrade to "websocket": the token, in any case, is in Upgrade.
 */
bool handshake_wanted(const struct handshake_request *request);

/* Whether the header has that name, in any case. */
bool header_is(const struct header *header, const char *name);

/* The value of the first header of that name, in any case; NULL: there is none. */
const char *header_find(const struct header *headers, size_t count, const char *name);

/*
 * Checks an upgrade request (4.2.1): GET, HTTP/1.1 or later, exactly one non-empty Host,
 * "upgrade" among the tokens of all Connection headers, "websocket" among those of Upgrade,
 * exactly one Sec-WebSocket-Key that is the base64 of 16 bytes, exactly one
 * Sec-WebSocket-Version of 13, no body (no Transfer-Encoding, no Content-Length but 0).
 * Returns 101 when it is good, and the key in *key; else the status to refuse with (405, 400,
 * 426, 505) and the reason for the person in *why.
 */
int handshake_check(const struct handshake_request *request, const char **key, const char **why);

/*
 * Makes libcrypto ready for all who use it, which crashes if it is left to do so itself and has no
 * memory then. Before other threads are started. Returns 0, or -1 when it has no memory, or no
 * SHA-1.
 */
int handshake_prepare(void);

/* Computes Sec-WebSocket-Accept (4.2.2, step 5.4). Returns 0, or -1 when libcrypto fails. */
int handshake_accept(const char *key, char accept[HANDSHAKE_ACCEPT_SIZE]);

/*
 * Picks the subprotocol (4.2.2, step 5, number 4): the first of those that the client asks for in
 * its Sec-WebSocket-Protocol headers, which together are one list, that `supported` holds: a text
 * that tokens_check has taken, "" or NULL for none. Case counts. Returns 101 and the name in
 * `subprotocol`, "" when there is none in common; or 400 and the reason in *why: an element that
 * is no token, one that is there twice (4.1, number 10), more than HANDSHAKE_SUBPROTOCOLS_MAX, or
 * a header with none.
 */
int handshake_subprotocol(const struct handshake_request *request, const char *supported,
                          char subprotocol[TOKEN_SIZE], const char **why);

/*
 * Writes the 101 response; `subprotocol` or `extension` "": none was agreed on. Returns its length;
 * with HANDSHAKE_RESPONSE_SIZE bytes the buffer is large enough.
 */
size_t handshake_response(char *buffer, size_t size, const char *accept, const char *subprotocol,
                          const char *extension);

/* The standard reason phrase of a status, "Unknown" for one that has none (RFC 9110). */
const char *http_reason(int status);

/*
 * Writes a whole response that refuses: text/plain body `why`, Connection: close, the Date `now`
 * (seconds since 1970; RFC 9110, section 6.6.1), and what the status asks for: 426 Upgrade,
 * Connection: Upgrade and Sec-WebSocket-Version: 13 (4.2.2), 405 Allow: GET, 503 Retry-After: 1.
 * Returns its length, at most size - 1.
 */
size_t handshake_refusal(char *buffer, size_t size, int status, const char *why, int64_t now);

#endif
