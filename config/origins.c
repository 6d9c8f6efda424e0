#include <stdio.h>
#include <string.h>

#include "config/origin_private.h"

const char origins_allowed[] =
    "same, *, null, an origin as https://example.org, or https://*.example.org for all below; "
    "at most 64, comma separated";

static const struct {
    const char *text;
    enum origin_kind kind;
} words[] = {{"same", ORIGIN_SAME}, {"*", ORIGIN_ANY}, {"null", ORIGIN_NULL}};

/* Those that need no more than a sentence. */
static const char *const faults[] = {
    [ORIGIN_WITHOUT_HOST] = "the host is missing: write for example https://example.org",
    [ORIGIN_BLANK] = "a blank within it: origins are separated by commas",
    [ORIGIN_NOT_ASCII] =
        "write the name as browsers send it, for example "
        "https://xn--bcher-kva.example",
    [ORIGIN_DOT_AT_END] = "write the name without the dot at its end",
    [ORIGIN_BAD_NAME] = "not the name of a host: it has letters, digits, - and _ between its dots",
    [ORIGIN_BAD_FOUR] =
        "not an IPv4 address: browsers send four decimal numbers, as in "
        "http://127.0.0.1",
    [ORIGIN_BAD_SIX] = "not an IPv6 address in brackets: write for example https://[::1]:8443",
    [ORIGIN_BAD_PORT] = "the port is not a number from 1 to 65535",
    [ORIGIN_BAD_STAR] =
        "a star stands only for the first labels of a name, as in "
        "https://*.example.org, and alone for every origin",
};

static bool is_scheme(struct slice scheme, const char *name)
{
    return slice_equals_without_case(scheme, slice_of(name));
}

static void explain_without_scheme(struct slice item, char *why, size_t size)
{
    char whole[sizeof("https://") + ORIGIN_HOST_SIZE + 2];
    struct origin origin;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_equals_without_case(item, slice_of(words[i].text))) {
            snprintf(why, size, "write it in small letters: %s", words[i].text);
            return;
        }
    }
    snprintf(whole, sizeof(whole), "https://%.*s", (int)item.length, item.text);
    /* One word is rather a misspelt `same` than a host. */
    if (strpbrk(whole + strlen("https://"), ".:") &&
        origin_read(slice_of(whole), true, &origin) == ORIGIN_FINE)
        snprintf(why, size, "write the scheme too, %s", whole);
    else
        snprintf(why, size, "neither an origin, as https://example.org, nor same, * or null");
}

/* Says what is wrong with an item, and what would be right. */
static void explain(enum origin_fault fault, struct slice item, const struct origin *origin,
                    char *why, size_t size)
{
    const char *host = item.text + origin->scheme.length + strlen("://");
    const char *end = item.text + item.length;

    if (fault == ORIGIN_WITH_PATH && strchr("/\\?#", *host))
        fault = ORIGIN_WITHOUT_HOST;
    if (fault == ORIGIN_WITHOUT_SCHEME) {
        explain_without_scheme(item, why, size);
    } else if (is_scheme(origin->scheme, "file")) {
        snprintf(why, size, "pages from files send null: write null");
    } else if (fault == ORIGIN_WITH_PATH) {
        end = host;
        while (!strchr("/\\?#", *end))
            end++;
        snprintf(why, size, "an origin has no path: write %.*s", (int)(end - item.text), item.text);
    } else if (fault == ORIGIN_WITH_USER) {
        const char *at = memrchr(host, '@', (size_t)(end - host));
        snprintf(why, size, "an origin has no user: write %.*s%.*s", (int)(host - item.text),
                 item.text, (int)(end - at - 1), at + 1);
    } else {
        snprintf(why, size, "%s", faults[fault]);
    }
}

/* Browsers send the origin of the page, never that of the WebSocket. */
static bool is_page(struct slice item, const struct origin *origin, char *why, size_t size)
{
    bool secure = is_scheme(origin->scheme, "wss");

    if (!secure && !is_scheme(origin->scheme, "ws"))
        return true;
    snprintf(why, size, "an origin is the address of the page: write http%s%.*s", secure ? "s" : "",
             (int)(item.length - origin->scheme.length), item.text + origin->scheme.length);
    return false;
}

static bool read_item(struct slice item, struct origin *origin, char *why, size_t size)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (slice_equals(item, slice_of(words[i].text))) {
            *origin = (struct origin){.kind = words[i].kind};
            return true;
        }
    }
    enum origin_fault fault = origin_read(item, true, origin);
    if (fault == ORIGIN_FINE)
        return is_page(item, origin, why, size);
    explain(fault, item, origin, why, size);
    return false;
}

static bool is_twice(const struct origin *one, const struct origin *other)
{
    return one->kind == other->kind && one->port == other->port &&
           origin_scheme_equals(one, other) && origin_host_equals(one, other);
}

/* Whether the last of the list goes with those before it. */
static bool goes_with(const struct origin *list, int last, char *why, size_t size)
{
    for (int i = 0; i < last; i++) {
        if (is_twice(&list[i], &list[last])) {
            snprintf(why, size, "it is given twice");
            return false;
        }
        if (list[i].kind == ORIGIN_ANY || list[last].kind == ORIGIN_ANY) {
            snprintf(why, size, "* is every origin: write it alone");
            return false;
        }
    }
    return true;
}

int origins_parse(const char *text, struct origin *list, char *why, size_t size)
{
    struct origin own[ORIGINS_MAX];
    bool several = strchr(text, ',') != NULL;
    char wrong[ORIGIN_HOST_SIZE + 128];
    struct slice item;
    int count = 0;

    if (strlen(text) > ORIGINS_TEXT_MAX) {
        snprintf(why, size, "more than %d bytes", ORIGINS_TEXT_MAX);
        return -1;
    }
    if (!list)
        list = own;
    while (slice_next(&text, &item)) {
        if (item.length == 0) {
            snprintf(why, size, several ? "an origin is missing at a comma" : "nothing is written");
            return -1;
        }
        if (count == ORIGINS_MAX) {
            snprintf(why, size, "more than %d origins", ORIGINS_MAX);
            return -1;
        }
        if (!read_item(item, &list[count], wrong, sizeof(wrong)) ||
            !goes_with(list, count, wrong, sizeof(wrong))) {
            snprintf(why, size, "%.*s%s%s", several ? (int)item.length : 0, item.text,
                     several ? ": " : "", wrong);
            return -1;
        }
        count++;
    }
    return count;
}

bool origins_check(const struct option_value *value, char *why, size_t size)
{
    return origins_parse(value->text, NULL, why, size) > 0;
}
