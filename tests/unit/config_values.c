/* Values that are wrong, and what a person is told. */
#include "tests/unit/config_support.h"

static const struct mistake mistakes[] = {
    {"[server]\nhttp_threads = 1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = 1: too small; allowed: 2 to 1024\n"},
    {"[server]\nhttp_threads = 1025\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = 1025: too large; allowed: 2 to 1024\n"},
    {"[server]\nhttp_threads = auto\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = auto: not a whole number; allowed: 2 to 1024\n"},
    {"[server]\nhttp_threads = -1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = -1: not a whole number; allowed: 2 to 1024\n"},
    {"[server]\nhttp_threads = 99999999999999999999\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = 99999999999999999999: too large; allowed: 2 to 1024\n"},
    {"[log]\nlevel = \xC2\x9B"
     "2J\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = \\xC2\\x9B2J: no such choice; allowed: error, warning, info or debug\n"},
    {ECHO_ROUTE,
     {"log.level=\xC2\x9B"
      "2J",
      "log.format=\t\xFF"},
     "-s log.level=\\xC2\\x9B2J: level = \\xC2\\x9B2J: no such choice; allowed: error, warning, "
     "info "
     "or debug\n"
     "-s log.format=\\x09\\xFF: format = \\xFF: no such choice; allowed: text or json\n"},
    {"[server]\ntrusted_proxies = ::1, 10.0.0.\xE3\n" ECHO_ROUTE,
     {NULL},
     "(default):2: trusted_proxies = ::1, 10.0.0.\\xE3: 10.0.0.\\xE3: not a numeric address; names "
     "are not "
     "looked up: write for example 10.0.0.0/8; allowed: addresses and networks, as 127.0.0.1, "
     "10.0.0.0/8, ::1, fd00::/8; at most 64, comma separated\n"},
    {"[route /a]\nhandler = echo\nsubprotocols = a, b\xC2\x9B\n",
     {NULL},
     "(default):3: subprotocols = a, b\\xC2\\x9B: b\\xC2\\x9B: a name holds letters, digits and "
     "any of "
     "!#$%&'*+-.^_`|~ only; allowed: names separated by commas, at most 32 of at most 64 bytes: "
     "letters, digits and any of !#$%&'*+-.^_`|~\n"},
    {"[server]\nhttp_threads =\n" ECHO_ROUTE,
     {NULL},
     "(default):2: http_threads = : nothing is written behind the =; allowed: 2 to 1024\n"},
    {"[server]\nloops = 0\n" ECHO_ROUTE,
     {NULL},
     "(default):2: loops = 0: too small; allowed: 1 to 64, or auto\n"},
    {"[server]\nloops = many\n" ECHO_ROUTE,
     {NULL},
     "(default):2: loops = many: not a whole number; allowed: 1 to 64, or auto\n"},
    {"[limits]\nconnections = 0\n" ECHO_ROUTE,
     {NULL},
     "(default):2: connections = 0: too small; allowed: 1 to 1000000, or auto\n"},
    {"[limits]\nmessage = 124\n" ECHO_ROUTE,
     {NULL},
     "(default):2: message = 124: too small; allowed: 125 to 2147483647\n"},
    {"[limits]\nmessage = 2G\n" ECHO_ROUTE,
     {NULL},
     "(default):2: message = 2G: too large; allowed: 125 to 2147483647\n"},
    {"[limits]\nmessage = 1MB\n" ECHO_ROUTE,
     {NULL},
     "(default):2: message = 1MB: not a size: write a whole number of bytes, or one and k, M or G, "
     "as in 64k; allowed: 125 to 2147483647\n"},
    {"[limits]\nmessage = 9999999999G\n" ECHO_ROUTE,
     {NULL},
     "(default):2: message = 9999999999G: too large; allowed: 125 to 2147483647\n"},
    {"[limits]\nsend_queue = 4095\n" ECHO_ROUTE,
     {NULL},
     "(default):2: send_queue = 4095: too small; allowed: 4k to 1G\n"},
    {"[limits]\nping_interval = 999ms\n" ECHO_ROUTE,
     {NULL},
     "(default):2: ping_interval = 999ms: too small; allowed: 0 (never) or 1s to 24h\n"},
    {"[limits]\nping_timeout = 0\n" ECHO_ROUTE,
     {NULL},
     "(default):2: ping_timeout = 0: too small; allowed: 100ms to 1h\n"},
    {"[limits]\nidle_timeout = 169h\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = 169h: too large; allowed: 0 (never) or 1s to 168h\n"},
    {"[limits]\nidle_timeout = 30\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = 30: 30 what? write 30s; allowed: 0 (never) or 1s to 168h\n"},
    {"[limits]\nidle_timeout = 1.5s\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = 1.5s: not a duration: write a whole number and ms, s, m or h, as "
     "in 1500ms; allowed: 0 (never) or 1s to 168h\n"},
    {"[limits]\nidle_timeout = 5 s\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = 5 s: not a duration: write a whole number and ms, s, m or h, as "
     "in 1500ms; allowed: 0 (never) or 1s to 168h\n"},
    {"[limits]\nidle_timeout = 9999999999999999h\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = 9999999999999999h: too large; allowed: 0 (never) or 1s to "
     "168h\n"},
    {"[limits]\nidle_timeout = -1s\n" ECHO_ROUTE,
     {NULL},
     "(default):2: idle_timeout = -1s: not a duration: write a whole number and ms, s, m or h, as "
     "in 1500ms; allowed: 0 (never) or 1s to 168h\n"},
    {"[shutdown]\ntimeout = 0\n" ECHO_ROUTE,
     {NULL},
     "(default):2: timeout = 0: too small; allowed: 600ms to 24h\n"},
    {"[shutdown]\ntolerate = 0.5%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 0.5%: decimals are not read: write a whole number, as in 5 or 1%; "
     "allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 1.5\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 1.5: decimals are not read: write a whole number, as in 5 or 1%; "
     "allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = .5\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = .5: decimals are not read: write a whole number, as in 5 or 1%; "
     "allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 0,5%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 0,5%: decimals are not read: write a whole number, as in 5 or 1%; "
     "allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 1.\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 1.: decimals are not read: write a whole number, as in 5 or 1%; "
     "allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 1000001\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 1000001: too large; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 101%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 101%: too large; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 99999999999999999999\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 99999999999999999999: too large; allowed: 0 to 1000000, or 0% to "
     "100%\n"},
    {"[shutdown]\ntolerate = 99999999999999999999%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 99999999999999999999%: too large; allowed: 0 to 1000000, or 0% to "
     "100%\n"},
    {"[shutdown]\ntolerate = -1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = -1: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = %\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = %: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 5 %\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 5 %: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = %5\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = %5: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 5%%\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 5%%: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = some\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = some: neither a number nor a percentage: write a whole number, or "
     "one and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = 1k\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = 1k: neither a number nor a percentage: write a whole number, or one "
     "and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = auto\n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = auto: neither a number nor a percentage: write a whole number, or "
     "one and % right behind it, as in 1%; allowed: 0 to 1000000, or 0% to 100%\n"},
    {"[shutdown]\ntolerate = \n" ECHO_ROUTE,
     {NULL},
     "(default):2: tolerate = : nothing is written behind the =; allowed: 0 to 1000000, or 0% to "
     "100%\n"},
    {"[shutdown]\ntimeout = 24h\nspread = 25h\n" ECHO_ROUTE,
     {NULL},
     "(default):3: spread = 25h: too large; allowed: 0 to 24h\n"},
    {"[shutdown]\nspread = 5\n" ECHO_ROUTE,
     {NULL},
     "(default):2: spread = 5: 5 what? write 5s; allowed: 0 to 24h\n"},
    {ECHO_ROUTE "drain = wiat\n",
     {NULL},
     "(default):3: drain = wiat: did you mean wait? allowed: close or wait\n"},
    {ECHO_ROUTE "drain =\n",
     {NULL},
     "(default):3: drain = : nothing is written behind the =; allowed: close or wait\n"},
    {"[route /a]\nhandler = all\nroot = /\nmissing = 10\n",
     {NULL},
     "(default):4: missing = 10: too large; allowed: 0 to 9, or 0% to 100%\n"},
    {"[shutdown]\nclose_code = 1005\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_code = 1005: not possible; allowed: 1000, 1001, 1008, 1011, 1012, 1013 or "
     "3000 to 4999\n"},
    {"[shutdown]\nclose_code = 999\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_code = 999: too small; allowed: 1000, 1001, 1008, 1011, 1012, 1013 or "
     "3000 to 4999\n"},
    {"[shutdown]\nclose_reason = "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_reason = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: "
     "124 bytes are too many; allowed: at most 123 bytes of UTF-8\n"},
    {"[shutdown]\nclose_reason = \377\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_reason = \\xFF: not possible; allowed: at most 123 bytes of UTF-8\n"},
    {"[shutdown]\nclose_reason = \355\240\200\n" ECHO_ROUTE,
     {NULL},
     "(default):2: close_reason = \\xED\\xA0\\x80: not possible; allowed: at most 123 bytes of "
     "UTF-8\n"},
    {"[log]\nlevel = inf\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = inf: did you mean info? allowed: error, warning, info or debug\n"},
    {"[log]\nlevel = loudly\n" ECHO_ROUTE,
     {NULL},
     "(default):2: level = loudly: no such choice; allowed: error, warning, info or debug\n"},
    {"[log]\nformat = JSON\n" ECHO_ROUTE,
     {NULL},
     "(default):2: format = JSON: did you mean json? allowed: text or json\n"},
    {"[server]\nlisten = localhost:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = localhost:80: names are not looked up; write 127.0.0.1:80; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1: the port is missing; write for example 127.0.0.1:8080; "
     "allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = ::1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = ::1: an IPv6 address is written in brackets: [::1]:8080; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = ::1:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = ::1:80: an IPv6 address is written in brackets: [::1]:80; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = [::1]\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = [::1]: the port is missing; write for example [::1]:8080; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = [::1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = [::1: not an IPv6 address; write for example [::1]:8080; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = [::x]:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = [::x]:80: not an IPv6 address; write for example [::1]:8080; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = :80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = :80: write *:80 for every address; allowed: ADDRESS:PORT, [IPV6]:PORT, "
     "and *:PORT or PORT for every address; at most 16, comma separated\n"},
    {"[server]\nlisten = *\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = *: the port is missing; write for example *:8080; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 70000\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 70000: neither a port of 0 to 65535 nor ADDRESS:PORT; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:70000\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:70000: the port is not a number from 0 to 65535; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:http\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:http: the port is not a number from 0 to 65535; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 300.1.2.3:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 300.1.2.3:80: not a numeric address; names are not looked up, write "
     "the address or *:80 for every address; allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or "
     "PORT for every address; at most 16, comma separated\n"},
    {"[server]\nlisten = web.example:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = web.example:80: not a numeric address; names are not looked up, write "
     "the address or *:80 for every address; allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or "
     "PORT for every address; at most 16, comma separated\n"},
    {"[server]\nlisten = 127.0.0.1:1,,127.0.0.1:2\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:1,,127.0.0.1:2: an address is missing at a comma; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:80,\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:80,: an address is missing at a comma; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = *:80, 127.0.0.1:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = *:80, 127.0.0.1:80: *:80 already includes 127.0.0.1:80; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:80, 80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:80, 80: *:80 already includes 127.0.0.1:80; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:80, 127.0.0.1:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:80, 127.0.0.1:80: 127.0.0.1:80 is given twice; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = [::]:80, [::1]:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = [::]:80, [::1]:80: [::]:80 already includes [::1]:80; allowed: "
     "ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 0.0.0.0:80, 127.0.0.1:80\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 0.0.0.0:80, 127.0.0.1:80: 0.0.0.0:80 already includes 127.0.0.1:80; "
     "allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = 127.0.0.1:1, ::1:2\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 127.0.0.1:1, ::1:2: ::1:2: an IPv6 address is written in brackets: "
     "[::1]:2; allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most "
     "16, comma separated\n"},
    {"[server]\nlisten = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17: more than 16 addresses; "
     "allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every address; at most 16, comma "
     "separated\n"},
    {"[server]\nlisten = "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx:"
     "1\n" ECHO_ROUTE,
     {NULL},
     "(default):2: listen = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: an "
     "address is not so long; allowed: ADDRESS:PORT, [IPV6]:PORT, and *:PORT or PORT for every "
     "address; at most 16, comma separated\n"},
};

static void set_environment(void)
{
    setenv("CONTROL", "a\nb", 1);
    unsetenv("UNSET");
}

START_TEST(a_wrong_value_is_shown_with_why_and_what_is_allowed)
{
    check_mistake(&mistakes[_i]);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config_values");

    tcase_add_checked_fixture(tests, set_environment, NULL);
    tcase_add_loop_test(tests, a_wrong_value_is_shown_with_why_and_what_is_allowed, 0,
                        sizeof(mistakes) / sizeof(mistakes[0]));
    return run_case("config_values", tests);
}
