#include "server/route.h"

#include <string.h>

/* What stands behind the prefix in a path that it matches; NULL: it does not match. */
static const char *behind_prefix(const char *prefix, size_t length, const char *path)
{
    if (strncmp(path, prefix, length) != 0)
        return NULL;
    const char *rest = path + length;
    if (*rest == '\0')
        return rest;
    return *rest == '/' ? rest + 1 : NULL;
}

const struct route *route_match(const struct route *routes, size_t count, const char *path,
                                const char **rest)
{
    const struct route *best = NULL;
    size_t best_length = 0;
    for (size_t i = 0; i < count; i++) {
        const struct route *route = &routes[i];
        if (!route->prefix) {
            if (strcmp(route->path, path) != 0)
                continue;
            *rest = "";
            return route;
        }
        size_t length = strlen(route->path);
        const char *behind = behind_prefix(route->path, length, path);
        if (behind != NULL && (best == NULL || length > best_length)) {
            best = route;
            best_length = length;
            *rest = behind;
        }
    }
    return best;
}
