/*
 * websockets: the keys of a route that are about its WebSockets, which every route takes whose
 * handler serves them. Knows nothing of a handler's own keys, of paths or of other routes.
 */
#ifndef LASTCALL_CONFIG_WEBSOCKETS_H
#define LASTCALL_CONFIG_WEBSOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/document.h"
#include "config/problems.h"

/* Whether one of these keys has that name. */
bool websockets_has_key(const char *name);

/*
 * Sets the members of `route` from the section's entries or the defaults. `given` is false when the
 * section must have none of the keys: what it has is passed over then, for others to report.
 * Mistakes, also of keys that contradict each other, are added to `problems`.
 */
void websockets_read(const struct document *document, size_t section, bool given,
                     struct config_route *route, struct problems *problems);

#endif
