/*
 * run: the daemon's life: start, signals, drain, exit status. Main thread.
 */
#ifndef LASTCALL_SERVER_RUN_H
#define LASTCALL_SERVER_RUN_H

#include <signal.h>

struct config;

/*
 * Starts everything that the configuration says, serves until SIGTERM or SIGINT comes, drains, and
 * returns the exit status. `name` is that of the configuration's file, for messages. `signals` are
 * those that the caller has blocked: SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2. Does not return,
 * but ends the process with that status, where threads are left that cannot be joined.
 */
int run(const struct config *config, const char *name, const sigset_t *signals);

#endif
