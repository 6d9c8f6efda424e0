/*
 * query: what stands behind the question mark of a request. Text in, text out; any thread.
 */
#ifndef LASTCALL_SERVER_QUERY_H
#define LASTCALL_SERVER_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Finds the first parameter of that name in a query as it was sent, "a=1&json"; `query` may be
 * NULL. Returns its value, which is not decoded, and its length: "" and 0 where it has none. NULL:
 * there is no such parameter.
 */
const char *query_find(const char *query, const char *name, size_t *length);

/*
 * Reads a parameter that is a decimal number. Returns whether it is there; *number is then 0 where
 * it is anything but digits, or does not fit.
 */
bool query_number(const char *query, const char *name, uint64_t *number);

#endif
