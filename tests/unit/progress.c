#include "server/progress.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define ASCII(columns)                                                                             \
    {                                                                                              \
        .width = (columns)                                                                         \
    }
#define UNICODE(columns)                                                                           \
    {                                                                                              \
        .width = (columns), .unicode = true                                                        \
    }
#define COLOUR(columns)                                                                            \
    {                                                                                              \
        .width = (columns), .unicode = true, .colour = true                                        \
    }

/* The columns of a text: its code points, without the sequences that set a colour. */
static size_t columns_of(const char *text)
{
    size_t columns = 0;
    for (; *text != '\0'; text++) {
        if (*text == '\x1b') {
            text = strchr(text, 'm');
            if (text == NULL)
                ck_abort_msg("a colour is not ended");
        } else if (((unsigned char)*text & 0xC0) != 0x80) {
            columns++;
        }
    }
    return columns;
}

static const struct {
    struct progress_view view;
    const char *line;
} lines[] = {
    /* total, drained, forced, requests, elapsed, left */
    {{1000, 812, 0, 0, 1700, 6300, UNICODE(57)},
     "draining ▕████████████░░░▏ 812/1000  forced 0  6.3 s left"},
    {{1000, 812, 0, 0, 1700, 6300, ASCII(0)},
     "draining [###################-----] 812/1000  forced 0  6.3 s left"},
    {{1000, 812, 0, 0, 1700, 6300, ASCII(500)},
     "draining [###################-----] 812/1000  forced 0  6.3 s left"},
    {{1000, 1000, 0, 0, 1700, 6300, UNICODE(80)},
     "drained ▕████████████████████████▏ 1000/1000  forced 0  in 1.7 s"},
    {{1000, 1000, 0, 2, 1700, 6300, UNICODE(80)},
     "draining ▕████████████████████████▏ 1000/1000 +2 HTTP  forced 0  6.3 s left"},
    {{0, 0, 0, 1, 200, 7800, ASCII(80)},
     "draining [########################] 0/0 +1 HTTP  forced 0  7.8 s left"},
    {{0, 0, 0, 0, 0, 8000, ASCII(80)},
     "drained [########################] 0/0  forced 0  in 0.0 s"},
    {{1000, 999, 3, 0, 7999, 1, ASCII(80)},
     "draining [#######################-] 999/1000  forced 3  0.1 s left"},
    {{1000, 0, 0, 0, 0, -5, ASCII(80)},
     "draining [------------------------] 0/1000  forced 0  0.0 s left"},
    {{1000, 1001, 0, 0, 59999, 0, ASCII(80)},
     "drained [########################] 1001/1000  forced 0  in 59.9 s"},
    {{2, 1, 0, 0, 0, 59901, ASCII(80)},
     "draining [############------------] 1/2  forced 0  1 min 0 s left"},
    {{2, 1, 0, 0, 0, 125000, ASCII(80)},
     "draining [############------------] 1/2  forced 0  2 min 5 s left"},
    {{2, 1, 0, 0, 0, 3660000, ASCII(80)},
     "draining [############------------] 1/2  forced 0  1 h 1 min left"},
    /* What goes when it gets narrow. */
    {{1000, 812, 7, 0, 0, 6300, ASCII(48)}, "draining [####--] 812/1000  forced 7  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(47)}, "draining 812/1000  forced 7  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(39)}, "draining 812/1000  forced 7  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(38)}, "812/1000  forced 7  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(29)}, "812/1000  forced 7  6.3 s"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(24)}, "812/1000  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(20)}, "812/1000  6.3 s left"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(19)}, "812/1000  6.3 s"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(14)}, "812/1000"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(7)}, "81 %"},
    {{1000, 812, 7, 0, 0, 6300, ASCII(3)}, ""},
    {{10000000000000000000U, 9999999999999999999U, 0, 0, 0, 6300, ASCII(20)}, "99 %"},
    {{UINT64_MAX, UINT64_MAX, 0, 0, 0, 6300, ASCII(20)}, "100 %"},
    /* Colours. */
    {{4, 1, 0, 0, 0, 100, COLOUR(43)},
     "draining ▕\x1b[32m█░░░░░\x1b[0m▏ 1/4  forced 0  0.1 s left"},
    {{4, 1, 1, 0, 0, 100, COLOUR(43)},
     "draining ▕\x1b[32m█░░░░░\x1b[0m▏ 1/4  \x1b[31mforced 1\x1b[0m  0.1 s left"},
};

START_TEST(a_line_says_how_far_it_has_come_in_the_room_that_there_is)
{
    char line[PROGRESS_LINE_SIZE];
    size_t length = progress_line(&lines[_i].view, line);
    ck_assert_str_eq(line, lines[_i].line);
    ck_assert_uint_eq(length, strlen(line));
}
END_TEST

static const uint64_t totals[] = {0, 1, 9, 1000, 123456, UINT64_MAX};
static const int64_t times[] = {INT64_MIN, 0, 999, 59999, 3599999, 86400000, INT64_MAX};

/* All that the tables hold at one width. Check's assertions would take too long here. */
static size_t lines_that_are_wrong(size_t width)
{
    char line[PROGRESS_LINE_SIZE];
    size_t wrong = 0;
    for (size_t i = 0; i < COUNT(totals) * 3 * COUNT(times) * 4; i++) {
        uint64_t total = totals[i / 4 / COUNT(times) / 3];
        uint64_t drained = total / 2 * (i / 4 / COUNT(times) % 3);
        int64_t time = times[i / 4 % COUNT(times)];
        struct progress_view view = {
            total, drained, drained, drained, time, time, {width, i & 1, i & 2}};
        size_t length = progress_line(&view, line);
        if (length == 0 || length != strlen(line) || length + 1 >= PROGRESS_LINE_SIZE ||
            columns_of(line) > width)
            wrong++;
    }
    return wrong;
}

START_TEST(no_line_is_empty_cut_or_wider_than_a_terminal_of_20_columns_or_more)
{
    for (size_t width = 20; width <= 100; width++)
        ck_assert_msg(lines_that_are_wrong(width) == 0, "at %zu columns", width);
}
END_TEST

START_TEST(the_bar_grows_with_the_count_and_is_full_at_the_end_only)
{
    char line[PROGRESS_LINE_SIZE];
    size_t before = 0;
    for (uint64_t drained = 0; drained <= 997; drained++) {
        struct progress_view view = {997, drained, 0, 0, 0, 0, ASCII(80)};
        progress_line(&view, line);
        size_t full = strspn(strchr(line, '[') + 1, "#");
        ck_assert_uint_ge(full, before);
        ck_assert_int_eq(strchr(line, '-') == NULL, drained == 997);
        before = full;
    }
}
END_TEST

/* One call after the other, and whether a line was due; never at a call of zeros, which fill up. */
static const struct {
    const char *story;
    struct {
        int64_t elapsed;
        uint64_t drained;
        uint64_t total;
        bool due;
    } calls[9];
} stories[] = {
    {"each quarter once",
     {{0, 0, 1000, false},
      {10, 249, 1000, false},
      {20, 250, 1000, true},
      {30, 250, 1000, false},
      {40, 499, 1000, false},
      {50, 501, 1000, true},
      {60, 750, 1000, true},
      {70, 999, 1000, false},
      {80, 1000, 1000, false}}},
    {"each interval once",
     {{0, 0, 9, false},
      {4999, 0, 9, false},
      {5000, 0, 9, true},
      {5001, 0, 9, false},
      {9999, 0, 9, false},
      {10000, 0, 9, true},
      {27000, 0, 9, true},
      {29999, 0, 9, false},
      {30000, 0, 9, true}}},
    {"what comes together is one line",
     {{100, 600, 1000, true},
      {200, 600, 1000, false},
      {5100, 800, 1000, true},
      {5200, 801, 1000, false},
      {10100, 801, 1000, true}}},
    {"a quarter does not move the interval",
     {{4900, 1, 4, true}, {5000, 1, 4, true}, {5100, 1, 4, false}}},
    {"all at once needs no line", {{30, 1000, 1000, false}, {60, 1000, 1000, false}}},
    {"with nothing to drain only time counts",
     {{0, 0, 0, false}, {100, 0, 0, false}, {5000, 0, 0, true}, {5100, 0, 0, false}}},
    {"one session has no quarters", {{0, 0, 1, false}, {10, 1, 1, false}}},
    {"a quarter of three is one", {{0, 0, 3, false}, {1, 1, 3, true}, {2, 2, 3, true}}},
    {"falling back and coming again is not new",
     {{0, 500, 1000, true},
      {10, 400, 1000, false},
      {20, 500, 1000, false},
      {30, 600, 1600, false},
      {40, 1200, 1600, true}}},
    {"a clock before the signal is harmless", {{-60000, 0, 10, false}, {0, 0, 10, false}}},
    {"the largest numbers are",
     {{INT64_MAX, 0, UINT64_MAX, true},
      {INT64_MAX, UINT64_MAX / 4 - 100, UINT64_MAX, false},
      {INT64_MAX, UINT64_MAX / 4 * 3 + 100, UINT64_MAX, true},
      {INT64_MAX, UINT64_MAX - 1, UINT64_MAX, false}}},
};

START_TEST(a_log_line_is_due_at_each_quarter_and_each_interval_once)
{
    struct progress_state state = {0};
    for (size_t i = 0; i < COUNT(stories[_i].calls); i++) {
        bool due = progress_due(&state, stories[_i].calls[i].elapsed, stories[_i].calls[i].drained,
                                stories[_i].calls[i].total);
        ck_assert_msg(due == stories[_i].calls[i].due, "%s: call %zu", stories[_i].story, i + 1);
    }
}
END_TEST

/* A table's text; the caller frees it. */
static char *table_of(const struct progress_row *rows, size_t count,
                      const struct progress_terminal terminal)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    progress_table(out, rows, count, &terminal);
    ck_assert_int_eq(ferror(out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static const struct progress_row two[] = {
    {"/echo", 1000, 997, 2, 1, 14, 1234567},
    {"/chat/*", 12, 12, 0, 0, 0, 3},
};
static const struct progress_row long_name[] = {
    {"/a-route/whose-name/is-33-columns", 5, 5, 0, 0, 0, 0}};
static const struct progress_row foreign[] = {{"/grüße/日本語/и-так-далее", 5, 4, 0, 1, 0, 0}};
static const struct progress_row nasty[] = {{"/a\x1b[2J\n\x7f\xc2\x9b\xff", 5, 4, 0, 1, 0, 0}};
static const struct progress_row huge[] = {{"/", 10000000000000000000U, 0, 0, 1, 0, 0}};

static const struct {
    const struct progress_row *rows;
    size_t count;
    struct progress_terminal terminal;
    const char *table;
} tables[] = {
    {two, 2, ASCII(80),
     "route    open  handshake  gone  forced  refused  received\n"
     "/echo    1000        997     2       1       14   1234567\n"
     "/chat/*    12         12     0       0        0         3\n"
     "total    1012       1009     2       1       14   1234570\n"},
    {NULL, 0, ASCII(0),
     "route  open  handshake  gone  forced  refused  received\n"
     "total     0          0     0       0        0         0\n"},
    {two, 1, COLOUR(80),
     "route  open  handshake  gone  forced  refused  received\n"
     "/echo  1000        997     2       \x1b[31m1\x1b[0m       14   1234567\n"
     "total  1000        997     2       \x1b[31m1\x1b[0m       14   1234567\n"},
    {long_name, 1, UNICODE(83),
     "route                              open  handshake  gone  forced  refused  received\n"
     "/a-route/whose-name/is-33-columns     5          5     0       0        0         0\n"
     "total                                 5          5     0       0        0         0\n"},
    {long_name, 1, UNICODE(82),
     "route                             open  handshake  gone  forced  refused  received\n"
     "/a-route/whose-name/is-33-colum…     5          5     0       0        0         0\n"
     "total                                5          5     0       0        0         0\n"},
    {long_name, 1, ASCII(60),
     "route       open  handshake  gone  forced  refused  received\n"
     "/a-rout...     5          5     0       0        0         0\n"
     "total          5          5     0       0        0         0\n"},
    {long_name, 1, ASCII(57),
     "route              open  handshake  gone  forced  refused\n"
     "/a-route/whose...     5          5     0       0        0\n"
     "total                 5          5     0       0        0\n"},
    {long_name, 1, UNICODE(20),
     "route         forced\n"
     "/a-route/wh…       0\n"
     "total              0\n"},
    {foreign, 1, UNICODE(80),
     "route                   open  handshake  gone  forced  refused  received\n"
     "/grüße/日本語/и-так-далее     5          4     0       1        0         0\n"
     "total                      5          4     0       1        0         0\n"},
    {foreign, 1, UNICODE(62),
     "route         open  handshake  gone  forced  refused  received\n"
     "/grüße/日本語/…     5          4     0       1        0         0\n"
     "total            5          4     0       1        0         0\n"},
    {foreign, 1, ASCII(64),
     "route           open  handshake  gone  forced  refused  received\n"
     "/gr??e/??"
     "?/...     5          4     0       1        0         0\n"
     "total              5          4     0       1        0         0\n"},
    {nasty, 1, UNICODE(80),
     "route       open  handshake  gone  forced  refused  received\n"
     "/a?[2J???\xff     5          4     0       1        0         0\n"
     "total          5          4     0       1        0         0\n"},
    {huge, 1, ASCII(80),
     "route                  open  handshake  gone  forced  refused  received\n"
     "/      10000000000000000000          0     0       1        0         0\n"
     "total  10000000000000000000          0     0       1        0         0\n"},
};

START_TEST(the_table_shows_each_route_and_the_total_in_aligned_columns)
{
    char *table = table_of(tables[_i].rows, tables[_i].count, tables[_i].terminal);
    ck_assert_str_eq(table, tables[_i].table);
    free(table);
}
END_TEST

/* Lines of a table that are wider than the terminal, or not as wide as the first; it is changed. */
static size_t rows_that_are_wrong(char *table, size_t width)
{
    size_t wrong = 0;
    size_t columns = 0;
    for (char *row = strtok(table, "\n"); row != NULL; row = strtok(NULL, "\n")) {
        if (columns == 0)
            columns = columns_of(row);
        if (columns_of(row) != columns || columns > width)
            wrong++;
    }
    return wrong;
}

START_TEST(all_lines_of_a_table_are_equally_wide_and_fit_20_columns_or_more)
{
    for (size_t width = 20; width <= 120; width++) {
        for (size_t i = 0; i < COUNT(tables) * 2; i++) {
            struct progress_terminal terminal = {width, i & 1, true};
            char *table = table_of(tables[i / 2].rows, tables[i / 2].count, terminal);
            ck_assert_ptr_nonnull(strstr(table, "forced"));
            ck_assert_msg(rows_that_are_wrong(table, width) == 0, "row %zu at %zu", i / 2, width);
            free(table);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *tests = tcase_create("progress");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_line_says_how_far_it_has_come_in_the_room_that_there_is, 0,
                        COUNT(lines));
    tcase_add_test(tests, no_line_is_empty_cut_or_wider_than_a_terminal_of_20_columns_or_more);
    tcase_add_test(tests, the_bar_grows_with_the_count_and_is_full_at_the_end_only);
    tcase_add_loop_test(tests, a_log_line_is_due_at_each_quarter_and_each_interval_once, 0,
                        COUNT(stories));
    tcase_add_loop_test(tests, the_table_shows_each_route_and_the_total_in_aligned_columns, 0,
                        COUNT(tables));
    tcase_add_test(tests, all_lines_of_a_table_are_equally_wide_and_fit_20_columns_or_more);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
