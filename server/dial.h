/*
 * dial: connects to what is to be behind a session, without ever blocking.
 *
 * A target is an address, a host name or the path of a Unix socket. A dial belongs to a session and
 * runs on its loop; names are looked up by threads of libuv. It knows nothing of what will be said.
 */
#ifndef LASTCALL_SERVER_DIAL_H
#define LASTCALL_SERVER_DIAL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DIAL_HOST_MAX 253 /* bytes of a name: RFC 1035, section 2.3.4, without the last dot */

/* Whom to connect to. */
struct dial_target {
    char host[DIAL_HOST_MAX + 1]; /* to be looked up; "": the address is known */
    uint16_t port;                /* of the host */
    socklen_t length;             /* of the address */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    } address;
};

/*
 * Reads "db.example:5432", "127.0.0.1:5432", "[::1]:5432", "unix:/run/db.sock" or, for a name of
 * Linux's abstract sockets, "unix:@db". Pure: nothing is looked up. Returns 0, or -1 with the
 * mistake in `why`.
 */
int dial_parse(const char *text, struct dial_target *target, char *why, size_t size);

struct dial;
struct session;

/*
 * How a dial has ended. `descriptor` is the receiver's: connected, non-blocking, close-on-exec and
 * above the floor. Or it is -1: `error` is EMFILE, ENFILE, ENOMEM or ENOBUFS when the system has
 * refused us something, and `why` says in any case what people can understand, in short:
 * "Connection refused".
 */
typedef void dial_done(void *owner, int descriptor, int error, const char *why);

/*
 * Begins to connect; `target` must live until it is done. Addresses of one name are tried in turn,
 * each for its share of what is left of `timeout` (milliseconds). `done` is called once, from the
 * loop and never from in here; the dial is gone then. Loop thread. Returns NULL without memory.
 */
struct dial *dial_start(struct session *session, const struct dial_target *target, int64_t timeout,
                        dial_done *done, void *owner);

/* Gives it up: `done` is not called any more. Loop thread. */
void dial_give_up(struct dial *dial);

#endif
