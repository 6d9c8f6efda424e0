/* Bytes taken apart into lines, in random chops, beside the obvious way of doing it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/lines.h"
#include "tests/support/random.h"

enum { ROUNDS = 3000, TEXT_SIZE = 120, MOST = 6, OUT_SIZE = 1024 };

/* What came out: each line in brackets, one that was too long with a mark. */
struct out {
    char text[OUT_SIZE];
    size_t length;
};

static void put(struct out *out, const char *before, const uint8_t *data, size_t length)
{
    out->length += (size_t)snprintf(out->text + out->length, sizeof out->text - out->length,
                                    "%s%.*s>", before, (int)length, (const char *)data);
}

/* Feeds `data` in a copy of just that size. */
static void feed(struct lines *lines, struct out *out, const char *data, size_t length)
{
    uint8_t *copy = malloc(length + (length == 0));
    const uint8_t *input = copy;
    struct line line;
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, length);
    for (enum lines_found found;
         (found = lines_next(lines, &input, &length, &line)) != LINES_NONE;) {
        ck_assert_int_ne(found, LINES_NO_MEMORY);
        put(out, found == LINES_LONG ? "<long:" : "<", line.data, line.length);
        ck_assert_uint_le(lines_held(lines), 512);
    }
    ck_assert_uint_eq(length, 0);
    free(copy);
}

static void finish(struct lines *lines, struct out *out)
{
    struct line line;
    if (lines_last(lines, &line))
        put(out, "<", line.data, line.length);
    lines_free(lines);
    ck_assert_uint_eq(lines_held(lines), 0);
}

/* The same from the whole text. */
static void expect(struct out *out, const char *text)
{
    while (*text != '\0') {
        size_t whole = strcspn(text, "\n");
        bool ends = text[whole] == '\n';
        size_t length = whole;
        if (length > 0 && text[length - 1] == '\r')
            length--;
        if (length > MOST)
            put(out, "<long:", (const uint8_t *)text, MOST);
        else if (ends || whole > 0)
            put(out, "<", (const uint8_t *)text, length);
        text += whole + ends;
    }
}

START_TEST(lines_are_the_same_in_whatever_chops_they_come)
{
    static const char alphabet[] = "abc\n\n\r";
    uint64_t random = 7;
    for (int round = 0; round < ROUNDS; round++) {
        struct lines lines = {.most = MOST};
        struct out expected = {0};
        struct out got = {0};
        char text[TEXT_SIZE] = "";
        size_t length = random_below(&random, sizeof text - 1);
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[random_below(&random, sizeof alphabet - 1)];
        expect(&expected, text);
        for (size_t at = 0, part; at < length; at += part) {
            part = random_below(&random, 10);
            if (part > length - at)
                part = length - at;
            feed(&lines, &got, text + at, part);
        }
        finish(&lines, &got);
        ck_assert_str_eq(got.text, expected.text);
    }
}
END_TEST

START_TEST(a_line_that_arrives_whole_is_not_copied)
{
    static const uint8_t text[] = "one\ntwo\r\n";
    const uint8_t *input = text;
    size_t length = sizeof text - 1;
    struct lines lines = {.most = 100};
    struct line line;
    ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_LINE);
    ck_assert_ptr_eq(line.data, text);
    ck_assert_uint_eq(line.length, 3);
    ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_LINE);
    ck_assert_ptr_eq(line.data, text + 4);
    ck_assert_uint_eq(line.length, 3);
    ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_NONE);
    ck_assert_uint_eq(lines_held(&lines), 0);
}
END_TEST

START_TEST(memory_of_a_long_line_is_given_back_with_it)
{
    enum { LONG = 100000, PIECE = 1000 };
    static uint8_t piece[PIECE];
    struct lines lines = {.most = LONG};
    struct line line;
    memset(piece, 'x', sizeof piece);
    for (size_t i = 0; i < LONG / PIECE; i++) {
        const uint8_t *input = piece;
        size_t length = sizeof piece;
        ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_NONE);
        ck_assert_uint_ge(lines_held(&lines), (i + 1) * PIECE);
        ck_assert_uint_le(lines_held(&lines), LONG + 2);
    }
    const uint8_t *input = (const uint8_t *)"\n";
    size_t length = 1;
    ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_LINE);
    ck_assert_uint_eq(line.length, LONG);
    ck_assert_int_eq(lines_next(&lines, &input, &length, &line), LINES_NONE);
    ck_assert_uint_eq(lines_held(&lines), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lines");
    TCase *tests = tcase_create("lines");
    tcase_add_test(tests, lines_are_the_same_in_whatever_chops_they_come);
    tcase_add_test(tests, a_line_that_arrives_whole_is_not_copied);
    tcase_add_test(tests, memory_of_a_long_line_is_given_back_with_it);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
