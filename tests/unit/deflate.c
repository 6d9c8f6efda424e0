#include "server/deflate.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/support/random.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LIMIT = 1 << 20 };

static struct deflate *codec;

static void set_up(void)
{
    codec = deflate_new();
    ck_assert_ptr_nonnull(codec);
}

static void tear_down(void)
{
    deflate_free(codec);
}

/* Text that can be compressed, but not to nothing. */
static char *make_text(size_t length)
{
    static const char words[] = "last orders please; ";
    char *text = malloc(length + 1);
    unsigned state = 7;
    for (size_t i = 0; i < length; i++) {
        state = state * 1103515245 + 12345;
        text[i] = state >> 29 == 0 ? (char)('a' + (state >> 16) % 26) : words[i % 20];
    }
    text[length] = '\0';
    return text;
}

static void check_round(int window_bits, size_t length)
{
    struct deflate_output small;
    struct deflate_output whole;
    char *text = make_text(length);
    ck_assert(deflate_compress(codec, window_bits, text, length, &small));
    ck_assert_uint_lt(small.length, length);
    ck_assert_int_eq(deflate_expand(codec, small.data, small.length, length, &whole), DEFLATE_DONE);
    ck_assert_uint_eq(whole.length, length);
    ck_assert_int_eq(memcmp(whole.data, text, length), 0);
    free(text);
}

START_TEST(what_is_compressed_expands_to_what_it_was)
{
    static const size_t lengths[] = {64, 125, 4096, 65535, 65536, 300000, LIMIT};
    for (int bits = 9; bits <= 15; bits++)
        for (size_t i = 0; i < COUNT(lengths); i++)
            check_round(bits, lengths[i]);
}
END_TEST

START_TEST(no_more_than_the_agreed_window_is_needed_to_expand_it)
{
    char text[50000] = "";
    char expanded[50000];
    uint64_t state = 9;
    for (size_t i = 0; i < sizeof text; i++) /* repeats that only a window of 1024 can use */
        text[i] = i < 400 ? (char)random_below(&state, 256) : i < 700 ? '\0' : text[i - 700];
    for (int bits = 9; bits <= 15; bits++) {
        struct deflate_output small;
        z_stream stream = {0};
        ck_assert(deflate_compress(codec, bits, text, 50000, &small));
        ck_assert_int_eq(inflateInit2(&stream, -bits), Z_OK);
        stream.next_in = small.data;
        stream.avail_in = (uInt)small.length;
        for (size_t at = 0; at < sizeof expanded; at += 100) {
            stream.next_out = (Bytef *)expanded + at; /* what lies before must be in the window */
            stream.avail_out = 100;
            inflate(&stream, Z_SYNC_FLUSH);
        }
        ck_assert_uint_eq(stream.total_out, 50000);
        ck_assert_int_eq(memcmp(expanded, text, 50000), 0);
        inflateEnd(&stream);
    }
}
END_TEST

START_TEST(what_does_not_become_shorter_is_left_as_it_is)
{
    uint8_t noise[4096];
    struct deflate_output small;
    uint64_t state = 3;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)random_below(&state, 256);
    ck_assert(!deflate_compress(codec, 15, noise, sizeof noise, &small));
    check_round(15, 4096); /* and the next message is none the worse */
}
END_TEST

/* RFC 7692, section 7.2.3. */
static const struct {
    const char *data;
    size_t length;
    const char *text;
} examples[] = {
    {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "Hello"},                          /* one block */
    {"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "Hello"},         /* not compressed */
    {"\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "Hello"},                      /* a last block */
    {"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, "Hello"}, /* two blocks */
    {"\x00", 1, ""},
    {"\x02\x00", 2, ""},
};

START_TEST(the_examples_of_the_rfc_expand)
{
    struct deflate_output whole;
    ck_assert_int_eq(deflate_expand(codec, examples[_i].data, examples[_i].length, LIMIT, &whole),
                     DEFLATE_DONE);
    ck_assert_uint_eq(whole.length, strlen(examples[_i].text));
    ck_assert_int_eq(memcmp(whole.data, examples[_i].text, whole.length), 0);
}
END_TEST

START_TEST(a_message_of_the_limit_is_taken_and_one_byte_more_is_not)
{
    struct deflate_output small;
    struct deflate_output whole;
    for (size_t length = 64; length <= LIMIT; length *= 4) {
        char *text = make_text(length);
        ck_assert(deflate_compress(codec, 15, text, length, &small));
        ck_assert_int_eq(deflate_expand(codec, small.data, small.length, length, &whole),
                         DEFLATE_DONE);
        ck_assert(deflate_compress(codec, 15, text, length, &small));
        ck_assert_int_eq(deflate_expand(codec, small.data, small.length, length - 1, &whole),
                         DEFLATE_TOO_LARGE);
        free(text);
    }
}
END_TEST

START_TEST(a_bomb_costs_no_more_than_the_limit)
{
    size_t length = 256 << 20;
    uint8_t *zeros = calloc(1, length);
    struct deflate_output small;
    struct deflate_output whole;
    ck_assert_ptr_nonnull(zeros);
    ck_assert(deflate_compress(codec, 15, zeros, length, &small));
    ck_assert_int_eq(deflate_expand(codec, small.data, small.length, LIMIT, &whole),
                     DEFLATE_TOO_LARGE);
    ck_assert_uint_le(whole.length, LIMIT + 1);
    free(zeros);
    check_round(15, 1000);
}
END_TEST

static const struct {
    const char *data;
    size_t length;
} bad[] = {
    {"", 0},                                     /* not even an empty block */
    {"\xff", 1},                                 /* a block of the reserved type */
    {"\xf2\x48\xcd\xc9", 4},                     /* ends in the middle */
    {"\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c", 9}, /* a length that contradicts itself */
    {"\x00\x05\x00\xfa\xff\x48\x65", 7},         /* less than its length says */
    {"Hello, world", 12},
};

START_TEST(what_is_no_compressed_message_is_bad_and_the_next_one_is_good)
{
    struct deflate_output whole;
    ck_assert_int_eq(deflate_expand(codec, bad[_i].data, bad[_i].length, LIMIT, &whole),
                     DEFLATE_BAD);
    check_round(15, 1000);
}
END_TEST

START_TEST(no_input_makes_it_read_or_write_beyond_its_room)
{
    char *text = make_text(3000);
    struct deflate_output small;
    ck_assert(deflate_compress(codec, 15, text, 3000, &small));
    size_t length = small.length;
    uint8_t *good = malloc(length);
    memcpy(good, small.data, length);
    uint64_t state = 5;
    for (int i = 0; i < 20000; i++) {
        struct deflate_output whole;
        size_t cut = random_below(&state, length + 1);
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees its end */
        memcpy(exact, good, cut);
        for (size_t changes = random_below(&state, 4); changes > 0 && cut > 0; changes--)
            exact[random_below(&state, cut)] ^= (uint8_t)(1U << random_below(&state, 8));
        enum deflate_result result = deflate_expand(codec, exact, cut, 2000, &whole);
        ck_assert(result != DEFLATE_NO_MEMORY);
        ck_assert(result != DEFLATE_DONE || whole.length <= 2000);
        free(exact);
    }
    free(good);
    free(text);
    check_round(15, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("deflate");
    TCase *tests = tcase_create("deflate");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_is_compressed_expands_to_what_it_was);
    tcase_add_test(tests, no_more_than_the_agreed_window_is_needed_to_expand_it);
    tcase_add_test(tests, what_does_not_become_shorter_is_left_as_it_is);
    tcase_add_loop_test(tests, the_examples_of_the_rfc_expand, 0, COUNT(examples));
    tcase_add_test(tests, a_message_of_the_limit_is_taken_and_one_byte_more_is_not);
    tcase_add_test(tests, a_bomb_costs_no_more_than_the_limit);
    tcase_add_loop_test(tests, what_is_no_compressed_message_is_bad_and_the_next_one_is_good, 0,
                        COUNT(bad));
    tcase_add_test(tests, no_input_makes_it_read_or_write_beyond_its_room);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
