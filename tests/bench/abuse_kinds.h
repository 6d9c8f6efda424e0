/*
 * abuse_kinds: what each kind of abusive peer sends. A table and bytes; knows no sockets.
 */
#ifndef LASTCALL_BENCH_ABUSE_KINDS_H
#define LASTCALL_BENCH_ABUSE_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a connection sends: `once`, and then `again` as often as its kind says. */
struct content {
    uint8_t *data;
    size_t once; /* bytes at the beginning of data */
    size_t length;
};

enum opening {
    OPENING_NONE,     /* it sends its content at once, and whatever comes is nothing to it */
    OPENING_UPGRADE,  /* to a WebSocket on /echo first */
    OPENING_COMPRESS, /* to one on /compressed, with permessage-deflate */
};

struct abuse {
    const char *name;
    const char *help;
    void (*fill)(struct content *content); /* NULL: it sends nothing */
    size_t connections;
    long drip; /* milliseconds from one byte to the next; 0: all at once */
    long life; /* milliseconds after which it resets the connection and connects anew; 0: never;
                  negative: as soon as it is open */
    enum opening opening;
    bool again;  /* what is not sent once is sent over and over, as fast as it is taken */
    bool unread; /* it reads nothing once it is open */
};

/* The last has no name. */
extern const struct abuse abuses[];

#endif
