#include "server/status.h"

#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "handlers/handler.h"
#include "server/clock.h"
#include "server/loop.h"
#include "server/readiness.h"
#include "server/route.h"
#include "server/status_json.h"
#include "server/tracker.h"

enum { LOOPS = 2 };

static struct tracker *tracker;
static struct loops *loops;
static struct route *routes;
static struct status_sources sources;

static void set_up(void)
{
    static const char *const names[] = {"/echo", "/\xc3\xbc\"<script>", "/caf\xe9"};
    routes = calloc(3, sizeof *routes);
    ck_assert_ptr_nonnull(routes);
    tracker = tracker_new(100, LOOPS);
    const struct tracker_route *elsewhere = tracker_add_route(tracker, "(none)");
    for (size_t i = 0; i < 3; i++) {
        routes[i] = (struct route){.name = names[i], .handler = &handler_echo};
        routes[i].counts = tracker_add_route(tracker, names[i]);
    }
    routes[2].handler = &handler_page;
    loops = loops_start(LOOPS, tracker);
    ck_assert_ptr_nonnull(loops);
    sources = (struct status_sources){.tracker = tracker,
                                      .loops = loops,
                                      .routes = routes,
                                      .route_count = 3,
                                      .elsewhere = elsewhere,
                                      .http_threads = 16};
    readiness_set(READINESS_READY);
    status_init(&sources);
}

static void tear_down(void)
{
    status_end();
    loops_stop(loops, INT64_MAX);
    tracker_free(tracker);
    free(routes);
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        ck_abort_msg("%s in %s", error.text, text);
    return root;
}

/* What a snapshot says now. */
static json_t *snapshot(void)
{
    struct status_snapshot *newest = status_get(0);
    ck_assert_ptr_nonnull(newest);
    ck_assert_uint_eq(newest->length, strlen(newest->text));
    json_t *root = parse(newest->text);
    status_release(newest);
    return root;
}

static json_int_t number(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        ck_abort_msg("%s is no number", name);
    return json_integer_value(value);
}

static const char *string(json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    if (value == NULL)
        ck_abort_msg("%s is no string", name);
    return value;
}

static json_t *route(json_t *root, size_t place)
{
    return json_array_get(json_object_get(root, "routes"), place);
}

START_TEST(a_route_may_be_called_anything_and_the_json_is_utf_8_all_the_same)
{
    json_t *root = snapshot();
    ck_assert_uint_eq(json_array_size(json_object_get(root, "routes")), 4);
    ck_assert_str_eq(string(route(root, 0), "route"), "/echo");
    ck_assert_str_eq(string(route(root, 1), "route"), "/\xc3\xbc\"<script>");
    ck_assert_str_eq(string(route(root, 2), "route"), "/caf?");
    ck_assert_str_eq(string(route(root, 3), "route"), "(none)");
    ck_assert(json_is_null(json_object_get(route(root, 3), "handler")));
    json_decref(root);
}
END_TEST

START_TEST(what_the_loops_count_is_added_up)
{
    struct tracker_route *counts = routes[0].counts;
    for (uint64_t loop = 0; loop < LOOPS; loop++) {
        counts->traffic[loop].received = 1 + loop;
        counts->traffic[loop].sent = 10 + loop;
        counts->traffic[loop].received_bytes = 100 + loop;
        counts->traffic[loop].sent_bytes = UINT64_C(1) << 40;
        counts->traffic[loop].queued = 1000 + loop;
    }
    json_t *root = snapshot();
    json_t *one = route(root, 0);
    ck_assert_int_eq(number(one, "received"), 3);
    ck_assert_int_eq(number(one, "sent"), 21);
    ck_assert_int_eq(number(one, "received_bytes"), 201);
    ck_assert_int_eq(number(one, "sent_bytes"), INT64_C(1) << 41);
    ck_assert_int_eq(number(one, "queued_bytes"), 2001);
    ck_assert(json_is_true(json_object_get(one, "websocket")));
    ck_assert(json_is_false(json_object_get(route(root, 2), "websocket")));
    json_decref(root);
}
END_TEST

START_TEST(only_what_has_happened_is_listed_of_refusals_and_answers)
{
    tracker_refused(routes[1].counts, REFUSED_ORIGIN);
    tracker_answered(routes[1].counts, 100);
    tracker_answered(routes[1].counts, 404);
    tracker_answered(routes[1].counts, 404);
    tracker_answered(routes[1].counts, 599);
    json_t *root = snapshot();
    json_t *requests = json_object_get(route(root, 1), "requests");
    json_t *refused = json_object_get(route(root, 1), "refused");
    ck_assert_uint_eq(json_object_size(requests), 3);
    ck_assert_int_eq(number(requests, "100"), 1);
    ck_assert_int_eq(number(requests, "404"), 2);
    ck_assert_int_eq(number(requests, "599"), 1);
    ck_assert_uint_eq(json_object_size(refused), 1);
    ck_assert_int_eq(number(refused, tracker_refusal_names[REFUSED_ORIGIN]), 1);
    ck_assert_uint_eq(json_object_size(json_object_get(route(root, 0), "requests")), 0);
    json_decref(root);
}
END_TEST

START_TEST(a_limit_is_there_or_null)
{
    routes[0].counts->limit = 5;
    json_t *root = snapshot();
    ck_assert_int_eq(number(route(root, 0), "limit"), 5);
    ck_assert(json_is_null(json_object_get(route(root, 1), "limit")));
    json_t *limits = json_object_get(root, "limits");
    ck_assert_int_eq(number(json_array_get(limits, 0), "limit"), 100);
    ck_assert_int_eq(number(json_array_get(limits, 1), "limit"), 16);
    json_decref(root);
}
END_TEST

/* Opens and ends sessions of a route by name only: no socket is needed to count them. */
static void enter(struct tracker_route *counts, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        ck_assert_int_eq(tracker_enter_session(tracker, counts), 0);
        tracker_session_opened(counts);
    }
}

static void leave(struct tracker_route *counts, enum tracker_outcome outcome)
{
    tracker_session_ended(counts, outcome, 1001);
    tracker_leave_session(tracker, counts);
}

START_TEST(a_drain_counts_what_was_open_at_the_signal_and_not_who_watches)
{
    routes[1].counts->last = true;
    enter(routes[0].counts, 7);
    enter(routes[1].counts, 2);
    leave(routes[0].counts, OUTCOME_FORCED); /* before the signal: no part of it */
    tracker_mark(tracker);
    status_stopping(clock_milliseconds() - 100, 5000);
    ck_assert_int_eq(status_phase(), STATUS_DELAY);
    tracker_close_gate(tracker);
    ck_assert_int_eq(status_phase(), STATUS_DRAINING);
    leave(routes[0].counts, OUTCOME_HANDSHAKE);
    leave(routes[0].counts, OUTCOME_GONE);
    leave(routes[0].counts, OUTCOME_FORCED);
    json_t *root = snapshot();
    json_t *drain = json_object_get(root, "drain");
    ck_assert_str_eq(string(drain, "phase"), "draining");
    ck_assert_int_eq(number(drain, "total"), 6);
    ck_assert_int_eq(number(drain, "drained"), 3);
    ck_assert_int_eq(number(drain, "forced"), 1);
    ck_assert_int_ge(number(drain, "elapsed_ms"), 100);
    ck_assert_int_eq(number(drain, "elapsed_ms") + number(drain, "left_ms"), 5000);
    json_decref(root);
    for (int i = 0; i < 3; i++)
        leave(routes[0].counts, OUTCOME_HANDSHAKE);
    ck_assert_int_eq(status_phase(), STATUS_ALONE);
    leave(routes[1].counts, OUTCOME_HANDSHAKE);
    leave(routes[1].counts, OUTCOME_HANDSHAKE);
}
END_TEST

START_TEST(who_is_still_there_is_named_with_address_and_reason)
{
    struct loops_survey survey = {.waiting = {[WAIT_ANSWER] = 60, [WAIT_TURN] = 2}, .listed = 2};
    struct process_figures process = {.descriptors = 9, .descriptor_limit = -1};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(99)};
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_addr.s6_addr[15] = 1;
    for (size_t i = 0; i < 2; i++)
        survey.sessions[i] = (struct session_glance){
            .route = &routes[2 * i], .open = 17, .queued = 33, .wait = WAIT_ANSWER};
    memcpy(&survey.sessions[0].client, &v4, sizeof v4);
    memcpy(&survey.sessions[1].client, &v6, sizeof v6);
    char *text = status_json(&(struct status_view){.of = &sources,
                                                   .survey = &survey,
                                                   .process = &process,
                                                   .phase = STATUS_DRAINING,
                                                   .left = 7});
    json_t *root = parse(text);
    json_t *drain = json_object_get(root, "drain");
    json_t *waiting = json_object_get(drain, "waiting");
    ck_assert_uint_eq(json_array_size(waiting), 2);
    ck_assert_int_eq(number(json_array_get(waiting, 1), "sessions"), 60);
    ck_assert_str_eq(string(json_array_get(waiting, 1), "why"), session_wait_names[WAIT_ANSWER]);
    json_t *sessions = json_object_get(drain, "sessions");
    ck_assert_uint_eq(json_array_size(sessions), 2);
    ck_assert_str_eq(string(json_array_get(sessions, 0), "address"), "127.0.0.1:1234");
    ck_assert_str_eq(string(json_array_get(sessions, 1), "address"), "[::1]:99");
    ck_assert_str_eq(string(json_array_get(sessions, 1), "route"), "/caf?");
    ck_assert_int_eq(number(json_array_get(sessions, 0), "queued_bytes"), 33);
    json_t *files = json_array_get(json_object_get(root, "limits"), 2);
    ck_assert_int_eq(number(files, "used"), 9);
    ck_assert(json_is_null(json_object_get(files, "limit")));
    json_decref(root);
    free(text);
}
END_TEST

START_TEST(one_snapshot_serves_all_who_ask_while_it_is_young_enough)
{
    struct status_snapshot *first = status_get(60000);
    struct status_snapshot *second = status_get(60000);
    ck_assert_ptr_eq(first, second);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    struct status_snapshot *third = status_get(3);
    ck_assert_ptr_ne(first, third);
    ck_assert_int_gt(third->made_at, first->made_at);
    status_release(first);
    ck_assert_ptr_nonnull(strstr(second->text, "\"routes\"")); /* still held by the second */
    status_release(second);
    status_release(third);
}
END_TEST

START_TEST(a_new_phase_makes_a_new_snapshot_whatever_its_age)
{
    struct status_snapshot *before = status_get(60000);
    ck_assert_int_eq(before->phase, STATUS_SERVING);
    tracker_mark(tracker);
    status_stopping(clock_milliseconds(), 1000);
    struct status_snapshot *after = status_get(60000);
    ck_assert_int_eq(after->phase, STATUS_DELAY);
    status_release(before);
    status_release(after);
}
END_TEST

START_TEST(at_the_end_there_is_none_and_one_that_is_held_stays)
{
    struct status_snapshot *held = status_get(0);
    status_end();
    ck_assert_ptr_null(status_get(60000));
    status_look();
    ck_assert_str_eq(held->text + held->length - 1, "}");
    status_release(held);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("status");
    TCase *tests = tcase_create("status");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, a_route_may_be_called_anything_and_the_json_is_utf_8_all_the_same);
    tcase_add_test(tests, what_the_loops_count_is_added_up);
    tcase_add_test(tests, only_what_has_happened_is_listed_of_refusals_and_answers);
    tcase_add_test(tests, a_limit_is_there_or_null);
    tcase_add_test(tests, a_drain_counts_what_was_open_at_the_signal_and_not_who_watches);
    tcase_add_test(tests, who_is_still_there_is_named_with_address_and_reason);
    tcase_add_test(tests, one_snapshot_serves_all_who_ask_while_it_is_young_enough);
    tcase_add_test(tests, a_new_phase_makes_a_new_snapshot_whatever_its_age);
    tcase_add_test(tests, at_the_end_there_is_none_and_one_that_is_held_stays);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
