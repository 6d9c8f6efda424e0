#include "config/reader.h"

#include <ini.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "config/text.h"

/* inih's INI_MAX_LINE of 200, less a newline and the zero. */
#define LINE_MAX_LENGTH 198

/*
 * Stands for a semicolon that is text while a line passes through inih, which would take one
 * behind a blank for a comment. A control character: no line that reaches inih holds another.
 */
#define MASKED_SEMICOLON '\x01'

/* What a line that begins with a blank continues. */
enum reader_before { BEFORE_NOTHING, BEFORE_VALUE, BEFORE_REFUSED };

struct reader {
    const char *next;
    const char *end;
    int line;
    enum reader_before before;
    bool in_section;
    bool skipping;  /* the section's head was refused: its keys have no place to go */
    bool continues; /* the line that inih has now continues a value */
    struct document *document;
    struct problems *problems;
};

/* Part of a line, without the blanks around it. */
struct part {
    const char *text;
    size_t length;
};

static struct part trim(const char *text, size_t length)
{
    while (length && (text_is_blank(text[length - 1]) || text[length - 1] == '\r'))
        length--;
    while (length && text_is_blank(*text)) {
        text++;
        length--;
    }
    return (struct part){text, length};
}

static void mask(char *line)
{
    for (char *byte = line; *byte; byte++)
        if (*byte == ';')
            *byte = MASKED_SEMICOLON;
}

static bool is_comment(struct part part)
{
    return part.length == 0 || *part.text == ';' || *part.text == '#';
}

/* Reports the present line; what continues it is passed over with it. */
__attribute__((format(printf, 2, 3))) static void refuse(struct reader *reader, const char *format,
                                                         ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    problems_add(reader->problems, (struct origin){.line = reader->line}, "%s", text);
    reader->document->refused = true;
    reader->before = BEFORE_REFUSED;
}

/* The length of the name that begins the part. */
static size_t name_length(struct part part)
{
    size_t length = 0;

    while (length < part.length && (text_is_name(part.text[length]) || part.text[length] == '-'))
        length++;
    return length;
}

/* Where a comment, or else the end, is behind a value; -1 when the line is refused. */
static ptrdiff_t value_end(struct reader *reader, struct part part)
{
    const char *quote = NULL;

    for (size_t i = 0; i < part.length; i++) {
        bool comment = !quote && i > 0 && text_is_blank(part.text[i - 1]);
        if (part.text[i] == '"')
            quote = quote ? NULL : part.text + i;
        else if (comment && part.text[i] == ';')
            return (ptrdiff_t)i;
        else if (comment && part.text[i] == '#') {
            refuse(reader,
                   "a # behind a blank: a comment behind a value begins with ;, and a "
                   "value that holds # is put in quotes: \"one # two\"");
            return -1;
        }
    }
    if (!quote)
        return (ptrdiff_t)part.length;
    refuse(reader,
           "a quote is not closed on this line: write \"...\" around the value and \"\" "
           "for a quote within it");
    return -1;
}

/* Hands the name, the separator and the value to inih. */
static void hand_over(struct reader *reader, struct part name, char separator, struct part value,
                      char *line, size_t size)
{
    size_t length = name.length + 1 + value.length;

    if (length > LINE_MAX_LENGTH || length + 1 > size) {
        refuse(reader,
               "%zu bytes on a line, at most %d are read: continue the value on the next "
               "line, which then begins with a blank",
               length, LINE_MAX_LENGTH);
        return;
    }
    memcpy(line, name.text, name.length);
    line[name.length] = separator;
    memcpy(line + name.length + 1, value.text, value.length);
    line[length] = '\0';
    mask(line);
    reader->before = BEFORE_VALUE;
}

static void read_continuation(struct reader *reader, struct part part, char *line, size_t size)
{
    size_t name = name_length(part);
    struct part rest = trim(part.text + name, part.length - name);
    const char *bracket = memchr(part.text, ']', part.length);

    if (reader->before == BEFORE_REFUSED)
        return;
    if (reader->before == BEFORE_NOTHING) {
        refuse(reader,
               "a line that begins with a blank continues the value before it, and here "
               "is none: begin in the first column");
    } else if (*part.text == '[' && bracket &&
               is_comment(trim(bracket + 1, (size_t)(part.text + part.length - bracket - 1)))) {
        refuse(reader,
               "a line that begins with a blank continues the value before it: begin a "
               "section in the first column");
    } else if (name && rest.length && *rest.text == '=') {
        refuse(reader,
               "a line that begins with a blank continues the value before it: begin a "
               "key in the first column, or put the text in quotes");
    } else {
        ptrdiff_t end = value_end(reader, part);
        if (end < 0)
            return;
        reader->continues = true;
        hand_over(reader, (struct part){"", 0}, ' ', trim(part.text, (size_t)end), line, size);
    }
}

static void refuse_section(struct reader *reader, const char *why)
{
    refuse(reader, "%s", why);
    reader->in_section = true;
    reader->skipping = true;
}

static void read_section(struct reader *reader, struct part part, char *line, size_t size)
{
    const char *bracket = memchr(part.text, ']', part.length);
    struct origin origin = {.line = reader->line};
    char why[160];

    if (!bracket) {
        refuse_section(reader, "a section is written [NAME]: the ] is missing");
        return;
    }
    struct part name = trim(part.text + 1, (size_t)(bracket - part.text - 1));
    struct part rest = trim(bracket + 1, (size_t)(part.text + part.length - bracket - 1));
    if (!is_comment(rest)) {
        refuse_section(reader,
                       "text behind the ] of a section: keys go on lines of their own, "
                       "and a path that holds ] into a path key under [route NAME]");
    } else if (name.length == 0) {
        refuse_section(reader, "[] names no section");
    } else if (name.length > NAME_MAX_LENGTH) {
        snprintf(why, sizeof(why),
                 "a section's name has at most %d bytes, this one has %zu: for a "
                 "long path write [route NAME] and below it path = PATH",
                 NAME_MAX_LENGTH, name.length);
        refuse_section(reader, why);
    } else if (document_add_section(reader->document, name.text, name.length, origin) < 0) {
        problems_no_memory(reader->problems);
        reader->skipping = true;
    } else {
        /* Longer it is only by blanks around the name, which mean nothing. */
        snprintf(line, size, "[%.*s]", (int)name.length, name.text);
        mask(line);
        reader->in_section = true;
        reader->skipping = false;
        reader->before = BEFORE_NOTHING;
    }
}

static void read_pair(struct reader *reader, struct part part, char *line, size_t size)
{
    char shown[SHOWN_SIZE];
    size_t length = name_length(part);
    struct part name = {part.text, length};
    struct part rest = trim(part.text + length, part.length - length);
    bool pair = length && rest.length && (*rest.text == '=' || *rest.text == ':');

    reader->before = BEFORE_REFUSED;
    if (reader->skipping)
        return;
    if (!pair) {
        refuse(reader, "%s: neither [SECTION] nor KEY = VALUE; a comment begins with ;",
               problems_show(part.text, part.length, shown));
    } else if (length > NAME_MAX_LENGTH) {
        refuse(reader, "%s: a key has at most %d letters", problems_show(part.text, length, shown),
               NAME_MAX_LENGTH);
    } else if (!reader->in_section) {
        refuse(reader, "%s: stands in no section; write for example [server] above it",
               problems_show(part.text, length, shown));
    } else {
        struct part value = {rest.text + 1, rest.length - 1};
        ptrdiff_t end = value_end(reader, value);
        if (end < 0)
            return;
        hand_over(reader, name, '=', trim(value.text, (size_t)end), line, size);
    }
}

static void read_line(struct reader *reader, const char *text, size_t length, char *line,
                      size_t size)
{
    struct part part = trim(text, length);

    reader->continues = false;
    if (is_comment(part))
        return;
    for (size_t i = 0; i < part.length; i++) {
        if (text_is_control(part.text[i])) {
            refuse(reader, "a control character (%d) in column %zu: is it a text file?",
                   (uint8_t)part.text[i], (size_t)(part.text - text) + i + 1);
            return;
        }
    }
    if (part.text > text)
        read_continuation(reader, part, line, size);
    else if (*part.text == '[')
        read_section(reader, part, line, size);
    else
        read_pair(reader, part, line, size);
}

/* inih's reader: gives the next line, empty for one that is not to be parsed. */
static char *give_line(char *line, int size, void *stream)
{
    struct reader *reader = stream;

    if (reader->next == reader->end)
        return NULL;
    const char *begin = reader->next;
    const char *newline = memchr(begin, '\n', (size_t)(reader->end - begin));
    const char *end = newline ? newline : reader->end;
    reader->next = newline ? newline + 1 : reader->end;
    reader->line++;
    line[0] = '\0';
    read_line(reader, begin, (size_t)(end - begin), line, (size_t)size);
    return line;
}

/* inih's handler. The section is the one that read_section saw last, so the name is not needed. */
static int take_value(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    struct document *document = reader->document;
    char unmasked[LINE_MAX_LENGTH + 1];
    int result = 0;

    (void)section;
    snprintf(unmasked, sizeof(unmasked), "%s", value);
    for (char *byte = unmasked; *byte; byte++)
        if (*byte == MASKED_SEMICOLON)
            *byte = ';';
    if (reader->continues && document->entry_count) {
        struct buffer *whole = &document->entries[document->entry_count - 1].value;
        buffer_add(whole, " ", 1);
        buffer_add(whole, unmasked, strlen(unmasked));
        result = whole->failed ? -1 : 0;
    } else if (!reader->continues && document->section_count) {
        result = document_add_entry(document, document->section_count - 1, name, unmasked,
                                    (struct origin){.line = reader->line});
    }
    if (result < 0)
        problems_no_memory(reader->problems);
    return 1;
}

void reader_read(const char *text, size_t length, struct document *document,
                 struct problems *problems)
{
    struct reader reader = {.document = document, .problems = problems};
    const char *nul = memchr(text, '\0', length);

    if (nul) {
        struct origin origin = {.line = 1};
        for (const char *byte = text; byte < nul; byte++)
            origin.line += *byte == '\n';
        document->refused = true;
        problems_add(problems, origin, "a NUL byte: this is no text file");
        return;
    }
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3; /* the byte order mark of some editors */
        length -= 3;
    }
    reader.next = text;
    reader.end = text + length;
    /* What inih could complain about has been refused and kept from it. */
    if (ini_parse_stream(give_line, &reader, take_value, &reader) != 0)
        problems_add(problems, (struct origin){.line = reader.line}, "inih cannot read this");
}
