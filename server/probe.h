/*
 * probe: asks a running daemon whether it lives, as `lastcall --health` does. Main thread.
 */
#ifndef LASTCALL_SERVER_PROBE_H
#define LASTCALL_SERVER_PROBE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sends GET `path` to a numeric address ("" means the loopback one) and waits at most
 * `milliseconds` for its status line. Returns 0 when that says 200 or `also_good` (0: nothing
 * else), else -1 with one line in `error`.
 */
int probe(const char *host, uint16_t port, const char *path, int also_good, int64_t milliseconds,
          char *error, size_t error_size);

#endif
