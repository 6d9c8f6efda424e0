#include <string.h>

#include "config/address.h"
#include "config/config.h"
#include "config/keys.h"
#include "config/member.h"
#include "config/options.h"
#include "config/routes.h"
#include "config/text.h"
#include "config/value.h"

#define LINE_WIDTH 90

static void dump_addresses(const struct config *config, const char *name, FILE *out)
{
    char text[ADDRESS_SIZE];
    int column = fprintf(out, "%s = ", name);

    for (size_t i = 0; i < config->server.listen_count; i++) {
        address_write(&config->server.listen[i], text);
        if (i > 0)
            column += fprintf(out, ", ");
        if (i > 0 && column + (int)strlen(text) > LINE_WIDTH)
            column = fprintf(out, "\n    ") - 1;
        column += fprintf(out, "%s", text);
    }
    fputc('\n', out);
}

static void dump_value(const struct option *option, const struct option_value *value, FILE *out)
{
    char text[VALUE_SIZE];

    if (option->type == OPTION_TEXT || option->type == OPTION_ADDRESSES)
        text_print(out, option->name, value->text);
    else if (option->type == OPTION_CHOICE)
        text_print(out, option->name, option->choices[value->number]);
    else
        text_print(out, option->name, value_write(option, value, text));
}

static void dump_member(const void *base, const struct config_key *key, FILE *out)
{
    const struct option_value value = member_get(base, key);

    dump_value(&key->option, &value, out);
}

static void dump_key(const struct config *config, const struct config_key *key, FILE *out)
{
    if (key->option.type == OPTION_ADDRESSES)
        dump_addresses(config, key->option.name, out);
    else
        dump_member(config, key, out);
}

/* A path has at most the 1024 bytes that its key allows. */
static void dump_path(const struct config_route *route, FILE *out)
{
    char path[1100];

    snprintf(path, sizeof(path), "%s%s", route->path, route->prefix ? "/*" : "");
    text_print(out, "path", path);
}

static void dump_route(const struct config_route *route, const struct option_group *group,
                       FILE *out)
{
    fprintf(out, "\n[%s]\n", route->section);
    if (!routes_section_path(route->section))
        dump_path(route, out);
    text_print(out, "handler", group->name);
    for (size_t i = 0; i < options_count(group->options); i++)
        dump_value(&group->options[i], &route->values[i], out);
    for (const struct config_key *key = config_route_keys; key->option.name; key++)
        if (group->websockets)
            dump_member(route, key, out);
}

void config_dump(const struct config *config, const struct option_group *groups, FILE *out)
{
    const char *section = NULL;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (!section || strcmp(section, key->section) != 0)
            fprintf(out, "%s[%s]\n", section ? "\n" : "", key->section);
        section = key->section;
        dump_key(config, key, out);
    }
    for (size_t i = 0; i < config->route_count; i++)
        dump_route(&config->routes[i], &groups[config->routes[i].group], out);
}
