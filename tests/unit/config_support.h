/* What the tests of the configuration share: handlers to configure, and a load whose errors and
   dump come back as text. */
#ifndef LASTCALL_TESTS_UNIT_CONFIG_SUPPORT_H
#define LASTCALL_TESTS_UNIT_CONFIG_SUPPORT_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

#define ECHO_ROUTE "[route /echo]\nhandler = echo\n"

static const char *const mode_names[] = {"fast", "slow", NULL};

/* One of each type, so that a handler's keys are tested as ours are. */
static const struct option all_options[] = {
    {.name = "root", .type = OPTION_TEXT, .minimum = 1, .maximum = 4095, .help = "the folder"},
    {.name = "index",
     .type = OPTION_TEXT,
     .fallback = "index.html",
     .minimum = 0,
     .maximum = 255,
     .help = "the file that answers for a folder"},
    {.name = "wait",
     .type = OPTION_DURATION,
     .fallback = "2s",
     .minimum = 0,
     .maximum = 60000,
     .help = "how long"},
    {.name = "size",
     .type = OPTION_SIZE,
     .fallback = "64k",
     .minimum = 1,
     .maximum = 1048576,
     .help = "how large"},
    {.name = "count",
     .type = OPTION_COUNT,
     .fallback = "auto",
     .minimum = 1,
     .maximum = 9,
     .automatic = "what fits",
     .help = "how many"},
    {.name = "mode",
     .type = OPTION_CHOICE,
     .fallback = "fast",
     .choices = mode_names,
     .help = "how"},
    {.name = "peers", .type = OPTION_ADDRESSES, .fallback = "127.0.0.1:1", .help = "whom to ask"},
    {.name = "missing",
     .type = OPTION_TOLERANCE,
     .fallback = "1%",
     .minimum = 0,
     .maximum = 9,
     .help = "how many of them need not answer"},
    {.name = NULL},
};

/* What -T prints of the keys for WebSockets, before drain, where none was written. */
#define COMMON_DEFAULTS                                                                            \
    "origins = same\norigins_required = no\nsubprotocols = \"\"\nsubprotocols_required = no\n"     \
    "compression = off\nmessage = auto\nsend_queue = auto\nconnections = auto\nmax_age = 0\nrate " \
    "= 0\n"

/* Their names, as a message offers them. */
#define COMMON_NAMES                                                                               \
    "origins, origins_required, subprotocols, subprotocols_required, compression, message, "       \
    "send_queue, "                                                                                 \
    "connections, max_age, rate, drain"

static const struct option no_options[] = {{.name = NULL}};

static const struct option_group test_groups[] = {
    {"echo", "sends every message back", no_options, .websockets = true},
    {"health", "tells how it is", NULL, .websockets = false},
    {"all", "has a key of every type", all_options, .websockets = true},
    {.name = NULL},
};

/* What a load gave. `errors` and `dump` are freed by outcome_free. */
struct outcome {
    int result;
    char *errors;
    char *dump; /* empty when the load failed */
    struct config config;
};

static inline struct outcome load_source(const struct config_source *source)
{
    struct outcome outcome = {0};
    size_t size;
    FILE *errors = open_memstream(&outcome.errors, &size);
    outcome.result = config_load(&outcome.config, source, errors);
    fclose(errors);

    FILE *dump = open_memstream(&outcome.dump, &size);
    if (outcome.result == 0)
        config_dump(&outcome.config, source->groups, dump);
    fclose(dump);
    return outcome;
}

/* Loads a text with up to two settings, NULL for none. */
static inline struct outcome load(const char *text, const char *first, const char *second)
{
    const char *const settings[] = {first, second};
    struct config_source source = {
        .text = text,
        .settings = settings,
        .setting_count = (size_t)(first != NULL) + (size_t)(second != NULL),
        .groups = test_groups,
    };
    return load_source(&source);
}

static inline void outcome_free(struct outcome *outcome)
{
    if (outcome->result == 0)
        config_free(&outcome->config);
    free(outcome->errors);
    free(outcome->dump);
}

/* A text, two settings on top (NULL: none), and every line that a person is shown. */
struct mistake {
    const char *text;
    const char *settings[2];
    const char *errors;
};

static inline void check_mistake(const struct mistake *mistake)
{
    struct outcome outcome = load(mistake->text, mistake->settings[0], mistake->settings[1]);

    ck_assert_msg(outcome.result == -1, "loads: %s", mistake->text);
    ck_assert_str_eq(outcome.errors, mistake->errors);
    ck_assert_uint_eq(outcome.config.route_count, 0);
    ck_assert_ptr_null(outcome.config.routes);
    outcome_free(&outcome);
}

/* Runs the suite's one case and returns main's result. */
static inline int run_case(const char *name, TCase *tests)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    tcase_set_timeout(tests, 120);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
