/*
 * memory: where the configuration gets its memory from.
 *
 * One function in a file of its own, so that a test can link another in its place that fails when
 * it is told to. Memory is given back with free.
 */
#ifndef LASTCALL_CONFIG_MEMORY_H
#define LASTCALL_CONFIG_MEMORY_H

#include <stddef.h>

/* As realloc: `block` is NULL for a new one. Returns NULL when there is none; `block` stays. */
void *memory_resize(void *block, size_t size);

#endif
