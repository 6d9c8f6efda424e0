/*
 * precondition: what a conditional request is answered with (RFC 9110, section 13).
 *
 * Header values and the validators of what would be sent in, a status out. Pure, any thread; knows
 * no file and no connection.
 */
#ifndef LASTCALL_SERVER_PRECONDITION_H
#define LASTCALL_SERVER_PRECONDITION_H

#include <stdbool.h>
#include <stdint.h>

/* The values of the headers that make a request conditional; NULL: there is none. */
struct preconditions {
    const char *if_match;
    const char *if_none_match;
    const char *if_modified_since;
    const char *if_unmodified_since;
};

/* What the answer would carry. */
struct validators {
    const char *tag;  /* ETag: a strong one, with its quotes; NULL: no ETag and no Last-Modified */
    int64_t modified; /* Last-Modified, in seconds since 1970 */
};

/*
 * Evaluates the conditions of a GET or HEAD in the order of section 13.2.2. Returns 200: go on;
 * 304: the peer has it already; 412: the peer does not want it. A malformed date is no condition
 * (13.1.3, 13.1.4), nor is any date where there is no Last-Modified; a malformed list of tags
 * matches nothing from the fault on. `now`, in seconds since 1970, is for dates of two-digit years.
 */
int precondition_check(const struct preconditions *conditions, const struct validators *validators,
                       int64_t now);

/*
 * Whether a Range header counts, by the value of If-Range (13.1.5; NULL: there is none): the tag is
 * the very same, by strong comparison, or the date is exactly that of Last-Modified, whose second
 * has passed: within it the file may have changed once more (8.8.2.2).
 */
bool precondition_range(const char *if_range, const struct validators *validators, int64_t now);

#endif
