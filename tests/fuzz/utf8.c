/*
 * The UTF-8 check: fed whole, byte by byte or in two pieces cut anywhere, it says of each prefix
 * what the table of RFC 3629 says. Input: the bytes.
 */
#include "config/text.h"
#include "server/frame.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/model.h"

enum {
    CUTS_MAX = 64,   /* bytes of which every place is tried */
    LENGTH_MAX = 200 /* more prove nothing more, and take long */
};

/* A copy of just that size. */
static bool feed(struct utf8 *utf8, const uint8_t *bytes, size_t length)
{
    struct input input = {bytes, length};
    uint8_t *copy = take_bytes(&input, &length);
    bool good = utf8_feed(utf8, copy, length);
    free(copy);
    return good;
}

static void must_say(const struct utf8 *utf8, bool good, const uint8_t *bytes, size_t length)
{
    struct utf8_verdict verdict = utf8_judge(bytes, length);
    MUST(good == (verdict.right == length));
    MUST(utf8_done(utf8) == (good && verdict.whole));
}

static void try_cut(const uint8_t *bytes, size_t length, size_t cut)
{
    struct utf8 utf8 = {0};
    bool good = feed(&utf8, bytes, cut);
    must_say(&utf8, good, bytes, cut);
    bool still = feed(&utf8, bytes + cut, length - cut);
    MUST(good || !still); /* false is final */
    must_say(&utf8, still, bytes, length);
    MUST(utf8_feed(&utf8, NULL, 0) == still);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size = size < LENGTH_MAX ? size : LENGTH_MAX;
    struct utf8_verdict verdict = utf8_judge(data, size);
    struct utf8 bytewise = {0};
    for (size_t i = 0; i < size; i++)
        MUST(feed(&bytewise, data + i, 1) == (i < verdict.right));
    MUST(utf8_done(&bytewise) == (verdict.right == size && verdict.whole));

    try_cut(data, size, 0);
    try_cut(data, size, size / 2);
    for (size_t cut = 0; cut <= size && size <= CUTS_MAX; cut++)
        try_cut(data, size, cut);

    struct input input = {data, size};
    char *text = take_text(&input, '\0');
    size_t length = strlen(text);
    MUST(text_is_utf8(text, length) == utf8_is_text((const uint8_t *)text, length));
    free(text);
    return 0;
}
