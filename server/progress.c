#include "server/progress.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

enum {
    WIDTH_UNKNOWN = 80,
    BAR_LEAST = 6, /* fewer cells tell nothing */
    BAR_MOST = 24, /* so that on 80 columns the bar stays as it is while the numbers change */
    BAR_EDGES = 2,
    ROUTE_LEAST = 8,
    NUMBER_SIZE = 21, /* the largest of 64 bits, and the zero */
    GAP = 2,          /* between the columns of a table */
};

static const char green[] = "\x1b[32m";
static const char red[] = "\x1b[31m";
static const char plain[] = "\x1b[0m";

/* Text that is cut where its room ends, so that adding to it cannot fail. */
struct text {
    char *bytes;
    size_t size;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    size_t room = text->size - text->length;
    va_start(arguments, format);
    int length = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        text->length += (size_t)length < room ? (size_t)length : room - 1;
}

static size_t columns_of(const struct progress_terminal *terminal)
{
    return terminal->width == 0 ? WIDTH_UNKNOWN : terminal->width;
}

/* `part` of a whole that is cut into `shares`, rounded down, and without overflow. */
static uint64_t shares_of(uint64_t part, uint64_t whole, uint64_t shares)
{
    if (part >= whole)
        return shares;
    while (whole > UINT64_MAX / shares) {
        whole >>= 1;
        part >>= 1;
    }
    return part >= whole ? shares - 1 : part * shares / whole;
}

/* 6.3 s, 2 min 5 s, 1 h 2 min; up: to the next tenth, as is right for what is left. */
static void add_duration(struct text *text, int64_t milliseconds, bool up)
{
    int64_t tenths = milliseconds <= 0 ? 0 : (milliseconds - up) / 100 + up;
    int64_t seconds = tenths / 10;
    if (seconds < 60)
        add(text, "%" PRId64 ".%" PRId64 " s", seconds, tenths % 10);
    else if (seconds < 3600)
        add(text, "%" PRId64 " min %" PRId64 " s", seconds / 60, seconds % 60);
    else
        add(text, "%" PRId64 " h %" PRId64 " min", seconds / 3600, seconds / 60 % 60);
}

/* What a line may consist of; BAR is made to fit, the others are texts. */
enum piece { WORD, BAR, COUNT, FORCED, TIME, LONG_TIME, PERCENT, PIECES };

/* From the whole line to the least; BAR goes first. */
static const bool layouts[][PIECES] = {
    {[WORD] = true, [BAR] = true, [COUNT] = true, [FORCED] = true, [LONG_TIME] = true},
    {[WORD] = true, [COUNT] = true, [FORCED] = true, [LONG_TIME] = true},
    {[COUNT] = true, [FORCED] = true, [LONG_TIME] = true},
    {[COUNT] = true, [FORCED] = true, [TIME] = true},
    {[COUNT] = true, [LONG_TIME] = true},
    {[COUNT] = true, [TIME] = true},
    {[COUNT] = true},
    {[PERCENT] = true},
    {false},
};

/* What stands before each piece when it is not the first. */
static const char *const gaps[PIECES] = {
    [BAR] = " ", [COUNT] = " ", [FORCED] = "  ", [TIME] = "  ", [LONG_TIME] = "  ",
};

enum { PIECE_SIZE = 3 * NUMBER_SIZE + 8 };

static void write_pieces(const struct progress_view *view, char pieces[PIECES][PIECE_SIZE])
{
    struct text texts[PIECES];
    bool done = view->drained >= view->total && view->requests == 0;
    int64_t time = done ? view->elapsed : view->left;
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i][0] = '\0';
        texts[i] = (struct text){.bytes = pieces[i], .size = PIECE_SIZE};
    }
    add(&texts[WORD], done ? "drained" : "draining");
    add(&texts[COUNT], "%" PRIu64 "/%" PRIu64, view->drained, view->total);
    if (view->requests > 0)
        add(&texts[COUNT], " +%" PRIu64 " HTTP", view->requests);
    add(&texts[FORCED], "forced %" PRIu64, view->forced);
    add_duration(&texts[TIME], time, !done);
    add(&texts[LONG_TIME], "%s%s%s", done ? "in " : "", pieces[TIME], done ? "" : " left");
    add(&texts[PERCENT], "%" PRIu64 " %%", shares_of(view->drained, view->total, 100));
}

/* The columns of a layout; every piece is ASCII but the bar, which is counted at its least. */
static size_t layout_columns(const bool layout[PIECES], char pieces[PIECES][PIECE_SIZE])
{
    size_t columns = 0;
    for (size_t i = 0; i < PIECES; i++) {
        if (!layout[i])
            continue;
        if (columns > 0)
            columns += strlen(gaps[i]);
        columns += i == BAR ? BAR_LEAST + BAR_EDGES : strlen(pieces[i]);
    }
    return columns;
}

static void add_bar(struct text *text, const struct progress_view *view, uint64_t cells)
{
    bool unicode = view->terminal.unicode;
    uint64_t full = shares_of(view->drained, view->total, cells);
    add(text, "%s%s", unicode ? "▕" : "[", view->terminal.colour ? green : "");
    for (uint64_t i = 0; i < cells; i++)
        add(text, "%s", i < full ? unicode ? "█" : "#" : unicode ? "░" : "-");
    add(text, "%s%s", view->terminal.colour ? plain : "", unicode ? "▏" : "]");
}

size_t progress_line(const struct progress_view *view, char line[PROGRESS_LINE_SIZE])
{
    char pieces[PIECES][PIECE_SIZE];
    struct text text = {.bytes = line, .size = PROGRESS_LINE_SIZE};
    size_t width = columns_of(&view->terminal);
    size_t chosen = 0;
    line[0] = '\0';
    write_pieces(view, pieces);
    while (layout_columns(layouts[chosen], pieces) > width)
        chosen++;
    const bool *layout = layouts[chosen];
    size_t spare = width - layout_columns(layout, pieces);
    size_t cells = BAR_LEAST + (spare < BAR_MOST - BAR_LEAST ? spare : BAR_MOST - BAR_LEAST);
    for (size_t i = 0; i < PIECES; i++) {
        bool coloured = view->terminal.colour && i == FORCED && view->forced > 0;
        if (!layout[i])
            continue;
        if (text.length > 0)
            add(&text, "%s", gaps[i]);
        if (i == BAR)
            add_bar(&text, view, cells);
        else
            add(&text, "%s%s%s", coloured ? red : "", pieces[i], coloured ? plain : "");
    }
    return text.length;
}

bool progress_due(struct progress_state *state, int64_t elapsed, uint64_t drained, uint64_t total)
{
    bool due = false;
    if (drained < total && shares_of(drained, total, 4) > state->quarters) {
        state->quarters = (unsigned)shares_of(drained, total, 4);
        due = true;
    }
    if (elapsed / PROGRESS_LOG_INTERVAL > state->intervals) {
        state->intervals = elapsed / PROGRESS_LOG_INTERVAL;
        due = true;
    }
    return due;
}

enum column { OPEN, HANDSHAKE, GONE, FORCED_OUT, REFUSED, RECEIVED, COLUMNS };

static const struct {
    const char *heading;
    size_t offset;
} columns[COLUMNS] = {
    [OPEN] = {"open", offsetof(struct progress_row, open)},
    [HANDSHAKE] = {"handshake", offsetof(struct progress_row, handshake)},
    [GONE] = {"gone", offsetof(struct progress_row, gone)},
    [FORCED_OUT] = {"forced", offsetof(struct progress_row, forced)},
    [REFUSED] = {"refused", offsetof(struct progress_row, refused)},
    [RECEIVED] = {"received", offsetof(struct progress_row, received)},
};

/* What a narrow terminal does without, the least missed first. */
static const enum column dropped_first[] = {RECEIVED, REFUSED, GONE, OPEN, HANDSHAKE};

/* How wide everything is; a column of no width is not shown. */
struct table {
    FILE *out;
    const struct progress_terminal *terminal;
    size_t route;
    size_t numbers[COLUMNS];
};

static uint64_t value_of(const struct progress_row *row, size_t column)
{
    uint64_t value;
    memcpy(&value, (const char *)row + columns[column].offset, sizeof value);
    return value;
}

/* The place behind the first code point. */
static const char *code_point_end(const char *text)
{
    do
        text++;
    while (((unsigned char)*text & 0xC0) == 0x80);
    return text;
}

static size_t code_points(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text = code_point_end(text))
        count++;
    return count;
}

/* Whether a terminal would obey it, or is not able to show it. */
static bool is_unfit(const char *text, bool unicode)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (bytes[0] < 0x80)
        return bytes[0] < 0x20 || bytes[0] == 0x7F;
    return !unicode || (bytes[0] == 0xC2 && bytes[1] < 0xA0);
}

static void put_name(const struct table *table, const char *name)
{
    bool unicode = table->terminal->unicode;
    const char *ellipsis = unicode ? "…" : "...";
    size_t length = code_points(name);
    size_t kept = length > table->route ? table->route - code_points(ellipsis) : length;
    for (size_t i = 0; i < kept; i++) {
        const char *end = code_point_end(name);
        if (is_unfit(name, unicode))
            putc('?', table->out);
        else
            fwrite(name, 1, (size_t)(end - name), table->out);
        name = end;
    }
    if (kept < length)
        fputs(ellipsis, table->out);
    else
        fprintf(table->out, "%*s", (int)(table->route - length), "");
}

static void put_row(const struct table *table, const struct progress_row *row)
{
    char number[NUMBER_SIZE];
    put_name(table, row->route);
    for (size_t i = 0; i < COLUMNS; i++) {
        bool coloured = table->terminal->colour && i == FORCED_OUT && row->forced > 0;
        if (table->numbers[i] == 0)
            continue;
        int length = snprintf(number, sizeof number, "%" PRIu64, value_of(row, i));
        fprintf(table->out, "%*s%s%s%s", (int)(GAP + table->numbers[i]) - length, "",
                coloured ? red : "", number, coloured ? plain : "");
    }
    putc('\n', table->out);
}

static void put_heading(const struct table *table)
{
    put_name(table, "route");
    for (size_t i = 0; i < COLUMNS; i++)
        if (table->numbers[i] > 0)
            fprintf(table->out, "%*s", (int)(GAP + table->numbers[i]), columns[i].heading);
    putc('\n', table->out);
}

static struct progress_row sum_of(const struct progress_row *rows, size_t count)
{
    struct progress_row sum = {.route = "total"};
    for (size_t i = 0; i < count; i++) {
        sum.open += rows[i].open;
        sum.handshake += rows[i].handshake;
        sum.gone += rows[i].gone;
        sum.forced += rows[i].forced;
        sum.refused += rows[i].refused;
        sum.received += rows[i].received;
    }
    return sum;
}

static size_t numbers_columns(const struct table *table)
{
    size_t sum = 0;
    for (size_t i = 0; i < COLUMNS; i++)
        sum += table->numbers[i] > 0 ? GAP + table->numbers[i] : 0;
    return sum;
}

/* The total is the largest number of each column, so that its row alone decides on their widths. */
static void measure(struct table *table, const struct progress_row *total, size_t longest_name)
{
    size_t width = columns_of(table->terminal);
    size_t least = longest_name < ROUTE_LEAST ? longest_name : ROUTE_LEAST;
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t digits = (size_t)snprintf(NULL, 0, "%" PRIu64, value_of(total, i));
        size_t heading = strlen(columns[i].heading);
        table->numbers[i] = digits > heading ? digits : heading;
    }
    for (size_t i = 0; i < sizeof dropped_first / sizeof dropped_first[0]; i++)
        if (numbers_columns(table) + least > width)
            table->numbers[dropped_first[i]] = 0;
    size_t numbers = numbers_columns(table);
    size_t room = width > numbers + least ? width - numbers : least;
    table->route = longest_name < room ? longest_name : room;
}

void progress_table(FILE *out, const struct progress_row *rows, size_t count,
                    const struct progress_terminal *terminal)
{
    struct table table = {.out = out, .terminal = terminal};
    struct progress_row total = sum_of(rows, count);
    size_t longest_name = strlen("route");
    for (size_t i = 0; i < count; i++) {
        size_t length = code_points(rows[i].route);
        longest_name = length > longest_name ? length : longest_name;
    }
    measure(&table, &total, longest_name);
    put_heading(&table);
    for (size_t i = 0; i < count; i++)
        put_row(&table, &rows[i]);
    put_row(&table, &total);
}
