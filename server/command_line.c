#include "server/command_line.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>

/* The one table of the options. */
static const struct {
    char letter;
    const char *name;
    const char *argument;
    const char *help;
} options[] = {
    {'c', "config", "FILE", "read FILE; without it an embedded default is served"},
    {'s', "set", "SECTION.KEY=VALUE", "set one key on top of the file; may be given again"},
    {'t', "test", NULL, "check the configuration and end: 0 good, 78 not"},
    {'T', "dump", NULL, "print the configuration in force as INI and end"},
    {'H', "health", NULL, "ask the daemon that runs with this configuration: 0 alive, 1 not"},
    {'V', "version", NULL, "print the version and end"},
    {'h', "help", "[config|handlers]", "print this help, all keys, or all handlers, and end"},
};

enum { OPTIONS = sizeof options / sizeof options[0] };

/* getopt's two descriptions of the table. */
static void describe(char *letters, struct option *names)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        bool argument = options[i].argument != NULL && options[i].letter != 'h';
        if (options[i].letter != 'H') { /* --health alone: -H would be one letter from -h */
            *letters++ = options[i].letter;
            if (argument)
                *letters++ = ':';
        }
        names[i] = (struct option){.name = options[i].name,
                                   .has_arg = argument ? required_argument : no_argument,
                                   .val = options[i].letter};
    }
    *letters = '\0';
    names[OPTIONS] = (struct option){0};
}

static int add_setting(struct command_line *line, const char *setting, FILE *errors)
{
    if (line->setting_count == COMMAND_SETTINGS_MAX) {
        fprintf(errors, "lastcall: more than %d times -s\n", COMMAND_SETTINGS_MAX);
        return -1;
    }
    line->settings[line->setting_count++] = setting;
    return 0;
}

static int set_command(struct command_line *line, enum command command, FILE *errors)
{
    if (line->command != COMMAND_RUN && line->command != command) {
        fprintf(errors, "lastcall: only one of -t, -T, --health, -V and -h at a time\n");
        return -1;
    }
    line->command = command;
    return 0;
}

static int take(struct command_line *line, int letter, const char *argument, FILE *errors)
{
    switch (letter) {
    case 'c':
        if (line->path != NULL) {
            fprintf(errors, "lastcall: -c was given twice: %s, %s\n", line->path, argument);
            return -1;
        }
        line->path = argument;
        return 0;
    case 's':
        return add_setting(line, argument, errors);
    case 't':
        return set_command(line, COMMAND_TEST, errors);
    case 'T':
        return set_command(line, COMMAND_DUMP, errors);
    case 'H':
        return set_command(line, COMMAND_HEALTH, errors);
    case 'V':
        return set_command(line, COMMAND_VERSION, errors);
    case 'h':
        return set_command(line, COMMAND_HELP, errors);
    default: /* getopt has said what was wrong */
        return -1;
    }
}

static int take_topic(struct command_line *line, int count, char **words, FILE *errors)
{
    if (optind == count)
        return 0;
    const char *word = words[optind];
    if (line->command == COMMAND_HELP && optind + 1 == count &&
        (strcmp(word, "config") == 0 || strcmp(word, "handlers") == 0)) {
        line->topic = word;
        return 0;
    }
    fprintf(errors, "lastcall: '%s' is not understood%s\n", word,
            line->command == COMMAND_HELP ? "; help has: config, handlers"
                                          : "; a file is given with -c FILE");
    return -1;
}

int command_line_parse(struct command_line *line, int count, char **words, FILE *errors)
{
    char letters[2 * OPTIONS + 1];
    struct option names[OPTIONS + 1];
    int letter;
    *line = (struct command_line){.command = COMMAND_RUN};
    describe(letters, names);
    optind = 0; /* glibc: forget all of an earlier call */
    while ((letter = getopt_long(count, words, letters, names, NULL)) != -1)
        if (take(line, letter, optarg, errors) != 0)
            return -1;
    return take_topic(line, count, words, errors);
}

void command_line_help(FILE *out)
{
    fputs(
        "lastcall: a WebSocket and HTTP server that stops well\n\n"
        "lastcall [-c FILE] [-s SECTION.KEY=VALUE]...\n\n",
        out);
    for (size_t i = 0; i < OPTIONS; i++) {
        char left[64];
        char letter[4] = {'-', options[i].letter, ',', '\0'};
        snprintf(left, sizeof left, "%s --%s%s%s", options[i].letter == 'H' ? "   " : letter,
                 options[i].name, options[i].argument == NULL ? "" : " ",
                 options[i].argument == NULL ? "" : options[i].argument);
        fprintf(out, "  %-32s %s\n", left, options[i].help);
    }
    fputs(
        "\nSIGTERM or SIGINT stops it: every WebSocket is closed with 1001, requests are\n"
        "finished, all within shutdown.timeout. A second signal cuts everything.\n\n"
        "Exit status:\n"
        "   0  everything was drained\n"
        "   1  connections had to be cut\n"
        "   2  CivetWeb did not stop in time\n"
        "   3  both\n"
        "  64  wrong call          69  cannot listen\n"
        "  71  the system refused  78  wrong configuration\n"
        "  128 + number of a second signal\n",
        out);
}
