/*
 * progress: how far a drain has come, as text for people. Takes numbers and gives text: it knows
 * neither the tracker nor the clock, nor whether anything is a terminal. Nothing is kept between
 * calls but what the caller hands in; any thread.
 */
#ifndef LASTCALL_SERVER_PROGRESS_H
#define LASTCALL_SERVER_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the text is shown on. */
struct progress_terminal {
    size_t width; /* columns, at least 20; 0: unknown, taken as 80 */
    bool colour;
    bool unicode; /* else nothing but ASCII is written */
};

struct progress_view {
    uint64_t total;
    uint64_t drained; /* of the total, forced ones included */
    uint64_t forced;
    uint64_t requests; /* HTTP requests and handshakes that are still in flight */
    int64_t elapsed;   /* milliseconds since the signal */
    int64_t left;      /* milliseconds until the timeout; less than 0 is 0 */
    struct progress_terminal terminal;
};

#define PROGRESS_LINE_SIZE 320 /* bytes, enough for every line, its colours and the zero */

/*
 * Writes one line without a newline:
 *   draining ▕██████████░░░░░▏ 812/1000  forced 0  6.3 s left
 *   draining ▕███████████████▏ 1000/1000 +2 HTTP  forced 0  4.1 s left
 *   drained ▕███████████████▏ 1000/1000  forced 0  in 1.7 s
 * It never takes more columns than the terminal has: first the bar goes, then words, at last all
 * but the percentage. Rounded so that neither the bar is full nor 100 % is said before all have
 * drained, and 0.0 s are not left before the time is up. To show it in place of the one before,
 * write a carriage return and ESC [ K before it. Returns its length in bytes.
 */
size_t progress_line(const struct progress_view *view, char line[PROGRESS_LINE_SIZE]);

#define PROGRESS_LOG_INTERVAL 5000 /* milliseconds */

/* What has been logged. Zeroed when the drain begins. */
struct progress_state {
    unsigned quarters; /* of the total, that were reached so far */
    int64_t intervals; /* PROGRESS_LOG_INTERVALs that have passed */
};

/*
 * Whether a line is due in the log: when a quarter, a half and three quarters have drained, and
 * when another PROGRESS_LOG_INTERVAL has passed, each once. What comes together is one line.
 * That all have drained makes none due: the caller has more to say then; intervals go on, for what
 * may still be waited for. `elapsed` is milliseconds.
 */
bool progress_due(struct progress_state *state, int64_t elapsed, uint64_t drained, uint64_t total);

/* What became of the sessions of one route. */
struct progress_row {
    const char *route;
    uint64_t open;
    uint64_t handshake;
    uint64_t gone;
    uint64_t forced;
    uint64_t refused;
    uint64_t received;
};

/*
 * Writes a table with a heading, one line for each row, and their total. Names that are too long
 * are cut, with an ellipsis; a terminal that is too narrow even so gets fewer columns, of which
 * `forced` is the last to stay. Whether it could be written, ferror(out) tells.
 */
void progress_table(FILE *out, const struct progress_row *rows, size_t count,
                    const struct progress_terminal *terminal);

#endif
