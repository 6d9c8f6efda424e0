#include "server/frame.h"

#include <check.h>
#include <string.h>

enum { LAST_CODE_POINT = 0x10FFFF };

/* RFC 3629, section 3, the other way round: writes a code point, and knows nothing of checks. */
static size_t encode(uint32_t point, uint8_t bytes[4])
{
    size_t size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t marks[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = size - 1; i > 0; i--, point >>= 6)
        bytes[i] = (uint8_t)(0x80 | (point & 0x3F));
    bytes[0] = (uint8_t)(marks[size] | point);
    return size;
}

static bool is_surrogate(uint32_t point)
{
    return point >= 0xD800 && point <= 0xDFFF;
}

START_TEST(every_code_point_is_right_and_done_at_its_last_byte_only)
{
    for (uint32_t point = 0; point <= LAST_CODE_POINT; point++) {
        if (is_surrogate(point))
            continue;
        struct utf8 utf8 = {0};
        uint8_t bytes[4];
        size_t size = encode(point, bytes);
        for (size_t i = 0; i < size; i++)
            if (!utf8_feed(&utf8, &bytes[i], 1) || utf8_done(&utf8) != (i + 1 == size))
                ck_abort_msg("U+%04X, byte %zu", point, i);
    }
}
END_TEST

START_TEST(every_code_point_is_right_in_the_middle_of_a_longer_text)
{
    for (uint32_t point = 0; point <= LAST_CODE_POINT; point++) {
        if (is_surrogate(point))
            continue;
        struct utf8 utf8 = {0};
        uint8_t text[24];
        memset(text, 'a', sizeof text);
        encode(point, text + point % 20);
        if (!utf8_feed(&utf8, text, sizeof text) || !utf8_done(&utf8))
            ck_abort_msg("U+%04X", point);
    }
}
END_TEST

/* After `length` bytes that begin a character, exactly the `right` bytes may come. */
static void assert_next(const uint8_t *bytes, size_t length, const bool right[256])
{
    struct utf8 begun = {0};
    if (!utf8_feed(&begun, bytes, length))
        ck_abort_msg("the %zu bytes from %02x", length, bytes[0]);
    for (unsigned next = 0; next <= 0xFF; next++) {
        struct utf8 utf8 = begun;
        uint8_t byte = (uint8_t)next;
        if (utf8_feed(&utf8, &byte, 1) != right[next])
            ck_abort_msg("%02x behind the %zu bytes from %02x", next, length, bytes[0]);
    }
}

/*
 * The bytes that may follow a beginning are those that follow it in some code point; in order of
 * code points all with the same beginning stand together. This proves the check whole: overlong
 * forms, surrogates and what lies above U+10FFFF are in no code point.
 */
START_TEST(text_fails_at_the_first_byte_that_no_code_point_has_there)
{
    for (size_t length = 0; length <= 3; length++) {
        bool right[256] = {false};
        uint8_t begun[4] = {0};
        bool any = false;
        for (uint32_t point = 0; point <= LAST_CODE_POINT; point++) {
            uint8_t bytes[4];
            if (is_surrogate(point) || encode(point, bytes) <= length)
                continue;
            if (any && memcmp(begun, bytes, length) != 0) {
                assert_next(begun, length, right);
                memset(right, 0, sizeof right);
            }
            memcpy(begun, bytes, length);
            right[bytes[length]] = true;
            any = true;
        }
        assert_next(begun, length, right);
    }
}
END_TEST

static bool feed_bytewise(struct utf8 *utf8, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!utf8_feed(utf8, &bytes[i], 1))
            return false;
    return true;
}

START_TEST(four_bytes_of_any_kind_are_judged_alike_whole_and_bytewise)
{
    static const uint8_t thirds[] = {0x00, 0x7F, 0x80, 0x9F, 0xA0, 0xBF, 0xC0, 0xC3};
    static const uint8_t fourths[] = {0x7F, 0x80, 0xBF, 0xC0};
    for (uint32_t bytes = 0; bytes < 1U << 20; bytes++) {
        uint8_t text[] = "abcde....fghijklm";
        text[5] = (uint8_t)(0x80 | (bytes & 0x7F));
        text[6] = (uint8_t)(bytes >> 7);
        text[7] = thirds[bytes >> 15 & 7];
        text[8] = fourths[bytes >> 18 & 3];
        struct utf8 whole = {0};
        struct utf8 bytewise = {0};
        if (utf8_feed(&whole, text, sizeof text) != feed_bytewise(&bytewise, text, sizeof text))
            ck_abort_msg("%02x %02x %02x %02x", text[5], text[6], text[7], text[8]);
    }
}
END_TEST

START_TEST(a_text_may_be_cut_anywhere)
{
    static const char text[] =
        "k\xc3\xb6\xe2\x82\xac 0123456789 \xf0\x9f\x8d\xba\xed\x9f\xbf "
        "\xf4\x8f\xbf\xbf\xee\x80\x80 0123456789012345678901234567890123456"
        "789012345678901234567890123456789\xc2\x80\xf0\x90\x80\x80";
    for (size_t first = 0; first < sizeof text; first++) {
        for (size_t second = first; second < sizeof text; second++) {
            struct utf8 utf8 = {0};
            bool good = utf8_feed(&utf8, text, first) &&
                        utf8_feed(&utf8, text + first, second - first) &&
                        utf8_feed(&utf8, text + second, sizeof text - second);
            if (!good || !utf8_done(&utf8))
                ck_abort_msg("cut at %zu and %zu", first, second);
        }
    }
}
END_TEST

START_TEST(a_wrong_byte_is_found_wherever_it_stands)
{
    for (size_t length = 1; length <= 200; length++) {
        for (size_t at = 0; at < length; at++) {
            struct utf8 utf8 = {0};
            uint8_t text[200];
            memset(text, 'a', sizeof text);
            text[at] = 0x80;
            if (utf8_feed(&utf8, text, length))
                ck_abort_msg("at %zu of %zu", at, length);
        }
    }
}
END_TEST

START_TEST(what_was_wrong_once_stays_wrong)
{
    static const char *const wrong[] = {"\xff",     "\xc3(",    "\xe0\x80",
                                        "\xed\xa0", "\xf4\x90", "\x80"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct utf8 utf8 = {0};
        ck_assert(!utf8_feed(&utf8, wrong[i], strlen(wrong[i])));
        ck_assert(!utf8_done(&utf8));
        ck_assert(!utf8_feed(&utf8, "a long enough text", 18));
        ck_assert(!utf8_feed(&utf8, "\x80", 1));
        ck_assert(!utf8_feed(&utf8, "", 0));
        ck_assert(!utf8_done(&utf8));
    }
}
END_TEST

START_TEST(nothing_is_right_and_done)
{
    struct utf8 utf8 = {0};
    ck_assert(utf8_feed(&utf8, NULL, 0));
    ck_assert(utf8_done(&utf8));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tests = tcase_create("utf8");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, every_code_point_is_right_and_done_at_its_last_byte_only);
    tcase_add_test(tests, every_code_point_is_right_in_the_middle_of_a_longer_text);
    tcase_add_test(tests, text_fails_at_the_first_byte_that_no_code_point_has_there);
    tcase_add_test(tests, four_bytes_of_any_kind_are_judged_alike_whole_and_bytewise);
    tcase_add_test(tests, a_text_may_be_cut_anywhere);
    tcase_add_test(tests, a_wrong_byte_is_found_wherever_it_stands);
    tcase_add_test(tests, what_was_wrong_once_stays_wrong);
    tcase_add_test(tests, nothing_is_right_and_done);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
