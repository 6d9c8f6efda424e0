/*
 * limits: the limits in force, from what the configuration says and, where it says `auto`, from the
 * machine. Main thread, at the start.
 */
#ifndef LASTCALL_SERVER_LIMITS_H
#define LASTCALL_SERVER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "server/session_home.h"

/* Event loops: as many as there are processors to use, at most MEMORY_SHARES_MAX. */
size_t limits_loops(const struct config *config);

/* Descriptors that so many sessions take, with those that their handlers take for them, on
   whichever routes they are. */
size_t limits_descriptors(const struct config *config, size_t connections);

/* The most sessions for which so many descriptors are enough, at most `most`. */
size_t limits_connections(const struct config *config, size_t descriptors, size_t most);

/* Bytes that all sessions together may hold. */
uint64_t limits_memory(const struct config *config);

/* Bytes that the kernel keeps of what one peer has sent. */
uint64_t limits_receive_buffer(const struct config *config);

/* Requests of one address that are served at a time. */
size_t limits_requests_per_address(const struct config *config);

/* What the sessions of a route obey; `receive_buffer` is limits_receive_buffer's, which reads files
   of the system. */
struct session_limits limits_of_route(const struct config *config, const struct config_route *route,
                                      uint64_t receive_buffer);

#endif
