#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/document.h"
#include "config/entry.h"
#include "config/file.h"
#include "config/keys.h"
#include "config/member.h"
#include "config/memory.h"
#include "config/names.h"
#include "config/problems.h"
#include "config/reader.h"
#include "config/routes.h"
#include "config/value.h"

/* What is at hand while a configuration is made. */
struct loader {
    struct config *config;
    struct document document;
    struct problems problems;
    const struct entry *given[KEY_COUNT]; /* NULL: the default is in force */
    bool wrong[KEY_COUNT];
};

/* Reads the file or the text, and the settings of the command line on top. */
static int read_source(struct loader *loader, const struct config_source *source)
{
    struct buffer buffer = {0};
    char why[REASON_SIZE];
    int result = 0;

    if (source->path) {
        result = file_read(source->path, &buffer, why, sizeof(why));
        if (result < 0)
            problems_add(&loader->problems, (struct origin){0}, "%s", why);
        loader->problems.refused = result == FILE_REFUSED;
    } else {
        const char *text = source->text ? source->text : "";
        buffer_add(&buffer, text, strlen(text));
    }
    if (buffer.failed)
        problems_no_memory(&loader->problems);
    else if (result == 0)
        reader_read(buffer.text, buffer.length, &loader->document, &loader->problems);
    for (size_t i = 0; result == 0 && i < source->setting_count; i++)
        document_set(&loader->document, source->settings[i], &loader->problems);
    buffer_free(&buffer);
    return result;
}

/* The section of the table with that name; NULL: there is none. */
static const struct config_section *find_section(const char *name)
{
    for (const struct config_section *known = config_sections; known->name; known++)
        if (strcmp(known->name, name) == 0)
            return known;
    return NULL;
}

static void refuse_section(struct loader *loader, const struct section *section)
{
    char shown[SHOWN_SIZE];
    char hint[2 * REASON_SIZE];
    struct names names = {.read = problems_show(section->name, strlen(section->name), shown)};

    for (const struct config_section *known = config_sections; known->name; known++)
        names_offer(&names, known->name);
    names_offer(&names, "route /PATH");
    if (section->name[0] == '/')
        problems_add(&loader->problems, section->origin, "[%s]: did you mean [route %s]?", shown,
                     shown);
    else
        problems_add(&loader->problems, section->origin, "[%s]: no such section; %s", shown,
                     names_hint(&names, hint, sizeof(hint)));
}

/* Sections with fixed names; those of routes are looked at by routes_build. */
static void check_sections(struct loader *loader)
{
    const struct section *first[8] = {0};

    for (size_t i = 0; i < loader->document.section_count; i++) {
        const struct section *section = &loader->document.sections[i];
        const struct config_section *known = find_section(section->name);
        if (routes_is_route(section->name))
            continue;
        if (!known) {
            refuse_section(loader, section);
        } else if (!first[known - config_sections]) {
            first[known - config_sections] = section;
        } else {
            problems_add(&loader->problems, section->origin, "[%s]: opened twice, first on line %d",
                         section->name, first[known - config_sections]->origin.line);
        }
    }
}

static void refuse_key(struct loader *loader, const struct entry *entry, const char *section)
{
    char shown[SHOWN_SIZE];
    char hint[2 * REASON_SIZE];
    const char *elsewhere = NULL;
    struct names names = {.read = problems_show(entry->name, strlen(entry->name), shown)};

    for (size_t key = 0; key < KEY_COUNT; key++) {
        const char *name = config_keys[key].option.name;
        if (strcmp(config_keys[key].section, section) == 0)
            names_offer(&names, name);
        else if (strcmp(name, entry->name) == 0)
            elsewhere = config_keys[key].section;
    }
    for (const struct config_key *key = config_route_keys; !elsewhere && key->option.name; key++)
        if (strcmp(key->option.name, entry->name) == 0)
            elsewhere = "route /PATH";
    if (elsewhere)
        problems_add(&loader->problems, entry->origin,
                     "%s: no such key in [%s]; it belongs to [%s]", shown, section, elsewhere);
    else
        problems_add(&loader->problems, entry->origin, "%s: no such key in [%s]; %s", shown,
                     section, names_hint(&names, hint, sizeof(hint)));
}

/* Finds out which keys were given, and reports those that do not exist or come twice. */
static void find_keys(struct loader *loader)
{
    for (size_t i = 0; i < loader->document.entry_count; i++) {
        const struct entry *entry = &loader->document.entries[i];
        const char *section = loader->document.sections[entry->section].name;
        size_t key = 0;
        if (!find_section(section))
            continue;
        while (key < KEY_COUNT && (strcmp(config_keys[key].section, section) != 0 ||
                                   strcmp(config_keys[key].option.name, entry->name) != 0))
            key++;
        if (key == KEY_COUNT)
            refuse_key(loader, entry, section);
        else if (loader->given[key])
            entry_doubled(&loader->document, entry, loader->given[key], &loader->problems);
        else
            loader->given[key] = entry;
    }
}

static int store_listen(struct config *config, const char *text)
{
    char why[REASON_SIZE];
    struct config_address *list = memory_resize(NULL, ADDRESSES_MAX * sizeof(*list));

    if (!list)
        return -1;
    config->server.listen = list;
    config->server.listen_count = (size_t)addresses_parse(text, list, why, sizeof(why));
    return 0;
}

/* Puts a checked value where the table says. Returns -1 when memory ran out. */
static int store(struct config *config, const struct config_key *key,
                 const struct option_value *value)
{
    if (key->option.type == OPTION_ADDRESSES)
        return store_listen(config, value->text);
    return member_set(config, key, value);
}

static void read_keys(struct loader *loader)
{
    struct buffer text = {0};
    struct option_value value;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        loader->wrong[i] = entry_read(loader->given[i], &key->option, &key->extra, &text, &value,
                                      &loader->problems) < 0;
        if (!loader->wrong[i] && store(loader->config, key, &value) < 0)
            problems_no_memory(&loader->problems);
    }
    buffer_free(&text);
}

static const char *write_duration(int64_t milliseconds, char text[VALUE_SIZE])
{
    const struct option_value value = {.number = milliseconds};

    return value_write(&config_keys[KEY_TIMEOUT].option, &value, text);
}

/* Of some keys that were written, the one that a person came to last. Returns false where one of
   them is wrong in itself. */
static bool find_last(const struct loader *loader, const enum key *keys, size_t count,
                      struct origin *last)
{
    *last = (struct origin){0};
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = loader->given[keys[i]];
        if (loader->wrong[keys[i]])
            return false;
        if (entry && (entry->origin.setting || (!last->setting && entry->origin.line > last->line)))
            *last = entry->origin;
    }
    return true;
}

/* The stages of a stop must fit into the whole. */
static void check_shutdown(struct loader *loader)
{
    static const enum key stages[] = {KEY_TIMEOUT, KEY_DELAY, KEY_SPREAD, KEY_CLOSE_TIMEOUT};
    const struct config *config = loader->config;
    int64_t needed =
        config->shutdown.delay + config->shutdown.spread + config->shutdown.close_timeout;
    struct origin origin;
    char parts[5][VALUE_SIZE];

    if (!find_last(loader, stages, sizeof(stages) / sizeof(stages[0]), &origin) ||
        needed <= config->shutdown.timeout)
        return;
    problems_add(&loader->problems, origin,
                 "[shutdown] timeout = %s: shorter than delay (%s), spread (%s) and close_timeout "
                 "(%s) together; allowed: %s or more, or make one of them shorter",
                 write_duration(config->shutdown.timeout, parts[0]),
                 write_duration(config->shutdown.delay, parts[1]),
                 write_duration(config->shutdown.spread, parts[2]),
                 write_duration(config->shutdown.close_timeout, parts[3]),
                 write_duration(needed, parts[4]));
}

static void refuse_memory(struct loader *loader, struct origin origin, int64_t message,
                          const char *of, const char *section)
{
    const struct option_value memory = {.number = loader->config->limits.memory};
    const struct option_value needed = {.number = message};
    const struct option *option = &config_keys[KEY_MEMORY].option;
    char parts[2][VALUE_SIZE];

    value_write(option, &memory, parts[0]);
    value_write(option, &needed, parts[1]);
    problems_add(&loader->problems, origin,
                 "[limits] memory = %s: no message of %s has room in it (message%s%s%s); allowed: "
                 "%s or more, or make message smaller",
                 parts[0], parts[1], of, section, *section == '\0' ? "" : "]", parts[1]);
}

/* The memory of all holds the largest message. */
static void check_memory(struct loader *loader)
{
    static const enum key keys[] = {KEY_MEMORY, KEY_MESSAGE};
    const struct config *config = loader->config;
    struct origin origin;

    if (!find_last(loader, keys, sizeof(keys) / sizeof(keys[0]), &origin) ||
        config->limits.memory == OPTION_AUTO)
        return;
    if (config->limits.message > config->limits.memory)
        refuse_memory(loader, origin, config->limits.message, "", "");
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        if (route->message > config->limits.memory)
            refuse_memory(loader, (struct origin){.line = route->line}, route->message, " of [",
                          route->section);
    }
}

int config_load(struct config *config, const struct config_source *source, FILE *errors)
{
    struct loader loader = {
        .config = config,
        .problems = {.file = source->path ? source->path : "(default)"},
    };

    *config = (struct config){0};
    if (read_source(&loader, source) == 0) {
        check_sections(&loader);
        find_keys(&loader);
        read_keys(&loader);
        check_shutdown(&loader);
        routes_build(config, &loader.document, source->groups, &loader.problems);
        check_memory(&loader);
    }
    document_free(&loader.document);
    bool refused = loader.problems.refused || loader.problems.no_memory;
    if (problems_print(&loader.problems, errors) == 0)
        return 0;
    config_free(config);
    return refused ? CONFIG_REFUSED : -1;
}

void config_free(struct config *config)
{
    free(config->server.listen);
    for (size_t i = 0; i < KEY_COUNT; i++)
        member_free(config, &config_keys[i]);
    routes_free(config);
    *config = (struct config){0};
}
