/*
 * workers: how many of CivetWeb's threads are awake.
 *
 * Many threads must be there for the moment when many peers are slow; but as long as none is, a
 * few serve more handshakes at less cost, since they need not be woken for each. So all but a few
 * are held back at their start, and let in when connections stay in CivetWeb's hands for longer
 * than a look around takes. A thread that was let in stays. Knows nothing of CivetWeb.
 */
#ifndef LASTCALL_SERVER_WORKERS_H
#define LASTCALL_SERVER_WORKERS_H

#include <stddef.h>

/* Before the threads start, with the number that there will be. */
void workers_init(size_t total);

/* Called by each thread first of all; returns when it is needed. */
void workers_wait(void);

/*
 * Looks at the connections that CivetWeb has: lets as many threads in as slow ones hold, and ends
 * those that have never said a byte, for which the kernel has waited long enough
 * (TCP_DEFER_ACCEPT), and those of which one address has too many (arrivals.h). One thread; does
 * not block. Returns the milliseconds to the next look.
 */
int workers_look(void);

/* Lets all in: before they are to be joined. Any thread. */
void workers_release(void);

/* How many are awake. Any thread. */
size_t workers_awake(void);

#endif
