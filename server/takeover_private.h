/*
 * takeover_private: what takeover.c (connections) and takeover_stop.c (the listeners and the rest,
 * at the end) share. Nobody else includes it.
 */
#ifndef LASTCALL_SERVER_TAKEOVER_PRIVATE_H
#define LASTCALL_SERVER_TAKEOVER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { TAKEOVER_LISTENERS_MAX = 64 };

struct takeover_listener {
    struct sockaddr_storage address;
    int number; /* CivetWeb's */
    int kept;   /* our dup; -1: there was no descriptor for it, or it is closed */
};

struct takeover {
    int ended; /* a socket that has ended in both directions */
    int quiet; /* an eventfd: the listeners of the time after */
    struct takeover_listener listeners[TAKEOVER_LISTENERS_MAX];
    size_t listener_count;
    bool aside; /* the listeners are put aside until there are descriptors again */
};

extern struct takeover takeover;

/* Calls `look` for each open descriptor below the floor. */
typedef void (*takeover_look)(int descriptor, void *argument);
void takeover_look_through(takeover_look look, void *argument);

/* Whether it listens; whether it was accepted on one of our ports, alive or dead. */
bool takeover_is_listener(int descriptor);
bool takeover_is_accepted(int descriptor);

#endif
