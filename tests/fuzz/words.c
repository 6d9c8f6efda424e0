/*
 * Words: whatever text is given, the words that come out of it come out again when each of them is
 * quoted, and a place that is complained about lies in the text. Input: the text.
 */
#include "server/words.h"
#include "tests/fuzz/fuzz.h"

static void quote(struct bytes *bytes, const char *word)
{
    bytes_add(bytes, " '", 2);
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            bytes_add(bytes, "'\\''", 4);
        else
            bytes_add(bytes, word, 1);
    }
    bytes_add(bytes, "'", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct bytes quoted = {0};
    char why[256];
    char *text = take_text(&input, '\0');
    char **words = words_split(text, why, sizeof why);
    if (words == NULL) {
        const char *place = strstr(why, "(character ");
        MUST(place != NULL);
        unsigned long at = strtoul(place + strlen("(character "), NULL, 10);
        MUST(at >= 1 && at <= strlen(text));
        free(text);
        return 0;
    }
    for (size_t i = 0; words[i] != NULL; i++)
        quote(&quoted, words[i]);
    bytes_add(&quoted, "", 1);
    char **again = words_split((const char *)quoted.data, why, sizeof why);
    MUST(again != NULL);
    for (size_t i = 0; words[i] != NULL || again[i] != NULL; i++)
        MUST(words[i] != NULL && again[i] != NULL && strcmp(words[i], again[i]) == 0);
    free(again);
    free(words);
    free(quoted.data);
    free(text);
    return 0;
}
