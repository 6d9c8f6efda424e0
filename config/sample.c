#include <ctype.h>
#include <string.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/options.h"
#include "config/routes.h"
#include "config/text.h"
#include "config/value.h"

#define LINE_WIDTH 90
#define SENTENCE_SIZE 1024

static const char introduction[] =
    "; The configuration of lastcall: every key with its default, and routes to begin with.\n"
    "; A file of your own needs only what differs, and its routes.\n"
    ";\n"
    "; Durations have a unit: ms, s, m or h (0 needs none). Sizes are bytes, or have k, M or G\n"
    "; (times 1024). A comment stands on a line of its own, or behind a value after a blank\n"
    "; and a semicolon. A line that begins with a blank continues the value before it.\n"
    "; In double quotes all is text; \"\" is a quote there, and quoted pieces one behind the "
    "other\n"
    "; are joined. ${NAME} is replaced by the environment variable, ${NAME:-text} by text when\n"
    "; the variable is unset or empty, $$ by a dollar.\n"
    ";\n"
    "; Check a file with lastcall -c FILE -t, and see what is in force with lastcall -c FILE -T.\n";

static const char about_routes[] =
    "\n"
    "; Routes: what answers on a path. [route /path] is that path alone, [route /path/*] the\n"
    "; path and everything below it, [route /*] everything; the longest that fits answers. A\n"
    "; path over 43 bytes goes into a key: [route NAME], and below it path = /a/long/path.\n"
    "; Each needs a handler, whose own keys follow in the same section. The keys that are\n"
    "; about WebSockets are shown once, at the first route that serves them.\n";

/* Where a handler's route stands in the sample, and a value for its key without a default. */
struct example {
    const char *handler;
    const char *path;
    const char *value;
};

/* The last is for all others: the handler's name is their path. */
static const struct example examples[] = {
    {"page", "/", "..."},
    {"health", "/health/*", "..."},
    {"redirect", "/old/*", "https://example.org/$rest"},
    {"respond", "/robots.txt", "..."},
    {"static", "/files/*", "/srv/files"},
    {"", "/", "..."},
};

static const struct example *find_example(const char *handler)
{
    const struct example *example = examples;

    while (*example->handler && strcmp(example->handler, handler) != 0)
        example++;
    return example;
}

/* Prints a comment of any length in lines of `before` and as many words as fit. */
static void print_comment(const char *before, const char *text, FILE *out)
{
    size_t column = 0;

    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column && column + 1 + word > LINE_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column ? " " : before, (int)word, text);
        text += word;
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

/* A help text as a sentence: handlers' begin with a small letter, and none ends in a full stop. */
static void print_sentence(const char *before, const char *help, FILE *out)
{
    char text[2 * SENTENCE_SIZE + 2];

    snprintf(text, sizeof(text), "%s.", help);
    text[0] = (char)toupper((unsigned char)text[0]);
    print_comment(before, text, out);
}

/* "Number: 1 to 64, or auto (...). Default: auto." */
static void print_rule(const char *before, const struct option *option,
                       const struct value_extra *extra, FILE *out)
{
    char allowed[SENTENCE_SIZE];
    char text[2 * SENTENCE_SIZE];
    const char *fallback = option->fallback;

    snprintf(text, sizeof(text), "%s: %s%s%s%s. %s%s", value_type(option),
             value_allowed(option, extra, allowed, sizeof(allowed)), option->automatic ? " (" : "",
             option->automatic ? option->automatic : "", option->automatic ? ")" : "",
             fallback ? "Default: " : "It must be given",
             !fallback   ? ""
             : *fallback ? fallback
                         : "empty");
    print_sentence(before, text, out);
}

static void sample_keys(FILE *out)
{
    const struct config_section *section = config_sections;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        if (i == 0 || strcmp(config_keys[i - 1].section, key->section) != 0) {
            fprintf(out, "\n\n; %s.\n[%s]\n", section->help, key->section);
            section++;
        }
        fputc('\n', out);
        print_sentence("; ", key->option.help, out);
        print_rule("; ", &key->option, &key->extra, out);
        text_print(out, key->option.name, key->option.fallback);
    }
}

/* The handlers that serve WebSockets, behind a text: "echo, chat." */
static const char *name_handlers(const char *before, const struct option_group *groups, char *text,
                                 size_t size)
{
    const char *separator = "";
    size_t used = (size_t)snprintf(text, size, "%s", before);

    for (size_t i = 0; i < groups_count(groups); i++) {
        if (!groups[i].websockets || used >= size)
            continue;
        used += (size_t)snprintf(text + used, size - used, "%s%s", separator, groups[i].name);
        separator = ", ";
    }
    return text;
}

/* The keys about WebSockets, as comments: written out they would be that one route's alone. */
static void sample_websockets(const struct option_group *groups, FILE *out)
{
    char text[SENTENCE_SIZE];

    fputc('\n', out);
    print_sentence("; ",
                   name_handlers("Every route whose handler serves WebSockets takes these keys "
                                 "too: ",
                                 groups, text, sizeof(text)),
                   out);
    for (const struct config_key *key = config_route_keys; key->option.name; key++) {
        fputc('\n', out);
        print_sentence("; ", key->option.help, out);
        print_rule("; ", &key->option, &key->extra, out);
        fputc(';', out);
        text_print(out, key->option.name, key->option.fallback);
    }
}

/* A route for one handler, as a comment when it has a key that only a person can fill in. */
static void sample_route(const struct option_group *group, FILE *out)
{
    const struct example *example = find_example(group->name);
    bool active = true;

    for (size_t i = 0; i < options_count(group->options); i++)
        active = active && group->options[i].fallback;
    const char *before = active ? "" : ";";
    fputc('\n', out);
    print_sentence("; ", group->help, out);
    fprintf(out, "%s[route %s%s]\n", before, example->path, *example->handler ? "" : group->name);
    fprintf(out, "%shandler = %s\n", before, group->name);
    for (size_t i = 0; i < options_count(group->options); i++) {
        const struct option *option = &group->options[i];
        fputc('\n', out);
        print_sentence("; ", option->help, out);
        print_rule("; ", option, NULL, out);
        fputs(before, out);
        text_print(out, option->name, option->fallback ? option->fallback : example->value);
    }
}

void config_sample(const struct option_group *groups, FILE *out)
{
    fputs(introduction, out);
    sample_keys(out);
    fputs(about_routes, out);
    bool shown = false;
    for (size_t i = 0; i < groups_count(groups); i++) {
        sample_route(&groups[i], out);
        if (groups[i].websockets && !shown)
            sample_websockets(groups, out);
        shown = shown || groups[i].websockets;
    }
}

static void describe_option(const struct option *option, const struct value_extra *extra, FILE *out)
{
    fprintf(out, "  %s\n", option->name);
    print_sentence("    ", option->help, out);
    print_rule("    ", option, extra, out);
}

void config_describe_groups(const struct option_group *groups, FILE *out)
{
    char text[SENTENCE_SIZE];

    fputs("Routes with WebSockets\n", out);
    print_sentence("    ",
                   name_handlers("These keys go into any [route ...] whose handler serves "
                                 "WebSockets: ",
                                 groups, text, sizeof(text)),
                   out);
    for (const struct config_key *key = config_route_keys; key->option.name; key++)
        describe_option(&key->option, &key->extra, out);
    for (size_t i = 0; i < groups_count(groups); i++) {
        const struct option_group *group = &groups[i];
        fprintf(out, "\n%s\n", group->name);
        print_sentence("    ", group->help, out);
        for (size_t j = 0; j < options_count(group->options); j++)
            describe_option(&group->options[j], NULL, out);
        if (options_count(group->options) == 0)
            fputs("    It has no keys of its own.\n", out);
    }
}
