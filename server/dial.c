#include "server/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/descriptor.h"
#include "server/session_private.h"
#include "server/tcp.h"

enum { FULL_RETRY = 5 }; /* milliseconds until a Unix socket whose queue is full is asked again */

static const char too_late[] = "no answer in time";

/* A look-up cannot be taken back while it runs: it outlives a dial that was given up. */
struct lookup {
    uv_getaddrinfo_t request;
    struct dial *dial; /* NULL: given up */
};

/* The wait for one address. libuv lets go of it later than the next one begins. */
struct attempt {
    uv_poll_t poll;
    struct dial *dial;
};

struct dial {
    uv_timer_t timer;
    struct session *session;
    const struct dial_target *target;
    dial_done *done;
    void *owner;
    struct lookup *lookup;      /* NULL: none runs */
    struct attempt *attempt;    /* NULL: nothing is waited for */
    struct addrinfo *found;     /* NULL: nothing was looked up */
    struct addrinfo known;      /* the target's, where it is one address */
    const struct addrinfo *one; /* the next to be tried */
    const struct sockaddr *address;
    socklen_t length;
    int64_t deadline; /* milliseconds of the loop's clock */
    int64_t until;    /* of this address */
    int descriptor;   /* -1: none */
    int error;        /* of the last address; ETIMEDOUT is no answer in time */
};

/* --- the end --- */

static void on_attempt_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    free(attempt);
}

/* libuv must have let go of a descriptor before it is handed on or closed. */
static void end_attempt(struct dial *dial)
{
    if (dial->attempt != NULL)
        uv_close((uv_handle_t *)&dial->attempt->poll, on_attempt_closed);
    dial->attempt = NULL;
}

static void close_descriptor(struct dial *dial)
{
    end_attempt(dial);
    if (dial->descriptor >= 0)
        close(dial->descriptor);
    dial->descriptor = -1;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;
    free(dial);
}

void dial_give_up(struct dial *dial)
{
    close_descriptor(dial);
    uv_freeaddrinfo(dial->found);
    if (dial->lookup != NULL) {
        dial->lookup->dial = NULL;
        uv_cancel((uv_req_t *)&dial->lookup->request); /* if it has not begun */
    }
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

/* The descriptor, if it is connected, is the owner's. Afterwards what that has done to its session,
   and to the memory, has its consequences. */
static void finish(struct dial *dial, int error, const char *why)
{
    struct session *session = dial->session;
    struct session_home *home = session->home;
    dial_done *done = dial->done;
    void *owner = dial->owner;
    int descriptor = -1;
    if (error == 0) {
        end_attempt(dial);
        descriptor = dial->descriptor;
        dial->descriptor = -1;
    }
    dial_give_up(dial);
    done(owner, descriptor, error, why);
    session_advance(session);
    session_relieve(home);
}

static void finish_failed(struct dial *dial)
{
    finish(dial, dial->error, dial->error == ETIMEDOUT ? too_late : strerror(dial->error));
}

/* --- one address --- */

static void on_timer(uv_timer_t *timer);
static void on_poll(uv_poll_t *handle, int status, int events);

static void set_timer(struct dial *dial, int64_t at)
{
    int64_t left = at - session_now(dial->session);
    uv_timer_start(&dial->timer, on_timer, left > 0 ? (uint64_t)left : 0, 0);
}

/* Returns whether the descriptor is waited for; else there is an errno in `error`. */
static bool wait_for_answer(struct dial *dial)
{
    struct attempt *attempt = malloc(sizeof *attempt);
    dial->error = ENOMEM;
    if (attempt == NULL)
        return false;
    int error = uv_poll_init(&dial->session->home->uv, &attempt->poll, dial->descriptor);
    if (error != 0) {
        dial->error = -error;
        free(attempt);
        return false;
    }
    attempt->dial = dial;
    attempt->poll.data = attempt;
    dial->attempt = attempt;
    uv_poll_start(&attempt->poll, UV_WRITABLE, on_poll); /* fails only for a closing one */
    set_timer(dial, dial->until);
    return true;
}

/* Returns whether the address has been reached, or may still be. */
static bool ask(struct dial *dial)
{
    if (connect(dial->descriptor, dial->address, dial->length) == 0) {
        finish(dial, 0, "");
        return true;
    }
    dial->error = errno;
    if (errno == EINPROGRESS)
        return wait_for_answer(dial);
    if (errno != EAGAIN || dial->address->sa_family != AF_UNIX)
        return false;
    const int64_t next = session_now(dial->session) + FULL_RETRY;
    dial->error = ETIMEDOUT;
    set_timer(dial, next < dial->until ? next : dial->until);
    return true;
}

/* What is kept in the kernel is bounded as it is for peers, and who has vanished is noticed. */
static void set_options(const struct dial *dial)
{
    const struct session_limits *limits = session_limits(dial->session);
    setsockopt(dial->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    tcp_bound_buffers(dial->descriptor, limits->receive_buffer);
    if (limits->ping_interval != 0)
        tcp_keep_alive(dial->descriptor, limits->ping_interval, limits->ping_timeout);
}

/* Likewise; of a new address. */
static bool attempt_address(struct dial *dial)
{
    const int family = dial->address->sa_family;
    int made = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    dial->descriptor = descriptor_keep(made);
    if (dial->descriptor < 0) {
        dial->error = errno;
        return false;
    }
    if (family != AF_UNIX)
        set_options(dial);
    return ask(dial);
}

/* --- all addresses --- */

/* Returns whether there is one more address, which then has its share of the time. */
static bool take_address(struct dial *dial)
{
    const int64_t now = session_now(dial->session);
    int64_t addresses = 0;
    if (dial->one == NULL || now >= dial->deadline)
        return false;
    for (const struct addrinfo *one = dial->one; one != NULL; one = one->ai_next)
        addresses++;
    dial->address = dial->one->ai_addr;
    dial->length = dial->one->ai_addrlen;
    dial->one = dial->one->ai_next;
    dial->until = now + (dial->deadline - now) / addresses;
    return true;
}

static void try_rest(struct dial *dial)
{
    while (take_address(dial)) {
        if (attempt_address(dial))
            return;
        close_descriptor(dial);
    }
    finish_failed(dial);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    const struct attempt *attempt = handle->data;
    struct dial *dial = attempt->dial;
    socklen_t size = sizeof dial->error;
    (void)status; /* in error: the socket knows which */
    (void)events;
    if (getsockopt(dial->descriptor, SOL_SOCKET, SO_ERROR, &dial->error, &size) != 0)
        dial->error = errno;
    if (dial->error == 0) {
        finish(dial, 0, "");
        return;
    }
    close_descriptor(dial);
    try_rest(dial);
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = (struct lookup *)request->data;
    struct dial *dial = lookup->dial;
    free(lookup);
    if (dial == NULL) {
        uv_freeaddrinfo(found);
        return;
    }
    dial->lookup = NULL;
    dial->found = found;
    dial->one = found;
    if (status == 0)
        try_rest(dial);
    else if (status == UV_EAI_NONAME || status == UV_EAI_NODATA)
        finish(dial, EHOSTUNREACH, "there is no such host");
    else if (status == UV_EAI_MEMORY || status == UV_ENOMEM)
        finish(dial, ENOMEM, strerror(ENOMEM));
    else
        finish(dial, EHOSTUNREACH, "its name cannot be looked up now");
}

/* The time has come to begin, to ask again, or to give up. */
static void on_timer(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    if (dial->lookup != NULL) {
        finish(dial, ETIMEDOUT, "its name was not looked up in time");
        return;
    }
    if (dial->descriptor >= 0) {
        if (dial->attempt != NULL)
            dial->error = ETIMEDOUT;
        else if (session_now(dial->session) < dial->until && ask(dial))
            return;
        close_descriptor(dial);
    }
    try_rest(dial);
}

/* --- the beginning --- */

/* Returns -1 without memory. */
static int look_up(struct dial *dial)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = malloc(sizeof *lookup);
    char port[8];
    if (lookup == NULL)
        return -1;
    snprintf(port, sizeof port, "%u", dial->target->port);
    lookup->dial = dial;
    lookup->request.data = lookup;
    if (uv_getaddrinfo(&dial->session->home->uv, &lookup->request, on_found, dial->target->host,
                       port, &hints) != 0) {
        free(lookup);
        return -1;
    }
    dial->lookup = lookup;
    return 0;
}

struct dial *dial_start(struct session *session, const struct dial_target *target, int64_t timeout,
                        dial_done *done, void *owner)
{
    struct dial *dial = calloc(1, sizeof *dial);
    if (dial == NULL)
        return NULL;
    dial->session = session;
    dial->target = target;
    dial->done = done;
    dial->owner = owner;
    dial->deadline = session_now(session) + timeout;
    dial->error = ETIMEDOUT;
    dial->descriptor = -1;
    uv_timer_init(&session->home->uv, &dial->timer); /* cannot fail */
    dial->timer.data = dial;
    if (target->host[0] == '\0') {
        dial->known.ai_addr = (struct sockaddr *)(uintptr_t)&target->address.any;
        dial->known.ai_addrlen = target->length;
        dial->one = &dial->known;
        set_timer(dial, session_now(session));
    } else if (look_up(dial) == 0) {
        set_timer(dial, dial->deadline);
    } else {
        dial_give_up(dial);
        return NULL;
    }
    return dial;
}
