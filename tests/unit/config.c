/* What a good configuration says: values, quotes, variables, routes, settings, the dump. */
#include "tests/unit/config_support.h"

/* A text, and lines that the dump then has. */
struct row {
    const char *text;
    const char *dumped;
};

static const struct row good[] = {
    {"[server]\nlisten = 8080\n", "\nlisten = *:8080\n"},
    {"[server]\nlisten = *:8080\n", "\nlisten = *:8080\n"},
    {"[server]\nlisten = 0\n", "\nlisten = *:0\n"},
    {"[server]\nlisten = 127.0.0.1:0,127.0.0.1:0\n", "\nlisten = 127.0.0.1:0, 127.0.0.1:0\n"},
    {"[server]\nlisten = [0:0:0:0:0:0:0:1]:8080, 127.0.0.1:8080\n",
     "\nlisten = [::1]:8080, 127.0.0.1:8080\n"},
    {"[server]\nlisten = 127.0.0.1:80,\n  [::1]:443\n", "\nlisten = 127.0.0.1:80, [::1]:443\n"},
    {"[server]\nhttp_threads = 2\n", "\nhttp_threads = 2\n"},
    {"[server]\nhttp_threads = 1024\n", "\nhttp_threads = 1024\n"},
    {"[server]\nhttp_threads: 1024\n", "\nhttp_threads = 1024\n"},
    {"[server]\nloops = 64\n", "\nloops = 64\n"},
    {"[ server ]\nloops = auto ; a comment\n", "\nloops = auto\n"},
    {"\xEF\xBB\xBF[server] ; a comment\r\nloops = 3\r\n", "\nloops = 3\n"},
    {"[server]\n# one\n; two\n\nloops =\n  # three\n\n  5 ; four\n", "\nloops = 5\n"},
    {"[limits]\nconnections = 1000000\n", "\nconnections = 1000000\n"},
    {"[limits]\nmessage = 2147483647\n", "\nmessage = 2147483647\n"},
    {"[limits]\nmessage = 125\n", "\nmessage = 125\n"},
    {"[limits]\nmessage = 64K\n", "\nmessage = 64k\n"},
    {"[limits]\nmessage = 1024k\n", "\nmessage = 1M\n"},
    {"[limits]\nsend_queue = 1g\n", "\nsend_queue = 1G\n"},
    {"[limits]\nhandshake_timeout = 100ms\n", "\nhandshake_timeout = 100ms\n"},
    {"[limits]\nhandshake_timeout = 60s\n", "\nhandshake_timeout = 1m\n"},
    {"[limits]\nping_interval = 0\n", "\nping_interval = 0\n"},
    {"[limits]\nping_interval = 0h\n", "\nping_interval = 0\n"},
    {"[limits]\nidle_timeout = 90m\n", "\nidle_timeout = 90m\n"},
    {"[shutdown]\ntimeout = 8s\ndelay = 5s\nclose_timeout = 3s\n", "\ndelay = 5s\n"},
    {"[shutdown]\ntimeout = 9s\ndelay = 1s\nspread = 5s\nclose_timeout = 3s\n", "\nspread = 5s\n"},
    {"[shutdown]\ntimeout = 24h\nspread = 1000ms\n", "\nspread = 1s\n"},
    {"[shutdown]\nspread = 0s\n", "\nspread = 0\n"},
    {"[shutdown]\ntolerate = 0\n", "\ntolerate = 0\n"},
    {"[shutdown]\ntolerate = 0%\n", "\ntolerate = 0%\n"},
    {"[shutdown]\ntolerate = 007\n", "\ntolerate = 7\n"},
    {"[shutdown]\ntolerate = 1000000\n", "\ntolerate = 1000000\n"},
    {"[shutdown]\ntolerate = 1%\n", "\ntolerate = 1%\n"},
    {"[shutdown]\ntolerate = \"100%\" ; all\n", "\ntolerate = 100%\n"},
    {"[shutdown]\nreport =\n", "\nreport = \"\"\n"},
    {"[shutdown]\nreport = /var/lib/my report.json\n", "\nreport = /var/lib/my report.json\n"},
    {"[shutdown]\nclose_code = 1012\n", "\nclose_code = 1012\n"},
    {"[shutdown]\nclose_code = 3000\n", "\nclose_code = 3000\n"},
    {"[shutdown]\nclose_code = 4999\n", "\nclose_code = 4999\n"},
    {"[shutdown]\nclose_reason =\n", "\nclose_reason = \"\"\n"},
    {"[shutdown]\nclose_reason = \"\"\n", "\nclose_reason = \"\"\n"},
    {"[shutdown]\nclose_reason = bis sp\xC3\xA4ter\n", "\nclose_reason = bis sp\xC3\xA4ter\n"},
    {"[shutdown]\nclose_reason = a;b#c ; d\n", "\nclose_reason = \"a;b#c\"\n"},
    {"[shutdown]\nclose_reason = \"a ; b # c\" ; d\n", "\nclose_reason = \"a ; b # c\"\n"},
    {"[shutdown]\nclose_reason = \"say \"\"bye\"\"\"\n", "\nclose_reason = \"say \"\"bye\"\"\"\n"},
    {"[shutdown]\nclose_reason = \" a \"\n", "\nclose_reason = \" a \"\n"},
    {"[shutdown]\nclose_reason = one\n two ; c\n\tthree\n", "\nclose_reason = one two three\n"},
    {"[shutdown]\nclose_reason = \"one\"\n  \"two\" \"three\"\n", "\nclose_reason = onetwothree\n"},
    {"[shutdown]\nclose_reason = $$5 and $$$$\n", "\nclose_reason = $$5 and $$$$\n"},
    {"[shutdown]\nclose_reason = $word $$word $$$$word $$Word\n",
     "\nclose_reason = $word $word $$$word $$Word\n"},
    {"[shutdown]\nclose_reason = ${GOOD} $${GOOD}\n",
     "\nclose_reason = \"it \"\"is\"\" "
     "$${X} $${GOOD}\"\n"},
    {"[shutdown]\nclose_reason = \"${GOOD:-no}\"\n", "\nclose_reason = \"it \"\"is\"\" $${X}\"\n"},
    {"[shutdown]\nclose_reason = ${EMPTY}.${EMPTY:-a b}\n", "\nclose_reason = .a b\n"},
    {"[shutdown]\nclose_reason = ${UNSET:-}.${UNSET:-x}\n", "\nclose_reason = .x\n"},
    {"[log]\nlevel = debug\nformat = json\n", "\nlevel = debug\nformat = json\n"},
    {"[route /*]\nhandler = echo\n",
     "\n[route /*]\nhandler = echo\n" COMMON_DEFAULTS "drain = close\n"},
    {"[route /*]\ndrain = wait\nhandler = echo\n",
     "\n[route /*]\nhandler = echo\n" COMMON_DEFAULTS "drain = wait\n"},
    {"[route /h]\nhandler = health\n[route /e]\nhandler = echo\n",
     "\n[route /h]\nhandler = health\n\n[route /e]\nhandler = echo\n" COMMON_DEFAULTS},
    {"[route /s]\nhandler = echo\nsubprotocols = chat\nsubprotocols_required = yes\n",
     "\nsubprotocols = chat\nsubprotocols_required = yes\n"},
    {"[route /a;b ;c]\nhandler = echo\n", "\n[route /a;b ;c]\nhandler = echo\n"},
    {"[route  /a  b]\nhandler = echo\n", "\n[route /a  b]\nhandler = echo\n"},
    {"[route /a]\nhandler = echo\n[route /a/*]\nhandler = health\n",
     "\n[route /a]\nhandler = echo\n" COMMON_DEFAULTS
     "drain = close\n\n[route /a/*]\nhandler = health\n"},
    {"[route a.b-c_1]\nhandler = echo\npath = \"/a] ;b\"\n",
     "\n[route a.b-c_1]\npath = \"/a] ;b\"\nhandler = echo\n"},
    {"[route /f]\nroot = /srv\nhandler = all\n",
     "\n[route /f]\nhandler = all\nroot = /srv\nindex = index.html\nwait = 2s\nsize = 64k\n"
     "count = auto\nmode = fast\npeers = 127.0.0.1:1\nmissing = 1%\n" COMMON_DEFAULTS
     "drain = close\n"},
    {"[route /f]\ndrain = wait\nmissing = 9\nmode = slow\npeers = *:1, *:2\ncount = 9\nsize = 1\n"
     "wait = 0\nindex =\nhandler = all\nroot = \" \"\n",
     "\n[route /f]\nhandler = all\nroot = \" \"\nindex = \"\"\nwait = 0\nsize = 1\ncount = 9\n"
     "mode = slow\npeers = *:1, *:2\nmissing = 9\n" COMMON_DEFAULTS "drain = wait\n"},
};

static void set_environment(void)
{
    setenv("GOOD", "it \"is\" ${X}", 1);
    setenv("EMPTY", "", 1);
    unsetenv("UNSET");
}

START_TEST(what_is_written_is_dumped_in_its_plainest_form_and_stays_so)
{
    const struct row *row = &good[_i];
    char text[1024];

    snprintf(text, sizeof(text), "%s%s", row->text, strstr(row->text, "[route") ? "" : ECHO_ROUTE);
    struct outcome first = load(text, NULL, NULL);
    ck_assert_msg(first.result == 0, "%s\n%s", row->text, first.errors);
    ck_assert_str_eq(first.errors, "");
    ck_assert_msg(strstr(first.dump, row->dumped) != NULL, "%s\ngave\n%s", row->text, first.dump);
    struct outcome second = load(first.dump, NULL, NULL);
    ck_assert_msg(second.result == 0, "%s\n%s", first.dump, second.errors);
    ck_assert_str_eq(second.dump, first.dump);
    outcome_free(&first);
    outcome_free(&second);
}
END_TEST

START_TEST(without_keys_the_defaults_are_in_force)
{
    struct outcome outcome = load(ECHO_ROUTE, NULL, NULL);
    const struct config *config = &outcome.config;

    ck_assert_int_eq(outcome.result, 0);
    ck_assert_uint_eq(config->server.listen_count, 1);
    ck_assert_str_eq(config->server.listen[0].host, "127.0.0.1");
    ck_assert_uint_eq(config->server.listen[0].port, 8080);
    ck_assert_int_eq(config->server.http_threads, 128);
    ck_assert_int_eq(config->server.loops, OPTION_AUTO);
    ck_assert_int_eq(config->limits.connections, OPTION_AUTO);
    ck_assert_int_eq(config->limits.handshake_timeout, 5000);
    ck_assert_int_eq(config->limits.message, 1048576);
    ck_assert_int_eq(config->limits.send_queue, 1048576);
    ck_assert_int_eq(config->limits.ping_interval, 30000);
    ck_assert_int_eq(config->limits.ping_timeout, 10000);
    ck_assert_int_eq(config->limits.idle_timeout, 0);
    ck_assert_int_eq(config->shutdown.timeout, 8000);
    ck_assert_int_eq(config->shutdown.close_timeout, 3000);
    ck_assert_int_eq(config->shutdown.delay, 0);
    ck_assert_int_eq(config->shutdown.spread, 0);
    ck_assert_int_eq(config->shutdown.tolerate.number, 0);
    ck_assert(!config->shutdown.tolerate.percent);
    ck_assert_int_eq(config->shutdown.close_code, 1001);
    ck_assert_str_eq(config->shutdown.close_reason, "server shutting down");
    ck_assert_str_eq(config->shutdown.report, "");
    ck_assert_int_eq(config->log.level, CONFIG_LOG_INFO);
    ck_assert_int_eq(config->log.format, CONFIG_LOG_TEXT);
    ck_assert_int_eq(config->routes[0].drain, CONFIG_DRAIN_CLOSE);
    outcome_free(&outcome);
}
END_TEST

START_TEST(the_choices_are_in_the_order_of_their_enums)
{
    struct outcome outcome =
        load("[log]\nlevel = debug\nformat = json\n" ECHO_ROUTE "drain = wait\n", NULL, NULL);

    ck_assert_int_eq(outcome.config.log.level, CONFIG_LOG_DEBUG);
    ck_assert_int_eq(outcome.config.routes[0].drain, CONFIG_DRAIN_WAIT);
    ck_assert_int_eq(outcome.config.log.format, CONFIG_LOG_JSON);
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_route_has_its_path_its_handler_and_values_in_the_order_of_the_options)
{
    struct outcome outcome =
        load(ECHO_ROUTE
             "[route files]\nwait = 1m\nroot = /srv/$$\npath = /f/*\nhandler = all\n"
             "[route /*]\nhandler = health\n",
             NULL, NULL);
    const struct config_route *routes = outcome.config.routes;

    ck_assert_str_eq(outcome.errors, "");
    ck_assert_uint_eq(outcome.config.route_count, 3);
    ck_assert_str_eq(routes[0].path, "/echo");
    ck_assert(!routes[0].prefix);
    ck_assert_uint_eq(routes[0].group, 0);
    ck_assert_int_eq(routes[0].line, 1);
    ck_assert_str_eq(routes[1].path, "/f");
    ck_assert(routes[1].prefix);
    ck_assert_uint_eq(routes[1].group, 2);
    ck_assert_str_eq(routes[1].section, "route files");
    ck_assert_int_eq(routes[1].line, 3);
    ck_assert_str_eq(routes[1].values[0].text, "/srv/$");
    ck_assert_str_eq(routes[1].values[1].text, "index.html");
    ck_assert_int_eq(routes[1].values[2].number, 60000);
    ck_assert_int_eq(routes[1].values[3].number, 65536);
    ck_assert_int_eq(routes[1].values[4].number, OPTION_AUTO);
    ck_assert_int_eq(routes[1].values[5].number, 0);
    ck_assert_str_eq(routes[1].values[6].text, "127.0.0.1:1");
    ck_assert_str_eq(routes[2].path, "");
    ck_assert(routes[2].prefix);
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_tolerance_is_a_number_or_a_percentage)
{
    struct outcome outcome = load("[shutdown]\ntolerate = 5\n[route /a]\nhandler = all\nroot = /\n",
                                  "route /a.missing=12%", NULL);

    ck_assert_str_eq(outcome.errors, "");
    ck_assert_int_eq(outcome.config.shutdown.tolerate.number, 5);
    ck_assert(!outcome.config.shutdown.tolerate.percent);
    ck_assert_int_eq(outcome.config.routes[0].values[7].number, 12);
    ck_assert(outcome.config.routes[0].values[7].percent);
    outcome_free(&outcome);
    outcome = load(ECHO_ROUTE, "shutdown.tolerate=5%", NULL);
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_int_eq(outcome.config.shutdown.tolerate.number, 5);
    ck_assert(outcome.config.shutdown.tolerate.percent);
    outcome_free(&outcome);
}
END_TEST

START_TEST(the_keys_for_websockets_are_each_routes_own)
{
    struct outcome outcome =
        load(ECHO_ROUTE "[route /e]\nhandler = echo\ndrain = wait\n[route /h]\nhandler = health\n",
             "route /echo.drain=wait", NULL);

    ck_assert_str_eq(outcome.errors, "");
    ck_assert_int_eq(outcome.config.routes[0].drain, CONFIG_DRAIN_WAIT);
    ck_assert_int_eq(outcome.config.routes[1].drain, CONFIG_DRAIN_WAIT);
    ck_assert_int_eq(outcome.config.routes[2].drain, CONFIG_DRAIN_CLOSE);
    outcome_free(&outcome);
}
END_TEST

START_TEST(the_path_of_a_report_has_up_to_4095_bytes)
{
    char path[4097];

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[4095] = '\0';
    setenv("REPORT", path, 1);
    struct outcome outcome = load(ECHO_ROUTE, "shutdown.report=${REPORT}", NULL);
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_str_eq(outcome.config.shutdown.report, path);
    struct outcome again = load(outcome.dump, NULL, NULL);
    ck_assert_str_eq(again.errors, "");
    ck_assert_str_eq(again.dump, outcome.dump);
    outcome_free(&again);
    outcome_free(&outcome);
    path[4095] = 'x';
    path[4096] = '\0';
    setenv("REPORT", path, 1);
    outcome = load(ECHO_ROUTE, "shutdown.report=${REPORT}", NULL);
    ck_assert_ptr_nonnull(
        strstr(outcome.errors, "4096 bytes are too many; allowed: at most 4095 bytes\n"));
    outcome_free(&outcome);
}
END_TEST

START_TEST(settings_override_the_file_and_the_last_one_wins)
{
    struct outcome outcome =
        load("[limits]\nmessage = wrong\n" ECHO_ROUTE, "limits.message=2M", "limits.message=3M ");

    ck_assert_str_eq(outcome.errors, "");
    ck_assert_int_eq(outcome.config.limits.message, 3 << 20);
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_setting_is_split_at_its_last_dot_and_may_make_a_route)
{
    struct outcome outcome =
        load("", "route /a.b/c.txt.handler=echo", "shutdown.close_reason=v1.0 ; \"\"= #x");

    ck_assert_int_eq(outcome.result, -1); /* a quote within plain text */
    outcome_free(&outcome);
    outcome = load("", "route /a.b/c.txt.handler=echo", "shutdown.close_reason=v1.0 ; a=b #x");
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_str_eq(outcome.config.routes[0].path, "/a.b/c.txt");
    ck_assert_str_eq(outcome.config.shutdown.close_reason, "v1.0 ; a=b #x");
    outcome_free(&outcome);
    outcome = load(ECHO_ROUTE, "route x.path=/x/*", "route x.handler=health");
    ck_assert_str_eq(outcome.errors, "");
    ck_assert_str_eq(outcome.config.routes[1].path, "/x");
    ck_assert_int_eq(outcome.config.routes[1].line, 0);
    outcome_free(&outcome);
}
END_TEST

START_TEST(a_value_too_long_for_a_line_is_dumped_on_several_and_stays_so)
{
    char root[2048];
    char setting[2100];
    size_t length = 0;

    while (length < 2000) {
        memcpy(root + length, "a\xE2\x82\xAC$\"; #/", 10);
        length += 10;
    }
    snprintf(setting, sizeof(setting), "route /f.root=${ROOT}");
    root[length] = '\0';
    setenv("ROOT", root, 1);
    struct outcome first = load("[route /f]\nhandler = all\n", setting, NULL);
    ck_assert_str_eq(first.errors, "");
    ck_assert_str_eq(first.config.routes[0].values[0].text, root);
    struct outcome second = load(first.dump, NULL, NULL);
    ck_assert_str_eq(second.errors, "");
    ck_assert_str_eq(second.config.routes[0].values[0].text, root);
    ck_assert_str_eq(second.dump, first.dump);
    outcome_free(&first);
    outcome_free(&second);
}
END_TEST

START_TEST(sixteen_long_addresses_are_dumped_on_several_lines_and_stay_so)
{
    char text[2048] = "[server]\nlisten = 80";

    for (int i = 1; i < 16; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used,
                 ",\n  [2001:db8:1111:2222:3333:4444:5555:%04x]:65535", 0xa000 + i);
    }
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "\n" ECHO_ROUTE);
    struct outcome first = load(text, NULL, NULL);
    ck_assert_str_eq(first.errors, "");
    ck_assert_uint_eq(first.config.server.listen_count, 16);
    struct outcome second = load(first.dump, NULL, NULL);
    ck_assert_str_eq(second.errors, "");
    ck_assert_str_eq(second.dump, first.dump);
    outcome_free(&first);
    outcome_free(&second);
}
END_TEST

START_TEST(handlers_are_described_with_type_range_and_default)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    config_describe_groups(test_groups, out);
    fclose(out);
    ck_assert_ptr_eq(strstr(text,
                            "Routes with WebSockets\n    These keys go into any [route ...] "
                            "whose handler serves WebSockets: echo, all.\n"),
                     text);
    const char *drain = strstr(text, "\n  drain\n    How WebSockets are ended ");
    ck_assert_ptr_nonnull(drain);
    ck_assert_ptr_nonnull(strstr(drain, "\n    Choice: close or wait. Default: close.\n\necho\n"));
    ck_assert_ptr_null(strstr(drain + 1, "\n  drain\n"));
    ck_assert_ptr_nonnull(strstr(text, "echo\n    Sends every message back.\n    It has no keys"));
    ck_assert_ptr_nonnull(
        strstr(text, "  root\n    The folder.\n    Text: 1 to 4095 bytes. It must be given.\n"));
    ck_assert_ptr_nonnull(strstr(
        text, "  count\n    How many.\n    Number: 1 to 9, or auto (what fits). Default: auto.\n"));
    free(text);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("config");

    tcase_add_checked_fixture(tests, set_environment, NULL);
    tcase_add_loop_test(tests, what_is_written_is_dumped_in_its_plainest_form_and_stays_so, 0,
                        sizeof(good) / sizeof(good[0]));
    tcase_add_test(tests, without_keys_the_defaults_are_in_force);
    tcase_add_test(tests, the_choices_are_in_the_order_of_their_enums);
    tcase_add_test(tests, a_route_has_its_path_its_handler_and_values_in_the_order_of_the_options);
    tcase_add_test(tests, a_tolerance_is_a_number_or_a_percentage);
    tcase_add_test(tests, the_keys_for_websockets_are_each_routes_own);
    tcase_add_test(tests, the_path_of_a_report_has_up_to_4095_bytes);
    tcase_add_test(tests, settings_override_the_file_and_the_last_one_wins);
    tcase_add_test(tests, a_setting_is_split_at_its_last_dot_and_may_make_a_route);
    tcase_add_test(tests, a_value_too_long_for_a_line_is_dumped_on_several_and_stays_so);
    tcase_add_test(tests, sixteen_long_addresses_are_dumped_on_several_lines_and_stay_so);
    tcase_add_test(tests, handlers_are_described_with_type_range_and_default);
    return run_case("config", tests);
}
