/*
 * exposition: a text in Prometheus' exposition format 0.0.4, built line by line.
 *
 * Knows the format and nothing of what is counted. The text is in memory of its own, which goes
 * back to the system when it is freed: a scrape needs hundreds of kilobytes for a millisecond, and
 * malloc would keep them for each thread that ever served one. Any thread; one for each text.
 */
#ifndef LASTCALL_SERVER_EXPOSITION_H
#define LASTCALL_SERVER_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum exposition_type { EXPOSITION_GAUGE, EXPOSITION_COUNTER, EXPOSITION_HISTOGRAM };

/* Read `text` and `length` when all has been put; the rest is private. */
struct exposition {
    char *text; /* not ended by a zero */
    size_t length;
    size_t size;
    bool failed;
    bool labelled;    /* the sample has a label already */
    const char *name; /* of the metric */
    size_t name_length;
};

/*
 * Begins a text of about `expected` bytes; it grows as it must. Returns 0, or -1 without memory.
 * exposition_free is due in either case.
 */
int exposition_init(struct exposition *exposition, size_t expected);
void exposition_free(struct exposition *exposition);

/* Whether everything that was put is in the text; else memory has run out. */
bool exposition_complete(const struct exposition *exposition);

/* Begins a metric: its HELP and TYPE. All its samples follow, and no other's between them. `name`
   is kept, not copied; in `help` there is no backslash and no newline. */
void exposition_metric(struct exposition *exposition, const char *name, enum exposition_type type,
                       const char *help);

/* Begins a sample of the metric; `suffix` is empty, or "_bucket", "_sum", "_count". Then come its
   labels, then its value: a number, or microseconds, which are written as seconds. */
void exposition_sample(struct exposition *exposition, const char *suffix);
void exposition_number(struct exposition *exposition, uint64_t value);
void exposition_seconds(struct exposition *exposition, uint64_t microseconds);

/*
 * A label of the sample. A value may hold any bytes: what the format gives a meaning is escaped,
 * and each byte that is not part of UTF-8, for which Prometheus would refuse the whole text, is
 * written as in a URL ("%FF").
 */
void exposition_label(struct exposition *exposition, const char *name, const char *value);
void exposition_label_number(struct exposition *exposition, const char *name, uint64_t value);
void exposition_label_seconds(struct exposition *exposition, const char *name,
                              uint64_t microseconds);

#endif
