/*
 * json_escape: text as it stands between the quotes of a JSON string, whatever its bytes are. Pure;
 * any thread.
 */
#ifndef LASTCALL_SERVER_JSON_ESCAPE_H
#define LASTCALL_SERVER_JSON_ESCAPE_H

#include <stddef.h>

#define JSON_ESCAPED_MAX 8 /* bytes that one character becomes at most */

/*
 * Writes the character at `at`, of `left` bytes (at least one), to `out`, its length to *written
 * (RFC 8259, section 7). What is no UTF-8 becomes U+FFFD; control characters are escaped, those
 * above ASCII too, because some terminals obey them. Returns how many bytes were read.
 */
size_t json_escape(const char *at, size_t left, char out[JSON_ESCAPED_MAX], size_t *written);

#endif
