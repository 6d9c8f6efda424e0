#include "server/date.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { SHORT = 3, FIRST_YEAR = 1900 };

/*
 * The three forms, a letter for each thing to read; all else stands for itself. D: the day's whole
 * name, d: its first three letters, n: day of the month, N: the same with a blank for a zero, m:
 * the month's name, y: year, Y: its last two digits, t: hours, minutes and seconds.
 */
static const char *const forms[] = {"d, n m y t GMT", "D, n-m-Y t GMT", "d m N t y"};

int date_write(int64_t seconds, char text[DATE_SIZE])
{
    struct tm parts;
    time_t time = (time_t)seconds;
    if (gmtime_r(&time, &parts) == NULL || parts.tm_year < -FIRST_YEAR ||
        parts.tm_year > 9999 - FIRST_YEAR)
        return -1;
    /* The remainders change nothing; they tell the compiler how wide each number is. */
    snprintf(text, DATE_SIZE, "%.3s, %02u %s %04u %02u:%02u:%02u GMT", days[parts.tm_wday],
             (unsigned)parts.tm_mday % 100, months[parts.tm_mon],
             (unsigned)(parts.tm_year + FIRST_YEAR) % 10000, (unsigned)parts.tm_hour % 100,
             (unsigned)parts.tm_min % 100, (unsigned)parts.tm_sec % 100);
    return 0;
}

/* Each reader below returns what stands behind what it has read, or NULL. */

static const char *read_digits(const char *text, size_t count, int *number)
{
    *number = 0;
    for (size_t i = 0; i < count; i++, text++) {
        if (*text < '0' || *text > '9')
            return NULL;
        *number = *number * 10 + (*text - '0');
    }
    return text;
}

static const char *read_name(const char *text, const char *const *names, size_t count, bool whole,
                             int *which)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = whole ? strlen(names[i]) : SHORT;
        *which = (int)i;
        if (strncmp(text, names[i], length) == 0)
            return text + length;
    }
    return NULL;
}

static const char *read_time(const char *text, struct tm *parts)
{
    text = read_digits(text, 2, &parts->tm_hour);
    if (text == NULL || *text != ':')
        return NULL;
    text = read_digits(text + 1, 2, &parts->tm_min);
    if (text == NULL || *text != ':')
        return NULL;
    return read_digits(text + 1, 2, &parts->tm_sec);
}

/* The letters of GMT stand for themselves: none of them is a part's. */
static const char *read_part(char part, const char *text, struct tm *parts)
{
    int ignored;
    switch (part) {
    case 'D':
    case 'd':
        return read_name(text, days, sizeof days / sizeof *days, part == 'D', &ignored);
    case 'm':
        return read_name(text, months, sizeof months / sizeof *months, false, &parts->tm_mon);
    case 'N':
        return *text == ' ' ? read_digits(text + 1, 1, &parts->tm_mday)
                            : read_digits(text, 2, &parts->tm_mday);
    case 'n':
        return read_digits(text, 2, &parts->tm_mday);
    case 'y':
        return read_digits(text, 4, &parts->tm_year);
    case 'Y':
        return read_digits(text, 2, &parts->tm_year);
    case 't':
        return read_time(text, parts);
    default:
        return *text == part ? text + 1 : NULL;
    }
}

/* The year that ends with these two digits, at most 50 years ahead. */
static int whole_year(int digits, int64_t now)
{
    struct tm today;
    time_t time = (time_t)now;
    if (gmtime_r(&time, &today) == NULL)
        return digits + FIRST_YEAR;
    int this_year = today.tm_year + FIRST_YEAR;
    int year = this_year - this_year % 100 + 100 + digits;
    while (year > this_year + 50)
        year -= 100;
    return year;
}

static bool has_form(const char *text, const char *form, int64_t now, struct tm *parts)
{
    bool short_year = strchr(form, 'Y') != NULL;
    for (; *form != '\0' && text != NULL; form++)
        text = read_part(*form, text, parts);
    if (text == NULL || *text != '\0')
        return false;
    parts->tm_year = (short_year ? whole_year(parts->tm_year, now) : parts->tm_year) - FIRST_YEAR;
    return true;
}

int date_parse(const char *text, int64_t now, int64_t *seconds)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm parts = {0};
        if (!has_form(text, forms[i], now, &parts))
            continue;
        if (parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
            return -1;
        int day = parts.tm_mday;
        int second = parts.tm_sec; /* 60 is a leap second, and may be on the next day */
        parts.tm_sec = 0;
        *seconds = timegm(&parts) + second;
        return parts.tm_mday == day ? 0 : -1; /* the 31st of a shorter month has moved on */
    }
    return -1;
}
