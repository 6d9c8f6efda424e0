#include "server/server.h"

#include <civetweb.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "server/address.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/http.h"
#include "server/log.h"
#include "server/server_private.h"
#include "server/takeover.h"
#include "server/workers.h"

enum {
    QUEUE = 20,         /* connections that wait for a thread */
    BACKLOG = 4096,     /* connections that wait in the kernel */
    EACH_THREAD = 3,    /* low descriptors: its connection, and files that a handler has open */
    SPARE_LOW = 32,     /* for what was there before */
    REFUSAL_BURST = 20, /* refusals of one kind that are logged at once */
    SELF_TEST_SECONDS = 5,
    AFTER_CUT = 200, /* milliseconds */
    ADDRESSES_MAX = 1024,
};

static int on_civetweb_message(const struct mg_connection *connection, const char *message)
{
    struct server *server = mg_get_user_context_data(connection);
    if (server != NULL && server->complaint[0] == '\0' && !atomic_load(&server->open))
        snprintf(server->complaint, sizeof server->complaint, "%s", message);
    log_event(LOG_DEBUG, "civetweb", LOG_TEXT("says", message));
    return 1;
}

/* CivetWeb's init_thread; workers are of type 1. */
static void *on_thread(const struct mg_context *context, int type)
{
    (void)context;
    if (type == 1)
        workers_wait();
    return NULL;
}

/* --- start and stop --- */

int server_descriptors(unsigned http_threads, size_t listen_count)
{
    return (int)(EACH_THREAD * http_threads + QUEUE + listen_count + SPARE_LOW);
}

const char *server_civetweb_version(void)
{
    return mg_version();
}

/* CivetWeb's way to write addresses: without a star, and "+" for both families. */
static int join_addresses(const struct server_options *options, char *text, size_t size)
{
    bool ipv6 = mg_check_feature(MG_FEATURES_IPV6) != 0;
    size_t length = 0;
    for (size_t i = 0; i < options->listen_count; i++) {
        const char *address = options->listen[i];
        const char *every = "";
        if (strncmp(address, "*:", 2) == 0) {
            address += 2;
            every = ipv6 ? "+" : "";
        }
        int written =
            snprintf(text + length, size - length, "%s%s%s", i == 0 ? "" : ",", every, address);
        if (written < 0 || (size_t)written >= size - length)
            return -1;
        length += (size_t)written;
    }
    return 0;
}

/* Says what CivetWeb said, in the words of the person who has to act; sets errno. */
static int explain_start(struct server *server, const char *addresses, const char *reason,
                         char *error, size_t error_size)
{
    const char *said = server->complaint[0] != '\0' ? server->complaint : reason;
    const char *hint = "";
    bool threads = strstr(said, "thread") != NULL;
    bool memory = strstr(said, "emory") != NULL;
    if (strchr(addresses, '[') != NULL && mg_check_feature(MG_FEATURES_IPV6) == 0)
        hint = "; this build of CivetWeb has no IPv6";
    if (threads)
        snprintf(error, error_size, "server.http_threads = %u cannot be had: %s",
                 server->options.http_threads, said);
    else if (memory)
        snprintf(error, error_size, "CivetWeb cannot be started: %s", said);
    else
        snprintf(error, error_size, "cannot listen on %s: %s%s", addresses, said, hint);
    if (server->context != NULL) { /* it goes on with fewer threads; we do not */
        workers_release();
        mg_stop(server->context);
    }
    errno = threads ? EAGAIN : memory ? ENOMEM : EADDRNOTAVAIL;
    return -1;
}

static int start_context(struct server *server, const char *addresses, char *error,
                         size_t error_size)
{
    char threads[16];
    char queue[16];
    char backlog[16];
    char timeout[24];
    char reason[256] = "";
    unsigned code = 0;
    snprintf(threads, sizeof threads, "%u", server->options.http_threads);
    snprintf(queue, sizeof queue, "%d", QUEUE);
    snprintf(backlog, sizeof backlog, "%d", BACKLOG);
    snprintf(timeout, sizeof timeout, "%lld", (long long)server->options.handshake_timeout);
    const char *settings[] = {
        "listening_ports",
        addresses,
        "num_threads",
        threads,
        "connection_queue",
        queue,
        "listen_backlog",
        backlog,
        "request_timeout_ms",
        timeout,
        "max_request_size",
        HTTP_REQUEST_MAX,
        "tcp_nodelay",
        "1",
        "enable_keep_alive",
        "no",
        "decode_url",
        "no",
        "enable_auth_domain_check",
        "no", /* an absolute URI may name any host; one with another port than the connection's
                 CivetWeb ends without an answer all the same */
        NULL,
    };
    struct mg_init_data init = {
        .callbacks = &server->callbacks, .user_data = server, .configuration_options = settings};
    struct mg_error_data problem = {
        .code = &code, .text = reason, .text_buffer_size = sizeof reason};
    server->context = mg_start2(&init, &problem);
    if (server->context != NULL && strstr(server->complaint, "thread") == NULL)
        return 0;
    return explain_start(server, addresses, reason, error, error_size);
}

static int start_civetweb(struct server *server, char *error, size_t error_size)
{
    char addresses[ADDRESSES_MAX];
    if (join_addresses(&server->options, addresses, sizeof addresses) == 0)
        return start_context(server, addresses, error, error_size);
    snprintf(error, error_size, "server.listen: too many addresses");
    errno = EADDRNOTAVAIL;
    return -1;
}

static void make_token(char *token)
{
    unsigned char bytes[TOKEN_BYTES] = {0};
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memcpy(bytes, &(int64_t){clock_milliseconds()}, sizeof(int64_t));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

struct server *server_start(const struct server_options *options, char *error, size_t error_size)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        snprintf(error, error_size, "out of memory");
        errno = ENOMEM;
        return NULL;
    }
    server->options = *options;
    server->callbacks.begin_request = door;
    server->callbacks.http_error = door_error;
    server->callbacks.init_thread = on_thread;
    server->callbacks.log_message = on_civetweb_message;
    pthread_mutex_init(&server->lock, NULL);
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        server->limits[i].burst = REFUSAL_BURST;
    server->full_limit.burst = 1;
    make_token(server->token);
    workers_init(options->http_threads);
    mg_init_library(0);
    if (start_civetweb(server, error, error_size) != 0) {
        int reason = errno;
        mg_exit_library();
        pthread_mutex_destroy(&server->lock);
        free(server);
        errno = reason;
        return NULL;
    }
    server->listeners = takeover_find_listeners(options->receive_buffer);
    return server;
}

size_t server_listeners(const struct server *server)
{
    return server->listeners;
}

void server_listener(const struct server *server, size_t place, char *text, size_t size)
{
    (void)server;
    address_format(takeover_listener_address(place), text, size);
}

/* The first listener as one can connect to it: every address means the loopback one. */
static socklen_t own_address(struct sockaddr_storage *address)
{
    memcpy(address, takeover_listener_address(0), sizeof *address);
    if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)address;
        if (IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr))
            v6->sin6_addr = in6addr_loopback;
        return sizeof *v6;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)address;
    if (v4->sin_addr.s_addr == htonl(INADDR_ANY))
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *v4;
}

/* Returns NULL, or the step that went wrong. */
static const char *self_test(const struct server *server, int client)
{
    struct sockaddr_storage address;
    socklen_t length = own_address(&address);
    struct timeval patience = {.tv_sec = SELF_TEST_SECONDS};
    char text[256];
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(client, (struct sockaddr *)&address, length) != 0)
        return "connecting to it";
    int size = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: self-test\r\n%s: %s\r\n\r\n",
                        SELF_TEST_HEADER, server->token);
    if (send(client, text, (size_t)size, MSG_NOSIGNAL) != size)
        return "sending it a request";
    ssize_t got = recv(client, text, sizeof SELF_TEST_ANSWER, MSG_WAITALL);
    if (got != sizeof SELF_TEST_ANSWER ||
        memcmp(text, SELF_TEST_ANSWER, sizeof SELF_TEST_ANSWER) != 0)
        return "taking that connection over";
    return recv(client, text, 1, 0) == 0 ? NULL : "ending that connection";
}

int server_self_test(struct server *server, char *error, size_t error_size)
{
    if (server->listeners != server->options.listen_count) {
        snprintf(error, error_size, "self-test: %zu of %zu listeners found among the descriptors",
                 server->listeners, server->options.listen_count);
        return -1;
    }
    int client = descriptor_keep(
        socket(takeover_listener_address(0)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (client >= 0)
        errno = 0; /* an end of TCP is no error */
    const char *failure = client < 0 ? "making a socket" : self_test(server, client);
    if (failure != NULL)
        snprintf(error, error_size, "self-test: %s failed: %s", failure,
                 errno == 0 ? "the connection was ended without an answer" : strerror(errno));
    if (client >= 0)
        close(client);
    return failure == NULL ? 0 : -1;
}

void server_open(struct server *server)
{
    atomic_store(&server->open, true);
}

void server_look(struct server *server)
{
    int64_t left_out;
    bool full = !takeover_can_accept();
    if (full && !server->full &&
        log_limit_pass(&server->full_limit, clock_milliseconds(), &left_out)) {
        server->full = true;
        log_event(LOG_ERROR, "no descriptors are left: new connections wait",
                  LOG_TEXT("why", strerror(errno)));
    } else if (!full && server->full) {
        server->full = false;
        log_event(LOG_INFO, "there are descriptors again: new connections are served",
                  LOG_NUMBER("sessions", tracker_sessions(server->options.tracker)));
    }
}

size_t server_refuse_connections(void)
{
    char response[512];
    size_t length = door_refusal(response, sizeof response);
    return takeover_listeners(response, length);
}

/*
 * Until CivetWeb has nothing left in its hands: at `deadline` responses are cut, and the threads
 * that gave them are left a moment in which they answer what waits in the queue.
 */
static void empty_hands(int64_t deadline)
{
    bool cut = false;
    while (takeover_end_silent() > 0 && clock_milliseconds() < deadline + AFTER_CUT) {
        if (!cut && clock_milliseconds() >= deadline) {
            takeover_cut();
            cut = true;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

size_t server_stop_context(struct mg_context *context, int64_t deadline)
{
    char response[512];
    empty_hands(deadline);
    takeover_wake_master();
    mg_stop(context);
    size_t length = door_refusal(response, sizeof response);
    return takeover_rest(response, length);
}

static void count_refused(const struct server *server, size_t count)
{
    while (count-- > 0)
        tracker_refused(server->options.elsewhere, REFUSED_DRAINING);
}

void server_refuse(struct server *server, int64_t deadline)
{
    atomic_store(&server->deadline, deadline);
    workers_release();
    count_refused(server, server_refuse_connections());
}

void server_stop(struct server *server)
{
    count_refused(server, server_stop_context(server->context, atomic_load(&server->deadline)));
    mg_exit_library();
    pthread_mutex_destroy(&server->lock);
    free(server);
}
