/*
 * command_line: what the program was called with. Pure but for what getopt keeps; main thread.
 */
#ifndef LASTCALL_SERVER_COMMAND_LINE_H
#define LASTCALL_SERVER_COMMAND_LINE_H

#include <stddef.h>
#include <stdio.h>

enum command {
    COMMAND_RUN,
    COMMAND_TEST,
    COMMAND_DUMP,
    COMMAND_HEALTH,
    COMMAND_VERSION,
    COMMAND_HELP
};

#define COMMAND_SETTINGS_MAX 256

struct command_line {
    enum command command;
    const char *path;                           /* -c; NULL: none */
    const char *topic;                          /* of -h: "config", "handlers", or NULL */
    const char *settings[COMMAND_SETTINGS_MAX]; /* -s */
    size_t setting_count;
};

/* Returns 0, or -1 when the call was wrong; what was wrong has then been
   written to `errors`, or by getopt to standard error. */
int command_line_parse(struct command_line *line, int count, char **words, FILE *errors);

/* Prints the help, drawn from the table that the parser reads. */
void command_line_help(FILE *out);

#endif
