/*
 * range: which bytes a Range header asks for (RFC 9110, section 14.2).
 *
 * Text and a size in, a part or none out; pure, any thread. Knows no file and no connection.
 */
#ifndef LASTCALL_SERVER_RANGE_H
#define LASTCALL_SERVER_RANGE_H

#include <stdint.h>

enum range_kind {
    RANGE_ALL,           /* send everything, as if there were no Range */
    RANGE_PART,          /* 206 */
    RANGE_UNSATISFIABLE, /* 416: it begins behind the end */
};

/* A part that lies inside; in bytes, never empty. */
struct range {
    int64_t first;
    int64_t length;
};

/*
 * Reads `text`, the header's value (NULL: there is none), for a file of `size` bytes, and fills in
 * *range for RANGE_PART. Everything that a server may ignore is RANGE_ALL (14.2): another unit than
 * bytes, several ranges, anything malformed, and every range of an empty file, of which no part can
 * be named. Numbers may have any count of digits.
 */
enum range_kind range_parse(const char *text, int64_t size, struct range *range);

#endif
