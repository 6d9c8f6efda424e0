/*
 * coding: whether a peer wants its answer compressed (RFC 9110, section 12.5.3).
 *
 * Text in, a decision out; pure, any thread.
 */
#ifndef LASTCALL_SERVER_CODING_H
#define LASTCALL_SERVER_CODING_H

#include <stdbool.h>

/*
 * Whether gzip is what to send, when both it and the plain form are at hand. `accept_encoding` is
 * the header's value (NULL: there is none, and no wish for gzip). True when gzip, or its old name
 * x-gzip, or else *, has a weight above 0 that is not below that of the plain form ("identity").
 * A weight that is malformed counts as 0: then the plain form is sent, which everybody reads.
 */
bool coding_wants_gzip(const char *accept_encoding);

#endif
