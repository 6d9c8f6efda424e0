/*
 * file: reads a configuration file whole, or says in plain words why it cannot be read.
 * Knows nothing of what stands in it.
 */
#ifndef LASTCALL_CONFIG_FILE_H
#define LASTCALL_CONFIG_FILE_H

#include <stddef.h>

#include "config/buffer.h"

#define FILE_MAX 1048576 /* bytes: a configuration is not larger, something else may be */

enum { FILE_REFUSED = -2 };

/*
 * Reads `path` into `buffer`. Never waits: a FIFO or a device is refused, not opened.
 * Returns 0, or -1 with the reason in `why` ("is a directory"); FILE_REFUSED where the reason is
 * that the system has no memory or descriptors left.
 */
int file_read(const char *path, struct buffer *buffer, char *why, size_t size);

#endif
