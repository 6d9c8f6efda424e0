/*
 * words: a line taken apart as a shell does it, by quotes and blanks, and nothing else of a shell.
 *
 * Quoting is that of POSIX (XCU, section 2.2): '...' keeps everything, "..." everything but the
 * backslash before $ ` " \ and a newline, a backslash the byte behind it; a backslash and a newline
 * are nothing. There is no expansion: $HOME, * and ~ are themselves. An operator (| & ; < > and
 * brackets) that is not quoted is a mistake, as whoever wrote it counts on a shell. Pure.
 */
#ifndef LASTCALL_SERVER_WORDS_H
#define LASTCALL_SERVER_WORDS_H

#include <stddef.h>

/*
 * Returns the words, ended by NULL, in one block to be freed; none for a text of blanks. Returns
 * NULL for a mistake, with what is wrong and at which byte (from 1) in `why`, which is empty when
 * memory ran out.
 */
char **words_split(const char *text, char *why, size_t size);

#endif
