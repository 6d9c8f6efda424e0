#include <arpa/inet.h>
#include <string.h>

#include "config/origin_private.h"

#define LABEL_MAX 63

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The place of the byte; the length: it is not there. */
static size_t find(struct slice text, char byte)
{
    const char *found = text.length > 0 ? memchr(text.text, byte, text.length) : NULL;

    return found ? (size_t)(found - text.text) : text.length;
}

static struct slice behind(struct slice text, size_t place)
{
    return (struct slice){text.text + place, text.length - place};
}

/* Whether inet_pton takes it, which knows the usual spelling only. */
static bool read_address(int family, struct slice text, unsigned char address[16])
{
    char copy[INET6_ADDRSTRLEN];

    if (text.length == 0 || text.length >= sizeof(copy))
        return false;
    memcpy(copy, text.text, text.length);
    copy[text.length] = '\0';
    return inet_pton(family, copy, address) == 1;
}

/* Reads 1 to 65535 as browsers write it. Returns 0 for anything else. */
static uint16_t read_port(struct slice text)
{
    unsigned port = 0;

    if (text.length == 0 || text.length > 5 || text.text[0] == '0')
        return 0;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.text[i]))
            return 0;
        port = port * 10 + (unsigned)(text.text[i] - '0');
    }
    return port <= 65535 ? (uint16_t)port : 0;
}

/*
 * Whether a host that ends in this label is an IPv4 address to a browser, in whatever spelling: it
 * is a number, decimal or hexadecimal.
 */
static bool is_number(struct slice label)
{
    bool hexadecimal = label.length >= 2 && label.text[0] == '0' && (label.text[1] | 0x20) == 'x';

    for (size_t i = hexadecimal ? 2 : 0; i < label.length; i++) {
        char small = (char)(label.text[i] | 0x20);
        if (!is_digit(label.text[i]) && !(hexadecimal && small >= 'a' && small <= 'f'))
            return false;
    }
    return true;
}

static bool is_label(struct slice label)
{
    for (size_t i = 0; i < label.length; i++) {
        char byte = label.text[i];
        if (!is_letter(byte) && !is_digit(byte) && byte != '-' && byte != '_')
            return false;
    }
    return label.length > 0 && label.length <= LABEL_MAX;
}

static enum origin_fault check_name(struct slice host)
{
    unsigned char address[16];
    struct slice rest = host;
    struct slice label;

    if (host.length == 0)
        return ORIGIN_WITHOUT_HOST;
    if (host.length > ORIGIN_HOST_MAX)
        return ORIGIN_BAD_NAME;
    for (;;) {
        label = (struct slice){rest.text, find(rest, '.')};
        if (!is_label(label))
            break;
        if (label.length == rest.length) {
            bool right = !is_number(label) || read_address(AF_INET, host, address);
            return right ? ORIGIN_FINE : ORIGIN_BAD_FOUR;
        }
        rest = behind(rest, label.length + 1);
    }
    return rest.length == 0 ? ORIGIN_DOT_AT_END : ORIGIN_BAD_NAME;
}

/* `text` is what stands between the scheme and the end. */
static enum origin_fault parse_authority(struct slice text, struct origin *origin)
{
    bool six = text.length > 0 && text.text[0] == '[';
    size_t end = six ? find(text, ']') : find(text, ':');
    struct slice port;

    origin->six = six;
    origin->host = (struct slice){text.text + six, end - six};
    port = behind(text, six && end < text.length ? end + 1 : end);
    if (six && (end == text.length || !read_address(AF_INET6, origin->host, origin->address)))
        return ORIGIN_BAD_SIX;
    if (!six && port.length > 0 && find(behind(port, 1), ':') < port.length - 1)
        return ORIGIN_BAD_SIX;
    if (!six) {
        enum origin_fault fault = check_name(origin->host);
        if (fault != ORIGIN_FINE)
            return fault;
    }
    if (port.length == 0)
        return ORIGIN_FINE;
    origin->port = port.text[0] == ':' ? read_port(behind(port, 1)) : 0;
    return origin->port ? ORIGIN_FINE : ORIGIN_BAD_PORT;
}

/* The length of the scheme before "://" (RFC 3986, section 3.1); 0: there is none. */
static size_t scheme_length(struct slice text)
{
    size_t length = 0;

    while (length < text.length &&
           (is_letter(text.text[length]) ||
            (length > 0 && (is_digit(text.text[length]) || text.text[length] == '+' ||
                            text.text[length] == '-' || text.text[length] == '.'))))
        length++;
    bool right = length <= ORIGIN_SCHEME_MAX && text.length - length >= 3 &&
                 memcmp(text.text + length, "://", 3) == 0;
    return right ? length : 0;
}

static enum origin_fault check_bytes(struct slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        unsigned char byte = (unsigned char)text.text[i];
        if (byte >= 0x80)
            return ORIGIN_NOT_ASCII;
        if (byte <= ' ' || byte == 0x7F)
            return ORIGIN_BLANK;
    }
    return ORIGIN_FINE;
}

static enum origin_fault check_rest(struct slice rest)
{
    static const char after_host[] = "/\\?#";

    for (size_t i = 0; after_host[i]; i++)
        if (find(rest, after_host[i]) < rest.length)
            return ORIGIN_WITH_PATH;
    return find(rest, '@') < rest.length ? ORIGIN_WITH_USER : ORIGIN_FINE;
}

enum origin_fault origin_read(struct slice text, bool star, struct origin *origin)
{
    enum origin_fault fault = check_bytes(text);
    struct slice rest;

    *origin = (struct origin){.kind = ORIGIN_EXACT};
    if (fault != ORIGIN_FINE)
        return fault;
    origin->scheme = (struct slice){text.text, scheme_length(text)};
    if (origin->scheme.length == 0)
        return ORIGIN_WITHOUT_SCHEME;
    rest = behind(text, origin->scheme.length + 3);
    fault = check_rest(rest);
    if (fault != ORIGIN_FINE)
        return fault;
    if (star && rest.length >= 2 && memcmp(rest.text, "*.", 2) == 0) {
        origin->kind = ORIGIN_BELOW;
        rest = behind(rest, 2);
    }
    if (find(rest, '*') < rest.length)
        return ORIGIN_BAD_STAR;
    origin->port = origin_default_port(origin->scheme);
    fault = parse_authority(rest, origin);
    if (fault == ORIGIN_FINE && origin->kind == ORIGIN_BELOW && origin_is_address(origin))
        return ORIGIN_BAD_STAR;
    return fault;
}

bool origin_is_address(const struct origin *origin)
{
    unsigned char address[16];

    return origin->six || read_address(AF_INET, origin->host, address);
}

bool origin_parse(struct slice text, struct origin *origin)
{
    if (!slice_equals(text, slice_of("null")))
        return origin_read(text, false, origin) == ORIGIN_FINE;
    *origin = (struct origin){.kind = ORIGIN_NULL};
    return true;
}

bool origin_parse_host(struct slice text, struct origin *origin)
{
    *origin = (struct origin){.kind = ORIGIN_EXACT};
    return parse_authority(text, origin) == ORIGIN_FINE;
}

uint16_t origin_default_port(struct slice scheme)
{
    if (slice_equals_without_case(scheme, slice_of("https")))
        return 443;
    return slice_equals_without_case(scheme, slice_of("http")) ? 80 : 0;
}

bool origin_host_equals(const struct origin *one, const struct origin *other)
{
    if (one->six || other->six)
        return one->six && other->six &&
               memcmp(one->address, other->address, sizeof(one->address)) == 0;
    return slice_equals_without_case(one->host, other->host);
}

bool origin_scheme_equals(const struct origin *one, const struct origin *other)
{
    return slice_equals_without_case(one->scheme, other->scheme);
}
