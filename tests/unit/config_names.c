/* Sections, keys, routes and settings that are wrong, and what a person is told. */
#include "tests/unit/config_support.h"

#define NO_SUBPROTOCOLS                                                                            \
    "no subprotocols are named, so every client would be refused; name them with subprotocols, "   \
    "or leave it out"

static const struct mistake mistakes[] = {
    {"[server]\nhttp_thread = 3\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_thread: no such key in [server]; did you mean http_threads? allowed: "
     "listen, http_threads, loops, trusted_proxies\n"},
    {"[server]\nthreads = 3\n" ECHO_ROUTE,
     {NULL},
     "(default):2: threads: no such key in [server]; did you mean http_threads? allowed: listen, "
     "http_threads, loops, trusted_proxies\n"},
    {"[server]\ntimeout = 3s\n" ECHO_ROUTE,
     {NULL},
     "(default):2: timeout: no such key in [server]; it belongs to [shutdown]\n"},
    {"[server]\nzzz = 3\n" ECHO_ROUTE,
     {NULL},
     "(default):2: zzz: no such key in [server]; allowed: listen, http_threads, loops, "
     "trusted_proxies\n"},
    {"[server]\nloops = 3\nloops = 4\n" ECHO_ROUTE,
     {NULL},
     "(default):3: loops: given twice in [server], first on line 2\n"},
    {"[limit]\nx = 3\n" ECHO_ROUTE,
     {NULL},
     "(default):1: [limit]: no such section; did you mean limits? allowed: server, limits, "
     "shutdown, log, route /PATH\n"},
    {"[quux]\n" ECHO_ROUTE,
     {NULL},
     "(default):1: [quux]: no such section; allowed: server, limits, shutdown, log, route /PATH\n"},
    {"[/foo]\nhandler = echo\n" ECHO_ROUTE,
     {NULL},
     "(default):1: [/foo]: did you mean [route /foo]?\n"},
    {"[server]\n[log]\n[server]\n" ECHO_ROUTE,
     {NULL},
     "(default):3: [server]: opened twice, first on line 1\n"},
    {"[shutdown]\ndelay = 6s\n" ECHO_ROUTE,
     {NULL},
     "(default):2: [shutdown] timeout = 8s: shorter than delay (6s), spread (0) and close_timeout "
     "(3s) "
     "together; allowed: 9s or more, or make one of them shorter\n"},
    {"[shutdown]\ntimeout = 2s\n\nclose_timeout = 1s\ndelay = 1500ms\n" ECHO_ROUTE,
     {NULL},
     "(default):5: [shutdown] timeout = 2s: shorter than delay (1500ms), spread (0) and "
     "close_timeout (1s) "
     "together; allowed: 2500ms or more, or make one of them shorter\n"},
    {"[shutdown]\nspread = 5001ms\n" ECHO_ROUTE,
     {NULL},
     "(default):2: [shutdown] timeout = 8s: shorter than delay (0), spread (5001ms) and "
     "close_timeout (3s) together; allowed: 8001ms or more, or make one of them shorter\n"},
    {"[shutdown]\nspread = 3s\ntolerate = 1%\ndelay = 3s\nreport = x\n" ECHO_ROUTE,
     {NULL},
     "(default):4: [shutdown] timeout = 8s: shorter than delay (3s), spread (3s) and close_timeout "
     "(3s) together; allowed: 9s or more, or make one of them shorter\n"},
    {"[shutdown]\ndelay = 24h\nspread = 24h\nclose_timeout = 1h\ntimeout = 24h\n" ECHO_ROUTE,
     {NULL},
     "(default):5: [shutdown] timeout = 24h: shorter than delay (24h), spread (24h) and "
     "close_timeout (1h) together; allowed: 49h or more, or make one of them shorter\n"},
    {"[limits]\nmemory = 2M\nmessage = 16M\n" ECHO_ROUTE,
     {NULL},
     "(default):3: [limits] memory = 2M: no message of 16M has room in it (message); allowed: 16M "
     "or more, or make message smaller\n"},
    {"[limits]\nmessage = 2147483647\n" ECHO_ROUTE,
     {"limits.memory=1M"},
     "-s limits.memory=1M: [limits] memory = 1M: no message of 2147483647 has room in it "
     "(message); "
     "allowed: 2147483647 or more, or make message smaller\n"},
    {"[limits]\nmemory = 2M\n[route /a]\nhandler = echo\nmessage = 3M\n",
     {NULL},
     "(default):3: [limits] memory = 2M: no message of 3M has room in it (message of [route /a]); "
     "allowed: 3M or more, or make message smaller\n"},
    {"[shutdown]\nspread = 1x\ndelay = 1h\n" ECHO_ROUTE,
     {NULL},
     "(default):2: spread = 1x: not a duration: write a whole number and ms, s, m or h, as in "
     "1500ms; allowed: 0 to 24h\n"},
    {"[shutdown]\ntolerance = 1%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerance: no such key in [shutdown]; did you mean tolerate? allowed: timeout, "
     "close_timeout, delay, spread, tolerate, close_code, close_reason, report\n"},
    {"[shutdown]\ndrain = wait\n" ECHO_ROUTE,
     {NULL},
     "(default):2: drain: no such key in [shutdown]; it belongs to [route /PATH]\n"},
    {ECHO_ROUTE "drian = wait\n",
     {NULL},
     "(default):3: drian: no such key for the handler echo; did you mean drain? allowed: "
     "handler, " COMMON_NAMES "\n"},
    {ECHO_ROUTE "drain = wait\ndrain = close\n",
     {NULL},
     "(default):4: drain: given twice in [route /echo], first on line 3\n"},
    {"[route /a]\ndrain = wiat\n[route /b]\nhandler = ecko\ndrain = wiat\ndrain = wait\n",
     {NULL},
     "(default):1: [route /a]: no handler; write handler = NAME below it; allowed: echo, health, "
     "all\n"
     "(default):2: drain = wiat: did you mean wait? allowed: close or wait\n"
     "(default):4: handler = ecko: no such handler; did you mean echo? allowed: echo, health, all\n"
     "(default):5: drain = wiat: did you mean wait? allowed: close or wait\n"
     "(default):6: drain: given twice in [route /b], first on line 5\n"},
    {"[route /a]\ndrian = wait\n",
     {NULL},
     "(default):1: [route /a]: no handler; write handler = NAME below it; allowed: echo, health, "
     "all\n"
     "(default):2: drian: no such key for a route; did you mean drain? allowed: "
     "handler, " COMMON_NAMES "\n"},
    {"[shutdown]\ntimeout = 2\ndelay = 1h\n" ECHO_ROUTE,
     {NULL},
     "(default):2: timeout = 2: 2 what? write 2s; allowed: 600ms to 24h\n"},
    {"",
     {NULL},
     "(default): no routes, so there is nothing to serve; write for example [route /echo] on a "
     "line and handler = echo on the next\n"},
    {"[log]\nlevel = info\n",
     {NULL},
     "(default): no routes, so there is nothing to serve; write for example [route /echo] on a "
     "line and handler = echo on the next\n"},
    {"[route]\nhandler = echo\n",
     {NULL},
     "(default):1: [route]: write [route PATH], PATH beginning with /, or [route NAME], NAME of "
     "letters, digits, _, - and ., with a path key below\n"},
    {"[route /a]\n",
     {NULL},
     "(default):1: [route /a]: no handler; write handler = NAME below it; allowed: echo, health, "
     "all\n"},
    {"[route a b]\nhandler = echo\npath = /a\n",
     {NULL},
     "(default):1: [route a b]: write [route PATH], PATH beginning with /, or [route NAME], NAME "
     "of letters, digits, _, - and ., with a path key below\n"},
    {"[route x]\nhandler = echo\n",
     {NULL},
     "(default):1: [route x]: no path; write path = /PATH below it, or the path instead of the "
     "name\n"},
    {"[route /a]\npath = /b\nhandler = echo\n",
     {NULL},
     "(default):2: path: [route /a] names its path already; leave one of the two out\n"},
    {"[route /${A}]\nhandler = echo\n",
     {NULL},
     "(default):1: [route /${A}]: variables are not read in a section's name; write [route NAME] "
     "and below it path = PATH\n"},
    {"[route x]\npath = a\nhandler = echo\n",
     {NULL},
     "(default):2: the path a: a path begins with /\n"},
    {"[route x]\npath = /a*\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a*: a star stands only at the end, as /*: for everything below\n"},
    {"[route x]\npath = /*/b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /*/b: a star stands only at the end, as /*: for everything below\n"},
    {"[route x]\npath = /a?b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a?b: a path only, without a query (?) or a fragment (#)\n"},
    {"[route x]\npath = \"/a#b\"\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a#b: a path only, without a query (?) or a fragment (#)\n"},
    {"[route x]\npath = /a//b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a//b: two slashes in a row never match: write one\n"},
    {"[route x]\npath = //*\nhandler = echo\n",
     {NULL},
     "(default):2: the path //*: two slashes in a row never match: write one\n"},
    {"[route x]\npath = /a/./b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a/./b: the segments . and .. never match: leave them out\n"},
    {"[route x]\npath = /a/..\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a/..: the segments . and .. never match: leave them out\n"},
    {"[route x]\npath = /a%20b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a%20b: write the path decoded: \"/a b\", not /a%20b\n"},
    {"[route x]\npath = \"/a\tb\"\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a\\x09b: a control character\n"},
    {"[route x]\npath = /a\xFF\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a\\xFF: bytes that are no UTF-8: they could be shown nowhere\n"},
    {"[route x]\npath = /a\\b\nhandler = echo\n",
     {NULL},
     "(default):2: the path /a\\b: a backslash: segments are separated by /\n"},
    {"[route x]\npath = \nhandler = echo\n",
     {NULL},
     "(default):2: the path : a path begins with /\n"},
    {"[route x]\npath = *\nhandler = echo\n",
     {NULL},
     "(default):2: the path *: a path begins with /\n"},
    {"[route /a]\nhandler = echo\n[route /a]\nhandler = echo\n",
     {NULL},
     "(default):3: [route /a]: opened twice, first on line 1\n"},
    {"[route /a/*]\nhandler = echo\n[route b]\nhandler = echo\npath = /a/*\n",
     {NULL},
     "(default):5: the path /a/* is taken by [route /a/*] on line 1\n"},
    {"[route /a]\nhandler = ecko\n",
     {NULL},
     "(default):2: handler = ecko: no such handler; did you mean echo? allowed: echo, health, "
     "all\n"},
    {"[route /a]\nhandler = \n",
     {NULL},
     "(default):2: handler = : no such handler; allowed: echo, health, all\n"},
    {"[route /a]\nhandlr = echo\n",
     {NULL},
     "(default):2: handlr: no such key for a route; did you mean handler? allowed: "
     "handler, " COMMON_NAMES "\n"},
    {"[route x]\npth = /a\nhandler = echo\n",
     {NULL},
     "(default):1: [route x]: no path; write path = /PATH below it, or the path instead of the "
     "name\n"
     "(default):2: pth: no such key for the handler echo; did you mean path? allowed: handler, "
     "path, " COMMON_NAMES "\n"},
    {"[route /a]\nhandler = echo\nroot = /x\n",
     {NULL},
     "(default):3: root: no such key for the handler echo; allowed: handler, " COMMON_NAMES "\n"},
    {"[route /a]\nhandler = all\n",
     {NULL},
     "(default):1: [route /a]: the handler all needs the key root; allowed: 1 to 4095 bytes\n"},
    {"[route /a]\nhandler = all\nrot = /x\nroot = /y\n",
     {NULL},
     "(default):3: rot: no such key for the handler all; did you mean root? allowed: handler, "
     "root, index, wait, size, count, mode, peers, missing, " COMMON_NAMES "\n"},
    {"[route /a]\nroot = /x\nroot = /y\nmode = slo\nhandler = all\nwait = 5\npeers = x\ncount = "
     "10\n",
     {NULL},
     "(default):3: root: given twice in [route /a], first on line 2\n"
     "(default):4: mode = slo: did you mean slow? allowed: fast or slow\n"
     "(default):6: wait = 5: 5 what? write 5s; allowed: 0 to 1m\n"
     "(default):7: peers = x: neither a port of 0 to 65535 nor ADDRESS:PORT; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"
     "(default):8: count = 10: too large; allowed: 1 to 9, or auto\n"},
    {"[route /h]\nhandler = health\norigins_required = yes\nrate = x\nrate = 5\n",
     {NULL},
     "(default):3: origins_required: the handler health serves no WebSockets, so it would do "
     "nothing; leave it out\n"
     "(default):4: rate: the handler health serves no WebSockets, so it would do nothing; leave it "
     "out\n"
     "(default):5: rate: the handler health serves no WebSockets, so it would do nothing; leave it "
     "out\n"},
    {"[route /s]\nhandler = echo\nsubprotocols_required = yes\n",
     {NULL},
     "(default):3: subprotocols_required = yes: " NO_SUBPROTOCOLS "\n"},
    {"[route /s]\nsubprotocols_required = yes\nhandler = echo\nsubprotocols = \n",
     {NULL},
     "(default):2: subprotocols_required = yes: " NO_SUBPROTOCOLS "\n"},
    {"[route /s]\nsubprotocols_required = yes\nhandler = echo\nsubprotocols = a b\n",
     {NULL},
     "(default):4: subprotocols = a b: names are separated by commas; allowed: names separated by "
     "commas, at most 32 of at most 64 bytes: letters, digits and any of !#$%&'*+-.^_`|~\n"},
    {ECHO_ROUTE,
     {"route /echo.subprotocols_required=yes"},
     "-s route /echo.subprotocols_required=yes: subprotocols_required = yes: " NO_SUBPROTOCOLS
     "\n"},
    {"[route /h]\ndrain = wait\nhandler = health\n",
     {NULL},
     "(default):2: drain: the handler health serves no WebSockets, so it would do nothing; leave "
     "it "
     "out\n"},
    {"[route /h]\nhandler = health\n",
     {"route /h.max_age=1h"},
     "-s route /h.max_age=1h: max_age: the handler health serves no WebSockets, so it would do "
     "nothing; leave it out\n"},
    {"[route /h]\nhandler = health\nrates = 5\n",
     {NULL},
     "(default):3: rates: no such key for the handler health; allowed: handler\n"},
    {"[route h]\nhandler = health\npath = /h\npat = 5\n",
     {NULL},
     "(default):4: pat: no such key for the handler health; did you mean path? allowed: handler, "
     "path\n"},
    {"[limits]\nmessage = 1X\nsend_queue = 1Y\n[log]\nlevel = loud\n[route /x]\nhandler = ecko\n",
     {NULL},
     "(default):2: message = 1X: not a size: write a whole number of bytes, or one and k, M or G, "
     "as in 64k; allowed: 125 to 2147483647\n"
     "(default):3: send_queue = 1Y: not a size: write a whole number of bytes, or one and k, M or "
     "G, as in 64k; allowed: 4k to 1G\n"
     "(default):5: level = loud: no such choice; allowed: error, warning, info or debug\n"
     "(default):7: handler = ecko: no such handler; did you mean echo? allowed: echo, health, "
     "all\n"},
    {ECHO_ROUTE, {"x"}, "-s x: write SECTION.KEY=VALUE, as in limits.message=64k\n"},
    {ECHO_ROUTE, {"x=1"}, "-s x=1: write SECTION.KEY=VALUE, as in limits.message=64k\n"},
    {ECHO_ROUTE, {".x=1"}, "-s .x=1: write SECTION.KEY=VALUE, as in limits.message=64k\n"},
    {ECHO_ROUTE,
     {"server.=1"},
     "-s server.=1: write SECTION.KEY=VALUE, as in limits.message=64k\n"},
    {ECHO_ROUTE,
     {"limits.mesage=1k"},
     "-s limits.mesage=1k: mesage: no such key in [limits]; did you mean message? allowed: "
     "connections, connections_per_address, requests_per_address, rate_per_address, "
     "handshake_timeout, memory, message, message_timeout, send_queue, receive_buffer, "
     "control_frames, "
     "ping_interval, ping_timeout, "
     "idle_timeout\n"},
    {ECHO_ROUTE,
     {"nowhere.x=1"},
     "-s nowhere.x=1: [nowhere]: no such section; allowed: server, limits, shutdown, log, route "
     "/PATH\n"},
    {ECHO_ROUTE,
     {"shutdown.timeout=8"},
     "-s shutdown.timeout=8: timeout = 8: 8 what? write 8s; allowed: 600ms to 24h\n"},
    {ECHO_ROUTE,
     {"log.level=in\nfo"},
     "-s log.level=in\\x0Afo: level = in\\x0Afo: holds a control character\n"},
    {ECHO_ROUTE,
     {"shutdown.timeout=2s", "shutdown.delay=1m"},
     "-s shutdown.delay=1m: [shutdown] timeout = 2s: shorter than delay (1m), spread (0) and "
     "close_timeout "
     "(3s) together; allowed: 63s or more, or make one of them shorter\n"},
    {ECHO_ROUTE,
     {"route /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.handler=echo"},
     "-s route /xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.handler=echo: a section's name "
     "has at most 49 bytes and holds no ]: for such a path write route NAME, and a setting of its "
     "own for its path key\n"},
    {ECHO_ROUTE,
     {"route /a]b.handler=echo"},
     "-s route /a]b.handler=echo: a section's name has at most 49 bytes and holds no ]: for such a "
     "path write route NAME, and a setting of its own for its path key\n"},
    {ECHO_ROUTE,
     {"route /a.root=x"},
     "-s route /a.root=x: [route /a]: no handler; write handler = NAME below it; allowed: echo, "
     "health, all\n"},
    {ECHO_ROUTE,
     {"route a.path=/echo", "route a.handler=echo"},
     "-s route a.path=/echo: the path /echo is taken by [route /echo] on line 1\n"},
    {"[log]\nlevel = loud\n" ECHO_ROUTE,
     {"log.level=info", "log.format=xml"},
     "-s log.format=xml: format = xml: no such choice; allowed: text or json\n"},
    {"[log]\nlevel = info\nlevel = debug\n" ECHO_ROUTE,
     {"log.level=error"},
     "(default):3: level: given twice in [log], first on line 2\n"},
};

static void set_environment(void)
{
    setenv("CONTROL", "a\nb", 1);
    unsetenv("UNSET");
}

START_TEST(a_wrong_name_route_or_setting_is_shown_with_what_is_right)
{
    check_mistake(&mistakes[_i]);
}
END_TEST

START_TEST(a_key_of_some_handler_is_not_called_misspelt_while_the_handler_is_not_known)
{
    static const struct option options[] = {
        {.name = "grain", .type = OPTION_COUNT, .fallback = "1", .maximum = 9, .help = "how many"},
        {.name = NULL},
    };
    static const struct option_group groups[] = {{.name = "mill", .options = options},
                                                 {.name = NULL}};
    struct config_source source = {.text = "[route /a]\nhandler = mil\ngrain = 2\n",
                                   .groups = groups};
    struct outcome outcome = load_source(&source);

    ck_assert_str_eq(
        outcome.errors,
        "(default):2: handler = mil: no such handler; did you mean mill? allowed: mill\n");
    outcome_free(&outcome);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_names");

    tcase_add_checked_fixture(tests, set_environment, NULL);
    tcase_add_loop_test(tests, a_wrong_name_route_or_setting_is_shown_with_what_is_right, 0,
                        sizeof(mistakes) / sizeof(mistakes[0]));
    tcase_add_test(tests,
                   a_key_of_some_handler_is_not_called_misspelt_while_the_handler_is_not_known);
    return run_case("config_names", tests);
}
