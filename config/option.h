/*
 * option: what one key of the configuration is, and what its value looks like in memory.
 *
 * Every key, of the program and of each handler, is one row of a table of `struct option`. The
 * parser, the checks, `lastcall -T`, `lastcall -h` and the documented sample file are all drawn
 * from these rows. Knows nothing of files, sections or INI.
 */
#ifndef LASTCALL_CONFIG_OPTION_H
#define LASTCALL_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_DURATION,  /* "250ms", "8s", "1m", "2h", "0"; stored in milliseconds */
    OPTION_SIZE,      /* "4096", "64k", "1M", "2G" (times 1024); stored in bytes */
    OPTION_COUNT,     /* a whole number */
    OPTION_CHOICE,    /* one of `choices`; stored as its index */
    OPTION_TEXT,      /* any text of `minimum` to `maximum` bytes */
    OPTION_ADDRESSES, /* "127.0.0.1:8080, *:80"; stored as text, parsed by config */
    OPTION_TOLERANCE, /* "5", or "1%" (0% to 100%) of something; whole numbers */
};

/*
 * One row. `minimum` and `maximum` are in the stored unit (for text: its length in bytes; for a
 * tolerance: of the number that is no percentage).
 */
struct option {
    const char *name;
    enum option_type type;
    const char *fallback; /* the default as one would write it; NULL: the key must be given */
    int64_t minimum;
    int64_t maximum;
    const char *const *choices; /* OPTION_CHOICE: names, ended by NULL */
    const char *automatic;      /* for numbers, sizes and durations: what `auto` stands for, stored
                                   as OPTION_AUTO; NULL: `auto` is not allowed */
    const char *help;           /* one or two lines for the sample file, without a full stop */
};

#define OPTION_AUTO ((int64_t)-1)

/* A value that has been checked. Text is owned by the configuration. */
struct option_value {
    int64_t number;
    const char *text;
    bool percent; /* OPTION_TOLERANCE: the number is a percentage */
};

/* The options of one handler; `options` ends with a row whose name is NULL. */
struct option_group {
    const char *name;
    const char *help;
    const struct option *options;
    bool websockets; /* it serves WebSockets, and so takes the keys that are about them */
};

#endif
