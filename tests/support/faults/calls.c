/*
 * calls: the stubs of all calls that can fail. A stub counts, and either fails as the function
 * does, or calls it. Errors that come as a result are what the test says: UV_E* or Z_* by number.
 */
#include <civetweb.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>
#include <zlib.h>

#include "faults.h"

/* How functions fail; `error` is what the test has said. */
#define MINUS_ONE (errno = error, -1)
#define NOTHING (errno = error, NULL)
#define MAPPED (errno = error, MAP_FAILED)
#define ITSELF (error)
#define NEGATIVE (-error)
#define NONE_DONE (errno = error, 0)
#define NO_BYTES (errno = error, (size_t)0)

/* result, name, how it fails, parameters, arguments */
#define CALLS(X)                                                                                   \
    X(int, accept, MINUS_ONE, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))                \
    X(int, accept4, MINUS_ONE, (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d))     \
    X(int, access, MINUS_ONE, (const char *a, int b), (a, b))                                      \
    X(void *, aligned_alloc, NOTHING, (size_t a, size_t b), (a, b))                                \
    X(void *, calloc, NOTHING, (size_t a, size_t b), (a, b))                                       \
    X(int, connect, MINUS_ONE, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))          \
    X(int, deflate, ITSELF, (z_streamp a, int b), (a, b))                                          \
    X(int, deflateInit2_, ITSELF,                                                                  \
      (z_streamp a, int b, int c, int d, int e, int f, const char *g, int h),                      \
      (a, b, c, d, e, f, g, h))                                                                    \
    X(int, deflateReset, ITSELF, (z_streamp a), (a))                                               \
    X(int, dup2, MINUS_ONE, (int a, int b), (a, b))                                                \
    X(int, dup3, MINUS_ONE, (int a, int b, int c), (a, b, c))                                      \
    X(int, epoll_create1, MINUS_ONE, (int a), (a))                                                 \
    X(int, epoll_ctl, MINUS_ONE, (int a, int b, int c, struct epoll_event *d), (a, b, c, d))       \
    X(int, epoll_pwait, MINUS_ONE,                                                                 \
      (int a, struct epoll_event *b, int c, int d, const sigset_t *e), (a, b, c, d, e))            \
    X(int, epoll_wait, MINUS_ONE, (int a, struct epoll_event *b, int c, int d), (a, b, c, d))      \
    X(int, eventfd, MINUS_ONE, (unsigned a, int b), (a, b))                                        \
    X(int, EVP_Digest, NONE_DONE,                                                                  \
      (const void *a, size_t b, unsigned char *c, unsigned *d, const EVP_MD *e, ENGINE *f),        \
      (a, b, c, d, e, f))                                                                          \
    X(EVP_MD *, EVP_MD_fetch, NOTHING, (OSSL_LIB_CTX * a, const char *b, const char *c),           \
      (a, b, c))                                                                                   \
    X(int, fflush, MINUS_ONE, (FILE * a), (a))                                                     \
    X(FILE *, fdopen, NOTHING, (int a, const char *b), (a, b))                                     \
    X(FILE *, fopen, NOTHING, (const char *a, const char *b), (a, b))                              \
    X(char *, fgets, NOTHING, (char *a, int b, FILE *c), (a, b, c))                                \
    X(int, fputc, MINUS_ONE, (int a, FILE *b), (a, b))                                             \
    X(int, fputs, MINUS_ONE, (const char *a, FILE *b), (a, b))                                     \
    X(int, fstat, MINUS_ONE, (int a, struct stat *b), (a, b))                                      \
    X(size_t, fwrite, NO_BYTES, (const void *a, size_t b, size_t c, FILE *d), (a, b, c, d))        \
    X(int, getaddrinfo, ITSELF,                                                                    \
      (const char *a, const char *b, const struct addrinfo *c, struct addrinfo **d), (a, b, c, d)) \
    X(int, getnameinfo, ITSELF,                                                                    \
      (const struct sockaddr *a, socklen_t b, char *c, socklen_t d, char *e, socklen_t f, int g),  \
      (a, b, c, d, e, f, g))                                                                       \
    X(int, getpeername, MINUS_ONE, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))           \
    X(ssize_t, getrandom, MINUS_ONE, (void *a, size_t b, unsigned c), (a, b, c))                   \
    X(int, getrlimit, MINUS_ONE, (__rlimit_resource_t a, struct rlimit * b), (a, b))               \
    X(int, getsockname, MINUS_ONE, (int a, struct sockaddr *b, socklen_t *c), (a, b, c))           \
    X(int, getsockopt, MINUS_ONE, (int a, int b, int c, void *d, socklen_t *e), (a, b, c, d, e))   \
    X(int, inflate, ITSELF, (z_streamp a, int b), (a, b))                                          \
    X(int, inflateInit2_, ITSELF, (z_streamp a, int b, const char *c, int d), (a, b, c, d))        \
    X(int, inflateReset, ITSELF, (z_streamp a), (a))                                               \
    X(int, listen, MINUS_ONE, (int a, int b), (a, b))                                              \
    X(int, lstat, MINUS_ONE, (const char *a, struct stat *b), (a, b))                              \
    X(void *, malloc, NOTHING, (size_t a), (a))                                                    \
    X(int, mg_write, MINUS_ONE, (struct mg_connection * a, const void *b, size_t c), (a, b, c))    \
    X(void *, mmap, MAPPED, (void *a, size_t b, int c, int d, int e, off_t f), (a, b, c, d, e, f)) \
    X(int, nanosleep, MINUS_ONE, (const struct timespec *a, struct timespec *b), (a, b))           \
    X(FILE *, open_memstream, NOTHING, (char **a, size_t *b), (a, b))                              \
    X(DIR *, opendir, NOTHING, (const char *a), (a))                                               \
    X(int, pipe2, MINUS_ONE, (int a[2], int b), (a, b))                                            \
    X(int, poll, MINUS_ONE, (struct pollfd * a, nfds_t b, int c), (a, b, c))                       \
    X(int, posix_spawn, ITSELF,                                                                    \
      (pid_t * a, const char *b, const posix_spawn_file_actions_t *c, const posix_spawnattr_t *d,  \
       char *const *e, char *const *f),                                                            \
      (a, b, c, d, e, f))                                                                          \
    X(ssize_t, pread, MINUS_ONE, (int a, void *b, size_t c, off_t d), (a, b, c, d))                \
    X(int, pthread_create, ITSELF,                                                                 \
      (pthread_t * a, const pthread_attr_t *b, void *(*c)(void *), void *d), (a, b, c, d))         \
    X(int, putc, MINUS_ONE, (int a, FILE *b), (a, b))                                              \
    X(ssize_t, read, MINUS_ONE, (int a, void *b, size_t c), (a, b, c))                             \
    X(struct dirent *, readdir, NOTHING, (DIR * a), (a))                                           \
    X(void *, realloc, NOTHING, (void *a, size_t b), (a, b))                                       \
    X(ssize_t, recv, MINUS_ONE, (int a, void *b, size_t c, int d), (a, b, c, d))                   \
    X(int, rename, MINUS_ONE, (const char *a, const char *b), (a, b))                              \
    X(int, sched_getaffinity, MINUS_ONE, (pid_t a, size_t b, cpu_set_t * c), (a, b, c))            \
    X(ssize_t, send, MINUS_ONE, (int a, const void *b, size_t c, int d), (a, b, c, d))             \
    X(ssize_t, sendfile, MINUS_ONE, (int a, int b, off_t *c, size_t d), (a, b, c, d))              \
    X(ssize_t, sendmsg, MINUS_ONE, (int a, const struct msghdr *b, int c), (a, b, c))              \
    X(ssize_t, sendto, MINUS_ONE,                                                                  \
      (int a, const void *b, size_t c, int d, const struct sockaddr *e, socklen_t f),              \
      (a, b, c, d, e, f))                                                                          \
    X(int, setrlimit, MINUS_ONE, (__rlimit_resource_t a, const struct rlimit *b), (a, b))          \
    X(int, setsockopt, MINUS_ONE, (int a, int b, int c, const void *d, socklen_t e),               \
      (a, b, c, d, e))                                                                             \
    X(int, shutdown, MINUS_ONE, (int a, int b), (a, b))                                            \
    X(int, signalfd, MINUS_ONE, (int a, const sigset_t *b, int c), (a, b, c))                      \
    X(int, socket, MINUS_ONE, (int a, int b, int c), (a, b, c))                                    \
    X(int, socketpair, MINUS_ONE, (int a, int b, int c, int d[2]), (a, b, c, d))                   \
    X(int, stat, MINUS_ONE, (const char *a, struct stat *b), (a, b))                               \
    X(char *, strdup, NOTHING, (const char *a), (a))                                               \
    X(long, sysconf, MINUS_ONE, (int a), (a))                                                      \
    X(int, unlink, MINUS_ONE, (const char *a), (a))                                                \
    X(int, uv_async_init, NEGATIVE, (uv_loop_t * a, uv_async_t * b, uv_async_cb c), (a, b, c))     \
    X(int, uv_async_send, NEGATIVE, (uv_async_t * a), (a))                                         \
    X(int, uv_getaddrinfo, NEGATIVE,                                                               \
      (uv_loop_t * a, uv_getaddrinfo_t * b, uv_getaddrinfo_cb c, const char *d, const char *e,     \
       const struct addrinfo *f),                                                                  \
      (a, b, c, d, e, f))                                                                          \
    X(int, uv_loop_init, NEGATIVE, (uv_loop_t * a), (a))                                           \
    X(int, uv_poll_init, NEGATIVE, (uv_loop_t * a, uv_poll_t * b, int c), (a, b, c))               \
    X(int, uv_poll_init_socket, NEGATIVE, (uv_loop_t * a, uv_poll_t * b, uv_os_sock_t c),          \
      (a, b, c))                                                                                   \
    X(int, uv_poll_start, NEGATIVE, (uv_poll_t * a, int b, uv_poll_cb c), (a, b, c))               \
    X(ssize_t, write, MINUS_ONE, (int a, const void *b, size_t c), (a, b, c))

/* Those that take what a row cannot say. */
#define OTHERS(X) X(asprintf) X(close) X(fclose) X(fcntl) X(fprintf) X(ioctl) X(open) X(syscall)

#define PLACE(result, name, failure, parameters, arguments) CALL_##name,
#define OTHER_PLACE(name) CALL_##name,
enum { CALLS(PLACE) OTHERS(OTHER_PLACE) CALL_COUNT };
_Static_assert(CALL_COUNT < (int)FAULTS_MAX, "there is room for all in the file");

#define STUB(result, name, failure, parameters, arguments)                                         \
    static result stub_##name parameters                                                           \
    {                                                                                              \
        const int error = faults_due(CALL_##name);                                                 \
        return error == 0 ? name arguments : (failure);                                            \
    }
CALLS(STUB)

/* Those that take one thing more, or nothing: a pointer or a number. */

static int stub_open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    void *mode = va_arg(list, void *);
    va_end(list);
    const int error = faults_due(CALL_open);
    return error == 0 ? open(path, flags, (mode_t)(uintptr_t)mode) : MINUS_ONE;
}

/* Only what makes a descriptor. */
static int stub_fcntl(int descriptor, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    const int error = command == F_DUPFD_CLOEXEC ? faults_due(CALL_fcntl) : 0;
    return error == 0 ? fcntl(descriptor, command, argument) : MINUS_ONE;
}

static int stub_ioctl(int descriptor, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    const int error = faults_due(CALL_ioctl);
    return error == 0 ? ioctl(descriptor, request, argument) : MINUS_ONE;
}

static long stub_syscall(long number, ...)
{
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (size_t i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    const int error = faults_due(CALL_syscall);
    return error == 0 ? syscall(number, arguments[0], arguments[1], arguments[2], arguments[3],
                                arguments[4], arguments[5])
                      : MINUS_ONE;
}

/* The number is given back all the same, as Linux does. */
static int stub_close(int descriptor)
{
    const int error = faults_due(CALL_close);
    const int result = close(descriptor);
    return error == 0 ? result : MINUS_ONE;
}

static int stub_fclose(FILE *file)
{
    const int error = faults_due(CALL_fclose);
    const int result = fclose(file);
    return error == 0 ? result : MINUS_ONE;
}

static int stub_asprintf(char **text, const char *format, ...)
{
    const int error = faults_due(CALL_asprintf);
    if (error != 0)
        return MINUS_ONE;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(text, format, list);
    va_end(list);
    return length;
}

static int stub_asprintf_chk(char **text, int flag, const char *format, ...)
{
    const int error = faults_due(CALL_asprintf);
    (void)flag;
    if (error != 0)
        return MINUS_ONE;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(text, format, list);
    va_end(list);
    return length;
}

static int stub_fprintf(FILE *file, const char *format, ...)
{
    const int error = faults_due(CALL_fprintf);
    if (error != 0)
        return MINUS_ONE;
    va_list list;
    va_start(list, format);
    const int length = vfprintf(file, format, list);
    va_end(list);
    return length;
}

static int stub_fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    const int error = faults_due(CALL_fprintf);
    (void)flag;
    if (error != 0)
        return MINUS_ONE;
    va_list list;
    va_start(list, format);
    const int length = vfprintf(file, format, list);
    va_end(list);
    return length;
}

#define ROW(result, name, failure, parameters, arguments) {#name, (uintptr_t)stub_##name},
#define OTHER_ROW(name) {#name, (uintptr_t)stub_##name},
const struct fault_stub fault_stubs[] = {
    CALLS(ROW) OTHERS(OTHER_ROW){"__asprintf_chk", (uintptr_t)stub_asprintf_chk},
    {"__fprintf_chk", (uintptr_t)stub_fprintf_chk},
    {"fcntl64", (uintptr_t)stub_fcntl},
    {"fopen64", (uintptr_t)stub_fopen},
    {"open64", (uintptr_t)stub_open},
    {"stat64", (uintptr_t)stub_stat},
    {NULL, 0},
};

#define NAME(result, name, failure, parameters, arguments) #name,
#define OTHER_NAME(name) #name,
const char *const fault_names[] = {CALLS(NAME) OTHERS(OTHER_NAME) NULL};
