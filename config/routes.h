/*
 * routes: the [route ...] sections as checked routes.
 */
#ifndef LASTCALL_CONFIG_ROUTES_H
#define LASTCALL_CONFIG_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/document.h"

#define ROUTES_MAX 1000

/* The number of groups; `groups` may be NULL. */
size_t groups_count(const struct option_group *groups);

/* Whether the section is one of these: "route", or "route " and anything. */
bool routes_is_route(const char *section);

/*
 * The path that stands in a section's name, "/echo" in "route /echo"; NULL when the section has a
 * name instead.
 */
const char *routes_section_path(const char *section);

/*
 * Checks a path as it is written, and tells how long the part is that is compared ("/chat" of
 * "/chat" slash star) and whether it is a prefix. Returns 0, or -1 with the mistake in `why`.
 */
int routes_check_path(const char *path, size_t *length, bool *prefix, char *why, size_t size);

/* Adds every route of `document` to `config`, every mistake to `problems`. */
void routes_build(struct config *config, const struct document *document,
                  const struct option_group *groups, struct problems *problems);

/* Frees the routes. */
void routes_free(struct config *config);

#endif
