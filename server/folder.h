/*
 * folder: the files below one folder, and no way out of it.
 *
 * The kernel keeps every path below the folder (openat2, RESOLVE_BENEATH): neither dots nor links
 * nor a rename at the wrong moment lead out, so there is no rule here that could be wrong. Knows no
 * request. Any thread.
 */
#ifndef LASTCALL_SERVER_FOLDER_H
#define LASTCALL_SERVER_FOLDER_H

#include <stddef.h>
#include <sys/stat.h>

/*
 * Opens a folder, for folder_open_file alone. Returns a descriptor, to be closed by close; or -1
 * with one line in `error`: there is no such folder, or the system cannot do what is needed.
 */
int folder_open(const char *path, char *error, size_t error_size);

/*
 * Opens a regular file below the folder for reading and fills in *about. Returns its descriptor, or
 * -1 with errno: EISDIR for a folder, EXDEV for a path that leads out, ENOENT for what is neither
 * file nor folder, and whatever else open says. Never waits for the other end of a FIFO.
 */
int folder_open_file(int folder, const char *path, struct stat *about);

#endif
