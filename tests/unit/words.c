/* Words and quotes: a table, and what /bin/sh makes of random ones. */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/words.h"
#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { ROUNDS = 300, LINE_MAX_SIZE = 24 };

static const struct {
    const char *text;
    const char *words[6]; /* ended by NULL */
} splits[] = {
    {"", {NULL}},
    {" \t\n ", {NULL}},
    {"cat", {"cat"}},
    {"  cat\t-n \n x ", {"cat", "-n", "x"}},
    {"a b c d", {"a", "b", "c", "d"}},
    {"'a b'", {"a b"}},
    {"'a\\b\"c$'", {"a\\b\"c$"}},
    {"\"a b\"", {"a b"}},
    {"\"a\\\"b\\\\c\\$d\\`e\\x\"", {"a\"b\\c$d`e\\x"}},
    {"\"a'b\"", {"a'b"}},
    {"''", {""}},
    {"'' \"\"", {"", ""}},
    {"a'b'\"c\"d", {"abcd"}},
    {"a\\ b", {"a b"}},
    {"\\'\\\"\\\\\\$", {"'\"\\$"}},
    {"\\a\\n", {"an"}},
    {"a\\\nb", {"ab"}},
    {"a \\\n b", {"a", "b"}},
    {"\\\n", {NULL}},
    {"\"a\\\nb\"", {"ab"}},
    {"$HOME ~ * [a] #x", {"$HOME", "~", "*", "[a]", "#x"}},
    {"a#b {a,b} !x =", {"a#b", "{a,b}", "!x", "="}},
    {"'|' \"&;<>\" \\( ')'", {"|", "&;<>", "(", ")"}},
    {"\xC3\xBC'\xE2\x82\xAC'", {"\xC3\xBC\xE2\x82\xAC"}},
};

START_TEST(text_is_taken_apart_as_a_shell_does_it_and_nothing_is_expanded)
{
    char why[128];
    char **words = words_split(splits[_i].text, why, sizeof why);
    ck_assert_msg(words != NULL, "%s: %s", splits[_i].text, why);
    size_t i = 0;
    for (; splits[_i].words[i] != NULL; i++) {
        ck_assert_msg(words[i] != NULL, "%s: no word %zu", splits[_i].text, i);
        ck_assert_str_eq(words[i], splits[_i].words[i]);
    }
    ck_assert_ptr_null(words[i]);
    free(words);
}
END_TEST

static const struct {
    const char *text;
    const char *what;
    int at;
} mistakes[] = {
    {"cat 'a b", "'", 5},      {"'", "'", 1},
    {"a\"b", "\"", 2},         {"\"a\\\"", "\"", 1},
    {"a 'b' \"c d'", "\"", 7}, {"a\\", "backslash", 2},
    {"cat | wc", "sh -c", 5},  {"cat;", "sh -c", 4},
    {"a&&b", "sh -c", 2},      {"cat < x", "sh -c", 5},
    {"cat >x", "sh -c", 5},    {"a (b", "sh -c", 3},
    {"a 'b')", "sh -c", 6},
};

START_TEST(a_mistake_is_said_with_its_place)
{
    char why[256];
    char place[32];
    snprintf(place, sizeof place, "character %d", mistakes[_i].at);
    ck_assert_ptr_null(words_split(mistakes[_i].text, why, sizeof why));
    ck_assert_msg(strstr(why, mistakes[_i].what) != NULL, "%s: %s", mistakes[_i].text, why);
    ck_assert_msg(strstr(why, place) != NULL, "%s: %s", mistakes[_i].text, why);
}
END_TEST

/* What /bin/sh takes it for: each word in brackets. Returns false when it refuses it. */
static bool ask_shell(const char *text, char *answer, size_t size)
{
    char command[256];
    size_t length = 0;
    snprintf(command, sizeof command,
             "exec 2>/dev/null\nfor word in %s\ndo printf '<%%s>' \"$word\"\ndone", text);
    FILE *shell = popen(command, "r"); /* NOLINT(cert-env33-c): what a shell does is the question */
    ck_assert_ptr_nonnull(shell);
    length = fread(answer, 1, size - 1, shell);
    answer[length] = '\0';
    return pclose(shell) == 0;
}

START_TEST(random_quotes_mean_what_they_mean_to_the_shell)
{
    static const char alphabet[] = "aab  '\"\\\\\t'\"";
    uint64_t random = 42;
    for (int round = 0; round < ROUNDS; round++) {
        char text[LINE_MAX_SIZE] = "";
        char expected[256];
        char got[256] = "";
        char why[256];
        size_t length = random_below(&random, sizeof text - 1);
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[random_below(&random, sizeof alphabet - 1)];
        size_t slashes = 0; /* a backslash at the end would take the newline behind it */
        while (slashes < length && text[length - 1 - slashes] == '\\')
            slashes++;
        if (slashes % 2 != 0)
            continue;
        bool good = ask_shell(text, expected, sizeof expected);
        char **words = words_split(text, why, sizeof why);
        ck_assert_msg((words != NULL) == good, "{%s}: %s", text, words == NULL ? why : "taken");
        for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
            size_t used = strlen(got);
            snprintf(got + used, sizeof got - used, "<%s>", words[i]);
        }
        if (good)
            ck_assert_msg(strcmp(got, expected) == 0, "{%s}: %s, not %s", text, got, expected);
        free(words);
    }
}
END_TEST

int main(void)
{
    TCase *table = tcase_create("words");
    tcase_set_timeout(table, 60);
    tcase_add_loop_test(table, text_is_taken_apart_as_a_shell_does_it_and_nothing_is_expanded, 0,
                        COUNT(splits));
    tcase_add_loop_test(table, a_mistake_is_said_with_its_place, 0, COUNT(mistakes));
    tcase_add_test(table, random_quotes_mean_what_they_mean_to_the_shell);
    Suite *suite = suite_create("words");
    suite_add_tcase(suite, table);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
