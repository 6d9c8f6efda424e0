/* The access log's lines, of good requests and of such as nobody would send. */
#include "server/access.h"

#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LONG_MAX = 3000 };

static const struct access_entry request = {
    .address = "192.0.2.7",
    .time = {.tv_sec = 1795357173, .tv_nsec = 45000000},
    .method = "GET",
    .path = "/files/a.txt",
    .http_version = "1.1",
    .status = 200,
    .bytes_sent = 4096,
    .referer = "https://example.org/page",
    .user_agent = "Mozilla/5.0 (X11)",
    .route = "/files/*",
    .duration = 12,
};

static const struct access_entry ended = {
    .address = "2001:db8::1",
    .time = {.tv_sec = 1795357173},
    .method = "GET",
    .path = "/echo",
    .http_version = "1.1",
    .status = 101,
    .bytes_sent = 5,
    .route = "/echo",
    .duration = 61007,
    .session = true,
    .close_code = 1001,
    .outcome = "handshake",
    .messages_received = 1,
    .messages_sent = 2,
    .bytes_received = 3,
};

static const char *format(enum log_format kind, const struct access_entry *entry)
{
    static char line[LOG_LINE_MAX + 1];
    size_t length = access_format(line, kind, entry);
    ck_assert_uint_le(length, LOG_LINE_MAX);
    line[length] = '\0';
    ck_assert_uint_eq(strlen(line), length);
    ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
    return line;
}

START_TEST(a_request_is_a_line_of_the_combined_format_and_more)
{
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, &request),
                     "192.0.2.7 - - [22/Nov/2026:14:19:33 +0000] \"GET /files/a.txt HTTP/1.1\" "
                     "200 4096 \"https://example.org/page\" \"Mozilla/5.0 (X11)\" rt=0.012 "
                     "route=/files/*\n");
}
END_TEST

START_TEST(a_session_also_says_how_it_ended)
{
    ck_assert_str_eq(format(LOG_FORMAT_TEXT, &ended),
                     "2001:db8::1 - - [22/Nov/2026:14:19:33 +0000] \"GET /echo HTTP/1.1\" 101 5 "
                     "\"-\" \"-\" rt=61.007 route=/echo code=1001 outcome=handshake received=1 "
                     "sent=2 received_bytes=3\n");
}
END_TEST

START_TEST(in_json_both_are_one_object)
{
    ck_assert_str_eq(
        format(LOG_FORMAT_JSON, &request),
        "{\"time\":\"2026-11-22T14:19:33.045Z\",\"level\":\"info\",\"message\":\"access\","
        "\"address\":\"192.0.2.7\",\"method\":\"GET\",\"path\":\"/files/a.txt\","
        "\"http_version\":\"1.1\",\"status\":200,\"bytes_sent\":4096,"
        "\"referer\":\"https://example.org/page\",\"user_agent\":\"Mozilla/5.0 (X11)\","
        "\"route\":\"/files/*\",\"duration_ms\":12}\n");
    ck_assert_str_eq(
        format(LOG_FORMAT_JSON, &ended),
        "{\"time\":\"2026-11-22T14:19:33.000Z\",\"level\":\"info\",\"message\":\"access\","
        "\"address\":\"2001:db8::1\",\"method\":\"GET\",\"path\":\"/echo\","
        "\"http_version\":\"1.1\",\"status\":101,\"bytes_sent\":5,\"referer\":\"\","
        "\"user_agent\":\"\",\"route\":\"/echo\",\"duration_ms\":61007,\"code\":1001,"
        "\"outcome\":\"handshake\",\"received\":1,\"sent\":2,\"received_bytes\":3}\n");
}
END_TEST

START_TEST(what_is_not_known_is_a_dash)
{
    const struct access_entry nothing = {.status = 400};
    ck_assert_str_eq(
        format(LOG_FORMAT_TEXT, &nothing),
        "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\" rt=0.000 route=-\n");
    const struct access_entry empty = {
        .address = "", .method = "", .path = "", .referer = "", .user_agent = "", .route = ""};
    ck_assert_ptr_nonnull(
        strstr(format(LOG_FORMAT_TEXT, &empty), "\"-\" 0 0 \"-\" \"-\" rt=0.000 route=-\n"));
    const struct access_entry no_path = {.method = "GET"};
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_TEXT, &no_path), "\"GET - HTTP/-\""));
}
END_TEST

/* What a User-Agent is written as. */
static const struct {
    const char *sent;
    const char *text;
    const char *json;
} agents[] = {
    {"a b", "a b", "a b"},
    {"\"quoted\"", "\\x22quoted\\x22", "\\\"quoted\\\""},
    {"\\", "\\x5C", "\\\\"},
    {"\x1B[31m\x7F", "\\x1B[31m\\x7F", "\\u001b[31m\\u007f"},
    {"a\r\nb\t", "a\\x0D\\x0Ab\\x09", "a\\u000d\\u000ab\\u0009"},
    {"\xC3\xBC", "\\xC3\\xBC", "\xC3\xBC"},
    {"\xE2\x82\xAC\xF0\x9F\x8D\xBA", "\\xE2\\x82\\xAC\\xF0\\x9F\\x8D\\xBA",
     "\xE2\x82\xAC\xF0\x9F\x8D\xBA"},
    {"\xC2\x9B\x33m", "\\xC2\\x9B3m", "\\u009b3m"}, /* a control sequence to some terminals */
    {"\xC2\xA0", "\\xC2\\xA0", "\xC2\xA0"},
    {"\xFF|\xC3|\xC3", "\\xFF|\\xC3|\\xC3", "\\ufffd|\\ufffd|\\ufffd"},
    {"\xC0\xAF\xED\xA0\x80", "\\xC0\\xAF\\xED\\xA0\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
    {"\xF0\x9F\x8D", "\\xF0\\x9F\\x8D", "\\ufffd\\ufffd\\ufffd"},
};

START_TEST(bytes_that_mean_something_are_escaped)
{
    struct access_entry entry = request;
    char expected[256];
    entry.user_agent = agents[_i].sent;
    snprintf(expected, sizeof expected, "page\" \"%s\" rt=", agents[_i].text);
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_TEXT, &entry), expected));
    snprintf(expected, sizeof expected, "\"user_agent\":\"%s\",", agents[_i].json);
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_JSON, &entry), expected));
}
END_TEST

START_TEST(what_stands_between_blanks_holds_none)
{
    struct access_entry entry = ended;
    entry.path = "/a b HTTP/1.1\" 200";
    entry.route = "/a b/*";
    entry.method = "G T";
    entry.outcome = "a b";
    const char *line = format(LOG_FORMAT_TEXT, &entry);
    ck_assert_ptr_nonnull(
        strstr(line, "] \"G\\x20T /a\\x20b\\x20HTTP/1.1\\x22\\x20200 HTTP/1.1\" 101"));
    ck_assert_ptr_nonnull(strstr(line, " route=/a\\x20b/* "));
    ck_assert_ptr_nonnull(strstr(line, " outcome=a\\x20b "));
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_JSON, &entry), "\"route\":\"/a b/*\""));
}
END_TEST

static const struct {
    const char *sent;
    const char *written;
} referers[] = {
    {"https://example.org/a?token=SECRET", "https://example.org/a"},
    {"https://example.org/a#SECRET", "https://example.org/a"},
    {"https://example.org/a#SECRET?SECRET", "https://example.org/a"},
    {"https://example.org?SECRET", "https://example.org"},
    {"https://SECRET:SECRET@example.org/a?SECRET#SECRET", "https://example.org/a"},
    {"https://SECRET@SECRET@example.org:8443", "https://example.org:8443"},
    {"https:/\\SECRET@example.org\\@b", "https:/\\example.org\\@b"},
    {"//SECRET:SECRET@example.org/", "//example.org/"},
    {"SECRET:SECRET@example.org/", "example.org/"},
    {"SECRET@example.org", "example.org"},
    {"https://example.org/@name/b@c", "https://example.org/@name/b@c"},
    {"/only:a/path@x", "/only:a/path@x"},
    {"android-app://com.example.app/", "android-app://com.example.app/"},
    {"about:blank", "about:blank"},
    {"https:?SECRET@x", "https:"},
    {"https:/", "https:/"},
    {"?SECRET", "-"},
    {"#//SECRET", "-"},
    {"https://SECRET@?SECRET", "https://"},
};

START_TEST(a_referer_has_no_query_no_fragment_and_no_userinfo)
{
    struct access_entry entry = request;
    char expected[256];
    entry.referer = referers[_i].sent;
    snprintf(expected, sizeof expected, " 4096 \"%s\" \"Mozilla", referers[_i].written);
    for (char *byte = expected; *byte != '\0'; byte++)
        if (*byte == '\\') { /* as text escapes it */
            memmove(byte + 4, byte + 1, strlen(byte));
            memcpy(byte, "\\x5C", 4);
        }
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_TEXT, &entry), expected));
    ck_assert_ptr_null(strstr(format(LOG_FORMAT_TEXT, &entry), "SECRET"));
    ck_assert_ptr_null(strstr(format(LOG_FORMAT_JSON, &entry), "SECRET"));
}
END_TEST

START_TEST(a_path_ends_at_a_question_mark_and_says_so)
{
    struct access_entry entry = request;
    entry.path = "/a?token=SECRET";
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_TEXT, &entry), "\"GET /a?... HTTP/1.1\""));
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_JSON, &entry), "\"path\":\"/a?...\""));
}
END_TEST

/* A text of `length` bytes `byte`; of a few such, one call behind the other. */
static const char *many(char byte, size_t length)
{
    static char texts[8][LONG_MAX + 1];
    static size_t next;
    char *text = texts[next++ % COUNT(texts)];
    ck_assert_uint_le(length, LONG_MAX);
    memset(text, byte, length);
    text[length] = '\0';
    return text;
}

START_TEST(a_long_path_is_cut_visibly_and_uses_the_whole_line)
{
    struct access_entry entry = request;
    entry.path = many('p', 3000);
    for (enum log_format kind = LOG_FORMAT_TEXT; kind <= LOG_FORMAT_JSON; kind++) {
        const char *line = format(kind, &entry);
        ck_assert_uint_ge(strlen(line), LOG_LINE_MAX - 4);
        ck_assert_ptr_nonnull(strstr(line, "ppp..."));
        ck_assert_ptr_nonnull(strstr(line, "https://example.org/page\""));
        ck_assert_ptr_nonnull(strstr(line, "Mozilla/5.0 (X11)\""));
        ck_assert_ptr_nonnull(strstr(line, kind == LOG_FORMAT_JSON ? "12}\n" : "route=/files/*\n"));
    }
}
END_TEST

START_TEST(a_path_that_fits_is_not_cut)
{
    struct access_entry entry = request;
    entry.path = many('p', 700);
    for (enum log_format kind = LOG_FORMAT_TEXT; kind <= LOG_FORMAT_JSON; kind++)
        ck_assert_ptr_null(strstr(format(kind, &entry), "..."));
    entry.path = many(' ', 190); /* 760 bytes, escaped */
    ck_assert_ptr_null(strstr(format(LOG_FORMAT_TEXT, &entry), "..."));
}
END_TEST

START_TEST(long_texts_share_the_line)
{
    struct access_entry entry = request;
    entry.path = many('p', 3000);
    entry.referer = many('r', 3000);
    entry.user_agent = many('u', 3000);
    for (enum log_format kind = LOG_FORMAT_TEXT; kind <= LOG_FORMAT_JSON; kind++) {
        const char *line = format(kind, &entry);
        ck_assert_ptr_nonnull(strstr(line, many('p', 200)));
        ck_assert_ptr_nonnull(strstr(line, many('r', 200)));
        ck_assert_ptr_nonnull(strstr(line, many('u', 200)));
    }
}
END_TEST

/* Everything at its longest: numbers too. */
static struct access_entry fullest(char byte)
{
    const char *text = many(byte, 3000);
    return (struct access_entry){
        .address = text,
        .time = request.time,
        .method = text,
        .path = text,
        .http_version = text,
        .status = INT32_MIN,
        .bytes_sent = INT64_MAX,
        .referer = text,
        .user_agent = text,
        .route = text,
        .duration = INT64_MAX,
        .session = true,
        .close_code = UINT16_MAX,
        .outcome = text,
        .messages_received = INT64_MAX,
        .messages_sent = INT64_MAX,
        .bytes_received = INT64_MAX,
    };
}

static json_t *parse(const struct access_entry *entry)
{
    json_error_t error;
    const char *line = format(LOG_FORMAT_JSON, entry);
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    ck_assert_msg(object != NULL, "%s in %s", error.text, line);
    return object;
}

START_TEST(a_line_has_room_for_a_path_when_all_else_is_at_its_longest)
{
    static const char bytes[] = {'x', '\x01', '"', '\xFF'};
    for (size_t i = 0; i < COUNT(bytes); i++) {
        const struct access_entry entry = fullest(bytes[i]);
        const char *line = format(LOG_FORMAT_TEXT, &entry);
        ck_assert_ptr_nonnull(strstr(line, "received_bytes=9223372036854775807\n"));
        json_t *object = parse(&entry);
        ck_assert_uint_eq(json_object_size(object), 18);
        ck_assert_uint_ge(json_string_length(json_object_get(object, "path")), 20);
        json_decref(object);
    }
}
END_TEST

/* What access_write leaves on standard error. */
static const char *written(const struct access_entry *entry)
{
    static char text[2 * LOG_LINE_MAX];
    int pipes[2];
    int before = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_ge(dup2(pipes[1], STDERR_FILENO), 0);
    access_write(entry);
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    ssize_t length = read(pipes[0], text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    close(pipes[0]);
    close(pipes[1]);
    close(before);
    return text;
}

START_TEST(nothing_is_written_unless_it_is_on)
{
    ck_assert(!access_on());
    ck_assert_str_eq(written(&request), "");
    access_init(true, LOG_FORMAT_TEXT);
    ck_assert(access_on());
    ck_assert_str_eq(written(&request), format(LOG_FORMAT_TEXT, &request));
    access_init(true, LOG_FORMAT_JSON);
    ck_assert_str_eq(written(&request), format(LOG_FORMAT_JSON, &request));
    access_init(false, LOG_FORMAT_JSON);
    ck_assert_str_eq(written(&request), "");
}
END_TEST

START_TEST(without_a_time_it_is_the_present)
{
    struct access_entry entry = request;
    entry.time = (struct timespec){0};
    access_init(true, LOG_FORMAT_TEXT);
    ck_assert_ptr_nonnull(strstr(format(LOG_FORMAT_TEXT, &entry), "/1970:"));
    const char *line = written(&entry);
    ck_assert_ptr_nonnull(strstr(line, "/20"));
    ck_assert_ptr_null(strstr(line, "/1970:"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("access");
    TCase *tests = tcase_create("access");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tests, a_request_is_a_line_of_the_combined_format_and_more);
    tcase_add_test(tests, a_session_also_says_how_it_ended);
    tcase_add_test(tests, in_json_both_are_one_object);
    tcase_add_test(tests, what_is_not_known_is_a_dash);
    tcase_add_loop_test(tests, bytes_that_mean_something_are_escaped, 0, COUNT(agents));
    tcase_add_test(tests, what_stands_between_blanks_holds_none);
    tcase_add_loop_test(tests, a_referer_has_no_query_no_fragment_and_no_userinfo, 0,
                        COUNT(referers));
    tcase_add_test(tests, a_path_ends_at_a_question_mark_and_says_so);
    tcase_add_test(tests, a_long_path_is_cut_visibly_and_uses_the_whole_line);
    tcase_add_test(tests, a_path_that_fits_is_not_cut);
    tcase_add_test(tests, long_texts_share_the_line);
    tcase_add_test(tests, a_line_has_room_for_a_path_when_all_else_is_at_its_longest);
    tcase_add_test(tests, nothing_is_written_unless_it_is_on);
    tcase_add_test(tests, without_a_time_it_is_the_present);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
