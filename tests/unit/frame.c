#include <check.h>

#include "tests/support/frame_reader.h"

#define RSV "failed 1002 reserved bits are set that were not agreed on;"
#define NO_MASK "failed 1002 frame without a mask, clients must mask;"
#define FRAGMENTED "failed 1002 fragmented control frame;"
#define LONG_CONTROL "failed 1002 control frame over 125 bytes;"
#define NO_MESSAGE "failed 1002 continuation without a message;"
#define OPEN "failed 1002 new message before the last one ended;"
#define NOT_SHORTEST "failed 1002 length not in its shortest form;"
#define HIGH_BIT "failed 1002 length with its highest bit set;"
#define TOO_LARGE "failed 1009 message over the limit;"
#define TEXT "failed 1007 text is not UTF-8;"
#define TEXT_CUT "failed 1007 text ends in the middle of a character;"
#define HALF_CODE "failed 1002 Close with half a code;"
#define BAD_CODE "failed 1002 Close with a code that must not be sent;"
#define BAD_REASON "failed 1007 reason of the Close is not UTF-8;"

/* Z stands for a mask of zeros, so that the payload can be read. */
#define Z "00000000"

static const struct {
    const char *stream;
    const char *found;
} streams[] = {
    /* The examples of section 5.7, masked where they come from a server. */
    {"8185 37fa213d 7f9f4d5158", "text=Hello;"},
    {"8105 48656c6c6f", NO_MASK},
    {"0183" Z "48656c 8082" Z "6c6f", "text=Hello;"},
    {"8985 37fa213d 7f9f4d5158", "ping=Hello;"},
    {"8a85 37fa213d 7f9f4d5158", "pong=Hello;"},
    /* Messages and fragments, empty ones too. */
    {"8180" Z, "text=;"},
    {"8280" Z "8180" Z, "binary=;text=;"},
    {"0180" Z "0080" Z "8080" Z, "text=;"},
    {"0180" Z "0081" Z "61 0080" Z "0081" Z "62 8080" Z "8281" Z "63", "text=ab;binary=c;"},
    {"0281" Z "ff 8081" Z "c3 8181" Z "61", "binary=\xff\xc3;text=a;"},
    {"0182" Z "6162", "open=ab;"},
    {"8183" Z "6162", "open=ab;"},
    {"81", ""},
    {"8183" Z, ""},
    {"8181" Z "61 8181 0000", "text=a;"},
    /* Control frames, between fragments and inside a character. */
    {"0181" Z "c3 8981" Z "70 8081" Z "a9", "ping=p;text=\xc3\xa9;"},
    {"0181" Z "61 8980" Z "8a80" Z "0081" Z "62 8982" Z "7070 8080" Z,
     "ping=;pong=;ping=pp;text=ab;"},
    {"0181" Z "61 0080" Z "8881" Z "03", HALF_CODE},
    {"0181" Z "61 0080" Z "8882" Z "03e8", "close 1000=;open=a;"},
    {"8880" Z, "close 1005=;"},
    {"8885" Z "03e9 627965", "close 1001=bye;"},
    {"8885 01020304 02eb 617d64", "close 1001=bye;"},
    {"8881" Z "03", HALF_CODE},
    {"8882" Z "03ed", BAD_CODE},
    {"8883" Z "03ee ff", BAD_CODE},
    {"8884" Z "03e8 c328", BAD_REASON},
    {"8883" Z "03e8 c3", BAD_REASON},
    {"0980" Z, FRAGMENTED},
    {"0880" Z, FRAGMENTED},
    {"89fe 007e" Z, LONG_CONTROL},
    {"88ff 0000000000010000" Z, LONG_CONTROL},
    /* The order of messages. */
    {"8080" Z, NO_MESSAGE},
    {"0081" Z "61", NO_MESSAGE},
    {"8181" Z "61 8081" Z "62", "text=a;" NO_MESSAGE},
    {"0181" Z "61 8181" Z "62", OPEN},
    {"0181" Z "61 0281" Z "62", OPEN},
    {"0280" Z "8280" Z, OPEN},
    {"0181" Z "61 8980" Z "8181" Z "62", "ping=;" OPEN},
    /* The header. */
    {"c180" Z, RSV},
    {"a180" Z, RSV},
    {"9180" Z, RSV},
    {"8181" Z "61 c181" Z "61", "text=a;" RSV},
    {"8100", NO_MASK},
    {"8905", NO_MASK},
    {"81fe 007d" Z, NOT_SHORTEST},
    {"82fe 0000" Z, NOT_SHORTEST},
    {"81ff 000000000000007d" Z, NOT_SHORTEST},
    {"82ff 000000000000ffff" Z, NOT_SHORTEST},
    {"82ff 8000000000000000" Z, HIGH_BIT},
    {"82ff ffffffffffffffff" Z, HIGH_BIT},
    {"82ff 7fffffffffffffff" Z, TOO_LARGE},
    {"82ff 0000000000100001" Z, TOO_LARGE},
    {"0281" Z "61 00ff 7fffffffffffffff" Z, TOO_LARGE},
    {"0281" Z "61 00ff 0000000000100000" Z, TOO_LARGE},
    /* UTF-8: a character over a border, a wrong byte, an end in the middle. */
    {"0182" Z "ceba 8089" Z "e1bdb9cf83cebcceb5",
     "text=\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5;"},
    {"0181" Z "f0 0081" Z "9f 0081" Z "8d 8081" Z "ba", "text=\xf0\x9f\x8d\xba;"},
    {"8182" Z "c328", TEXT},
    {"8183" Z "eda080", TEXT},
    {"0181" Z "f4 8083" Z "908080", TEXT},
    {"0182" Z "61c3 8081" Z "61", TEXT},
    {"8181" Z "c3", TEXT_CUT},
    {"0181" Z "c3 8080" Z, TEXT_CUT},
    {"0183" Z "f09f8d 0080" Z "8980" Z "8080" Z, "ping=;" TEXT_CUT},
    {"8181" Z "61 8181" Z "e2", "text=a;" TEXT_CUT},
};

START_TEST(a_stream_gives_the_same_events_in_whatever_chops_it_comes)
{
    uint8_t stream[128];
    size_t length = from_hex(streams[_i].stream, stream);
    assert_found(stream, length, streams[_i].found);
}
END_TEST

START_TEST(the_first_two_bytes_are_judged_before_a_third_arrives)
{
    for (unsigned bytes = 0; bytes <= 0xFFFF; bytes++) {
        unsigned opcode = bytes >> 8 & 0xF;
        bool control = opcode >= 8;
        bool known = opcode == 1 || opcode == 2 || (opcode >= 8 && opcode <= 10);
        bool good = known && (bytes & 0x7080) == 0x80 &&
                    (!control || ((bytes & 0x8000) != 0 && (bytes & 0x7F) <= 125));
        uint8_t stream[2] = {(uint8_t)(bytes >> 8), (uint8_t)bytes};
        struct frame_parser parser;
        struct frame_found found;
        size_t consumed;
        frame_parser_init(&parser, LIMIT, false);
        enum frame_event event = frame_parse(&parser, stream, sizeof stream, &consumed, &found);
        if (event != (good ? FRAME_NEED_MORE : FRAME_FAILED))
            ck_abort_msg("%04x: event %d", bytes, event);
        if (!good && found.code != CLOSE_PROTOCOL_ERROR)
            ck_abort_msg("%04x: code %u", bytes, found.code);
    }
}
END_TEST

START_TEST(a_parser_that_has_failed_stays_failed)
{
    struct frame_parser parser;
    struct frame_found found;
    uint8_t bad[] = {0x81, 0x05};
    uint8_t good[] = {0x81, 0x81, 0, 0, 0, 0, 'a'};
    size_t consumed = 0;
    frame_parser_init(&parser, LIMIT, false);
    ck_assert_int_eq(frame_parse(&parser, bad, sizeof bad, &consumed, &found), FRAME_FAILED);
    const char *failure = found.failure;
    for (size_t length = 0; length <= sizeof good; length++) {
        enum frame_event event = frame_parse(&parser, good, length, &consumed, &found);
        ck_assert_int_eq(event, FRAME_FAILED);
        ck_assert_uint_eq(consumed, length);
        ck_assert_uint_eq(found.code, CLOSE_PROTOCOL_ERROR);
        ck_assert_str_eq(found.failure, failure);
    }
}
END_TEST

START_TEST(text_fails_at_the_byte_that_cannot_be_right_and_not_later)
{
    static const struct {
        const char *stream;
        size_t good; /* bytes of the stream before the wrong one */
    } rows[] = {
        {"0184" Z "616263ff 61", 9},      {"0185" Z "cebae1c062", 9},
        {"0182" Z "f490 8080", 7},        {"0181" Z "ed 0083" Z "a08061", 13},
        {"01fe 0100" Z "6162c36162", 11},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t stream[64];
        size_t length = from_hex(rows[i].stream, stream);
        ck_assert_uint_lt(rows[i].good, length);
        ck_assert_ptr_null(strstr(read_chopped(stream, rows[i].good, 1, LIMIT), "failed"));
        ck_assert_str_eq(read_chopped(stream, rows[i].good + 1, 1, LIMIT), TEXT);
    }
}
END_TEST

/* A random number below `limit`, the same in each run. */
static unsigned pick(uint64_t *state, unsigned limit)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (unsigned)(*state >> 33) % limit;
}

/* Text in pieces that may end inside a character; now and then a wrong byte. */
static size_t random_payload(uint64_t *state, uint8_t *payload, size_t room)
{
    static const char alphabet[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x8d\xba";
    size_t length = pick(state, 8) == 0 ? pick(state, (unsigned)room) : pick(state, 40);
    size_t letter = pick(state, 10);
    for (size_t i = 0; i < length; i++)
        payload[i] = (uint8_t)alphabet[(letter + i) % (sizeof alphabet - 1)];
    return length;
}

/* Frames that are mostly in order, so that the parser comes far. */
static size_t random_stream(uint64_t *state, uint8_t *stream)
{
    uint8_t payload[400];
    size_t size = 0;
    bool open = false;
    for (unsigned frames = 1 + pick(state, 8); frames > 0; frames--) {
        bool control = pick(state, 4) == 0;
        bool fin = control || pick(state, 2) == 0;
        size_t length = random_payload(state, payload, control ? 126 : sizeof payload);
        unsigned opcode = control ? 9 + pick(state, 2) : open ? 0 : 1 + pick(state, 2);
        size += put_frame(stream + size, (uint8_t)((fin ? 0x80 : 0) | opcode), shortest(length),
                          pick(state, UINT32_MAX), payload, length);
        open = control ? open : !fin;
    }
    if (pick(state, 3) == 0)
        stream[pick(state, (unsigned)size)] ^= (uint8_t)(1 << pick(state, 8));
    return size;
}

START_TEST(random_streams_give_the_same_events_whole_and_in_any_chops)
{
    uint64_t state = 20;
    unsigned failures = 0;
    enum { ROUNDS = 4000 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        static uint8_t stream[8192];
        char whole[sizeof((struct reader *)0)->notes];
        size_t length = random_stream(&state, stream);
        snprintf(whole, sizeof whole, "%s", read_chopped(stream, length, length, 600));
        failures += strstr(whole, "failed") != NULL;
        const size_t chops[] = {1, 2 + pick(&state, 16), 18 + pick(&state, 400)};
        for (size_t i = 0; i < sizeof chops / sizeof chops[0]; i++) {
            const char *chopped = read_chopped(stream, length, chops[i], 600);
            if (strcmp(whole, chopped) != 0)
                ck_abort_msg("round %u, %zu: %s, not %s", round, chops[i], chopped, whole);
        }
    }
    /* Both kinds were really there. */
    ck_assert_uint_gt(failures, ROUNDS / 10);
    ck_assert_uint_lt(failures, ROUNDS - ROUNDS / 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tests = tcase_create("parser");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, a_stream_gives_the_same_events_in_whatever_chops_it_comes, 0,
                        sizeof streams / sizeof streams[0]);
    tcase_add_test(tests, the_first_two_bytes_are_judged_before_a_third_arrives);
    tcase_add_test(tests, a_parser_that_has_failed_stays_failed);
    tcase_add_test(tests, text_fails_at_the_byte_that_cannot_be_right_and_not_later);
    tcase_add_test(tests, random_streams_give_the_same_events_whole_and_in_any_chops);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
