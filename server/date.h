/*
 * date: dates as HTTP writes them (RFC 9110, section 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
 *
 * Text in, seconds since 1970 out, and back. Pure, any thread, whatever the locale and the time
 * zone are.
 */
#ifndef LASTCALL_SERVER_DATE_H
#define LASTCALL_SERVER_DATE_H

#include <stdint.h>

#define DATE_SIZE 30 /* 29 characters and the zero */

/* Writes an IMF-fixdate. Returns 0, or -1 for a year that does not have four digits. */
int date_write(int64_t seconds, char text[DATE_SIZE]);

/*
 * Reads any of the three forms that a server must read: IMF-fixdate, that of RFC 850 and that of
 * asctime. `now` tells what a year of two digits means: one more than 50 years ahead is past.
 * Returns 0 and *seconds, or -1 for anything else, be it one blank too many.
 */
int date_parse(const char *text, int64_t now, int64_t *seconds);

#endif
