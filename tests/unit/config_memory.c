/* Memory that runs out at any one place while a configuration is loaded. */
#include "config/memory.h"

#include <stdbool.h>

#include "tests/unit/config_support.h"

/* Takes the place of config/memory.c: the allocation with this number fails; 0: none does. */
static size_t failing;
static size_t allocations;

void *memory_resize(void *block, size_t size)
{
    allocations++;
    return allocations == failing ? NULL : realloc(block, size);
}

static const char good[] =
    "[server]\nlisten = 127.0.0.1:1,\n  127.0.0.1:2\nloops = 3\n"
    "[shutdown]\nclose_reason = \"a\" \"b\"\nreport = /x\ntolerate = 1%\n"
    "[route /f/*]\nhandler = all\nroot = ${PWD:-/x}\nwait = 5s\ndrain = wait\n"
    "[route x]\npath = /x\nhandler = echo\n";

static const char bad[] =
    "junk\n[server]\nlisten = x\nloop = 3\nloops = 0\n[limit]\n"
    "[route /f/*]\nhandler = all\nwait = 5\n[route x]\nhandler = ecko\ndrian = wait\ndrain = x\n";

/* Loads `text` again and again, with one allocation failing each time, until none is left. */
static void check_each(const char *text, bool loads)
{
    bool done = false;

    for (failing = 1; !done; failing++) {
        allocations = 0;
        struct outcome outcome = load(text, "route y.path=/y", "route y.handler=echo");
        done = allocations < failing;
        ck_assert_int_eq(outcome.result, !done ? CONFIG_REFUSED : loads ? 0 : -1);
        if (!done)
            ck_assert_msg(strstr(outcome.errors, "(default): out of memory\n") != NULL, "%zu: %s",
                          failing, outcome.errors);
        outcome_free(&outcome);
    }
    ck_assert_uint_gt(failing, 20);
}

START_TEST(out_of_memory_is_said_wherever_it_happens_and_nothing_leaks)
{
    check_each(good, true);
}
END_TEST

START_TEST(out_of_memory_among_mistakes_is_said_too_and_nothing_leaks)
{
    check_each(bad, false);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_memory");

    tcase_add_test(tests, out_of_memory_is_said_wherever_it_happens_and_nothing_leaks);
    tcase_add_test(tests, out_of_memory_among_mistakes_is_said_too_and_nothing_leaks);
    return run_case("config_memory", tests);
}
