#include "config/tokens.h"

#include <stdio.h>
#include <string.h>

const char tokens_allowed[] =
    "names separated by commas, at most 32 of at most 64 bytes: letters, "
    "digits and any of !#$%&'*+-.^_`|~";

static bool is_token_character(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

size_t token_span(const char *text)
{
    size_t length = 0;

    while (is_token_character(text[length]))
        length++;
    return length;
}

/* What is wrong with a token; NULL: nothing. */
static const char *find_fault(struct slice token)
{
    size_t span = token_span(token.text);

    if (token.length == 0)
        return "a name is missing at a comma";
    if (span < token.length && (token.text[span] == ' ' || token.text[span] == '\t'))
        return "names are separated by commas";
    if (span < token.length)
        return "a name holds letters, digits and any of !#$%&'*+-.^_`|~ only";
    return token.length < TOKEN_SIZE ? NULL : "a name has at most 64 bytes";
}

bool tokens_check(const struct option_value *value, char *why, size_t size)
{
    const char *rest = *value->text ? value->text : NULL;
    bool several = strchr(value->text, ',') != NULL;
    struct slice tokens[TOKENS_MAX];
    struct slice token;
    size_t count = 0;

    while (slice_next(&rest, &token)) {
        const char *fault = find_fault(token);
        for (size_t i = 0; !fault && i < count; i++)
            if (slice_equals(tokens[i], token))
                fault = "it is given twice";
        if (fault) {
            bool named = several && token.length > 0;
            snprintf(why, size, "%.*s%s%s", named ? (int)token.length : 0, token.text,
                     named ? ": " : "", fault);
            return false;
        }
        if (count == TOKENS_MAX) {
            snprintf(why, size, "more than %d names", TOKENS_MAX);
            return false;
        }
        tokens[count++] = token;
    }
    return true;
}

bool tokens_hold(const char *list, struct slice token)
{
    struct slice item;

    while (slice_next(&list, &item))
        if (item.length > 0 && slice_equals(item, token))
            return true;
    return false;
}
