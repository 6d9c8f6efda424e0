/* What cannot be read as lines, quotes and variables, and what a person is told. */
#include "tests/unit/config_support.h"

static const struct mistake mistakes[] = {
    {"junk\n" ECHO_ROUTE,
     {NULL},
     "(default):1: junk: neither [SECTION] nor KEY = VALUE; a comment begins with ;\n"},
    {"listen = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):1: listen: stands in no section; write for example [server] above it\n"},
    {"= 1\n" ECHO_ROUTE,
     {NULL},
     "(default):1: = 1: neither [SECTION] nor KEY = VALUE; a comment begins with ;\n"},
    {"a b = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):1: a b = 1: neither [SECTION] nor KEY = VALUE; a comment begins with ;\n"},
    {"listen\n" ECHO_ROUTE,
     {NULL},
     "(default):1: listen: neither [SECTION] nor KEY = VALUE; a comment begins with ;\n"},
    {"[server\nlisten = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):1: a section is written [NAME]: the ] is missing\n"},
    {"[server] x\nlisten = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):1: text behind the ] of a section: keys go on lines of their own, and a path that "
     "holds ] into a path key under [route NAME]\n"},
    {"[]\n" ECHO_ROUTE, {NULL}, "(default):1: [] names no section\n"},
    {"[ ]\nx = 1\n" ECHO_ROUTE, {NULL}, "(default):1: [] names no section\n"},
    {"[route /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx]\nhandler = echo\n",
     {NULL},
     "(default):1: a section's name has at most 49 bytes, this one has 50: for a long path write "
     "[route NAME] and below it path = PATH\n"},
    {"[server]\nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: a key has at most 49 "
     "letters\n"},
    {"[server]\n listen = 1\n loops = 2\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a line that begins with a blank continues the value before it, and here is "
     "none: begin in the first column\n"},
    {"[server]\nloops = 2\n http_threads = 3\n" ECHO_ROUTE,
     {NULL},
     "(default):3: a line that begins with a blank continues the value before it: begin a key in "
     "the first column, or put the text in quotes\n"},
    {"[server]\nloops = 2\n  [log] ; x\n" ECHO_ROUTE,
     {NULL},
     "(default):3: a line that begins with a blank continues the value before it: begin a section "
     "in the first column\n"},
    {"[log]\nlevel = in\002fo\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a control character (2) in column 11: is it a text file?\n"},
    {"[log]\nlevel = info # why\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a # behind a blank: a comment behind a value begins with ;, and a value that "
     "holds # is put in quotes: \"one # two\"\n"},
    {"[log]\nlevel = \"info\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a quote is not closed on this line: write \"...\" around the value and \"\" for "
     "a quote within it\n"},
    {"[log]\nlevel = \"in\"fo\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = \"in\"fo: text behind a closing quote: put the whole value in quotes, "
     "with \"\" for a quote within it\n"},
    {"[log]\nlevel = in\"fo\"\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = in\"fo\": a quote within plain text: put the whole value in quotes, "
     "with \"\" for a quote within it\n"},
    {"[shutdown]\nclose_reason = \"a\n b\"\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a quote is not closed on this line: write \"...\" around the value and \"\" for "
     "a quote within it\n"},
    {"[shutdown]\nclose_reason = "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_reason = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: "
     "184 bytes are too many; allowed: at most 123 bytes of UTF-8\n"},
    {"[shutdown]\nclose_reason = \"\n  more\n" ECHO_ROUTE,
     {NULL},
     "(default):2: a quote is not closed on this line: write \"...\" around the value and \"\" for "
     "a quote within it\n"},
    {"[log]\nlevel = $\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = $: a lone $: write $$ for a dollar, ${NAME} for a variable of the "
     "environment\n"},
    {"[log]\nlevel = ${UNSET}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${UNSET}: ${UNSET} is not set in the environment; ${UNSET:-text} gives "
     "it a default\n"},
    {"[log]\nlevel = ${\n" ECHO_ROUTE, {NULL}, "(default):2: level = ${: ${ is not closed by }\n"},
    {"[log]\nlevel = ${}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${}: after $ write {NAME} or {NAME:-text}, NAME of at most 63 letters, "
     "digits and underscores\n"},
    {"[log]\nlevel = ${9A}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${9A}: after $ write {NAME} or {NAME:-text}, NAME of at most 63 "
     "letters, digits and underscores\n"},
    {"[log]\nlevel = ${A-B}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${A-B}: after $ write {NAME} or {NAME:-text}, NAME of at most 63 "
     "letters, digits and underscores\n"},
    {"[log]\nlevel = ${UNSET:-$A}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${UNSET:-$A}: the text after :- may hold no $ and no quote\n"},
    {"[log]\nlevel = ${CONTROL}\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = ${CONTROL}: ${CONTROL} holds a control character\n"},
};

static void set_environment(void)
{
    setenv("CONTROL", "a\nb", 1);
    unsetenv("UNSET");
}

START_TEST(a_line_that_would_be_misread_is_refused_with_what_to_write_instead)
{
    check_mistake(&mistakes[_i]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_lines");

    tcase_add_checked_fixture(tests, set_environment, NULL);
    tcase_add_loop_test(tests, a_line_that_would_be_misread_is_refused_with_what_to_write_instead,
                        0, sizeof(mistakes) / sizeof(mistakes[0]));
    return run_case("config_lines", tests);
}
