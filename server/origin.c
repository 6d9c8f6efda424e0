#include "server/origin.h"

#include <string.h>
#include <strings.h>

/* The page is at a name that ends in a dot and the entry's host. */
static bool is_below(const struct origin *entry, const struct origin *page)
{
    if (page->six || page->host.length <= entry->host.length + 1)
        return false;
    const char *end = page->host.text + page->host.length - entry->host.length;
    return end[-1] == '.' && strncasecmp(end, entry->host.text, entry->host.length) == 0;
}

/* The scheme is not compared: a proxy in front may have taken TLS off. */
static bool is_same(const struct origin *page, const char *host)
{
    struct origin asked;
    uint16_t port = origin_default_port(page->scheme);
    if (port == 0 || !origin_parse_host(slice_of(host), &asked))
        return false;
    if (asked.port != 0)
        port = asked.port;
    return page->port == port && origin_host_equals(page, &asked);
}

static bool matches(const struct origin *entry, const struct origin *page, const char *host)
{
    if (page->kind == ORIGIN_NULL || entry->kind == ORIGIN_NULL)
        return page->kind == entry->kind;
    if (entry->kind == ORIGIN_SAME)
        return is_same(page, host);
    if (entry->port != page->port || !origin_scheme_equals(entry, page))
        return false;
    return entry->kind == ORIGIN_BELOW ? is_below(entry, page) : origin_host_equals(entry, page);
}

enum origin_answer origin_allowed(const struct origin *list, size_t count,
                                  const struct header *headers, size_t header_count,
                                  const char *host)
{
    const struct header *found = NULL;
    bool several = false;
    for (size_t i = 0; i < header_count; i++) {
        if (!header_is(&headers[i], "Origin"))
            continue;
        several = found != NULL;
        found = &headers[i];
    }
    if (found == NULL)
        return ORIGIN_MISSING;
    struct origin page;
    bool readable = !several && origin_parse(slice_of(found->value), &page);
    for (size_t i = 0; i < count; i++)
        if (list[i].kind == ORIGIN_ANY || (readable && matches(&list[i], &page, host)))
            return ORIGIN_ALLOWED;
    return ORIGIN_REFUSED;
}
