#include "server/words.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where it stands. */
struct splitter {
    const char *text;
    const char *next;
    char *out; /* where the next byte of a word goes */
    char *why;
    size_t size;
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n';
}

static int fail(struct splitter *splitter, const char *at, const char *what)
{
    snprintf(splitter->why, splitter->size, "%s (character %zu)", what,
             (size_t)(at - splitter->text) + 1);
    return -1;
}

static void put(struct splitter *splitter, char byte)
{
    *splitter->out++ = byte;
}

/* Stands behind the opening quote, and afterwards behind the closing one. */
static int take_single(struct splitter *splitter)
{
    const char *quote = splitter->next - 1;
    for (; *splitter->next != '\0'; splitter->next++) {
        if (*splitter->next == '\'') {
            splitter->next++;
            return 0;
        }
        put(splitter, *splitter->next);
    }
    return fail(splitter, quote, "the quote ' is not closed");
}

/* The same. */
static int take_double(struct splitter *splitter)
{
    const char *quote = splitter->next - 1;
    while (*splitter->next != '\0') {
        char byte = *splitter->next++;
        char behind = *splitter->next;
        if (byte == '"')
            return 0;
        if (byte == '\\' && behind != '\0' && strchr("$`\"\\\n", behind) != NULL) {
            splitter->next++;
            if (behind != '\n')
                put(splitter, behind);
        } else {
            put(splitter, byte);
        }
    }
    return fail(splitter, quote, "the quote \" is not closed");
}

/* A byte outside of quotes, or what a quote or a backslash makes of those behind it. */
static int take_part(struct splitter *splitter)
{
    const char *at = splitter->next++;
    if (*at == '\'')
        return take_single(splitter);
    if (*at == '"')
        return take_double(splitter);
    if (strchr("|&;<>()", *at) != NULL)
        return fail(splitter, at,
                    "no shell reads this, and | & ; < > ( ) mean something to a shell alone: quote "
                    "it, or write sh -c '...'");
    if (*at != '\\') {
        put(splitter, *at);
        return 0;
    }
    if (*splitter->next == '\0')
        return fail(splitter, at, "there is nothing behind the backslash: \\\\ is one backslash");
    if (*splitter->next != '\n')
        put(splitter, *splitter->next);
    splitter->next++;
    return 0;
}

/* Whether a backslash and a newline, which are nothing, are next. */
static bool is_continued(const struct splitter *splitter)
{
    return splitter->next[0] == '\\' && splitter->next[1] == '\n';
}

/* Whether there is another word, which then is next. */
static bool find_word(struct splitter *splitter)
{
    while (is_blank(*splitter->next) || is_continued(splitter))
        splitter->next += is_continued(splitter) ? 2 : 1;
    return *splitter->next != '\0';
}

char **words_split(const char *text, char *why, size_t size)
{
    size_t length = strlen(text);
    size_t most = length / 2 + 2; /* words of one byte with a blank between them, and NULL */
    char **words = malloc(most * sizeof *words + length + 1);
    size_t count = 0;
    why[0] = '\0';
    if (words == NULL)
        return NULL;
    struct splitter splitter = {
        .text = text, .next = text, .out = (char *)(words + most), .why = why, .size = size};
    while (find_word(&splitter)) {
        words[count++] = splitter.out;
        while (*splitter.next != '\0' && !is_blank(*splitter.next)) {
            if (take_part(&splitter) != 0) {
                free(words);
                return NULL;
            }
        }
        put(&splitter, '\0');
    }
    words[count] = NULL;
    return words;
}
