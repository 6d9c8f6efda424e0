#include "config/entry.h"

#include <string.h>

#include "config/text.h"

void entry_doubled(const struct document *document, const struct entry *entry,
                   const struct entry *first, struct problems *problems)
{
    char shown[SHOWN_SIZE];
    const char *section = document->sections[entry->section].name;

    problems_add(problems, entry->origin, "%s: given twice in [%s], first on line %d", entry->name,
                 problems_show(section, strlen(section), shown), first->origin.line);
}

/* The default has passed no person's hands: wrong, it is the program's mistake. */
static int read_fallback(const struct option *option, const struct value_extra *extra,
                         struct buffer *text, struct option_value *value, struct problems *problems)
{
    char why[REASON_SIZE];

    buffer_clear(text);
    buffer_add(text, option->fallback, strlen(option->fallback));
    if (text->failed) {
        problems_no_memory(problems);
        return -1;
    }
    if (value_parse(option, extra, text->text, value, why, sizeof(why)) == 0)
        return 0;
    problems_add(problems, (struct origin){0}, "%s: the default %s is wrong: %s", option->name,
                 option->fallback, why);
    return -1;
}

int entry_read(const struct entry *entry, const struct option *option,
               const struct value_extra *extra, struct buffer *text, struct option_value *value,
               struct problems *problems)
{
    char why[REASON_SIZE];
    char allowed[REASON_SIZE];
    char shown[SHOWN_SIZE];

    if (!entry)
        return read_fallback(option, extra, text, value, problems);
    if (text_decode(entry->value.text, text, why, sizeof(why)) < 0) {
        if (why[0])
            problems_add(problems, entry->origin, "%s = %s: %s", entry->name,
                         problems_show(entry->value.text, entry->value.length, shown), why);
        else
            problems_no_memory(problems);
        return -1;
    }
    if (value_parse(option, extra, text->text, value, why, sizeof(why)) == 0)
        return 0;
    const char *separator = why[0] && why[strlen(why) - 1] == '?' ? "" : ";";
    problems_add(problems, entry->origin, "%s = %s: %s%s allowed: %s", entry->name,
                 problems_show(text->text, text->length, shown), why, separator,
                 value_allowed(option, extra, allowed, sizeof(allowed)));
    return -1;
}
