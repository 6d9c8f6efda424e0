#include "server/extension.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/slice.h"
#include "config/tokens.h"

enum { WINDOW_LEAST = 8, WINDOW_MOST = 15, WINDOW_OURS_LEAST = 9 };

/* The parameters (RFC 7692, section 7.1), and whether a value stands behind their names. */
enum parameter {
    SERVER_NO_CONTEXT_TAKEOVER,
    CLIENT_NO_CONTEXT_TAKEOVER,
    SERVER_MAX_WINDOW_BITS,
    CLIENT_MAX_WINDOW_BITS,
    PARAMETERS
};

static const struct {
    const char *name;
    bool takes_value;
    bool needs_value;
} parameters[] = {
    [SERVER_NO_CONTEXT_TAKEOVER] = {"server_no_context_takeover", false, false},
    [CLIENT_NO_CONTEXT_TAKEOVER] = {"client_no_context_takeover", false, false},
    [SERVER_MAX_WINDOW_BITS] = {"server_max_window_bits", true, true},
    [CLIENT_MAX_WINDOW_BITS] = {"client_max_window_bits", true, false},
};

struct offer {
    bool deflate;
    bool possible;
    bool given[PARAMETERS];
    int server_bits; /* 0: any */
};

static void skip_blanks(const char **at)
{
    *at += strspn(*at, " \t");
}

/* Takes a token off; false: there is none. */
static bool take_token(const char **at, struct slice *token)
{
    skip_blanks(at);
    *token = (struct slice){*at, token_span(*at)};
    *at += token->length;
    skip_blanks(at);
    return token->length > 0;
}

/* What stands behind the equals sign: a token, or one in quotes (RFC 6455, section 9.1). */
static bool take_value(const char **at, struct slice *value)
{
    skip_blanks(at);
    if (**at != '"')
        return take_token(at, value);
    ++*at;
    *value = (struct slice){*at, token_span(*at)};
    *at += value->length;
    if (value->length == 0 || **at != '"')
        return false;
    ++*at;
    skip_blanks(at);
    return true;
}

/* A number of bits as the RFC wants it: decimal, no zero before it. 0: it is none. */
static int read_bits(struct slice value)
{
    int bits = 0;
    if (value.length == 0 || value.length > 2 || value.text[0] == '0')
        return 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.text[i] < '0' || value.text[i] > '9')
            return 0;
        bits = bits * 10 + value.text[i] - '0';
    }
    return bits >= WINDOW_LEAST && bits <= WINDOW_MOST ? bits : 0;
}

/* Notes a parameter, or that the offer cannot be met. `value` is NULL when there is none. */
static void take_parameter(struct offer *offer, struct slice name, const struct slice *value)
{
    size_t which = 0;
    while (which < PARAMETERS && !slice_equals(name, slice_of(parameters[which].name)))
        which++;
    if (which == PARAMETERS || offer->given[which] ||
        (value != NULL ? !parameters[which].takes_value : parameters[which].needs_value)) {
        offer->possible = false;
        return;
    }
    offer->given[which] = true;
    int bits = value == NULL ? WINDOW_MOST : read_bits(*value);
    if (bits == 0)
        offer->possible = false;
    if (which == SERVER_MAX_WINDOW_BITS) {
        offer->server_bits = bits;
        offer->possible = offer->possible && bits >= WINDOW_OURS_LEAST;
    }
}

/* Takes one extension with its parameters off. Returns false when it is none. */
static bool take_offer(const char **at, struct offer *offer)
{
    struct slice name;
    *offer = (struct offer){.possible = true};
    if (!take_token(at, &name))
        return false;
    offer->deflate = slice_equals(name, slice_of("permessage-deflate"));
    while (**at == ';') {
        struct slice value;
        ++*at;
        if (!take_token(at, &name))
            return false;
        bool has_value = **at == '=';
        if (has_value) {
            ++*at;
            if (!take_value(at, &value))
                return false;
        }
        take_parameter(offer, name, has_value ? &value : NULL);
    }
    return true;
}

static void accept(const struct offer *offer, int *window_bits, char answer[EXTENSION_SIZE])
{
    *window_bits = offer->server_bits == 0 ? WINDOW_MOST : offer->server_bits;
    int length = snprintf(answer, EXTENSION_SIZE, "permessage-deflate; %s; %s",
                          parameters[SERVER_NO_CONTEXT_TAKEOVER].name,
                          parameters[CLIENT_NO_CONTEXT_TAKEOVER].name);
    if (offer->server_bits != 0)
        snprintf(answer + length, EXTENSION_SIZE - (size_t)length, "; %s=%d",
                 parameters[SERVER_MAX_WINDOW_BITS].name, offer->server_bits);
}

/* Goes through one header line; empty elements count for nothing (RFC 9110, section 5.6.1). */
static bool read_line(const char *at, int *window_bits, char answer[EXTENSION_SIZE])
{
    for (;;) {
        struct offer offer;
        at += strspn(at, ", \t");
        if (*at == '\0')
            return true;
        if (!take_offer(&at, &offer) || (*at != ',' && *at != '\0'))
            return false;
        if (offer.deflate && offer.possible && *window_bits == 0)
            accept(&offer, window_bits, answer);
    }
}

int extension_negotiate(const struct header *headers, size_t count, int *window_bits,
                        char answer[EXTENSION_SIZE], const char **why)
{
    *window_bits = 0;
    answer[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        if (!header_is(&headers[i], "Sec-WebSocket-Extensions") ||
            read_line(headers[i].value, window_bits, answer))
            continue;
        *why = "Sec-WebSocket-Extensions is no list of extensions";
        return 400;
    }
    return 101;
}
