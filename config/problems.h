/*
 * problems: the mistakes found in a configuration, gathered so that they are shown all at once and
 * in the order of their lines, whichever check found them first.
 *
 * Knows what a message looks like; does not know what is a mistake.
 */
#ifndef LASTCALL_CONFIG_PROBLEMS_H
#define LASTCALL_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Where something was written. */
struct origin {
    const char *setting; /* the argument of -s; NULL: the file */
    int line;            /* 0: the file as a whole */
};

struct problem {
    struct origin origin;
    size_t number; /* in the order of their finding */
    char *text;
};

/* Zeroed, with `file` set: none. */
struct problems {
    const char *file;
    struct problem *list;
    size_t listed;
    size_t capacity;
    size_t found; /* those that are not listed included */
    bool no_memory;
    bool refused; /* one of them is no mistake: the system refused something */
};

/* Adds one. The text says what was read, what is allowed, and what to write instead. */
__attribute__((format(printf, 3, 4))) void
problems_add(struct problems *problems, struct origin origin, const char *format, ...);

/* Adds that memory ran out; once is enough however often it is called. */
void problems_no_memory(struct problems *problems);

/* Writes all to `out`, one line each and nothing in it that a terminal obeys, and frees them.
   Returns how many there were. */
size_t problems_print(struct problems *problems, FILE *out);

#define SHOWN_SIZE 320

/*
 * Makes what a person wrote fit to be shown in a message: at most 60 bytes of it, and nothing that
 * would confuse a terminal. Returns `shown`.
 */
const char *problems_show(const char *text, size_t length, char shown[SHOWN_SIZE]);

#endif
