#include "server/metrics.h"

#include <pthread.h>
#include <time.h>

#include "handlers/handler.h"
#include "server/process.h"
#include "server/readiness.h"
#include "server/route.h"
#include "server/tracker.h"
#include "tests/support/exposition_parser.h"

#define COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))

enum { ECHO, CHAT, HTTP, ROUTES };
enum { LOOPS = 2, LIMIT = 5000, ECHO_LIMIT = 30 };

static struct tracker *tracker;
static struct tracker_route *elsewhere;
static struct route routes[ROUTES];

static void add_route(size_t place, const char *name, const struct handler *handler)
{
    routes[place] = (struct route){.name = name, .handler = handler};
    routes[place].counts = tracker_add_route(tracker, name);
    ck_assert_ptr_nonnull(routes[place].counts);
}

static void begin(void)
{
    tracker = tracker_new(LIMIT, LOOPS);
    elsewhere = tracker_add_route(tracker, "(none)");
    ck_assert_ptr_nonnull(elsewhere);
    add_route(ECHO, "/echo", &handler_echo);
    add_route(CHAT, "/chat", &handler_echo);
    add_route(HTTP, "/metrics", &handler_metrics);
    routes[ECHO].counts->limit = ECHO_LIMIT;
    metrics_init(tracker, routes, ROUTES);
    readiness_set(READINESS_READY);
}

static void end(void)
{
    tracker_free(tracker);
}

/* A scrape, which must be right. */
static struct parsed scrape(void)
{
    struct exposition text;
    ck_assert_int_eq(metrics_write(&text), 0);
    struct parsed parsed = parse_right(text.text, text.length);
    exposition_free(&text);
    return parsed;
}

/* A sample of a scrape of its own; -1: there is none. */
static double now(const char *name, const char *labels)
{
    struct parsed parsed = scrape();
    double value = value_of(&parsed, name, labels);
    parsed_free(&parsed);
    return value;
}

static void open_sessions(size_t place, int count)
{
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(tracker_enter_session(tracker, routes[place].counts), 0);
        tracker_session_opened(routes[place].counts);
    }
}

static void end_session(size_t place, enum tracker_outcome outcome, uint16_t code)
{
    tracker_session_ended(routes[place].counts, outcome, code);
    tracker_leave_session(tracker, routes[place].counts);
}

/* Something of everything. */
static void make_traffic(void)
{
    struct tracker_traffic *first = &routes[ECHO].counts->traffic[0];
    struct tracker_traffic *second = &routes[ECHO].counts->traffic[1];
    open_sessions(ECHO, 5);
    end_session(ECHO, OUTCOME_HANDSHAKE, 1000);
    end_session(ECHO, OUTCOME_GONE, 1006);
    end_session(ECHO, OUTCOME_FORCED, 4711);
    open_sessions(CHAT, 1);
    atomic_store(&first->received, 10);
    atomic_store(&second->received, 3);
    atomic_store(&first->sent, 20);
    atomic_store(&first->received_bytes, UINT64_C(5000000000));
    atomic_store(&second->received_bytes, 7);
    atomic_store(&second->sent_bytes, 40);
    atomic_store(&first->queued, 1000);
    atomic_store(&second->queued, 24);
    tracker_duration(&first->handshake, tracker_handshake_bounds, 250);
    tracker_duration(&first->handshake, tracker_handshake_bounds, 251);
    tracker_duration(&second->handshake, tracker_handshake_bounds, 40000000);
    tracker_duration(&second->session, tracker_session_bounds, 59999999);
    tracker_refused(routes[ECHO].counts, REFUSED_ROUTE_FULL);
    tracker_refused(elsewhere, REFUSED_ROUTE);
    tracker_refused(elsewhere, REFUSED_ROUTE);
    tracker_answered(elsewhere, 404);
    tracker_answered(elsewhere, 404);
    tracker_answered(routes[HTTP].counts, 200);
    tracker_answered(routes[ECHO].counts, 599);
    tracker_answered(routes[ECHO].counts, 100);
    tracker_enter_request(tracker);
}

#define HANDSHAKE "lastcall_handshake_duration_seconds"
#define SESSION "lastcall_session_duration_seconds"

/* After make_traffic; -1: not shown. */
static const struct {
    const char *name;
    const char *labels;
    double value;
} rows[] = {
    {"lastcall_sessions_open", "route=/echo", 2},
    {"lastcall_sessions_open", "route=/chat", 1},
    {"lastcall_sessions_opened_total", "route=/echo", 5},
    {"lastcall_sessions_closed_total", "route=/echo,code=1000,outcome=handshake", 1},
    {"lastcall_sessions_closed_total", "route=/echo,code=1006,outcome=gone", 1},
    {"lastcall_sessions_closed_total", "route=/echo,code=other,outcome=forced", 1},
    {"lastcall_sessions_closed_total", "route=/echo,code=1000,outcome=forced", -1},
    {"lastcall_sessions_closed_total", "route=/echo,code=1001,outcome=forced", 0},
    {"lastcall_sessions_closed_total", "route=/chat,code=1001,outcome=forced", 0},
    {"lastcall_sessions_limit", "", LIMIT},
    {"lastcall_route_sessions_limit", "route=/echo", ECHO_LIMIT},
    {"lastcall_route_sessions_limit", "route=/chat", -1},
    {"lastcall_messages_received_total", "route=/echo", 13},
    {"lastcall_messages_sent_total", "route=/echo", 20},
    {"lastcall_messages_sent_total", "route=/chat", 0},
    {"lastcall_received_bytes_total", "route=/echo", 5000000007},
    {"lastcall_sent_bytes_total", "route=/echo", 40},
    {"lastcall_send_queue_bytes", "route=/echo", 1024},
    {HANDSHAKE "_bucket", "route=/echo,le=0.00025", 1},
    {HANDSHAKE "_bucket", "route=/echo,le=0.0005", 2},
    {HANDSHAKE "_bucket", "route=/echo,le=0.0025", 2},
    {HANDSHAKE "_bucket", "route=/echo,le=30", 2},
    {HANDSHAKE "_bucket", "route=/echo,le=+Inf", 3},
    {HANDSHAKE "_count", "route=/echo", 3},
    {HANDSHAKE "_sum", "route=/echo", 40.000501},
    {HANDSHAKE "_count", "route=/chat", 0},
    {SESSION "_bucket", "route=/echo,le=10", 0},
    {SESSION "_bucket", "route=/echo,le=60", 1},
    {SESSION "_bucket", "route=/echo,le=604800", 1},
    {SESSION "_sum", "route=/echo", 59.999999},
    {"lastcall_refused_total", "route=/echo,reason=route_full", 1},
    {"lastcall_refused_total", "route=/echo,reason=full", -1},
    {"lastcall_refused_total", "route=(none),reason=route", 2},
    {"lastcall_http_requests_total", "route=(none),status=404", 2},
    {"lastcall_http_requests_total", "route=/metrics,status=200", 1},
    {"lastcall_http_requests_total", "route=/metrics,status=404", -1},
    {"lastcall_http_requests_total", "route=/echo,status=599", 1},
    {"lastcall_http_requests_total", "route=/echo,status=100", 1},
    {"lastcall_requests_in_flight", "", 1},
    {"lastcall_ready", "", 1},
    {"lastcall_stopping", "", 0},
    {"lastcall_draining", "", 0},
    {"lastcall_drain_sessions", "", -1},
    {"lastcall_drain_sessions_ended", "outcome=forced", -1},
    /* What WebSockets do is not said of routes that serve none. */
    {"lastcall_sessions_open", "route=/metrics", -1},
    {"lastcall_sessions_open", "route=(none)", -1},
    {"lastcall_sessions_closed_total", "route=/metrics,code=1001,outcome=forced", -1},
    {"lastcall_send_queue_bytes", "route=/metrics", -1},
    {HANDSHAKE "_count", "route=/metrics", -1},
};

START_TEST(a_scrape_shows_what_the_tracker_has_counted)
{
    make_traffic();
    struct parsed parsed = scrape();
    ck_assert_msg(fabs(value_of(&parsed, rows[_i].name, rows[_i].labels) - rows[_i].value) < 1e-9,
                  "%s{%s} is %f", rows[_i].name, rows[_i].labels,
                  value_of(&parsed, rows[_i].name, rows[_i].labels));
    parsed_free(&parsed);
}
END_TEST

START_TEST(every_code_outcome_reason_and_status_has_a_sample_once_it_was_counted)
{
    struct tracker_route *route = routes[CHAT].counts;
    int expected = 0;
    for (size_t code = 0; code < TRACKER_CODES; code++) {
        for (size_t outcome = 0; outcome < OUTCOME_COUNT; outcome++, expected++) {
            tracker_session_opened(route);
            tracker_session_ended(route, (enum tracker_outcome)outcome, tracker_codes[code]);
        }
    }
    for (int reason = 0; reason < REFUSAL_COUNT; reason++, expected++)
        tracker_refused(route, (enum tracker_refusal)reason);
    for (int status = 0; status < TRACKER_STATUSES; status++, expected++)
        tracker_answered(route, TRACKER_STATUS_FIRST + status);
    struct parsed parsed = scrape();
    for (size_t i = 0; i < parsed.sample_count; i++) {
        const char *name = label_of(&parsed.samples[i], "route");
        if (name != NULL && strcmp(name, "/chat") == 0 && parsed.samples[i].label_count > 1 &&
            label_of(&parsed.samples[i], "le") == NULL && parsed.samples[i].value > 0)
            expected--;
    }
    ck_assert_int_eq(expected, 0);
    parsed_free(&parsed);
}
END_TEST

START_TEST(a_server_that_nobody_has_asked_yet_is_shown_with_zeros)
{
    struct parsed parsed = scrape();
    ck_assert(value_of(&parsed, "lastcall_sessions_opened_total", "route=/echo") == 0);
    ck_assert(value_of(&parsed, HANDSHAKE "_bucket", "route=/echo,le=+Inf") == 0);
    ck_assert(value_of(&parsed, SESSION "_sum", "route=/echo") == 0);
    parsed_free(&parsed);
}
END_TEST

START_TEST(a_route_of_any_name_breaks_nothing)
{
    add_route(HTTP, "/\xFF\"} 1\nlastcall_evil{x=\"\\", &handler_echo);
    struct parsed parsed = scrape();
    ck_assert(
        value_of(&parsed, "lastcall_sessions_open", "route=/%FF\"} 1\nlastcall_evil{x=\"\\") == 0);
    parsed_free(&parsed);
}
END_TEST

START_TEST(names_that_differ_in_bytes_that_are_not_UTF_8_stay_two)
{
    add_route(ECHO, "/\xFF", &handler_echo);
    add_route(CHAT, "/\xFE", &handler_echo);
    struct parsed parsed = scrape();
    ck_assert(value_of(&parsed, "lastcall_sessions_open", "route=/%FF") == 0);
    ck_assert(value_of(&parsed, "lastcall_sessions_open", "route=/%FE") == 0);
    parsed_free(&parsed);
}
END_TEST

/* --- while a server stops --- */

START_TEST(readiness_is_shown_as_it_is)
{
    static const struct {
        enum readiness readiness;
        double ready;
        double stopping;
    } states[] = {{READINESS_STARTING, 0, 0},
                  {READINESS_READY, 1, 0},
                  {READINESS_PAUSED, 0, 0},
                  {READINESS_STOPPING, 0, 1}};
    for (int i = 0; i < COUNT(states); i++) {
        readiness_set(states[i].readiness);
        ck_assert(now("lastcall_ready", "") == states[i].ready);
        ck_assert(now("lastcall_stopping", "") == states[i].stopping);
    }
}
END_TEST

START_TEST(a_drain_shows_what_was_open_at_the_signal_and_what_became_of_it)
{
    open_sessions(ECHO, 4);
    open_sessions(CHAT, 2);
    end_session(ECHO, OUTCOME_FORCED, 1001); /* before the signal: not of the drain */
    tracker_mark(tracker);
    readiness_set(READINESS_STOPPING);
    ck_assert(now("lastcall_draining", "") == 0);
    ck_assert(now("lastcall_drain_sessions", "") == 5);
    ck_assert(now("lastcall_drain_sessions_ended", "outcome=forced") == 0);
    tracker_close_gate(tracker);
    end_session(ECHO, OUTCOME_HANDSHAKE, 1001);
    end_session(ECHO, OUTCOME_FORCED, 1001);
    end_session(CHAT, OUTCOME_FORCED, 1001);
    ck_assert(now("lastcall_draining", "") == 1);
    ck_assert(now("lastcall_drain_sessions", "") == 5);
    ck_assert(now("lastcall_drain_sessions_ended", "outcome=handshake") == 1);
    ck_assert(now("lastcall_drain_sessions_ended", "outcome=gone") == 0);
    ck_assert(now("lastcall_drain_sessions_ended", "outcome=forced") == 2);
}
END_TEST

/* --- the process --- */

START_TEST(the_process_is_shown_as_the_kernel_counts_it)
{
    struct process_figures figures;
    process_read(&figures);
    struct parsed parsed = scrape();
    ck_assert(value_of(&parsed, "lastcall_process_threads", "") == (double)figures.threads);
    ck_assert(value_of(&parsed, "lastcall_process_max_fds", "") ==
              (double)figures.descriptor_limit);
    ck_assert(value_of(&parsed, "lastcall_process_open_fds", "") ==
              (double)process_count_descriptors());
    ck_assert(value_of(&parsed, "lastcall_process_resident_memory_bytes", "") > 1e5);
    ck_assert(value_of(&parsed, "lastcall_process_virtual_memory_bytes", "") > 1e6);
    ck_assert(value_of(&parsed, "lastcall_process_cpu_seconds_total", "") > 0);
    ck_assert(fabs(value_of(&parsed, "lastcall_process_start_time_seconds", "") -
                   (double)figures.started / 1000) < 1e-3);
    parsed_free(&parsed);
}
END_TEST

START_TEST(the_versions_are_labels)
{
    struct parsed parsed = scrape();
    const struct parsed_sample *build = &parsed.samples[0];
    ck_assert_str_eq(build->name, "lastcall_build_info");
    ck_assert(build->value == 1);
    ck_assert_str_eq(label_of(build, "version"), LASTCALL_VERSION);
    ck_assert(strncmp(label_of(build, "civetweb"), "1.", 2) == 0);
    parsed_free(&parsed);
}
END_TEST

/* --- counts that change meanwhile --- */

static atomic_bool stopping;

static void *count_durations(void *durations)
{
    for (unsigned i = 0; !atomic_load(&stopping); i++)
        tracker_duration(durations, tracker_handshake_bounds, (i * 7919) % 40000000);
    return NULL;
}

START_TEST(histograms_are_whole_and_never_go_back_while_they_change)
{
    pthread_t threads[LOOPS];
    double before = 0;
    for (size_t i = 0; i < LOOPS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_durations,
                                        &routes[ECHO].counts->traffic[i].handshake),
                         0);
    int changed = 0;
    for (int scrapes = 0; scrapes < 200 || changed < 20; scrapes++) {
        double count = now(HANDSHAKE "_count", "route=/echo");
        ck_assert(count >= before);
        changed += count > before;
        before = count;
    }
    atomic_store(&stopping, true);
    for (size_t i = 0; i < LOOPS; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, a_scrape_shows_what_the_tracker_has_counted, 0, COUNT(rows));
    tcase_add_test(tests, every_code_outcome_reason_and_status_has_a_sample_once_it_was_counted);
    tcase_add_test(tests, a_server_that_nobody_has_asked_yet_is_shown_with_zeros);
    tcase_add_test(tests, a_route_of_any_name_breaks_nothing);
    tcase_add_test(tests, names_that_differ_in_bytes_that_are_not_UTF_8_stay_two);
    tcase_add_test(tests, readiness_is_shown_as_it_is);
    tcase_add_test(tests, a_drain_shows_what_was_open_at_the_signal_and_what_became_of_it);
    tcase_add_test(tests, the_process_is_shown_as_the_kernel_counts_it);
    tcase_add_test(tests, the_versions_are_labels);
    tcase_add_test(tests, histograms_are_whole_and_never_go_back_while_they_change);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
