#include "config/options.h"

#include <stdlib.h>
#include <string.h>

#include "config/entry.h"
#include "config/memory.h"
#include "config/value.h"

size_t options_count(const struct option *options)
{
    size_t count = 0;

    while (options && options[count].name)
        count++;
    return count;
}

/* Reads one. Its text is appended to `texts`, and its place there kept as the number. */
static int read_one(const struct option *option, const struct entry *entry, struct buffer *texts,
                    struct option_value *value, struct problems *problems)
{
    struct buffer text = {0};
    int result = entry_read(entry, option, NULL, &text, value, problems);

    if (result == 0 && value->text) {
        value->number = (int64_t)texts->length;
        buffer_add(texts, value->text, strlen(value->text) + 1);
        value->text = "";
    }
    buffer_free(&text);
    return result;
}

/* Puts the texts behind the values, into the same block. Returns NULL when memory ran out. */
static struct option_value *pack(struct option_value *values, size_t count,
                                 const struct buffer *texts)
{
    size_t size = count * sizeof(*values);
    struct option_value *packed =
        texts->failed ? NULL : memory_resize(values, size + texts->length);

    if (!packed)
        return NULL;
    if (texts->length)
        memcpy((char *)packed + size, texts->text, texts->length);
    for (size_t i = 0; i < count; i++) {
        if (!packed[i].text)
            continue;
        packed[i].text = (char *)packed + size + packed[i].number;
        packed[i].number = 0;
    }
    return packed;
}

static int read_all(const struct option_group *group, const struct document *document,
                    size_t section, const char *shown, struct option_value *values,
                    struct buffer *texts, struct problems *problems)
{
    char allowed[REASON_SIZE];
    int result = 0;

    for (size_t i = 0; i < options_count(group->options); i++) {
        const struct option *option = &group->options[i];
        const struct entry *entry = document_find(document, section, option->name);
        if (!entry && !option->fallback) {
            problems_add(problems, document->sections[section].origin,
                         "[%s]: the handler %s needs the key %s; allowed: %s", shown, group->name,
                         option->name, value_allowed(option, NULL, allowed, sizeof(allowed)));
            result = -1;
        } else if (read_one(option, entry, texts, &values[i], problems) < 0) {
            result = -1;
        }
    }
    return result;
}

int options_read(const struct option_group *group, const struct document *document, size_t section,
                 const char *shown, struct option_value **values, struct problems *problems)
{
    size_t count = options_count(group->options);
    struct buffer texts = {0};

    *values = NULL;
    if (count == 0)
        return 0;
    struct option_value *read = memory_resize(NULL, count * sizeof(*read));
    int result = read ? read_all(group, document, section, shown, read, &texts, problems) : -1;
    if (result == 0)
        *values = pack(read, count, &texts);
    if (!read || texts.failed || (result == 0 && !*values))
        problems_no_memory(problems);
    if (!*values)
        free(read);
    buffer_free(&texts);
    return *values ? 0 : -1;
}
