/*
 * exposition_parser: reads Prometheus' text format 0.0.4 as strictly as it can be read, for the
 * unit tests of exposition and metrics. It shares no code with what it checks.
 *
 * What it insists on beyond the format: each metric has HELP, then TYPE, before its samples, once;
 * no sample comes twice; counters are named _total and nothing else is; the buckets of a histogram
 * rise in bound and count, and the one of +Inf is _count.
 */
#ifndef LASTCALL_TESTS_SUPPORT_EXPOSITION_PARSER_H
#define LASTCALL_TESTS_SUPPORT_EXPOSITION_PARSER_H

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAMILIES_MAX = 64, LABELS_MAX = 4, NAME_MAX_ = 64, VALUE_MAX = 512 };

struct parsed_family {
    char name[NAME_MAX_];
    char type[16];
    size_t samples;
};

struct parsed_sample {
    size_t family;
    char name[NAME_MAX_]; /* with its suffix */
    size_t label_count;
    struct {
        char name[NAME_MAX_];
        char value[VALUE_MAX]; /* without its escapes */
    } labels[LABELS_MAX];
    double value;
};

struct parsed {
    struct parsed_family families[FAMILIES_MAX];
    size_t family_count;
    struct parsed_sample *samples;
    size_t sample_count;
    char complaint[1024]; /* empty: there is none */
};

__attribute__((format(printf, 2, 3))) static inline bool complain(struct parsed *parsed,
                                                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parsed->complaint, sizeof parsed->complaint, format, arguments);
    va_end(arguments);
    return false;
}

static inline void parsed_free(struct parsed *parsed)
{
    free(parsed->samples);
    parsed->samples = NULL;
}

/* The length of a name at `text`; labels have no colon. 0: there is none. */
static inline size_t name_length(const char *text, bool label)
{
    size_t length = 0;
    while (isalpha((unsigned char)text[length]) || text[length] == '_' ||
           (!label && text[length] == ':') || (length > 0 && isdigit((unsigned char)text[length])))
        length++;
    return length < NAME_MAX_ ? length : 0;
}

/* The bytes of the character at `text` (RFC 3629, section 4); 0: it is none. */
static inline size_t utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char first, last, low, high;
        size_t length;
    } rows[] = {
        {0x01, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (*text < rows[i].first || *text > rows[i].last)
            continue;
        for (size_t k = 1; k < rows[i].length; k++)
            if (text[k] < (k == 1 ? rows[i].low : 0x80) || text[k] > (k == 1 ? rows[i].high : 0xBF))
                return 0;
        return rows[i].length;
    }
    return 0;
}

/* Reads a quoted value behind its first quote. Returns what stands behind the last one, or NULL. */
static inline const char *parse_quoted(struct parsed *parsed, const char *text, char *value)
{
    size_t length = 0;
    while (*text != '"') {
        size_t size = utf8_length((const unsigned char *)text);
        if (size == 0 || *text == '\n' || length + size >= VALUE_MAX) {
            complain(parsed, "a value that is not UTF-8, too long, or not ended: %.40s", text);
            return NULL;
        }
        if (*text != '\\') {
            memcpy(value + length, text, size);
        } else if (*++text == 'n') {
            value[length] = '\n';
        } else if (*text == '\\' || *text == '"') {
            value[length] = *text;
        } else {
            complain(parsed, "an unknown escape: \\%.40s", text);
            return NULL;
        }
        length += size;
        text += size;
    }
    value[length] = '\0';
    return text + 1;
}

/* Reads labels behind the brace. Returns what stands behind them, or NULL. */
static inline const char *parse_labels(struct parsed *parsed, const char *text,
                                       struct parsed_sample *sample)
{
    do {
        size_t length = name_length(text, true);
        if (length == 0 || strncmp(text + length, "=\"", 2) != 0 ||
            sample->label_count == LABELS_MAX) {
            complain(parsed, "no label, or one too many: %.40s", text);
            return NULL;
        }
        snprintf(sample->labels[sample->label_count].name, NAME_MAX_, "%.*s", (int)length, text);
        text = parse_quoted(parsed, text + length + 2, sample->labels[sample->label_count++].value);
        if (text == NULL)
            return NULL;
    } while (*text++ == ',');
    if (text[-1] == '}')
        return text;
    complain(parsed, "labels that do not end: %.40s", text - 1);
    return NULL;
}

/* The text of a label; NULL: there is no such one. */
static inline const char *label_of(const struct parsed_sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->label_count; i++)
        if (strcmp(sample->labels[i].name, name) == 0)
            return sample->labels[i].value;
    return NULL;
}

static inline bool same_labels(const struct parsed_sample *one, const struct parsed_sample *other,
                               const char *but)
{
    size_t left_out = label_of(other, but) != NULL;
    size_t same = 0;
    for (size_t i = 0; i < one->label_count; i++) {
        const char *value = label_of(other, one->labels[i].name);
        if (strcmp(one->labels[i].name, but) == 0)
            continue;
        if (value == NULL || strcmp(value, one->labels[i].value) != 0)
            return false;
        same++;
    }
    return same + left_out == other->label_count;
}

static inline double bound_of(const struct parsed_sample *bucket)
{
    const char *bound = label_of(bucket, "le");
    if (bound == NULL)
        return NAN;
    return strcmp(bound, "+Inf") == 0 ? INFINITY : strtod(bound, NULL);
}

/* What stands behind the metric's name in its last sample; nothing when it has none yet. */
static inline const char *last_suffix(const struct parsed *parsed)
{
    if (parsed->family_count == 0 || parsed->families[parsed->family_count - 1].samples == 0)
        return "";
    const struct parsed_family *family = &parsed->families[parsed->family_count - 1];
    return parsed->samples[parsed->sample_count - 1].name + strlen(family->name);
}

/* Whether a metric can end here, or another histogram of it begin. */
static inline bool is_whole(const struct parsed *parsed)
{
    const char *suffix = last_suffix(parsed);
    return strcmp(suffix, "_bucket") != 0 && strcmp(suffix, "_sum") != 0;
}

/* A bucket, _sum or _count is looked at beside the sample before it: they come in this order. */
static inline bool check_histogram(struct parsed *parsed, const struct parsed_sample *sample)
{
    const struct parsed_sample *before = sample - 1;
    const char *suffix = sample->name + strlen(parsed->families[sample->family].name);
    const char *previous = last_suffix(parsed);
    if (is_whole(parsed))
        return strcmp(suffix, "_bucket") == 0 && isfinite(bound_of(sample));
    if (!same_labels(sample, before, "le"))
        return false;
    if (strcmp(suffix, "_bucket") == 0)
        return strcmp(previous, "_bucket") == 0 && bound_of(sample) > bound_of(before) &&
               sample->value >= before->value;
    if (label_of(sample, "le") != NULL)
        return false;
    if (strcmp(suffix, "_sum") == 0)
        return strcmp(previous, "_bucket") == 0 && isinf(bound_of(before));
    return strcmp(suffix, "_count") == 0 && strcmp(previous, "_sum") == 0 &&
           before[-1].value == sample->value;
}

static inline bool check_sample(struct parsed *parsed, const struct parsed_sample *sample)
{
    const struct parsed_family *family = &parsed->families[sample->family];
    for (const struct parsed_sample *other = sample - family->samples; other < sample; other++)
        if (strcmp(other->name, sample->name) == 0 && same_labels(sample, other, ""))
            return complain(parsed, "a sample of %s comes twice", sample->name);
    if (strcmp(family->type, "histogram") == 0)
        return check_histogram(parsed, sample) ||
               complain(parsed, "%s does not fit to what is before it", sample->name);
    if (strcmp(sample->name, family->name) != 0)
        return complain(parsed, "%s among the samples of %s", sample->name, family->name);
    return true;
}

/* The place for one more, which is not counted yet. */
static inline struct parsed_sample *next_sample(struct parsed *parsed)
{
    size_t count = parsed->sample_count;
    if ((count & (count + 1)) == 0) /* 0, 1, 3, 7, ...: as much again is needed */
        parsed->samples = realloc(parsed->samples, 2 * (count + 1) * sizeof *parsed->samples);
    ck_assert_ptr_nonnull(parsed->samples);
    return &parsed->samples[count];
}

/* One line that is no comment, without its newline. */
static inline bool parse_sample(struct parsed *parsed, const char *line)
{
    if (parsed->family_count == 0 || parsed->families[parsed->family_count - 1].type[0] == '\0')
        return complain(parsed, "a sample before any TYPE");
    struct parsed_sample *sample = next_sample(parsed);
    struct parsed_family *family = &parsed->families[parsed->family_count - 1];
    *sample = (struct parsed_sample){.family = parsed->family_count - 1};
    size_t length = name_length(line, false);
    if (length == 0 || strncmp(line, family->name, strlen(family->name)) != 0)
        return complain(parsed, "no sample of %s", family->name);
    snprintf(sample->name, NAME_MAX_, "%.*s", (int)length, line);
    const char *rest = line + length;
    if (*rest == '{' && (rest = parse_labels(parsed, rest + 1, sample)) == NULL)
        return false;
    char *end;
    if (*rest != ' ' || !isdigit((unsigned char)rest[1]))
        return complain(parsed, "no value: %.40s", rest);
    sample->value = strtod(rest + 1, &end);
    if (*end != '\0')
        return complain(parsed, "more than a value: %.40s", rest);
    if (!check_sample(parsed, sample))
        return false;
    parsed->sample_count++;
    family->samples++;
    return true;
}

static inline bool parse_help(struct parsed *parsed, const char *rest)
{
    size_t length = name_length(rest, false);
    if (length == 0 || rest[length] != ' ' || rest[length + 1] == '\0')
        return complain(parsed, "HELP without a name or a text");
    if (parsed->family_count == FAMILIES_MAX)
        return complain(parsed, "more than %d metrics", FAMILIES_MAX);
    if (parsed->family_count > 0 && parsed->families[parsed->family_count - 1].type[0] == '\0')
        return complain(parsed, "a metric without a TYPE");
    if (!is_whole(parsed))
        return complain(parsed, "a histogram that is not whole");
    struct parsed_family *family = &parsed->families[parsed->family_count];
    *family = (struct parsed_family){0};
    snprintf(family->name, sizeof family->name, "%.*s", (int)length, rest);
    for (size_t i = 0; i < parsed->family_count; i++)
        if (strcmp(parsed->families[i].name, family->name) == 0)
            return complain(parsed, "a second HELP");
    parsed->family_count++;
    return true;
}

static inline bool parse_type(struct parsed *parsed, const char *rest)
{
    if (parsed->family_count == 0)
        return complain(parsed, "a TYPE without a HELP");
    struct parsed_family *family = &parsed->families[parsed->family_count - 1];
    size_t length = strlen(family->name);
    if (strncmp(rest, family->name, length) != 0 || rest[length] != ' ' || family->type[0] != '\0')
        return complain(parsed, "a TYPE that does not follow its HELP");
    const char *type = rest + length + 1;
    if (strcmp(type, "gauge") != 0 && strcmp(type, "counter") != 0 &&
        strcmp(type, "histogram") != 0)
        return complain(parsed, "an unknown type");
    snprintf(family->type, sizeof family->type, "%s", type);
    bool total = length > 6 && strcmp(family->name + length - 6, "_total") == 0;
    return total == (strcmp(type, "counter") == 0) ||
           complain(parsed, "counters are named _total, and nothing else is");
}

/* Reads a whole text. Returns whether it is right; parsed->complaint says what is not. */
static inline bool parse_exposition(struct parsed *parsed, const char *text, size_t length)
{
    char line[4096];
    *parsed = (struct parsed){0};
    if (length == 0 || text[length - 1] != '\n')
        return complain(parsed, "the last line is not ended");
    for (const char *end = text + length, *next; text < end; text = next + 1) {
        next = memchr(text, '\n', (size_t)(end - text));
        snprintf(line, sizeof line, "%.*s", (int)(next - text), text);
        bool whole = strlen(line) == (size_t)(next - text); /* no zero byte, and not too long */
        bool right = whole && (strncmp(line, "# HELP ", 7) == 0   ? parse_help(parsed, line + 7)
                               : strncmp(line, "# TYPE ", 7) == 0 ? parse_type(parsed, line + 7)
                                                                  : parse_sample(parsed, line));
        if (right)
            continue;
        char why[sizeof parsed->complaint];
        memcpy(why, parsed->complaint, sizeof why);
        return complain(parsed, "%.200s: %.800s", why, line);
    }
    return is_whole(parsed) || complain(parsed, "a histogram that is not whole");
}

/* Reads a text that must be right. */
static inline struct parsed parse_right(const char *text, size_t length)
{
    struct parsed parsed;
    ck_assert_msg(parse_exposition(&parsed, text, length), "%s", parsed.complaint);
    return parsed;
}

/*
 * The value of the only sample of this name whose labels are these, as "route=/echo,code=1000";
 * -1: there is none.
 */
static inline double value_of(const struct parsed *parsed, const char *name, const char *labels)
{
    for (size_t i = 0; i < parsed->sample_count; i++) {
        const struct parsed_sample *sample = &parsed->samples[i];
        char have[LABELS_MAX * (NAME_MAX_ + VALUE_MAX)] = "";
        for (size_t k = 0; k < sample->label_count; k++)
            snprintf(have + strlen(have), sizeof have - strlen(have), "%s%s=%s", k > 0 ? "," : "",
                     sample->labels[k].name, sample->labels[k].value);
        if (strcmp(sample->name, name) == 0 && strcmp(have, labels) == 0)
            return sample->value;
    }
    return -1;
}

#endif
