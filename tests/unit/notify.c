#include "server/notify.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/descriptor.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { FLOOR = 64, HIGHEST = 128 };

static char folder[] = "/tmp/lastcall-notify-XXXXXX";
static char name[sizeof((struct sockaddr_un *)NULL)->sun_path + 2];
static int receiver = -1;

static void make_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    ck_assert_int_eq(descriptor_init(FLOOR, HIGHEST), 0);
}

static void remove_folder(void)
{
    if (name[0] == '/')
        unlink(name);
    rmdir(folder);
}

/* A name, abstract or in the folder, of `length` bytes, or of what it takes for 0. */
static void make_name(char kind, size_t length)
{
    int used = kind == '@' ? snprintf(name, sizeof name, "@lastcall-test-%d", (int)getpid())
                           : snprintf(name, sizeof name, "%s/notify", folder);
    ck_assert_int_lt(used, (int)sizeof name);
    for (size_t i = (size_t)used; i < length; i++)
        name[i] = 'x';
    name[length > (size_t)used ? length : (size_t)used] = '\0';
}

/* Who listens, as systemd would: bound by hand, so that the module's own idea is not trusted. */
static void listen_at_name(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    ck_assert_uint_le(length, sizeof address.sun_path);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    else
        length++;
    receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(receiver, 0);
    ck_assert_int_eq(bind(receiver, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
}

static void open_at(char kind)
{
    make_name(kind, 0);
    listen_at_name();
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
    ck_assert_int_eq(notify_open(), 1);
}

static void expect(const char *text)
{
    char received[NOTIFY_TEXT_MAX + 2];
    ssize_t length = recv(receiver, received, sizeof received - 1, MSG_DONTWAIT);
    ck_assert_int_ge(length, 0);
    received[length] = '\0';
    ck_assert_str_eq(received, text);
}

static void expect_nothing(void)
{
    char byte;
    ck_assert_int_eq(recv(receiver, &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
}

static int is_socket(int descriptor)
{
    int type;
    socklen_t size = sizeof type;
    return getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* The number of the only socket from `first` on but the receiver, or -1. */
static int find_socket(int first)
{
    int found = -1;
    for (int number = first; number < HIGHEST; number++) {
        if (number == receiver || !is_socket(number))
            continue;
        ck_assert_int_eq(found, -1);
        found = number;
    }
    return found;
}

START_TEST(where_nobody_listens_nothing_happens)
{
    ck_assert_int_eq(notify_send("READY=1"), 0);
    ck_assert_int_eq(notify_open(), 0);
    ck_assert_int_eq(find_socket(3), -1);
    ck_assert_int_eq(notify_send("READY=1"), 0);
    ck_assert_int_eq(notify_extend(1000), 0);
    ck_assert_int_eq(notify_watchdog_interval(), 0);
    notify_close();
}
END_TEST

static const char kinds[] = {'/', '@'};

START_TEST(texts_arrive_one_by_one_as_they_are_at_paths_and_abstract_names)
{
    open_at(kinds[_i]);
    ck_assert_int_eq(notify_send("READY=1\nSTATUS=serving"), 0);
    ck_assert_int_eq(notify_send("STOPPING=1"), 0);
    ck_assert_int_eq(notify_send("STATUS=draining 812 of 1000, bis später"), 0);
    expect("READY=1\nSTATUS=serving");
    expect("STOPPING=1");
    expect("STATUS=draining 812 of 1000, bis später");
    expect_nothing();
}
END_TEST

/* A path needs one byte more, for its zero. */
static const struct {
    size_t length;
    int result;
    char kind;
} lengths[] = {{107, 1, '/'}, {108, -1, '/'}, {108, 1, '@'}, {109, -1, '@'}};

START_TEST(the_longest_name_is_taken_and_a_longer_one_refused)
{
    make_name(lengths[_i].kind, lengths[_i].length);
    ck_assert_uint_eq(strlen(name), lengths[_i].length);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
    if (lengths[_i].result > 0)
        listen_at_name();
    ck_assert_int_eq(notify_open(), lengths[_i].result);
    if (lengths[_i].result < 0)
        ck_assert_int_eq(errno, ENAMETOOLONG);
    ck_assert_int_eq(notify_send("READY=1"), 0);
    if (lengths[_i].result > 0)
        expect("READY=1");
}
END_TEST

static const struct {
    const char *name;
    int result;
} names[] = {
    {"", 0},         {"vsock:2:1234", 0}, {"vsock::1", 0},    {"relative/notify", -1},
    {"notify", -1},  {"/", -1},           {"@", -1},          {"unix:/run/x", -1},
    {" /run/x", -1}, {"vsock", -1},       {"/run/no/one", 1}, {"@nobody-is-here", 1},
};

START_TEST(every_kind_of_name_is_judged_and_removed_from_the_environment)
{
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", names[_i].name, 1), 0);
    ck_assert_int_eq(setenv("WATCHDOG_USEC", "1000000", 1), 0);
    ck_assert_int_eq(setenv("WATCHDOG_PID", "1", 1), 0);
    ck_assert_int_eq(notify_open(), names[_i].result);
    if (names[_i].result < 0)
        ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(getenv("NOTIFY_SOCKET"));
    ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
    ck_assert_ptr_null(getenv("WATCHDOG_PID"));
    ck_assert_int_eq(notify_send("READY=1"), names[_i].result > 0 ? -1 : 0);
}
END_TEST

START_TEST(the_socket_is_above_the_floor_close_on_exec_and_never_blocks)
{
    open_at('/');
    ck_assert_int_lt(receiver, FLOOR);
    ck_assert_int_eq(find_socket(3), find_socket(FLOOR));
    int found = find_socket(FLOOR);
    ck_assert_int_ge(found, FLOOR);
    ck_assert_int_eq(fcntl(found, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    ck_assert_int_eq(fcntl(found, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}
END_TEST

/* That it ends at all is the proof: a call that blocked would be ended by the time limit. */
START_TEST(who_does_not_read_holds_nobody_up)
{
    open_at(kinds[_i]);
    int sent = 0;
    while (notify_send("WATCHDOG=1") == 0)
        sent++;
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_gt(sent, 0);
    for (int i = 0; i < sent; i++)
        expect("WATCHDOG=1");
    expect_nothing();
    ck_assert_int_eq(notify_send("STOPPING=1"), 0);
    expect("STOPPING=1");
}
END_TEST

START_TEST(who_has_gone_is_reached_again_when_he_comes_back)
{
    open_at(kinds[_i]);
    close(receiver);
    ck_assert_int_eq(notify_send("STATUS=alone"), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    unlink(name);
    listen_at_name();
    ck_assert_int_eq(notify_send("STATUS=together"), 0);
    expect("STATUS=together");
}
END_TEST

START_TEST(a_text_that_systemd_would_throw_away_is_not_sent)
{
    char text[NOTIFY_TEXT_MAX + 2];
    open_at('/');
    memset(text, 'a', sizeof text);
    text[NOTIFY_TEXT_MAX + 1] = '\0';
    ck_assert_int_eq(notify_send(text), -1);
    ck_assert_int_eq(errno, EMSGSIZE);
    expect_nothing();
    text[NOTIFY_TEXT_MAX] = '\0';
    ck_assert_int_eq(notify_send(text), 0);
    expect(text);
}
END_TEST

static const struct {
    int64_t milliseconds;
    const char *text; /* NULL: none */
} extensions[] = {
    {1, "EXTEND_TIMEOUT_USEC=1000"},
    {8000, "EXTEND_TIMEOUT_USEC=8000000"},
    {86400000, "EXTEND_TIMEOUT_USEC=86400000000"},
    {INT64_MAX, "EXTEND_TIMEOUT_USEC=9223372036854775000"},
    {0, NULL},
    {-1, NULL},
    {INT64_MIN, NULL},
};

START_TEST(more_time_is_asked_for_in_microseconds)
{
    open_at('@');
    ck_assert_int_eq(notify_extend(extensions[_i].milliseconds), 0);
    if (extensions[_i].text != NULL)
        expect(extensions[_i].text);
    expect_nothing();
}
END_TEST

/* Process "self" is this one's. */
static const struct {
    const char *microseconds;
    const char *process;
    int64_t milliseconds;
} watchdogs[] = {
    {NULL, NULL, 0},
    {NULL, "self", 0},
    {"30000000", "self", 30000},
    {"30000000", NULL, 30000},
    {"30000000", "", 30000},
    {"30000000", "1", 0},
    {"30000000", "-1", 0},
    {"30000000", "x", 0},
    {"30000000", "18446744073709551616", 0},
    {"2500", "self", 2},
    {"1", "self", 2},
    {"0", "self", 0},
    {"", "self", 0},
    {"-1", "self", 0},
    {"+1000000", "self", 0},
    {" 1000000", "self", 0},
    {"1000000 ", "self", 0},
    {"1s", "self", 0},
    {"18446744073709551615", "self", 0},
    {"18446744073709551614", "self", INT64_C(18446744073709551)},
    {"99999999999999999999", "self", 0},
};

START_TEST(the_watchdog_is_obeyed_when_it_is_meant_for_us)
{
    const char *process = watchdogs[_i].process;
    char self[24];
    snprintf(self, sizeof self, "%d", (int)getpid());
    if (process != NULL && strcmp(process, "self") == 0)
        process = self;
    if (watchdogs[_i].microseconds != NULL)
        setenv("WATCHDOG_USEC", watchdogs[_i].microseconds, 1);
    if (process != NULL)
        setenv("WATCHDOG_PID", process, 1);
    open_at('/');
    ck_assert_int_eq(notify_watchdog_interval(), watchdogs[_i].milliseconds);
    ck_assert_ptr_null(getenv("WATCHDOG_USEC"));
    ck_assert_ptr_null(getenv("WATCHDOG_PID"));
}
END_TEST

START_TEST(a_watchdog_that_nobody_could_be_told_of_is_none)
{
    setenv("WATCHDOG_USEC", "30000000", 1);
    ck_assert_int_eq(notify_open(), 0);
    ck_assert_int_eq(notify_watchdog_interval(), 0);
}
END_TEST

START_TEST(after_the_end_nothing_is_sent_and_no_descriptor_is_left)
{
    setenv("WATCHDOG_USEC", "30000000", 1);
    open_at('/');
    notify_close();
    notify_close();
    ck_assert_int_eq(find_socket(3), -1);
    ck_assert_int_eq(notify_send("READY=1"), 0);
    ck_assert_int_eq(notify_watchdog_interval(), 0);
    expect_nothing();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notify");
    TCase *tests = tcase_create("notify");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, make_folder, remove_folder);
    tcase_add_test(tests, where_nobody_listens_nothing_happens);
    tcase_add_loop_test(tests, texts_arrive_one_by_one_as_they_are_at_paths_and_abstract_names, 0,
                        COUNT(kinds));
    tcase_add_loop_test(tests, the_longest_name_is_taken_and_a_longer_one_refused, 0,
                        COUNT(lengths));
    tcase_add_loop_test(tests, every_kind_of_name_is_judged_and_removed_from_the_environment, 0,
                        COUNT(names));
    tcase_add_test(tests, the_socket_is_above_the_floor_close_on_exec_and_never_blocks);
    tcase_add_loop_test(tests, who_does_not_read_holds_nobody_up, 0, COUNT(kinds));
    tcase_add_loop_test(tests, who_has_gone_is_reached_again_when_he_comes_back, 0, COUNT(kinds));
    tcase_add_test(tests, a_text_that_systemd_would_throw_away_is_not_sent);
    tcase_add_loop_test(tests, more_time_is_asked_for_in_microseconds, 0, COUNT(extensions));
    tcase_add_loop_test(tests, the_watchdog_is_obeyed_when_it_is_meant_for_us, 0, COUNT(watchdogs));
    tcase_add_test(tests, a_watchdog_that_nobody_could_be_told_of_is_none);
    tcase_add_test(tests, after_the_end_nothing_is_sent_and_no_descriptor_is_left);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
