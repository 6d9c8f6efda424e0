/*
 * The configuration: any bytes as a file, with the keys of the real handlers, are either refused
 * with lines that a terminal can show, or they are a configuration that obeys its rules, and whose
 * dump reads back to the same dump.
 *
 * Input: lines that begin with "-s " are settings of the command line; from the first other line on
 * it is the file.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"
#include "handlers/handler.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/model.h"

enum { SETTINGS_MAX = 4, PATH_SIZE = 64 };

/* A file in memory that holds the bytes. Returns its descriptor. */
static int make_file(const void *data, size_t length, char path[PATH_SIZE])
{
    int file = memfd_create("lastcall.ini", MFD_CLOEXEC);
    MUST(file >= 0);
    MUST(length == 0 || write(file, data, length) == (ssize_t)length);
    snprintf(path, PATH_SIZE, "/proc/self/fd/%d", file);
    return file;
}

/* What a load gave. */
struct outcome {
    int result;
    char *errors;
    char *dump; /* "" when the load failed */
};

/* Durations must leave time for what comes within them; a route is at one place alone. */
static void check_rules(const struct config *config)
{
    MUST(config->shutdown.delay + config->shutdown.spread + config->shutdown.close_timeout <=
         config->shutdown.timeout);
    MUST(config->server.listen_count > 0);
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        MUST(route->path[0] == '/' || (route->prefix && route->path[0] == '\0'));
        for (size_t j = 0; j < i; j++)
            MUST(config->routes[j].prefix != route->prefix ||
                 strcmp(config->routes[j].path, route->path) != 0);
    }
}

static struct outcome load(const void *data, size_t length, const char *const *settings,
                           size_t setting_count)
{
    char path[PATH_SIZE];
    int file = make_file(data, length, path);
    const struct config_source source = {.path = path,
                                         .settings = settings,
                                         .setting_count = setting_count,
                                         .groups = handler_groups()};
    struct config config;
    struct outcome outcome;
    size_t size;
    FILE *errors = open_memstream(&outcome.errors, &size);
    outcome.result = config_load(&config, &source, errors);
    fclose(errors);
    FILE *dump = open_memstream(&outcome.dump, &size);
    if (outcome.result == 0) {
        check_rules(&config);
        config_dump(&config, source.groups, dump);
        config_free(&config);
    }
    fclose(dump);
    close(file);
    return outcome;
}

static void outcome_free(struct outcome *outcome)
{
    free(outcome->errors);
    free(outcome->dump);
}

/* Control characters, those above ASCII too, which some terminals obey. */
static bool is_control(const char *text)
{
    uint8_t byte = (uint8_t)text[0];
    return byte < ' ' || byte == 0x7F || (byte == 0xC2 && (uint8_t)text[1] < 0xA0);
}

/* A line says where the mistake is, and holds nothing that a terminal obeys. What stands in a
   setting is shown as it was typed, be it UTF-8 or not. */
static void check_error(const char *line, size_t length)
{
    static const char file[] = "/proc/self/fd/";
    bool typed = strncmp(line, "-s ", 3) == 0;
    MUST(typed || strncmp(line, file, strlen(file)) == 0);
    MUST(typed || utf8_is_text((const uint8_t *)line, length));
    for (size_t i = 0; i < length; i++)
        MUST(!is_control(line + i));
}

static void check_errors(const char *errors)
{
    MUST(*errors != '\0');
    while (*errors != '\0') {
        const char *end = strchr(errors, '\n');
        MUST(end != NULL && end > errors);
        check_error(errors, (size_t)(end - errors));
        errors = end + 1;
    }
}

/* What configurations are given by their environment. */
static void set_environment(void)
{
    setenv("WORD", "8s", 1);
    setenv("ODD", " \"${WORD}\" ; # \\ \n$", 1);
    setenv("EMPTY", "", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *settings[SETTINGS_MAX];
    const char *values[SETTINGS_MAX];
    size_t count = 0;
    set_environment();
    for (; count < SETTINGS_MAX && input.left >= 3 && memcmp(input.at, "-s ", 3) == 0; count++) {
        settings[count] = take_text(&input, '\n');
        values[count] = settings[count] + strlen("-s ");
    }
    struct outcome first = load(input.at, input.left, values, count);
    if (first.result != 0) {
        MUST(first.result == -1);
        check_errors(first.errors);
    } else {
        MUST(*first.errors == '\0');
        struct outcome second = load(first.dump, strlen(first.dump), NULL, 0);
        MUST(second.result == 0);
        MUST(strcmp(first.dump, second.dump) == 0);
        outcome_free(&second);
    }
    outcome_free(&first);
    for (size_t i = 0; i < count; i++)
        free(settings[i]);
    return 0;
}
