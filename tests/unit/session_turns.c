#include <check.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "server/deflate.h"
#include "server/session_private.h"
#include "tests/support/session_peer.h"

/* Whose input waits has its turn before another's whole flood. */

enum { FLOOD = 4000, ONE_READ = 600 };

static struct {
    sem_t begun;
    sem_t go_on;
    unsigned messages; /* of the flood; the loop's own */
} turns;

/* The first message holds the loop up until the peers have sent all that they have to say. */
static void take_turn(struct session *session, enum message_kind kind, void *data, size_t length)
{
    (void)session;
    (void)kind;
    (void)length;
    if (*(char *)data == 'f') {
        if (turns.messages++ == 0) {
            sem_post(&turns.begun);
            sem_wait(&turns.go_on);
        }
        return;
    }
    if (turns.messages <= ONE_READ)
        note("soon;");
    else
        note("after %u;", turns.messages);
}

static void flood(int peer, size_t count)
{
    uint8_t frames[FLOOD * 7];
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += put_frame(frames + size, 0x81, shortest(1), 0x12345678, "f", 1);
    peer_write(peer, frames, size);
}

START_TEST(a_message_does_not_wait_until_a_flood_of_tiny_ones_has_been_dealt_with)
{
    struct host host = make_host(take_turn);
    sem_init(&turns.begun, 0, 0);
    sem_init(&turns.go_on, 0, 0);
    host_start(&host);
    int flooder = host_connect(&host);
    int other = host_connect(&host);
    flood(flooder, 1);
    sem_wait(&turns.begun);
    flood(flooder, FLOOD);
    peer_say(other, "other");
    sem_post(&turns.go_on);
    notes_wait("soon;");
    ck_assert_int_eq(loops_stop(host.loops, clock_milliseconds() + PATIENCE_MS), 0);
    tracker_free(host.tracker);
    close(host.listener);
    close(flooder);
    close(other);
}
END_TEST

/* Who has the loop expand a lot is not read from at once again. */

enum { EXPANDED = 4 << 20 };

static void look_at_rest(struct session *session, enum message_kind kind, void *data, size_t length)
{
    (void)kind;
    (void)data;
    if (length != EXPANDED)
        note("length %zu;", length);
    else if (session->rests_until == 0)
        note("first;");
    else
        note("%s;", session->rests_until <= session_now(session) ? "rested" : "too soon");
}

START_TEST(a_session_rests_after_a_compressed_message_that_costs_much_work)
{
    struct host host = make_host(look_at_rest);
    host.window_bits = 15;
    host.limits.message = EXPANDED;
    host_start(&host);
    int peer = host_connect(&host);
    struct deflate *codec = deflate_new();
    struct deflate_output packed;
    void *zeros = calloc(1, EXPANDED);
    ck_assert_ptr_nonnull(codec);
    ck_assert_ptr_nonnull(zeros);
    ck_assert(deflate_compress(codec, 15, zeros, EXPANDED, &packed));
    peer_send(peer, 0xc2, packed.data, packed.length);
    peer_send(peer, 0xc2, packed.data, packed.length);
    notes_wait("first;rested;");
    deflate_release(codec, &packed);
    deflate_free(codec);
    free(zeros);
    peer_close(peer, 1000);
    peer_hears_close(peer, 1000, "");
    peer_hears_end(peer);
    host_end(&host, OUTCOME_HANDSHAKE, 1000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session_turns");
    TCase *cases = tcase_create("turns");
    tcase_set_timeout(cases, 2 * PATIENCE);
    tcase_add_test(cases, a_message_does_not_wait_until_a_flood_of_tiny_ones_has_been_dealt_with);
    tcase_add_test(cases, a_session_rests_after_a_compressed_message_that_costs_much_work);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
