/*
 * What a request for a file is answered with: dates, ranges, conditions and codings say of any
 * header what a slow reading of RFC 9110 says, and what is read is what is written.
 *
 * Input: lines. The size of the file, its date in seconds, the present, its tag; then Range,
 * If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, Accept-Encoding. A
 * header whose line is a dash is not there.
 */
#include <ctype.h>
#include <errno.h>

#include "server/coding.h"
#include "server/date.h"
#include "server/precondition.h"
#include "server/range.h"
#include "tests/fuzz/headers.h"

#define NOW_MAX (INT64_C(1) << 37) /* in the year 6325 */

/* --- dates --- */

static void check_number(int64_t seconds)
{
    static const int64_t first = -62167219200; /* of the year 0 */
    static const int64_t last = 253402300799;  /* of 9999 */
    char text[DATE_SIZE];
    int64_t again = ~seconds;
    MUST((date_write(seconds, text) == 0) == (seconds >= first && seconds <= last));
    if (seconds < first || seconds > last)
        return;
    MUST(strlen(text) == DATE_SIZE - 1 && date_parse(text, 0, &again) == 0 && again == seconds);
}

static void check_date(const char *text, int64_t now)
{
    char again[DATE_SIZE];
    int64_t seconds = 0;
    if (date_parse(text, now, &seconds) != 0)
        return;
    MUST(fits_a_line(text));
    size_t length = strlen(text);
    const char *time = strchr(text, ':');
    MUST(length >= 24 && length <= 33 && time != NULL);
    if (date_write(seconds, again) != 0)
        return; /* the leap second behind the last of 9999 */
    check_number(seconds);
    bool leap = strncmp(time + 3, ":60", 3) == 0;
    if (length == DATE_SIZE - 1 && text[3] == ',' && !leap) /* the day of the week is not read */
        MUST(strcmp(text + 3, again + 3) == 0);
    if (!leap)
        MUST(strncmp(time - 2, strchr(again, ':') - 2, 8) == 0);
    if (length != DATE_SIZE - 1 && text[length - 1] == 'T') /* years of two digits */
        MUST(seconds < now + INT64_C(51) * 366 * 86400);
}

/* --- ranges --- */

/* Reads digits; *absent: there are none. What no int64_t holds becomes its largest. */
static int64_t number_of(const char *text, const char **end, bool *absent)
{
    *absent = !isdigit((unsigned char)*text);
    *end = text;
    if (*absent)
        return 0;
    char *behind;
    errno = 0;
    unsigned long long number = strtoull(text, &behind, 10);
    *end = behind;
    return errno != 0 || number > INT64_MAX ? INT64_MAX : (int64_t)number;
}

static enum range_kind judge_range(const char *text, int64_t size, struct range *range)
{
    bool no_first;
    bool no_last;
    if (text == NULL || size <= 0 || strncasecmp(text, "bytes=", 6) != 0)
        return RANGE_ALL;
    int64_t first = number_of(text + 6, &text, &no_first);
    if (*text != '-')
        return RANGE_ALL;
    int64_t last = number_of(text + 1, &text, &no_last);
    if (*text != '\0' || (no_first && no_last) || (!no_first && !no_last && last < first))
        return RANGE_ALL;
    if (no_first && last == 0)
        return RANGE_UNSATISFIABLE;
    if (no_first) {
        first = last >= size ? 0 : size - last;
        last = size - 1;
    }
    if (no_last || last > size - 1)
        last = size - 1;
    if (first > size - 1)
        return RANGE_UNSATISFIABLE;
    *range = (struct range){first, last - first + 1};
    return RANGE_PART;
}

static void check_range(const char *text, int64_t size)
{
    struct range range = {0, 0};
    struct range expected = {0, 0};
    enum range_kind kind = judge_range(text, size, &expected);
    MUST(range_parse(text, size, &range) == kind);
    if (kind != RANGE_PART)
        return;
    MUST(range.first == expected.first && range.length == expected.length);
    MUST(range.first >= 0 && range.length > 0 && range.length <= size - range.first);
}

/* --- conditions --- */

/* Whether the list is a star, or holds the tag before anything that is none. */
static bool list_has(const char *list, const char *tag, bool weak_counts)
{
    char *whole = trimmed(list, strlen(list));
    bool star = strcmp(whole, "*") == 0;
    bool found = false;
    for (const char *at = whole; !star && !found && *at != '\0';) {
        if (*at == ',' || *at == ' ' || *at == '\t') {
            at++;
            continue;
        }
        bool weak = at[0] == 'W' && at[1] == '/';
        const char *begin = weak ? at + 2 : at;
        const char *end = *begin == '"' ? strchr(begin + 1, '"') : NULL;
        if (end == NULL)
            break;
        end++;
        found = tag != NULL && (weak_counts || !weak) && strlen(tag) == (size_t)(end - begin) &&
                strncmp(begin, tag, strlen(tag)) == 0;
        while (*end == ' ' || *end == '\t')
            end++;
        if (*end != ',')
            break;
        at = end;
    }
    free(whole);
    return star || found;
}

/* -1: it is no date; else whether the file was changed behind it. */
static int changed_behind(const char *date, const struct validators *file, int64_t now)
{
    int64_t seconds;
    if (date == NULL || file->tag == NULL || date_parse(date, now, &seconds) != 0)
        return -1;
    return file->modified > seconds;
}

/* RFC 9110, section 13.2.2. */
static int judge_conditions(const struct preconditions *asked, const struct validators *file,
                            int64_t now)
{
    if (asked->if_match != NULL && !list_has(asked->if_match, file->tag, false))
        return 412;
    if (asked->if_match == NULL && changed_behind(asked->if_unmodified_since, file, now) == 1)
        return 412;
    if (asked->if_none_match != NULL)
        return list_has(asked->if_none_match, file->tag, true) ? 304 : 200;
    return changed_behind(asked->if_modified_since, file, now) == 0 ? 304 : 200;
}

static bool judge_if_range(const char *text, const struct validators *file, int64_t now)
{
    int64_t seconds;
    if (text == NULL)
        return true;
    if (file->tag == NULL)
        return false;
    if (strcmp(text, file->tag) == 0)
        return true;
    return date_parse(text, now, &seconds) == 0 && seconds == file->modified && seconds < now;
}

/* --- codings --- */

/* In thousandths; 0: malformed. */
static int weight_of(const char *text)
{
    size_t digits = text[0] != '\0' && text[1] == '.' ? strspn(text + 2, "0123456789") : 0;
    size_t length = strlen(text);
    if ((text[0] != '0' && text[0] != '1') || (length > 1 && (text[1] != '.' || digits > 3)) ||
        (length > 2 && digits != length - 2))
        return 0;
    int weight = (int)(atof(text) * 1000 + 0.5);
    return weight > 1000 ? 0 : weight;
}

static bool judge_coding(const char *text)
{
    int gzip = -1;
    int plain = -1;
    int other = -1;
    struct parts elements = {.count = 0};
    parts_add(&elements, text == NULL ? "" : text, ',');
    for (size_t i = 0; i < elements.count; i++) {
        char *element = elements.list[i];
        if (*element == '\0')
            continue;
        char *rest = element + strcspn(element, " \t;");
        char *weight = trimmed(rest, strlen(rest));
        char *value = trimmed(weight + (*weight == ';'), strlen(weight) - (*weight == ';'));
        int weighs = *weight == '\0'                                      ? 1000
                     : *weight == ';' && strncasecmp(value, "q=", 2) == 0 ? weight_of(value + 2)
                                                                          : 0;
        *rest = '\0';
        if (strcasecmp(element, "gzip") == 0 || strcasecmp(element, "x-gzip") == 0)
            gzip = weighs;
        else if (strcasecmp(element, "identity") == 0)
            plain = weighs;
        else if (strcmp(element, "*") == 0)
            other = weighs;
        free(value);
        free(weight);
    }
    parts_free(&elements);
    gzip = gzip < 0 ? other : gzip;
    plain = plain < 0 ? other : plain;
    return gzip > 0 && gzip >= plain;
}

/* --- all of it --- */

enum { RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED, IF_UNMODIFIED, ENCODING, TEXTS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char *lines[4];
    char *texts[TEXTS];
    const char *given[TEXTS];
    for (size_t i = 0; i < COUNT(lines); i++)
        lines[i] = take_text(&input, '\n');
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i] = take_text(&input, '\n');
        given[i] = strcmp(texts[i], "-") == 0 ? NULL : texts[i];
    }
    int64_t length = strtoll(lines[0], NULL, 10);
    int64_t modified = strtoll(lines[1], NULL, 10);
    int64_t now = strtoll(lines[2], NULL, 10) & (NOW_MAX - 1);
    size_t last = strlen(lines[3]);
    bool tagged =
        last > 1 && lines[3][0] == '"' && strchr(lines[3] + 1, '"') == lines[3] + last - 1;
    const struct validators file = {.tag = tagged ? lines[3] : NULL, .modified = modified};
    const struct preconditions asked = {given[IF_MATCH], given[IF_NONE_MATCH], given[IF_MODIFIED],
                                        given[IF_UNMODIFIED]};
    check_number(modified);
    check_range(given[RANGE], length);
    for (size_t i = 0; i < TEXTS; i++)
        check_date(texts[i], now);
    MUST(precondition_check(&asked, &file, now) == judge_conditions(&asked, &file, now));
    MUST(precondition_range(given[IF_RANGE], &file, now) ==
         judge_if_range(given[IF_RANGE], &file, now));
    MUST(coding_wants_gzip(given[ENCODING]) == judge_coding(given[ENCODING]));
    for (size_t i = 0; i < COUNT(lines); i++)
        free(lines[i]);
    for (size_t i = 0; i < TEXTS; i++)
        free(texts[i]);
    return 0;
}
