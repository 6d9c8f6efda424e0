#include <check.h>

#include "tests/support/frame_reader.h"

/* Bytes of plain text that differ from their neighbours. */
static const uint8_t *letters(void)
{
    static uint8_t text[STREAM_MAX];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)('!' + (i * 7 + i / 90) % 90);
    return text;
}

static void expect_message(char *expected, size_t size, const char *kind, size_t length)
{
    struct reader *reader = calloc(1, sizeof *reader);
    ck_assert_ptr_nonnull(reader);
    NOTE(reader, "%s", kind);
    note_payload(reader, letters(), length);
    ck_assert_uint_lt(reader->notes_length, size);
    memcpy(expected, reader->notes, reader->notes_length + 1);
    free(reader);
}

START_TEST(a_message_of_every_length_class_arrives_whole)
{
    static const size_t lengths[] = {0,    1,     2,     3,     7,     8,     9,   63,
                                     64,   65,    124,   125,   126,   127,   128, 1000,
                                     4096, 65534, 65535, 65536, 65537, 100000};
    static uint8_t stream[STREAM_MAX];
    size_t length = lengths[_i / 2];
    uint8_t opcode = _i % 2 == 0 ? FRAME_TEXT : FRAME_BINARY;
    char expected[64];
    expect_message(expected, sizeof expected, opcode_name(opcode), length);
    size_t size = put_frame(stream, 0x80 | opcode, shortest(length), 0x7A0113D5, letters(), length);
    assert_found(stream, size, expected);
    ck_assert_str_eq(read_chopped(stream, size, 4096, LIMIT), expected);
}
END_TEST

START_TEST(a_length_in_more_bytes_than_it_needs_fails)
{
    uint8_t stream[FRAME_HEADER_MAX + 4];
    for (uint64_t length = 0; length <= 66000; length++) {
        for (size_t form = 2; form <= 8; form += 6) {
            if (form == 2 && length > 65535)
                continue;
            size_t size = put_frame(stream, 0x82, form, 0, NULL, length);
            bool failed = strstr(read_chopped(stream, size, size, LIMIT), "shortest") != NULL;
            if (failed != (form != shortest(length)))
                ck_abort_msg("%u in %zu bytes: failed %d", (unsigned)length, form, failed);
        }
    }
}
END_TEST

START_TEST(a_mask_is_undone_at_every_alignment_length_and_border)
{
    uint8_t memory[160];
    const uint8_t *text = letters();
    for (size_t align = 0; align < 16; align++) {
        for (size_t length = 1; length <= 100; length++) {
            size_t size = put_frame(memory + align, 0x82, 0, 0xC2715F04, text, length);
            size_t border = size - length + (align * 5 + length * 3) % length;
            struct frame_parser parser;
            struct frame_found found;
            size_t consumed = 0;
            frame_parser_init(&parser, LIMIT, false);
            frame_parse(&parser, memory + align, border, &consumed, &found);
            frame_parse(&parser, memory + align + border, size - border, &consumed, &found);
            if (!found.last || memcmp(memory + align + size - length, text, length) != 0)
                ck_abort_msg("%zu bytes at %zu, border %zu", length, align, border);
        }
    }
}
END_TEST

START_TEST(a_frame_in_pieces_gives_each_piece_with_what_remains)
{
    static uint8_t stream[2048];
    struct frame_parser parser;
    struct frame_found found;
    size_t consumed = 0;
    size_t size = put_frame(stream, 0x01, 2, 0x01020304, letters(), 1000);
    frame_parser_init(&parser, LIMIT, false);
    ck_assert_int_eq(frame_parse(&parser, stream, 8, &consumed, &found), FRAME_NEED_MORE);
    for (size_t at = 8; at < size; at += 100) {
        ck_assert_int_eq(frame_parse(&parser, stream + at, 100, &consumed, &found), FRAME_DATA);
        ck_assert_uint_eq(consumed, 100);
        ck_assert_uint_eq(found.opcode, FRAME_TEXT);
        ck_assert_int_eq(found.first, at == 8);
        ck_assert_int_eq(found.last, false);
        ck_assert_uint_eq(found.remaining, size - at - 100);
        ck_assert_ptr_eq(found.data, stream + at);
        ck_assert_uint_eq(found.length, 100);
    }
    size = put_frame(stream, 0x80, 0, 0x01020304, letters(), 9);
    ck_assert_int_eq(frame_parse(&parser, stream, size, &consumed, &found), FRAME_DATA);
    ck_assert_int_eq(found.first, false);
    ck_assert_int_eq(found.last, true);
    ck_assert_mem_eq(found.data, letters(), 9);
}
END_TEST

START_TEST(a_message_over_the_limit_fails_at_its_header)
{
    static const struct {
        uint64_t limit;
        uint64_t lengths[3]; /* of the fragments; a row ends with the one that is too large */
        bool good;
    } rows[] = {
        {0, {0, 0, 0}, true},
        {0, {0, 0, 1}, false},
        {10, {10, 0, 0}, true},
        {10, {5, 5, 0}, true},
        {10, {5, 5, 1}, false},
        {10, {0, 10, 1}, false},
        {10, {10, 0, INT64_MAX}, false},
        {300, {100, 100, 100}, true},
        {300, {100, 100, 101}, false},
        {INT64_MAX, {1, 1, INT64_MAX - 1}, false},
        {INT64_MAX, {1, 1, INT64_MAX - 2}, true},
        {UINT64_MAX, {100, 100, INT64_MAX}, true},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        uint8_t stream[1024];
        size_t size = 0;
        for (size_t i = 0; i < 3; i++) {
            uint64_t length = rows[row].lengths[i];
            size += put_frame(stream + size, i == 0 ? FRAME_BINARY : 0, shortest(length), 0,
                              i < 2 ? letters() : NULL, length);
            size += put_frame(stream + size, 0x89, 0, 0, letters(), i < 2 ? 125 : 0);
        }
        size -= 6; /* the last ping stands where payload would be */
        const char *found = read_chopped(stream, size, 1, rows[row].limit);
        ck_assert_int_eq(strstr(found, "failed 1009") == NULL, rows[row].good);
        ck_assert_str_eq(read_chopped(stream, size, size, rows[row].limit), found);
    }
}
END_TEST

/* Whether a message of two fragments is taken, by their headers. */
static bool takes(uint8_t first, uint64_t limit, uint64_t length)
{
    uint8_t stream[64];
    struct frame_parser parser;
    struct frame_found found;
    size_t consumed;
    size_t size = put_frame(stream, first, 0, 0, letters(), 20);
    size += put_frame(stream + size, 0x80, shortest(length - 20), 0, NULL, length - 20);
    frame_parser_init(&parser, limit, true);
    frame_parse(&parser, stream, size, &consumed, &found);
    return frame_parse(&parser, stream + consumed, size - consumed, &consumed, &found) !=
           FRAME_FAILED;
}

START_TEST(a_compressed_message_may_be_longer_than_its_limit_by_what_deflate_can_add)
{
    static const uint64_t limits[] = {125, 1000, 65536, INT32_MAX};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint64_t most = limits[i] + limits[i] / 8 + 64;
        ck_assert(takes(0x42, limits[i], most));
        ck_assert(!takes(0x42, limits[i], most + 1));
        ck_assert(takes(0x02, limits[i], limits[i]));
        ck_assert(!takes(0x02, limits[i], limits[i] + 1));
    }
}
END_TEST

START_TEST(each_message_has_the_whole_limit_for_itself)
{
    uint8_t stream[64];
    size_t size = 0;
    for (size_t i = 0; i < 3; i++)
        size += put_frame(stream + size, 0x82, 0, 0, "12345", 5);
    ck_assert_str_eq(read_chopped(stream, size, 1, 5), "binary=12345;binary=12345;binary=12345;");
}
END_TEST

START_TEST(every_code_in_a_close_is_taken_or_refused_as_section_7_4_says)
{
    static const uint16_t defined[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                       1009, 1010, 1011, 1012, 1013, 1014};
    for (unsigned code = 0; code <= 0xFFFF; code++) {
        bool good = code >= 3000 && code <= 4999;
        for (size_t i = 0; i < sizeof defined / sizeof defined[0]; i++)
            good = good || code == defined[i];
        uint8_t payload[2] = {(uint8_t)(code >> 8), (uint8_t)code};
        uint8_t stream[16];
        char expected[16];
        snprintf(expected, sizeof expected, "close %u=;", code);
        size_t length = put_frame(stream, 0x88, 0, 0x12345678, payload, 2);
        const char *found = read_chopped(stream, length, length, LIMIT);
        if (strcmp(found,
                   good ? expected : "failed 1002 Close with a code that must not be sent;") != 0)
            ck_abort_msg("%u: %s", code, found);
        if (close_code_valid((uint16_t)code) != good)
            ck_abort_msg("%u", code);
    }
}
END_TEST

START_TEST(a_header_is_written_in_its_shortest_form)
{
    static const struct {
        enum frame_opcode opcode;
        uint64_t length;
        const char *header;
    } rows[] = {
        {FRAME_TEXT, 5, "8105"},
        {FRAME_PONG, 0, "8a00"},
        {FRAME_PING, 125, "897d"},
        {FRAME_BINARY, 126, "827e007e"},
        {FRAME_BINARY, 256, "827e0100"},
        {FRAME_BINARY, 65535, "827effff"},
        {FRAME_BINARY, 65536, "827f0000000000010000"},
        {FRAME_TEXT, INT64_MAX, "817f7fffffffffffffff"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t expected[FRAME_HEADER_MAX];
        uint8_t header[FRAME_HEADER_MAX];
        size_t size = from_hex(rows[i].header, expected);
        ck_assert_uint_eq(frame_header(header, rows[i].opcode, rows[i].length), size);
        ck_assert_mem_eq(header, expected, size);
    }
}
END_TEST

START_TEST(a_close_is_written_with_its_code_and_as_much_of_its_reason_as_fits)
{
    char longest[CLOSE_REASON_MAX + 1] = {0};
    char longer[200] = {0};
    char fitting[200] = "x"; /* then two bytes each: 123 bytes end on a border */
    char crossing[200] = ""; /* two bytes each: 123 bytes end in the middle of one */
    memset(longest, 'r', sizeof longest - 1);
    memset(longer, 'r', sizeof longer - 1);
    for (size_t i = 0; i < 180; i++) {
        crossing[i] = i % 2 == 0 ? '\xc3' : '\xa9';
        fitting[i + 1] = crossing[i];
    }
    const struct {
        uint16_t code;
        const char *reason;
        size_t length; /* of the reason that is sent */
    } rows[] = {
        {1000, "", 0},        {1001, "server shutting down", 20},
        {4999, longest, 123}, {1001, longer, 123},
        {1001, fitting, 123}, {1001, crossing, 122},
        {1001, "a\xff", 1},   {1001, "a\xe2\x82", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t frame[2 + FRAME_CONTROL_MAX];
        size_t size = frame_close(frame, rows[i].code, rows[i].reason);
        ck_assert_uint_eq(size, 4 + rows[i].length);
        ck_assert_uint_eq(frame[0], 0x88);
        ck_assert_uint_eq(frame[1], 2 + rows[i].length);
        ck_assert_uint_eq((unsigned)frame[2] << 8 | frame[3], rows[i].code);
        ck_assert_mem_eq(frame + 4, rows[i].reason, rows[i].length);
    }
}
END_TEST

START_TEST(a_close_with_a_code_that_must_not_be_sent_is_written_without_payload)
{
    static const uint16_t codes[] = {0, 999, 1004, CLOSE_NO_STATUS, CLOSE_ABNORMAL, 1015, 5000};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        uint8_t frame[2 + FRAME_CONTROL_MAX];
        ck_assert_uint_eq(frame_close(frame, codes[i], "reason"), 2);
        ck_assert_mem_eq(frame, "\x88\x00", 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame_sizes");
    TCase *tests = tcase_create("sizes");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_message_of_every_length_class_arrives_whole, 0, 44);
    tcase_add_test(tests, a_length_in_more_bytes_than_it_needs_fails);
    tcase_add_test(tests, a_mask_is_undone_at_every_alignment_length_and_border);
    tcase_add_test(tests, a_frame_in_pieces_gives_each_piece_with_what_remains);
    tcase_add_test(tests, a_message_over_the_limit_fails_at_its_header);
    tcase_add_test(tests,
                   a_compressed_message_may_be_longer_than_its_limit_by_what_deflate_can_add);
    tcase_add_test(tests, each_message_has_the_whole_limit_for_itself);
    tcase_add_test(tests, every_code_in_a_close_is_taken_or_refused_as_section_7_4_says);
    tcase_add_test(tests, a_header_is_written_in_its_shortest_form);
    tcase_add_test(tests, a_close_is_written_with_its_code_and_as_much_of_its_reason_as_fits);
    tcase_add_test(tests, a_close_with_a_code_that_must_not_be_sent_is_written_without_payload);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
