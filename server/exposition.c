#include "server/exposition.h"

#include <string.h>
#include <sys/mman.h>

#include "server/frame.h"

enum {
    SIZE_LEAST = 16384,
    DIGITS = 20,       /* of the largest number */
    ESCAPED_MOST = 3,  /* bytes that one byte of a label's value can become */
    CHARACTER_MOST = 4 /* bytes of a character in UTF-8 */
};

static const char *const type_names[] = {
    [EXPOSITION_GAUGE] = "gauge",
    [EXPOSITION_COUNTER] = "counter",
    [EXPOSITION_HISTOGRAM] = "histogram",
};

/* --- memory --- */

static char *allocate(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int exposition_init(struct exposition *exposition, size_t expected)
{
    *exposition = (struct exposition){.size = expected < SIZE_LEAST ? SIZE_LEAST : expected};
    exposition->text = allocate(exposition->size);
    exposition->failed = exposition->text == NULL;
    return exposition->failed ? -1 : 0;
}

void exposition_free(struct exposition *exposition)
{
    if (exposition->text != NULL)
        munmap(exposition->text, exposition->size);
    exposition->text = NULL;
}

bool exposition_complete(const struct exposition *exposition)
{
    return !exposition->failed;
}

/* Makes room for so many bytes more. */
static bool grow(struct exposition *exposition, size_t length)
{
    size_t size = exposition->size;
    while (!exposition->failed && size - exposition->length < length) {
        exposition->failed = size > SIZE_MAX / 2;
        size *= 2;
    }
    char *text = exposition->failed ? NULL : allocate(size);
    exposition->failed = text == NULL;
    if (exposition->failed)
        return false;
    memcpy(text, exposition->text, exposition->length);
    munmap(exposition->text, exposition->size);
    exposition->text = text;
    exposition->size = size;
    return true;
}

static inline bool has_room(struct exposition *exposition, size_t length)
{
    return !exposition->failed &&
           (exposition->size - exposition->length >= length || grow(exposition, length));
}

/* --- pieces --- */

static inline void put(struct exposition *exposition, const char *data, size_t length)
{
    if (!has_room(exposition, length))
        return;
    memcpy(exposition->text + exposition->length, data, length);
    exposition->length += length;
}

static inline void put_text(struct exposition *exposition, const char *text)
{
    put(exposition, text, strlen(text));
}

/* Writes a number that ends before `end`; returns where it begins. */
static char *write_digits(char *end, uint64_t value)
{
    do
        *--end = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return end;
}

static void put_number(struct exposition *exposition, uint64_t value)
{
    char digits[DIGITS];
    const char *begin = write_digits(digits + sizeof digits, value);
    put(exposition, begin, (size_t)(digits + sizeof digits - begin));
}

/* In its shortest form: 0.0025, 1, 86400. */
static void put_seconds(struct exposition *exposition, uint64_t microseconds)
{
    char fraction[DIGITS];
    char *end = fraction + sizeof fraction;
    put_number(exposition, microseconds / 1000000);
    if (microseconds % 1000000 == 0)
        return;
    char *begin = write_digits(end, 1000000 + microseconds % 1000000); /* the 1 keeps zeros */
    *begin = '.';
    while (end[-1] == '0')
        end--;
    put(exposition, begin, (size_t)(end - begin));
}

/* --- label values --- */

/* The size of the character at `text`; 0: these bytes are not UTF-8. */
static size_t character_size(const char *text)
{
    struct utf8 utf8 = {0};
    for (size_t i = 0; i < CHARACTER_MOST && text[i] != '\0' && utf8_feed(&utf8, text + i, 1); i++)
        if (utf8_done(&utf8))
            return i + 1;
    return 0;
}

static bool is_plain(char letter)
{
    return (unsigned char)letter < 0x80 && letter != '\\' && letter != '"' && letter != '\n';
}

/* Writes what stands for the byte or the character at *from, and steps over it. */
static char *write_escaped(char *out, const char **from)
{
    static const char digits[] = "0123456789ABCDEF";
    const unsigned char byte = (unsigned char)**from;
    size_t size = byte < 0x80 ? 0 : character_size(*from);
    if (size > 0) {
        memcpy(out, *from, size);
        *from += size;
        return out + size;
    }
    (*from)++;
    *out++ = byte < 0x80 ? '\\' : '%';
    if (byte < 0x80) {
        *out++ = byte == '\n' ? 'n' : (char)byte;
    } else {
        *out++ = digits[byte >> 4];
        *out++ = digits[byte & 0xF];
    }
    return out;
}

static void put_escaped(struct exposition *exposition, const char *value)
{
    size_t most = strlen(value) * ESCAPED_MOST;
    if (!has_room(exposition, most))
        return;
    char *out = exposition->text + exposition->length;
    while (*value != '\0') {
        if (is_plain(*value))
            *out++ = *value++;
        else
            out = write_escaped(out, &value);
    }
    exposition->length = (size_t)(out - exposition->text);
}

/* --- lines --- */

void exposition_metric(struct exposition *exposition, const char *name, enum exposition_type type,
                       const char *help)
{
    exposition->name = name;
    exposition->name_length = strlen(name);
    put_text(exposition, "# HELP ");
    put_text(exposition, name);
    put_text(exposition, " ");
    put_text(exposition, help);
    put_text(exposition, "\n# TYPE ");
    put_text(exposition, name);
    put_text(exposition, " ");
    put_text(exposition, type_names[type]);
    put_text(exposition, "\n");
}

void exposition_sample(struct exposition *exposition, const char *suffix)
{
    exposition->labelled = false;
    put(exposition, exposition->name, exposition->name_length);
    put_text(exposition, suffix);
}

static void begin_label(struct exposition *exposition, const char *name)
{
    put(exposition, exposition->labelled ? "," : "{", 1);
    put_text(exposition, name);
    put(exposition, "=\"", 2);
    exposition->labelled = true;
}

void exposition_label(struct exposition *exposition, const char *name, const char *value)
{
    begin_label(exposition, name);
    put_escaped(exposition, value);
    put(exposition, "\"", 1);
}

void exposition_label_number(struct exposition *exposition, const char *name, uint64_t value)
{
    begin_label(exposition, name);
    put_number(exposition, value);
    put(exposition, "\"", 1);
}

void exposition_label_seconds(struct exposition *exposition, const char *name,
                              uint64_t microseconds)
{
    begin_label(exposition, name);
    put_seconds(exposition, microseconds);
    put(exposition, "\"", 1);
}

static void end_labels(struct exposition *exposition)
{
    if (exposition->labelled)
        put(exposition, "} ", 2);
    else
        put(exposition, " ", 1);
}

void exposition_number(struct exposition *exposition, uint64_t value)
{
    end_labels(exposition);
    put_number(exposition, value);
    put(exposition, "\n", 1);
}

void exposition_seconds(struct exposition *exposition, uint64_t microseconds)
{
    end_labels(exposition);
    put_seconds(exposition, microseconds);
    put(exposition, "\n", 1);
}
