/*
 * exec: a program of its own for each WebSocket: its standard input and output are the messages.
 *
 * What can be wrong with the program is looked for at the start: a mistake in the configuration is
 * not to wait for its first client.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/problems.h"
#include "handlers/exec_private.h"
#include "server/children.h"
#include "server/environment.h"
#include "server/words.h"

enum { TEXT_MAX = 8192, FAILURES_BURST = 20, PROGRAMS_MAX = 100000, WHY_SIZE = 512 };

enum { OPTION_COMMAND, OPTION_DIRECTORY, OPTION_ENV, OPTION_MAX, OPTION_MODE };
enum { MODE_LINES, MODE_BINARY };

static const char *const modes[] = {"lines", "binary", NULL};

static const struct option options[] = {
    [OPTION_COMMAND] =
        {.name = "command",
         .type = OPTION_TEXT,
         .minimum = 1,
         .maximum = TEXT_MAX,
         .help = "the program and its arguments, one process for each WebSocket; words and quotes "
                 "as in a shell (single ones: double ones are this file's own), but no shell reads "
                 "them: no variables, no patterns, no pipes. A name without a slash is looked for "
                 "in PATH"},
    [OPTION_DIRECTORY] = {.name = "directory",
                          .type = OPTION_TEXT,
                          .fallback = "",
                          .minimum = 0,
                          .maximum = PATH_MAX - 1,
                          .help = "the folder that it is started in; empty: the server's"},
    [OPTION_ENV] = {.name = "env",
                    .type = OPTION_TEXT,
                    .fallback = "",
                    .minimum = 0,
                    .maximum = TEXT_MAX,
                    .help = "variables for it, beside PATH and those that CGI has: NAME=value, or "
                            "NAME for the server's own; quotes as in command"},
    [OPTION_MAX] = {.name = "max",
                    .type = OPTION_COUNT,
                    .fallback = "100",
                    .minimum = 1,
                    .maximum = PROGRAMS_MAX,
                    .help = "programs of this route at a time, those that are ending included; one "
                            "too many is closed with 1013. Each takes three descriptors"},
    [OPTION_MODE] = {.name = "mode",
                     .type = OPTION_CHOICE,
                     .fallback = "lines",
                     .choices = modes,
                     .help = "lines: text messages are lines of its input, lines of its output are "
                             "text messages; binary: bytes, as they come"},
    {0},
};

static int out_of_memory(char *error, size_t size)
{
    snprintf(error, size, "out of memory");
    errno = ENOMEM;
    return -1;
}

/* "name: why", or that memory ran out where there is no why. */
static int refuse(const char *option, const char *why, char *error, size_t size)
{
    if (*why == '\0')
        return out_of_memory(error, size);
    snprintf(error, size, "%s: %s", option, why);
    errno = EINVAL;
    return -1;
}

/* --- the program --- */

/* What is wrong with it; NULL: it can be run. */
static const char *look_at_file(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return errno == ENOENT ? "there is no such file" : strerror(errno);
    if (S_ISDIR(about.st_mode))
        return "it is a folder, not a program";
    if (!S_ISREG(about.st_mode))
        return "it is no regular file, and so no program";
    return access(path, X_OK) == 0 ? NULL : "it is not executable for this user: chmod +x";
}

/* Looks for a name without a slash. Returns 0 with *path to be freed. */
static int search_program(const char *name, char **path, char *error, size_t size)
{
    char shown[SHOWN_SIZE];
    char why[WHY_SIZE];
    const char *folders = getenv("PATH");
    if (folders == NULL)
        folders = "/usr/local/bin:/usr/bin:/bin";
    for (const char *at = folders; *at != '\0';) {
        size_t length = strcspn(at, ":");
        if (asprintf(path, "%.*s/%s", (int)length, length == 0 ? "." : at, name) < 0) {
            *path = NULL;
            return out_of_memory(error, size);
        }
        if (length > 0 && look_at_file(*path) == NULL)
            return 0;
        free(*path);
        at += length + (at[length] == ':');
    }
    *path = NULL;
    snprintf(why, sizeof why,
             "%s is in no folder of PATH: install it, or write its whole path; PATH is %.120s",
             problems_show(name, strlen(name), shown), folders);
    return refuse("command", why, error, size);
}

/* A path is seen from the directory that the program starts in, as the kernel will see it. */
static int find_program(const struct exec_route *route, char **path, char *error, size_t size)
{
    const char *name = route->words[0];
    char shown[SHOWN_SIZE];
    char why[WHY_SIZE];
    if (*name == '\0')
        return refuse("command", "its first word, the program, is empty", error, size);
    if (strchr(name, '/') == NULL)
        return search_program(name, path, error, size);
    bool joined = *name != '/' && route->directory != NULL;
    if (asprintf(path, "%s%s%s", joined ? route->directory : "", joined ? "/" : "", name) < 0) {
        *path = NULL;
        return out_of_memory(error, size);
    }
    const char *wrong = look_at_file(*path);
    if (wrong == NULL)
        return 0;
    snprintf(why, sizeof why, "%s: %s", problems_show(*path, strlen(*path), shown), wrong);
    return refuse("command", why, error, size);
}

/* A relative path of the program would be seen from `directory` when it is run: it is made whole.
 */
static int make_whole(char **path, char *error, size_t size)
{
    char *whole = realpath(*path, NULL);
    if (whole == NULL)
        return refuse("command", strerror(errno), error, size);
    free(*path);
    *path = whole;
    return 0;
}

static int check_directory(const char *directory, char *error, size_t size)
{
    char shown[SHOWN_SIZE];
    char why[WHY_SIZE];
    struct stat about;
    const char *wrong = NULL;
    if (stat(directory, &about) != 0)
        wrong = errno == ENOENT ? "there is no such folder" : strerror(errno);
    else if (!S_ISDIR(about.st_mode))
        wrong = "it is not a folder";
    else if (access(directory, X_OK) != 0)
        wrong = "this user may not enter it";
    if (wrong == NULL)
        return 0;
    snprintf(why, sizeof why, "%s: %s", problems_show(directory, strlen(directory), shown), wrong);
    return refuse("directory", why, error, size);
}

/* --- start and stop --- */

static int prepare_command(struct exec_route *route, const char *command, char *error, size_t size)
{
    char why[WHY_SIZE];
    route->words = words_split(command, why, sizeof why);
    if (route->words == NULL)
        return refuse("command", why, error, size);
    if (route->words[0] == NULL)
        return refuse("command", "there is no program in it", error, size);
    if (find_program(route, &route->file, error, size) != 0)
        return -1;
    return *route->file == '/' ? 0 : make_whole(&route->file, error, size);
}

static int prepare_environment(struct exec_route *route, const char *env, char *error, size_t size)
{
    char why[WHY_SIZE];
    char **words = words_split(env, why, sizeof why);
    if (words == NULL)
        return refuse("env", why, error, size);
    route->additions = environment_additions(words, why, sizeof why);
    free(words);
    return route->additions == NULL ? refuse("env", why, error, size) : 0;
}

static void exec_stop(void *state)
{
    struct exec_route *route = state;
    pthread_mutex_destroy(&route->lock);
    free(route->file);
    free(route->words);
    free(route->additions);
    free(route);
}

static int exec_start(const struct option_value *values, void **state, char *error,
                      size_t error_size)
{
    const char *directory = values[OPTION_DIRECTORY].text;
    struct exec_route *route = calloc(1, sizeof *route);
    if (route == NULL)
        return out_of_memory(error, error_size);
    pthread_mutex_init(&route->lock, NULL);
    route->failures.burst = FAILURES_BURST;
    route->max = (size_t)values[OPTION_MAX].number;
    route->lines = values[OPTION_MODE].number == MODE_LINES;
    route->directory = *directory == '\0' ? NULL : directory;
    if ((route->directory != NULL && check_directory(directory, error, error_size) != 0) ||
        prepare_command(route, values[OPTION_COMMAND].text, error, error_size) != 0 ||
        prepare_environment(route, values[OPTION_ENV].text, error, error_size) != 0) {
        int reason = errno;
        exec_stop(route);
        errno = reason;
        return -1;
    }
    children_expect(route->max);
    *state = route;
    return 0;
}

const struct handler handler_exec = {
    .name = "exec",
    .help = "a program for each WebSocket: its standard input and output are the messages",
    .options = options,
    .start = exec_start,
    .stop = exec_stop,
    .open = exec_open,
    .message = exec_message,
    .wake = exec_go_on,
    .finish = exec_finish,
    .room = exec_go_on,
    .close = exec_close,
};
