/* Entries that nobody would send: whatever they are, the lines can be read by machines. */
#include <check.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/access.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { ROUNDS = 10000, TEXTS = 7, TEXT_MAX = 3000 };

static const char *const pieces[] = {
    "?", "#", "@", "://", "\"", "\\", "\n", "\xC3\xBC", "\xFF", "\xF0\x9F\x8D", " ", "\xC2\x9B",
};

/* A random number below `limit`, the same in each run. */
static size_t below(uint64_t *state, size_t limit)
{
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (size_t)(*state >> 33) % limit;
}

/* Mostly short, sometimes far longer than a line, sometimes none. */
static const char *random_text(uint64_t *state, char *text)
{
    size_t wanted = below(state, below(state, 4) == 0 ? TEXT_MAX - 4 : 60);
    size_t length = 0;
    if (below(state, 20) == 0)
        return NULL;
    while (length < wanted) {
        if (below(state, 2) == 0) {
            text[length++] = (char)(1 + below(state, 255));
            continue;
        }
        const char *piece = pieces[below(state, COUNT(pieces))];
        memcpy(text + length, piece, strlen(piece));
        length += strlen(piece);
    }
    text[length] = '\0';
    return text;
}

/* On the heap and no longer than it may be, so that a sanitizer sees what goes past its end. */
static size_t format(enum log_format kind, const struct access_entry *entry, char **line)
{
    *line = malloc(LOG_LINE_MAX);
    ck_assert_ptr_nonnull(*line);
    size_t length = access_format(*line, kind, entry);
    ck_assert_uint_le(length, LOG_LINE_MAX);
    ck_assert_ptr_eq(memchr(*line, '\n', length), *line + length - 1);
    return length;
}

static void check_text(const struct access_entry *entry)
{
    char *line;
    size_t length = format(LOG_FORMAT_TEXT, entry, &line);
    size_t quotes = 0;
    size_t others = 0;
    for (size_t i = 0; i < length - 1; i++) {
        quotes += line[i] == '"';
        others += line[i] < ' ' || line[i] >= 0x7F;
    }
    ck_assert_uint_eq(quotes, 6);
    ck_assert_uint_eq(others, 0);
    free(line);
}

static void check_json(const struct access_entry *entry)
{
    char *line;
    json_error_t error;
    size_t length = format(LOG_FORMAT_JSON, entry, &line);
    json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(object != NULL, "%s in %.*s", error.text, (int)length, line);
    ck_assert_uint_eq(json_object_size(object), entry->session ? 18 : 13);
    json_decref(object);
    free(line);
}

START_TEST(whatever_the_bytes_a_line_is_ascii_or_json)
{
    static char texts[TEXTS][TEXT_MAX];
    uint64_t state = 1;
    for (int i = 0; i < ROUNDS; i++) {
        const struct access_entry entry = {
            .address = random_text(&state, texts[0]),
            .time = {.tv_sec = 1795357173},
            .method = random_text(&state, texts[1]),
            .path = random_text(&state, texts[2]),
            .http_version = "1.1",
            .referer = random_text(&state, texts[3]),
            .user_agent = random_text(&state, texts[4]),
            .route = random_text(&state, texts[5]),
            .session = below(&state, 2) == 0,
            .outcome = random_text(&state, texts[6]),
        };
        check_text(&entry);
        check_json(&entry);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access_random");
    TCase *tests = tcase_create("access_random");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, whatever_the_bytes_a_line_is_ascii_or_json);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
