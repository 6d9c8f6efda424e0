/* What the tests of origins share: lists, and the question whether they let a page in. */
#ifndef LASTCALL_TESTS_UNIT_ORIGIN_SUPPORT_H
#define LASTCALL_TESTS_UNIT_ORIGIN_SUPPORT_H

#include <check.h>
#include <string.h>

#include "server/origin.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define EXACT "https://example.org, http://localhost:3000, https://[2001:db8::1]:8443"
#define STAR "https://*.example.org"
#define SAME "same"

#define LABEL_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static inline enum origin_answer ask(const char *list, const char *page, const char *host)
{
    struct origin origins[ORIGINS_MAX];
    char why[256];
    int count = origins_parse(list, origins, why, sizeof why);
    ck_assert_msg(count > 0, "%s: %s", list, why);
    const struct header headers[] = {{"Host", "unused"}, {"oRIGIN", page}};
    return origin_allowed(origins, (size_t)count, headers, COUNT(headers), host);
}

static inline void check_refused(const char *list, const char *page, const char *host)
{
    ck_assert_msg(ask(list, page, host) == ORIGIN_REFUSED, "\"%s\" passed \"%s\" at \"%s\"", page,
                  list, host);
}

#endif
