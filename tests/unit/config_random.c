/* Texts that nobody would write: whatever they are, a load says yes or what is wrong. */
#include <stdint.h>

#include "tests/unit/config_support.h"

#define ROUNDS 4000
#define TEXT_MAX 1500

/* Pieces that mean something, so that the change of a byte often leads somewhere new. */
static const char *const pieces[] = {
    "[server]\n",
    "[limits]\n",
    "[shutdown]\n",
    "[log]\n",
    "[route /a]\n",
    "[route /a/*]\n",
    "[route x]\n",
    "listen",
    "message",
    "path",
    "handler",
    "close_reason",
    "root",
    "index",
    "drain",
    "tolerate",
    "report",
    "[shutdown]\ntolerate = ",
    "drain = wait\n",
    "5%",
    "%",
    "1.5",
    " = ",
    "=",
    ":",
    "\n",
    "\n ",
    " ;",
    " #",
    "\"",
    "\"\"",
    "$",
    "$$",
    "${HOME}",
    "${X:-y}",
    "echo",
    "all",
    "127.0.0.1:80",
    "[::1]:80",
    ", ",
    "*:1",
    "8s",
    "1M",
    "auto",
    "/*",
    "/",
    "..",
    "%20",
    "\xC3\xA4",
    "\xFF",
    "\x01",
    "\r\n",
    "\t",
    "]",
    "[",
    "99999999999999",
    "0",
    "level = info",
    "handler = echo\n",
};

/* Marsaglia's xorshift: the same numbers on every machine. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Whatever came of it, it must be one of the two, and what is dumped must be a fixed point. */
static int check_text(const char *text, const char *setting)
{
    struct outcome outcome = load(text, setting, NULL);

    if (outcome.result != 0) {
        ck_assert_msg(outcome.errors[0] != '\0', "refused without a word: %s", text);
        outcome_free(&outcome);
        return 0;
    }
    ck_assert_str_eq(outcome.errors, "");
    struct outcome again = load(outcome.dump, NULL, NULL);
    ck_assert_msg(again.result == 0, "%s\ngave\n%s\nand that\n%s", text, outcome.dump,
                  again.errors);
    ck_assert_str_eq(again.dump, outcome.dump);
    outcome_free(&again);
    outcome_free(&outcome);
    return 1;
}

START_TEST(random_pieces_are_loaded_or_refused_with_a_reason)
{
    uint32_t state = 20240229;
    char text[TEXT_MAX + 64];
    int loaded = 0;

    for (int round = 0; round < ROUNDS; round++) {
        size_t used = (size_t)snprintf(text, sizeof(text), "%s", ECHO_ROUTE);
        for (uint32_t left = next_random(&state) % 12; left > 0 && used < TEXT_MAX; left--) {
            const char *piece = pieces[next_random(&state) % (sizeof(pieces) / sizeof(pieces[0]))];
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", piece);
        }
        loaded += check_text(text, NULL);
    }
    ck_assert_int_gt(loaded, 0);
    ck_assert_int_lt(loaded, ROUNDS);
}
END_TEST

START_TEST(a_good_file_with_bytes_changed_is_loaded_or_refused_with_a_reason)
{
    static const char good[] =
        "; a comment\n[server]\nlisten = 127.0.0.1:8080,\n   [::1]:8081\nloops = auto\n"
        "[limits]\nmessage = 64k\nping_interval = 0\n[shutdown]\ntimeout = 9s\n"
        "spread = 1s\ntolerate = 10%\nreport = /a b\nclose_reason = \"a ; b\" \"c\" ; "
        "d\n[log]\nlevel = ${LEVEL:-debug}\n"
        "[route /a/*]\nhandler = all\nroot = /srv/$$x\nmode = slow\n[route y]\npath = /y\n"
        "handler = echo\ndrain = wait\n";
    uint32_t state = 19700101;
    int loaded = 0;

    for (int round = 0; round < ROUNDS; round++) {
        char text[sizeof(good)];
        memcpy(text, good, sizeof(good));
        for (uint32_t left = 1 + next_random(&state) % 3; left > 0; left--) {
            size_t at = next_random(&state) % (sizeof(good) - 1);
            if (next_random(&state) % 2)
                text[at] = (char)(1 + next_random(&state) % 255);
            else
                memmove(text + at, text + at + 1, sizeof(good) - at - 1);
        }
        loaded += check_text(text, NULL);
    }
    ck_assert_int_gt(loaded, ROUNDS / 20);
    ck_assert_int_lt(loaded, ROUNDS);
}
END_TEST

START_TEST(random_settings_are_taken_or_refused_with_a_reason)
{
    uint32_t state = 20380119;
    char setting[TEXT_MAX];
    int loaded = 0;

    for (int round = 0; round < ROUNDS; round++) {
        static const char *const begins[] = {
            "shutdown.close_reason=", "route /a.root=",
            "route b.path=/",         "route /",
            "server.listen=",         "shutdown.tolerate=1",
            "shutdown.report=",       "route b.drain=",
            "route x.path=",          "",
        };
        size_t used =
            (size_t)snprintf(setting, sizeof(setting), "%s",
                             begins[next_random(&state) % (sizeof(begins) / sizeof(begins[0]))]);
        for (uint32_t left = 1 + next_random(&state) % 4; left > 0; left--) {
            const char *piece = pieces[next_random(&state) % (sizeof(pieces) / sizeof(pieces[0]))];
            used += (size_t)snprintf(setting + used, sizeof(setting) - used, "%s", piece);
        }
        loaded += check_text(
            "[route /a]\nhandler = all\nroot = /x\n[route b]\npath = /b\n"
            "handler = echo\n",
            setting);
    }
    ck_assert_int_gt(loaded, 0);
    ck_assert_int_lt(loaded, ROUNDS);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_random");

    tcase_add_test(tests, random_pieces_are_loaded_or_refused_with_a_reason);
    tcase_add_test(tests, a_good_file_with_bytes_changed_is_loaded_or_refused_with_a_reason);
    tcase_add_test(tests, random_settings_are_taken_or_refused_with_a_reason);
    return run_case("config_random", tests);
}
