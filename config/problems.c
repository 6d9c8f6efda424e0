#include "config/problems.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/buffer.h"
#include "config/memory.h"
#include "config/text.h"

/* Whoever reads has seen by then that it is not a configuration at all. */
#define LISTED_MAX 1000
#define SHOWN_MAX 60

static int problem_keep(struct problems *problems, struct origin origin, const char *text)
{
    if (problems->listed == problems->capacity) {
        size_t capacity = problems->capacity ? 2 * problems->capacity : 16;
        struct problem *list = memory_resize(problems->list, capacity * sizeof(*list));
        if (!list)
            return -1;
        problems->list = list;
        problems->capacity = capacity;
    }
    char *copy = buffer_copy(text, strlen(text));
    if (!copy)
        return -1;
    problems->list[problems->listed] = (struct problem){origin, problems->listed, copy};
    problems->listed++;
    return 0;
}

void problems_add(struct problems *problems, struct origin origin, const char *format, ...)
{
    char text[1536];
    va_list arguments;

    problems->found++;
    if (problems->listed == LISTED_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (problem_keep(problems, origin, text) < 0)
        problems_no_memory(problems);
}

void problems_no_memory(struct problems *problems)
{
    problems->no_memory = true;
}

/* Lines first, then what concerns the whole file, then the command line. */
static int problem_place(const struct problem *problem)
{
    if (problem->origin.setting)
        return 2;
    return problem->origin.line ? 0 : 1;
}

static int problem_compare(const void *left, const void *right)
{
    const struct problem *a = left;
    const struct problem *b = right;
    int order = problem_place(a) - problem_place(b);

    if (order == 0 && !a->origin.setting)
        order = a->origin.line - b->origin.line;
    if (order == 0)
        order = a->number < b->number ? -1 : a->number > b->number;
    return order;
}

/* Whether a terminal shows the byte, and does not obey it as some do control characters above
   ASCII too. `utf8`: the text is. */
static bool is_shown(const char *text, size_t at, bool utf8)
{
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[at] < 0x80)
        return bytes[at] >= ' ' && bytes[at] != 0x7F;
    if (bytes[at] == 0xC2)
        return utf8 && bytes[at + 1] >= 0xA0;
    return utf8 && (bytes[at] >= 0xA0 || bytes[at - 1] != 0xC2);
}

static void print_shown(const char *text, FILE *out)
{
    size_t length = strlen(text);
    bool utf8 = text_is_utf8(text, length);
    for (size_t i = 0; i < length; i++)
        fprintf(out, is_shown(text, i, utf8) ? "%c" : "\\x%02X", (uint8_t)text[i]);
}

static void print_origin(const struct problems *problems, struct origin origin, FILE *out)
{
    if (!origin.setting) {
        fprintf(out, "%s:", problems->file);
        if (origin.line)
            fprintf(out, "%d:", origin.line);
        return;
    }
    fputs("-s ", out);
    print_shown(origin.setting, out);
    fputc(':', out);
}

size_t problems_print(struct problems *problems, FILE *out)
{
    size_t found = problems->found;

    if (problems->listed)
        qsort(problems->list, problems->listed, sizeof(*problems->list), problem_compare);
    for (size_t i = 0; i < problems->listed; i++) {
        if (!problems->no_memory) { /* else some may be only what could not be kept */
            print_origin(problems, problems->list[i].origin, out);
            fputc(' ', out);
            print_shown(problems->list[i].text, out);
            fputc('\n', out);
        }
        free(problems->list[i].text);
    }
    if (problems->no_memory) {
        fprintf(out, "%s: out of memory\n", problems->file);
        found++;
    } else if (problems->found > problems->listed) {
        fprintf(out, "%s: and %zu more mistakes\n", problems->file,
                problems->found - problems->listed);
    }
    free(problems->list);
    *problems = (struct problems){.file = problems->file};
    return found;
}

const char *problems_show(const char *text, size_t length, char shown[SHOWN_SIZE])
{
    size_t cut = length > SHOWN_MAX ? SHOWN_MAX : length;
    while (cut < length && cut > 0 && ((uint8_t)text[cut] & 0xC0) == 0x80)
        cut--; /* not in the middle of a character */
    bool utf8 = text_is_utf8(text, cut);
    size_t used = 0;

    for (size_t i = 0; i < cut; i++)
        used += (size_t)snprintf(shown + used, SHOWN_SIZE - used,
                                 is_shown(text, i, utf8) ? "%c" : "\\x%02X", (uint8_t)text[i]);
    snprintf(shown + used, SHOWN_SIZE - used, "%s", cut < length ? "..." : "");
    return shown;
}
