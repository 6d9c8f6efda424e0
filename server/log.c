#include "server/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"

enum {
    QUEUE_LINES = 1024,
    KEPT_LINES = 128, /* of them: for what is said seldom */
};

struct line {
    size_t length;
    char text[LOG_LINE_MAX];
};

static struct {
    enum log_level level;
    enum log_format format;
    bool colour;
    bool time;
    bool terminal;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct line *queue; /* NULL: lines are written directly */
    size_t first;
    size_t count;
    uint64_t dropped;        /* lines that nobody has been told of yet */
    uint64_t lost;           /* all lines that were dropped */
    char live[LOG_LINE_MAX]; /* empty: there is none */
    bool live_changed;
    bool stopping;
    bool stopped;
    bool alone;      /* lines of one thread only are taken: */
    pthread_t taken; /* this one's */
} logger = {
    .level = LOG_INFO,
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static void write_all(const char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(STDERR_FILENO, data, length);
        if (written < 0 && errno == EAGAIN) /* somebody has made it non-blocking */
            poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            return; /* nobody is left to be told */
        if (written > 0) {
            data += written;
            length -= (size_t)written;
        }
    }
}

static size_t render(char *line, enum log_level level, const char *message,
                     const struct log_field *fields, size_t count)
{
    char time[32];
    if (logger.time)
        clock_format(time, sizeof time);
    return log_format_line(line, LOG_LINE_MAX, logger.format, logger.colour,
                           logger.time ? time : NULL, level, message, fields, count);
}

static size_t render_dropped(char *line, uint64_t dropped)
{
    const struct log_field field = LOG_NUMBER("lines", dropped);
    return render(line, LOG_WARNING, "log lines lost: nobody read them fast enough", &field, 1);
}

/* What the writing thread takes out of the queue at a time. */
struct batch {
    struct line line;
    uint64_t dropped;
    char live[LOG_LINE_MAX];
    bool live_changed;
};

/* Waits for something to write. Returns false when there will be nothing more. */
static bool take(struct batch *batch)
{
    pthread_mutex_lock(&logger.lock);
    while (logger.count == 0 && !logger.live_changed && !logger.stopping)
        pthread_cond_wait(&logger.changed, &logger.lock);
    batch->line.length = 0;
    if (logger.count > 0) {
        const struct line *first = &logger.queue[logger.first];
        batch->line.length = first->length;
        memcpy(batch->line.text, first->text, first->length);
        logger.first = (logger.first + 1) % QUEUE_LINES;
        logger.count--;
    }
    batch->dropped = logger.dropped;
    batch->live_changed = logger.live_changed;
    if (logger.live_changed)
        memcpy(batch->live, logger.live, sizeof batch->live);
    logger.dropped = 0;
    logger.live_changed = false;
    bool more = batch->line.length > 0 || batch->live_changed;
    pthread_mutex_unlock(&logger.lock);
    return more;
}

static void write_batch(struct batch *batch)
{
    static const char clear_line[] = "\r\033[K";
    static bool live_shown; /* the writing thread's own */
    if (live_shown)
        write_all(clear_line, sizeof clear_line - 1);
    write_all(batch->line.text, batch->line.length);
    if (batch->dropped > 0) {
        batch->line.length = render_dropped(batch->line.text, batch->dropped);
        write_all(batch->line.text, batch->line.length);
    }
    live_shown = batch->live[0] != '\0';
    write_all(batch->live, strlen(batch->live));
}

static void *write_lines(void *argument)
{
    (void)argument;
    struct batch batch = {.dropped = 0};
    while (take(&batch))
        write_batch(&batch);
    pthread_mutex_lock(&logger.lock);
    logger.stopped = true;
    pthread_cond_broadcast(&logger.changed);
    pthread_mutex_unlock(&logger.lock);
    return NULL;
}

/* Whether standard error is the journal's socket (systemd.exec(5): $JOURNAL_STREAM). */
static bool journal_listens(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    char expected[64];
    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return false;
    snprintf(expected, sizeof expected, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino);
    return strcmp(stream, expected) == 0;
}

int log_start(enum log_level level, enum log_format format)
{
    logger.level = level;
    logger.format = format;
    logger.terminal = format == LOG_FORMAT_TEXT && isatty(STDERR_FILENO);
    logger.colour = format == LOG_FORMAT_TEXT && isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    logger.time = !journal_listens();

    clock_condition_init(&logger.changed);
    struct line *queue = calloc(QUEUE_LINES, sizeof *queue);
    if (queue == NULL)
        return -1;
    logger.queue = queue;
    int error = pthread_create(&logger.thread, NULL, write_lines, NULL);
    if (error != 0) {
        logger.queue = NULL;
        free(queue);
        errno = error;
        return -1;
    }
    return 0;
}

void log_stop(int milliseconds)
{
    if (logger.queue == NULL)
        return;
    struct timespec until = clock_timespec(clock_milliseconds() + milliseconds);
    pthread_mutex_lock(&logger.lock);
    logger.stopping = true;
    pthread_cond_broadcast(&logger.changed);
    while (!logger.stopped &&
           pthread_cond_timedwait(&logger.changed, &logger.lock, &until) != ETIMEDOUT)
        ;
    bool stopped = logger.stopped;
    struct line *queue = logger.queue;
    if (stopped)
        logger.queue = NULL;
    pthread_mutex_unlock(&logger.lock);
    if (stopped) {
        pthread_join(logger.thread, NULL);
        free(queue);
    }
}

bool log_wanted(enum log_level level)
{
    return level <= logger.level;
}

bool log_terminal(void)
{
    return logger.terminal;
}

void log_live(const char *text)
{
    pthread_mutex_lock(&logger.lock);
    snprintf(logger.live, sizeof logger.live, "%s", text == NULL ? "" : text);
    logger.live_changed = true;
    pthread_cond_signal(&logger.changed);
    pthread_mutex_unlock(&logger.lock);
}

/* Queues one piece of text if at most `most` wait then, or counts it as lost. */
static void enqueue(const char *text, size_t length, size_t most)
{
    pthread_mutex_lock(&logger.lock);
    if (logger.alone && !pthread_equal(logger.taken, pthread_self())) {
        pthread_mutex_unlock(&logger.lock);
        return;
    }
    if (logger.queue == NULL) {
        pthread_mutex_unlock(&logger.lock);
        write_all(text, length);
        return;
    }
    if (logger.count >= most) {
        logger.dropped++;
        logger.lost++;
    } else {
        struct line *line = &logger.queue[(logger.first + logger.count) % QUEUE_LINES];
        line->length = length;
        memcpy(line->text, text, length);
        if (logger.count++ == 0)
            pthread_cond_signal(&logger.changed);
    }
    pthread_mutex_unlock(&logger.lock);
}

void log_alone(void)
{
    pthread_mutex_lock(&logger.lock);
    logger.alone = true;
    logger.taken = pthread_self();
    pthread_mutex_unlock(&logger.lock);
}

uint64_t log_lost(void)
{
    pthread_mutex_lock(&logger.lock);
    uint64_t lost = logger.lost;
    pthread_mutex_unlock(&logger.lock);
    return lost;
}

void log_text(const char *text, size_t length)
{
    while (length > 0) {
        size_t part = length < LOG_LINE_MAX ? length : LOG_LINE_MAX;
        enqueue(text, part, QUEUE_LINES);
        text += part;
        length -= part;
    }
}

void log_frequent(const char *line, size_t length)
{
    enqueue(line, length, QUEUE_LINES - KEPT_LINES);
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    if (!log_wanted(level))
        return;
    char text[LOG_LINE_MAX];
    enqueue(text, render(text, level, message, fields, count),
            level == LOG_DEBUG ? QUEUE_LINES - KEPT_LINES : QUEUE_LINES);
}
