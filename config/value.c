#include "config/value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/address.h"
#include "config/names.h"
#include "config/problems.h"
#include "config/text.h"

#define PERCENT_MAX 100

struct unit {
    const char *name;
    int64_t times;
};

static const struct unit time_units[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"G", INT64_C(1) << 30}, {"M", INT64_C(1) << 20}, {"k", INT64_C(1) << 10}, {"", 1}, {NULL, 0}};

/* Reads the digits at *text and moves it behind them. Returns -1: none; INT64_MAX: too many. */
static int64_t parse_digits(const char **text)
{
    const char *begin = *text;
    int64_t number = 0;

    for (; **text >= '0' && **text <= '9'; (*text)++) {
        if (number > INT64_MAX / 10 - 1)
            number = INT64_MAX;
        else
            number = number * 10 + (**text - '0');
    }
    return *text > begin ? number : -1;
}

/* INT64_MAX, which no range allows, when the product does not fit. */
static int64_t times(int64_t number, int64_t by)
{
    return number > INT64_MAX / by ? INT64_MAX : number * by;
}

static int64_t parse_duration(const char *text, char *why, size_t size)
{
    const char *unit = text;
    int64_t number = parse_digits(&unit);

    if (number == 0 && *unit == '\0')
        return 0;
    if (number >= 0 && *unit == '\0') {
        snprintf(why, size, "%s what? write %ss", text, text);
        return -1;
    }
    for (const struct unit *known = time_units; number >= 0 && known->name; known++)
        if (strcmp(unit, known->name) == 0)
            return times(number, known->times);
    snprintf(why, size, "not a duration: write a whole number and ms, s, m or h, as in 1500ms");
    return -1;
}

static int64_t parse_size(const char *text, char *why, size_t size)
{
    const char *unit = text;
    int64_t number = parse_digits(&unit);

    for (const struct unit *known = size_units; number >= 0 && known->name; known++)
        if (strcasecmp(unit, known->name) == 0)
            return times(number, known->times);
    snprintf(why, size,
             "not a size: write a whole number of bytes, or one and k, M or G, as in "
             "64k");
    return -1;
}

static int64_t parse_count(const char *text, char *why, size_t size)
{
    const char *end = text;
    int64_t number = parse_digits(&end);

    if (number >= 0 && *end == '\0')
        return number;
    snprintf(why, size, "not a whole number");
    return -1;
}

static int parse_choice(const struct option *option, const char *text, struct option_value *value,
                        char *why, size_t size)
{
    char shown[SHOWN_SIZE];
    struct names names = {.read = problems_show(text, strlen(text), shown)};

    for (int64_t i = 0; option->choices[i]; i++) {
        names_offer(&names, option->choices[i]);
        if (strcmp(text, option->choices[i]) == 0) {
            value->number = i;
            return 0;
        }
    }
    if (names.nearest)
        snprintf(why, size, "did you mean %s?", names.nearest);
    else
        snprintf(why, size, "no such choice");
    return -1;
}

static int check_range(int64_t number, int64_t minimum, int64_t maximum, char *why, size_t size)
{
    if (number >= minimum && number <= maximum)
        return 0;
    snprintf(why, size, "too %s", number < minimum ? "small" : "large");
    return -1;
}

static int parse_number(const struct option *option, const struct value_extra *extra,
                        const char *text, struct option_value *value, char *why, size_t size)
{
    if (option->automatic && strcmp(text, "auto") == 0) {
        value->number = OPTION_AUTO;
        return 0;
    }
    int64_t number = option->type == OPTION_DURATION ? parse_duration(text, why, size)
                     : option->type == OPTION_SIZE   ? parse_size(text, why, size)
                                                     : parse_count(text, why, size);
    if (number < 0)
        return -1;
    value->number = number;
    if (number == 0 && extra && extra->zero)
        return 0;
    return check_range(number, option->minimum, option->maximum, why, size);
}

static int parse_tolerance(const struct option *option, const char *text,
                           struct option_value *value, char *why, size_t size)
{
    const char *end = text;

    value->number = parse_digits(&end);
    value->percent = strcmp(end, "%") == 0;
    if (*end == '.' || *end == ',') {
        snprintf(why, size, "decimals are not read: write a whole number, as in 5 or 1%%");
        return -1;
    }
    if (value->number < 0 || (*end && !value->percent)) {
        snprintf(why, size,
                 "neither a number nor a percentage: write a whole number, or one and %% right "
                 "behind it, as in 1%%");
        return -1;
    }
    return value->percent ? check_range(value->number, 0, PERCENT_MAX, why, size)
                          : check_range(value->number, option->minimum, option->maximum, why, size);
}

static int parse_text(const struct option *option, const char *text, struct option_value *value,
                      char *why, size_t size)
{
    int64_t length = (int64_t)strlen(text);

    value->number = length;
    value->text = text;
    if (length >= option->minimum && length <= option->maximum)
        return 0;
    if (length == 0)
        snprintf(why, size, "nothing is written behind the =");
    else
        snprintf(why, size, "%" PRId64 " bytes are too %s", length,
                 length < option->minimum ? "few" : "many");
    return -1;
}

static int parse(const struct option *option, const struct value_extra *extra, const char *text,
                 struct option_value *value, char *why, size_t size)
{
    if (option->type == OPTION_TEXT)
        return parse_text(option, text, value, why, size);
    if (*text == '\0') {
        snprintf(why, size, "nothing is written behind the =");
        return -1;
    }
    if (option->type == OPTION_CHOICE)
        return parse_choice(option, text, value, why, size);
    if (option->type == OPTION_TOLERANCE)
        return parse_tolerance(option, text, value, why, size);
    if (option->type != OPTION_ADDRESSES)
        return parse_number(option, extra, text, value, why, size);
    value->text = text;
    return addresses_parse(text, NULL, why, size) > 0 ? 0 : -1;
}

int value_parse(const struct option *option, const struct value_extra *extra, const char *text,
                struct option_value *value, char *why, size_t size)
{
    *value = (struct option_value){0};
    if (parse(option, extra, text, value, why, size) < 0)
        return -1;
    snprintf(why, size, "not possible");
    return !extra || !extra->check || extra->check(value, why, size) ? 0 : -1;
}

static const char *write_units(const struct unit *units, int64_t number, char text[VALUE_SIZE])
{
    while (units[1].name && (number == 0 || number % units->times != 0))
        units++;
    snprintf(text, VALUE_SIZE, "%" PRId64 "%s", number / units->times, number ? units->name : "");
    return text;
}

static const char *write_number(const struct option *option, int64_t number, char text[VALUE_SIZE])
{
    if (option->automatic && number == OPTION_AUTO) {
        snprintf(text, VALUE_SIZE, "auto");
        return text;
    }
    if (option->type == OPTION_DURATION)
        return write_units(time_units, number, text);
    if (option->type == OPTION_SIZE)
        return write_units(size_units, number, text);
    snprintf(text, VALUE_SIZE, "%" PRId64, number);
    return text;
}

const char *value_write(const struct option *option, const struct option_value *value,
                        char text[VALUE_SIZE])
{
    if (!value->percent)
        return write_number(option, value->number, text);
    snprintf(text, VALUE_SIZE, "%" PRId64 "%%", value->number);
    return text;
}

static void allow_choices(const struct option *option, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; option->choices[i] && used < size; i++) {
        const char *before = i == 0 ? "" : option->choices[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", before, option->choices[i]);
    }
}

const char *value_allowed(const struct option *option, const struct value_extra *extra, char *text,
                          size_t size)
{
    const char *zero = extra ? extra->zero : NULL;
    char low[VALUE_SIZE];
    char high[VALUE_SIZE];

    if (extra && extra->allowed) {
        snprintf(text, size, "%s", extra->allowed);
    } else if (option->type == OPTION_CHOICE) {
        allow_choices(option, text, size);
    } else if (option->type == OPTION_TEXT && option->minimum == 0) {
        snprintf(text, size, "at most %" PRId64 " bytes", option->maximum);
    } else if (option->type == OPTION_TEXT) {
        snprintf(text, size, "%" PRId64 " to %" PRId64 " bytes", option->minimum, option->maximum);
    } else if (option->type == OPTION_ADDRESSES) {
        snprintf(text, size, "%s", addresses_allowed);
    } else {
        const char *other = option->automatic                  ? ", or auto"
                            : option->type == OPTION_TOLERANCE ? ", or 0% to 100%"
                                                               : "";
        write_number(option, option->minimum, low);
        write_number(option, option->maximum, high);
        snprintf(text, size, "%s%s%s%s to %s%s", zero ? "0 (" : "", zero ? zero : "",
                 zero ? ") or " : "", low, high, other);
    }
    return text;
}

const char *value_type(const struct option *option)
{
    static const char *const types[] = {
        [OPTION_DURATION] = "duration", [OPTION_SIZE] = "size", [OPTION_COUNT] = "number",
        [OPTION_CHOICE] = "choice",     [OPTION_TEXT] = "text", [OPTION_ADDRESSES] = "addresses",
        [OPTION_TOLERANCE] = "number",
    };

    return types[option->type];
}
