/*
 * descriptor: which descriptor numbers are whose.
 *
 * CivetWeb always gets the lowest free number. So that its sockets can be found among few, our own
 * long-lived descriptors are moved above a floor, where nobody else looks.
 */
#ifndef LASTCALL_SERVER_DESCRIPTOR_H
#define LASTCALL_SERVER_DESCRIPTOR_H

#include <stddef.h>

/*
 * Raises RLIMIT_NOFILE as far as it goes. Returns the number of descriptors that this process may
 * have from now on. Main thread, at start.
 */
size_t descriptor_raise_limit(void);

/*
 * Sets the floor, and grows the process's descriptor table to `highest` at once: each doubling
 * later would stall all threads for milliseconds. Before any other thread is started. Returns 0,
 * or -1 with errno.
 */
int descriptor_init(int floor, size_t highest);

/* The floor; 0 until descriptor_init. */
int descriptor_floor(void);

/*
 * Between the two calls every number below the floor is in use, so that what libraries open in
 * the meantime lands above it. Before any other thread opens something. descriptor_fill returns 0,
 * or -1 with errno.
 */
int descriptor_fill(void);
void descriptor_clear(void);

/*
 * Moves a descriptor above the floor, close-on-exec, and closes the old number. Returns the new
 * one; on error closes the old one and returns -1 with errno. A negative one is handed through.
 * Any thread.
 */
int descriptor_keep(int descriptor);

#endif
