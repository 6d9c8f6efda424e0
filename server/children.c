#include "server/children.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "server/children_private.h"
#include "server/clock.h"
#include "server/descriptor.h"
#include "server/log.h"

/* Milliseconds. */
enum {
    KILL_MARGIN = 100, /* before the deadline, for the end of what is killed */
    AT_LEAST = 200,    /* for that, even when the time is up */
    STRAYS_LOOK = 20,  /* between two looks at processes outside of all groups */
    LOOK = 1000,       /* at the latest the reaper looks at everything, whoever has not rung */
};

enum {
    RING_TIMES = 3,
    PIPES = 6, /* ends of them that a program takes while it is started; half of them later */
    SIGNALS_AT_ONCE = 16,
};

/* There is one reaper. */
static struct {
    size_t expected;
    atomic_size_t left; /* programs of which anything is */
    bool stuck;         /* it could not be ended; the main thread's */
    int signals;        /* signalfd */
    int wake;           /* eventfd */
    int done;           /* eventfd: the reaper has ended */
    pthread_t thread;

    pthread_mutex_t lock; /* guards what is below, and what is asked of each child */
    pthread_cond_t changed;
    bool running;
    bool ended;
    bool stopping;
    int64_t stop_at;      /* when all is killed */
    struct child *coming; /* the last one first */

    struct child *first; /* the reaper's, as the rest */
    int64_t patience;    /* the longest of all */
    bool strays_asked;   /* to end */
    int64_t strays_at;   /* when processes outside of all groups are killed */
} reaper = {.signals = -1, .wake = -1, .done = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

/* An eventfd that is full says all there is to say. */
static void ring(int descriptor)
{
    const uint64_t one = 1;
    for (int i = 0; i < RING_TIMES; i++)
        if (write(descriptor, &one, sizeof one) == sizeof one || errno == EAGAIN)
            return;
}

static void silence(int descriptor)
{
    uint64_t count;
    ssize_t got = read(descriptor, &count, sizeof count);
    (void)got;
}

/* --- the reaper's thread --- */

bool child_known(pid_t pid)
{
    for (const struct child *child = reaper.first; child != NULL; child = child->next)
        if (child->state != CHILD_STARTING && child->pid == pid)
            return true;
    return false;
}

bool child_starting(void)
{
    for (const struct child *child = reaper.first; child != NULL; child = child->next)
        if (child->state == CHILD_STARTING)
            return true;
    return false;
}

/* Until a program's file has been read its start blocks, on a dead network for ever: nobody else is
   to wait for that. */
static void *start(void *argument)
{
    struct child *child = argument;
    child_spawn(child);
    atomic_store(&child->start_done, true); /* it may be freed from here on */
    pthread_mutex_lock(&reaper.lock);
    if (reaper.running)
        ring(reaper.wake);
    pthread_mutex_unlock(&reaper.lock);
    return NULL;
}

/* On a thread that nobody joins: the reaper is there for as long as it is. */
static void begin_start(struct child *child)
{
    pthread_t thread;
    int error = child->error;
    if (error == 0)
        error = pthread_create(&thread, NULL, start, child);
    if (error == 0) {
        pthread_detach(thread);
        return;
    }
    child->error = error;
    child_spawn(child); /* gives back what it was to be given */
    atomic_store(&child->start_done, true);
}

static void take_started(void)
{
    for (struct child *child = reaper.first; child != NULL; child = child->next)
        if (child->state == CHILD_STARTING && atomic_load(&child->start_done))
            child_started(child);
}

/* Those that have come are started, unless the end has come. */
static void take_coming(bool stopping)
{
    struct child *coming = NULL;
    pthread_mutex_lock(&reaper.lock);
    while (reaper.coming != NULL) {
        struct child *child = reaper.coming;
        reaper.coming = child->next;
        child->next = coming;
        coming = child;
    }
    pthread_mutex_unlock(&reaper.lock);
    while (coming != NULL) {
        struct child *child = coming;
        coming = child->next;
        if (child->program.patience > reaper.patience)
            reaper.patience = child->program.patience;
        child->next = reaper.first;
        reaper.first = child;
        child->error = stopping ? ESHUTDOWN : 0;
        begin_start(child);
    }
}

/* What the owners want, and the end of all. */
static void take_wishes(int64_t now, bool stopping, int64_t stop_at)
{
    pthread_mutex_lock(&reaper.lock);
    for (struct child *child = reaper.first; child != NULL; child = child->next) {
        if (child->state != CHILD_RUNNING)
            continue;
        child->term_at = earlier(child->term_at, child->asked_term);
        child->kill_at = earlier(child->kill_at, child->asked_kill);
    }
    pthread_mutex_unlock(&reaper.lock);
    for (struct child *child = reaper.first; stopping && child != NULL; child = child->next) {
        child->term_at = earlier(child->term_at, now);
        child->kill_at = earlier(child->kill_at, stop_at);
    }
}

static void forget(struct child *child)
{
    atomic_fetch_sub(child->program.count, 1);
    atomic_fetch_sub(&reaper.left, 1);
    child_release(child);
}

/* Returns when it is to be called again at the latest. */
static int64_t look_at_all(int64_t now)
{
    int64_t next = CHILD_NEVER;
    for (struct child **link = &reaper.first; *link != NULL;) {
        struct child *child = *link;
        next = earlier(next, child_look(child, now));
        if (child->state == CHILD_GONE) {
            *link = child->next;
            forget(child);
        } else {
            link = &child->next;
        }
    }
    return next;
}

/* Processes that have left the group of their program are asked to end with the others... */
static void ask_strays(int64_t now)
{
    if (reaper.strays_asked)
        return;
    reaper.strays_asked = true;
    strays_signal(SIGTERM);
    reaper.strays_at = now + reaper.patience;
}

/* ...and are killed when the others have gone, and the longest time that any program is given has
   passed. Returns when to look again; 0: none is left. */
static int64_t end_strays(int64_t now, int64_t stop_at)
{
    bool over = now >= earlier(reaper.strays_at, stop_at);
    return strays_signal(over ? SIGKILL : 0) == 0 ? 0 : now + STRAYS_LOOK;
}

static void read_signals(void)
{
    struct signalfd_siginfo infos[SIGNALS_AT_ONCE];
    ssize_t got;
    while ((got = read(reaper.signals, infos, sizeof infos)) > 0)
        for (size_t i = 0; i < (size_t)got / sizeof infos[0]; i++)
            strays_reap((pid_t)infos[i].ssi_pid);
}

/* Does what is due. Returns when to go on at the latest; 0: nothing is left, and nothing comes. */
static int64_t work(void)
{
    pthread_mutex_lock(&reaper.lock);
    bool stopping = reaper.stopping;
    int64_t stop_at = reaper.stop_at;
    pthread_mutex_unlock(&reaper.lock);

    int64_t now = clock_milliseconds();
    take_coming(stopping);
    take_started();
    take_wishes(now, stopping, stop_at);
    int64_t next = look_at_all(now);
    strays_reap(0);
    if (!stopping)
        return next;
    ask_strays(now);
    if (reaper.first == NULL)
        return end_strays(now, stop_at);
    const int64_t over = earlier(reaper.strays_at, stop_at);
    if (child_starting() && now >= over)
        strays_signal(SIGKILL); /* a start ends with its process */
    return child_starting() ? earlier(next, now < over ? over : now + STRAYS_LOOK) : next;
}

static void *run(void *argument)
{
    struct pollfd events[] = {
        {.fd = reaper.signals, .events = POLLIN},
        {.fd = reaper.wake, .events = POLLIN},
    };
    (void)argument;
    for (int64_t next; (next = work()) != 0;) {
        poll(events, 2, clock_poll_timeout(earlier(next, clock_milliseconds() + LOOK)));
        silence(reaper.wake);
        read_signals();
    }
    pthread_mutex_lock(&reaper.lock);
    reaper.ended = true;
    ring(reaper.done);
    pthread_cond_signal(&reaper.changed);
    pthread_mutex_unlock(&reaper.lock);
    return NULL;
}

/* --- main thread --- */

void children_expect(size_t programs)
{
    reaper.expected += programs;
}

size_t children_descriptors(void)
{
    return reaper.expected * PIPES;
}

static void release(void)
{
    int *descriptors[] = {&reaper.signals, &reaper.wake, &reaper.done};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++) {
        if (*descriptors[i] >= 0)
            close(*descriptors[i]);
        *descriptors[i] = -1;
    }
    pthread_cond_destroy(&reaper.changed);
}

int children_start(void)
{
    sigset_t signals;
    if (reaper.expected == 0)
        return 0;
    clock_condition_init(&reaper.changed);
    reaper.stopping = reaper.strays_asked = reaper.ended = false;
    reaper.stop_at = CHILD_NEVER;
    reaper.patience = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    signal(SIGCHLD, SIG_DFL); /* ignored, statuses would be lost */
    prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L);
    strays_begin();
    reaper.signals = descriptor_keep(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    reaper.wake = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    reaper.done = descriptor_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int error = errno;
    if (reaper.signals >= 0 && reaper.wake >= 0 && reaper.done >= 0) {
        error = pthread_create(&reaper.thread, NULL, run, NULL);
        if (error == 0) {
            reaper.running = true;
            return 0;
        }
    }
    release();
    errno = error;
    return -1;
}

int children_end(int64_t deadline)
{
    pthread_mutex_lock(&reaper.lock);
    int done = reaper.running ? reaper.done : -1;
    if (reaper.running) {
        reaper.stopping = true;
        reaper.stop_at = earlier(reaper.stop_at, deadline - KILL_MARGIN);
        ring(reaper.wake);
    }
    pthread_mutex_unlock(&reaper.lock);
    return done;
}

bool children_stop(int64_t deadline)
{
    if (children_end(deadline) < 0)
        return !reaper.stuck;
    int64_t least = clock_milliseconds() + AT_LEAST;
    struct timespec until = clock_timespec(deadline < least ? least : deadline);
    int waited = 0;
    pthread_mutex_lock(&reaper.lock);
    while (!reaper.ended && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&reaper.changed, &reaper.lock, &until);
    bool ended = reaper.ended;
    reaper.running = false;
    pthread_mutex_unlock(&reaper.lock);
    if (!ended) {
        log_event(LOG_ERROR, "a program cannot be ended: the kernel does not let it go",
                  LOG_NUMBER("patience_ms", AT_LEAST));
        reaper.stuck = true;
        return false;
    }
    pthread_join(reaper.thread, NULL);
    release();
    reaper.expected = 0;
    return true;
}

size_t children_left(void)
{
    return atomic_load(&reaper.left);
}

/* --- any loop's thread --- */

void child_release(struct child *child)
{
    if (atomic_fetch_sub(&child->users, 1) == 1)
        free(child);
}

/* What it was to be given. Returns NULL with the errno. */
static struct child *refuse(const struct child_program *program, int error)
{
    for (int i = 0; i < 3; i++)
        close(program->descriptors[i]);
    free(program->environment);
    atomic_fetch_sub(program->count, 1);
    errno = error;
    return NULL;
}

struct child *child_start(const struct child_program *program)
{
    struct child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return refuse(program, ENOMEM);
    child->program = *program;
    child->owner = program->owner;
    child->asked_term = child->asked_kill = child->term_at = child->kill_at = CHILD_NEVER;
    atomic_init(&child->users, 2); /* the owner and the reaper */
    pthread_mutex_lock(&reaper.lock);
    bool taken = reaper.running && !reaper.stopping;
    if (taken) {
        atomic_fetch_add(&reaper.left, 1);
        child->next = reaper.coming;
        reaper.coming = child;
        ring(reaper.wake);
    }
    pthread_mutex_unlock(&reaper.lock);
    if (taken)
        return child;
    free(child);
    return refuse(program, ESHUTDOWN);
}

void child_end(struct child *child, int64_t term, int64_t kill)
{
    int64_t now = clock_milliseconds();
    pthread_mutex_lock(&reaper.lock);
    child->asked_term = earlier(child->asked_term, now + term);
    child->asked_kill = earlier(child->asked_kill, now + kill);
    if (reaper.running)
        ring(reaper.wake);
    pthread_mutex_unlock(&reaper.lock);
}

void child_leave(struct child *child)
{
    child->owner = NULL;
    child_release(child);
}
