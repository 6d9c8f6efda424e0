/*
 * media_type: which Content-Type a file's name stands for.
 *
 * The system's table (/etc/mime.types: a media type and the endings that stand for it on each line,
 * # begins a comment) and behind it a small one of our own, for a system that has none. Reading it
 * is one thing, its text another: media_types_parse knows no file. A table is made once, changed
 * never, and may be asked on any thread.
 */
#ifndef LASTCALL_SERVER_MEDIA_TYPE_H
#define LASTCALL_SERVER_MEDIA_TYPE_H

#include <stddef.h>

#define MEDIA_TYPES_MAX ((size_t)1 << 20) /* bytes that are read; Debian's table has 72 KB */

struct media_types;

/*
 * Makes a table of `length` bytes of text, and of ours for the endings that are not in it; of two
 * lines with the same ending the first counts. What cannot be a header's value is passed over.
 * Returns NULL when there is no memory.
 */
struct media_types *media_types_parse(const char *text, size_t length);

/* The same for a file. One that cannot be read is as an empty one, and of one that is larger than
   MEDIA_TYPES_MAX the whole lines up to there are read. */
struct media_types *media_types_read(const char *path);

void media_types_free(struct media_types *types);

/*
 * The Content-Type for a file of this name, or path, by what stands behind its last dot, in any
 * case; types of text say that they are UTF-8. "application/octet-stream" for an unknown one. Lives
 * as long as the table.
 */
const char *media_type_find(const struct media_types *types, const char *name);

#endif
