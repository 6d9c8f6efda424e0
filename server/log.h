/*
 * log: one line for each event on standard error, as text for people or as one JSON object.
 *
 * An event is a message and named fields. Lines go through a bounded queue to a thread of their
 * own, so that no other thread ever waits for whoever reads them; lines that find the queue full
 * are counted, and the count is logged as soon as there is room. Before log_start and after
 * log_stop lines are written directly. Every function may be called on any thread.
 */
#ifndef LASTCALL_SERVER_LOG_H
#define LASTCALL_SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* A field: a number, or text (NULL is written as empty text). */
struct log_field {
    const char *name;
    const char *text;
    int64_t number;
    bool is_number;
};

#define LOG_TEXT(field, value)                                                                     \
    {                                                                                              \
        .name = (field), .text = (value)                                                           \
    }
#define LOG_NUMBER(field, value)                                                                   \
    {                                                                                              \
        .name = (field), .number = (int64_t)(value), .is_number = true                             \
    }

#define LOG_LINE_MAX 1024 /* bytes; what is longer is cut */

/* Starts the writing thread, once. Returns 0, or -1 when the system refuses one (errno). */
int log_start(enum log_level level, enum log_format format);

/* Writes what is queued, for at most `milliseconds`, and ends the thread. */
void log_stop(int milliseconds);

/* From now on takes lines of the calling thread alone: what it says last is the last line, whatever
   threads that could not be ended still do. */
void log_alone(void);

/* How many lines have found the queue full, all together. */
uint64_t log_lost(void);

/* Whether a line of this level would be written; for callers whose fields cost something. */
bool log_wanted(enum log_level level);

/*
 * Shows one line, without a newline, below the log of a terminal, in place of the one before; NULL
 * takes it away. Lines of the log go above it. The caller knows that it is a terminal.
 */
void log_live(const char *text);

/* Writes text as it is, of any length, between the lines of the log. */
void log_text(const char *text, size_t length);

/* Writes a line of at most LOG_LINE_MAX bytes, of which there may be very many: where the queue is
   nearly full it gives way to what is said seldom, as lines of LOG_DEBUG do. */
void log_frequent(const char *line, size_t length);

/* Whether the log is text for people on a terminal. After log_start. */
bool log_terminal(void);

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);

/* log_event(LOG_INFO, "listening", LOG_TEXT("address", "127.0.0.1:8080")); */
#define log_event(level, message, ...)                                                             \
    log_fields((level), (message), (const struct log_field[]){__VA_ARGS__},                        \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/*
 * A limit on how often one kind of line is written: `burst` lines, then one more each second.
 * Zeroed but for `burst` it is ready. Lines that were left out are counted into the next one.
 */
struct log_limit {
    int64_t burst;
    int64_t tokens;
    int64_t refilled_at; /* milliseconds */
    int64_t left_out;
};

/* Whether to write at time `now` (milliseconds, any clock that does not go back); *left_out is set
   to the lines left out since the last one. Pure; the caller locks. */
bool log_limit_pass(struct log_limit *limit, int64_t now, int64_t *left_out);

/* Formats one line with its newline. Returns its length, at most `size`. `time` is NULL to leave
   it out. Pure, for log.c and its tests. */
size_t log_format_line(char *line, size_t size, enum log_format format, bool colour,
                       const char *time, enum log_level level, const char *message,
                       const struct log_field *fields, size_t count);

#endif
