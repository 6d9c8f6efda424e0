#include "config/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/entry.h"
#include "config/keys.h"
#include "config/member.h"
#include "config/memory.h"
#include "config/names.h"
#include "config/options.h"
#include "config/text.h"
#include "config/websockets.h"

/* What is at hand while one route is made. */
struct builder {
    struct config *config;
    const struct document *document;
    const struct option_group *groups;
    struct problems *problems;
    size_t section;
    const char *name; /* the section's, fit to be shown */
    struct origin origin;
    bool misspelt; /* a key that may have been meant as the handler was reported */
};

size_t groups_count(const struct option_group *groups)
{
    size_t count = 0;

    while (groups && groups[count].name)
        count++;
    return count;
}

bool routes_is_route(const char *section)
{
    return strncmp(section, "route", 5) == 0 && (section[5] == '\0' || section[5] == ' ');
}

const char *routes_section_path(const char *section)
{
    return section[5] == ' ' && section[6] == '/' ? section + 6 : NULL;
}

/* Checks what stands behind "route" when it is no path. */
static int check_name(struct builder *builder, const char *section)
{
    const char *name = section[5] ? section + 6 : "";
    size_t length = 0;

    while (text_is_name(name[length]) || (name[length] && strchr("-.", name[length])))
        length++;
    if (length && name[length] == '\0')
        return 0;
    problems_add(builder->problems, builder->origin,
                 "[%s]: write [route PATH], PATH beginning with /, or [route NAME], NAME of "
                 "letters, digits, _, - and ., with a path key below",
                 builder->name);
    return -1;
}

/* The path as written, into `text`. */
static int read_path(struct builder *builder, struct buffer *text)
{
    const struct section *section = &builder->document->sections[builder->section];
    const struct entry *entry = document_find(builder->document, builder->section, "path");
    const char *path = routes_section_path(section->name);
    struct option_value value;

    if (path && entry) {
        problems_add(builder->problems, entry->origin,
                     "path: [%s] names its path already; leave one of the two out", builder->name);
    } else if (path && strstr(path, "${")) {
        problems_add(builder->problems, builder->origin,
                     "[%s]: variables are not read in a section's name; write [route NAME] and "
                     "below it path = PATH",
                     builder->name);
    } else if (path) {
        buffer_clear(text);
        buffer_add(text, path, strlen(path));
        return text->failed ? -1 : 0;
    } else if (check_name(builder, section->name) == 0 && !entry) {
        problems_add(builder->problems, builder->origin,
                     "[%s]: no path; write path = /PATH below it, or the path instead of the name",
                     builder->name);
    } else if (entry) {
        return entry_read(entry, &config_route_options[0], NULL, text, &value, builder->problems);
    }
    return -1;
}

/* Reports it when a route before this one has the same path; `origin` is where ours stands. */
static void check_taken(const struct builder *builder, const struct config_route *route,
                        const char *written, struct origin origin)
{
    char shown[SHOWN_SIZE];
    char path[SHOWN_SIZE];
    char line[32] = "";

    for (size_t i = 0; i < builder->config->route_count; i++) {
        const struct config_route *other = &builder->config->routes[i];
        if (!other->path || other->prefix != route->prefix || strcmp(other->path, route->path) != 0)
            continue;
        if (other->line)
            snprintf(line, sizeof(line), " on line %d", other->line);
        problems_add(builder->problems, origin, "the path %s is taken by [%s]%s",
                     problems_show(written, strlen(written), path),
                     problems_show(other->section, strlen(other->section), shown), line);
        return;
    }
}

static void build_path(struct builder *builder, struct config_route *route)
{
    const struct entry *entry = document_find(builder->document, builder->section, "path");
    struct origin origin = entry ? entry->origin : builder->origin;
    struct buffer text = {0};
    char shown[SHOWN_SIZE];
    char why[REASON_SIZE];
    size_t length;
    int result = read_path(builder, &text);

    if (text.failed)
        problems_no_memory(builder->problems);
    if (result == 0 &&
        routes_check_path(text.text, &length, &route->prefix, why, sizeof(why)) < 0) {
        problems_add(builder->problems, origin, "the path %s: %s",
                     problems_show(text.text, text.length, shown), why);
    } else if (result == 0) {
        route->path = buffer_copy(text.text, length);
        if (!route->path)
            problems_no_memory(builder->problems);
        else
            check_taken(builder, route, text.text, origin);
    }
    buffer_free(&text);
}

/* Finds the handler that `text` names. */
static int find_group(struct builder *builder, const struct entry *entry, const char *text,
                      size_t *group)
{
    char shown[SHOWN_SIZE];
    char hint[2 * REASON_SIZE];
    struct names names = {.read = problems_show(text, strlen(text), shown)};

    for (size_t i = 0; i < groups_count(builder->groups); i++) {
        names_offer(&names, builder->groups[i].name);
        if (strcmp(builder->groups[i].name, text) == 0) {
            *group = i;
            return 0;
        }
    }
    problems_add(builder->problems, entry->origin, "handler = %s: no such handler; %s", shown,
                 names_hint(&names, hint, sizeof(hint)));
    return -1;
}

static void refuse_missing_handler(struct builder *builder)
{
    char hint[2 * REASON_SIZE];
    struct names names = {.read = ""};

    for (size_t i = 0; i < groups_count(builder->groups); i++)
        names_offer(&names, builder->groups[i].name);
    problems_add(builder->problems, builder->origin,
                 "[%s]: no handler; write handler = NAME below it; %s", builder->name,
                 names_hint(&names, hint, sizeof(hint)));
}

/* The group of the route's handler; NULL when there is none, which is reported if it is wrong. */
static const struct option_group *read_handler(struct builder *builder, struct config_route *route)
{
    const struct entry *entry = document_find(builder->document, builder->section, "handler");
    struct buffer text = {0};
    struct option_value value;
    int result = -1;

    if (entry)
        result =
            entry_read(entry, &config_route_options[1], NULL, &text, &value, builder->problems);
    if (result == 0)
        result = find_group(builder, entry, value.text, &route->group);
    buffer_free(&text);
    return result == 0 ? &builder->groups[route->group] : NULL;
}

static bool has_option(const struct option_group *group, const char *name)
{
    for (size_t i = 0; i < options_count(group->options); i++)
        if (strcmp(group->options[i].name, name) == 0)
            return true;
    return false;
}

/* Whether there is such a key for the route; `group` is NULL when its handler is not known. */
static bool has_key(const struct option_group *group, const char *name)
{
    return (group && has_option(group, name)) || websockets_has_key(name) ||
           strcmp(name, "handler") == 0 || strcmp(name, "path") == 0;
}

/* Whether the key is right, for all that is known, when the route's handler is not. */
static bool is_of_some_handler(const struct builder *builder, const char *name)
{
    for (size_t i = 0; i < groups_count(builder->groups); i++)
        if (has_option(&builder->groups[i], name))
            return true;
    return false;
}

/* Reports a key that the route cannot have; `group` is NULL when its handler is not known. */
static void refuse_key(struct builder *builder, const struct entry *entry,
                       const struct option_group *group)
{
    const struct section *section = &builder->document->sections[builder->section];
    char shown[SHOWN_SIZE];
    char hint[2 * REASON_SIZE];
    struct names names = {.read = problems_show(entry->name, strlen(entry->name), shown)};

    names_offer(&names, "handler");
    if (!routes_section_path(section->name))
        names_offer(&names, "path");
    for (size_t i = 0; group && i < options_count(group->options); i++)
        names_offer(&names, group->options[i].name);
    for (const struct config_key *key = config_route_keys; key->option.name; key++)
        if (!group || group->websockets)
            names_offer(&names, key->option.name);
    /* Without a handler nobody knows its keys: only what looks like one of ours is reported. */
    if (!group && (!names.nearest || is_of_some_handler(builder, entry->name)))
        return;
    if (!group && strcmp(names.nearest, "handler") == 0)
        builder->misspelt = true;
    problems_add(builder->problems, entry->origin, "%s: no such key for %s%s; %s", shown,
                 group ? "the handler " : "a route", group ? group->name : "",
                 names_hint(&names, hint, sizeof(hint)));
}

/* Whether the handler makes nothing of the key; reports it: a person counts on what is written. */
static bool is_idle(const struct builder *builder, const struct entry *entry,
                    const struct option_group *group)
{
    if (!group || group->websockets || !websockets_has_key(entry->name))
        return false;
    problems_add(builder->problems, entry->origin,
                 "%s: the handler %s serves no WebSockets, so it would do nothing; leave it out",
                 entry->name, group->name);
    return true;
}

static void check_keys(struct builder *builder, const struct option_group *group)
{
    const struct document *document = builder->document;

    for (size_t i = 0; i < document->entry_count; i++) {
        const struct entry *entry = &document->entries[i];
        if (entry->section != builder->section)
            continue;
        if (!has_key(group, entry->name)) {
            refuse_key(builder, entry, group);
            continue;
        }
        if (is_idle(builder, entry, group))
            continue;
        const struct entry *first = document_find(document, entry->section, entry->name);
        if (first != entry)
            entry_doubled(document, entry, first, builder->problems);
    }
}

/* Makes the present section a route. What is wrong with it does not matter: it is reported. */
static void build_route(struct builder *builder, struct config_route *route)
{
    const struct document *document = builder->document;
    const struct section *section = &document->sections[builder->section];

    *route = (struct config_route){.line = section->origin.line};
    route->section = buffer_copy(section->name, strlen(section->name));
    if (!route->section) {
        problems_no_memory(builder->problems);
        return;
    }
    build_path(builder, route);
    const struct option_group *group = read_handler(builder, route);
    check_keys(builder, group);
    websockets_read(document, builder->section, !group || group->websockets, route,
                    builder->problems);
    if (group)
        options_read(group, document, builder->section, builder->name, &route->values,
                     builder->problems);
    else if (!builder->misspelt && !document_find(document, builder->section, "handler"))
        refuse_missing_handler(builder);
}

/* Whether a section of that name was opened before; reports it. */
static bool section_doubled(const struct builder *builder)
{
    const struct section *sections = builder->document->sections;

    for (size_t i = 0; i < builder->section; i++) {
        if (strcmp(sections[i].name, sections[builder->section].name) == 0) {
            problems_add(builder->problems, builder->origin, "[%s]: opened twice, first on line %d",
                         builder->name, sections[i].origin.line);
            return true;
        }
    }
    return false;
}

static void refuse_no_routes(const struct builder *builder)
{
    const struct option_group *groups = builder->groups;

    problems_add(builder->problems, (struct origin){0},
                 "no routes, so there is nothing to serve; write for example [route /echo] on a "
                 "line and handler = %s on the next",
                 groups_count(groups) ? groups[0].name : "NAME");
}

void routes_build(struct config *config, const struct document *document,
                  const struct option_group *groups, struct problems *problems)
{
    struct builder builder = {
        .config = config, .document = document, .groups = groups, .problems = problems};
    size_t wanted = 0;

    for (size_t i = 0; i < document->section_count; i++)
        wanted += routes_is_route(document->sections[i].name);
    if (wanted == 0 && !document->refused)
        refuse_no_routes(&builder);
    if (wanted > ROUTES_MAX)
        problems_add(problems, (struct origin){0}, "%zu routes are too many; allowed: at most %d",
                     wanted, ROUTES_MAX);
    if (wanted == 0 || wanted > ROUTES_MAX)
        return;
    config->routes = memory_resize(NULL, wanted * sizeof(*config->routes));
    if (!config->routes) {
        problems_no_memory(problems);
        return;
    }
    for (size_t i = 0; i < document->section_count; i++) {
        const struct section *section = &document->sections[i];
        char shown[SHOWN_SIZE];
        if (!routes_is_route(section->name))
            continue;
        builder.section = i;
        builder.name = problems_show(section->name, strlen(section->name), shown);
        builder.origin = section->origin;
        builder.misspelt = false;
        if (section_doubled(&builder))
            continue;
        build_route(&builder, &config->routes[config->route_count]);
        config->route_count++;
    }
}

void routes_free(struct config *config)
{
    for (size_t i = 0; i < config->route_count; i++) {
        for (const struct config_key *key = config_route_keys; key->option.name; key++)
            member_free(&config->routes[i], key);
        free(config->routes[i].path);
        free(config->routes[i].values);
        free(config->routes[i].section);
    }
    free(config->routes);
    config->routes = NULL;
    config->route_count = 0;
}
