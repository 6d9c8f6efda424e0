/*
 * The router: among any routes it finds the one that a slow and obvious search finds.
 *
 * Input: lines. The first is the path that is asked for, the others are routes as one writes them
 * in a configuration: an exact path, or a prefix that ends in a slash and a star.
 */
#include "server/route.h"
#include "tests/fuzz/fuzz.h"

enum { ROUTES_MAX = 40 };

/* Whether the path is the prefix, or lies below it. Whole texts are compared, piece by piece. */
static bool lies_below(const char *path, const char *prefix, const char **rest)
{
    size_t length = 0;
    while (prefix[length] != '\0') {
        if (path[length] != prefix[length])
            return false;
        length++;
    }
    if (path[length] != '\0' && path[length] != '/')
        return false;
    *rest = path[length] == '\0' ? path + length : path + length + 1;
    return true;
}

/* The first exact route, else the first of the longest prefixes. */
static const struct route *search(const struct route *routes, size_t count, const char *path,
                                  const char **rest)
{
    const struct route *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!routes[i].prefix && strcmp(routes[i].path, path) == 0) {
            *rest = "";
            return &routes[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        const char *behind;
        if (!routes[i].prefix || !lies_below(path, routes[i].path, &behind))
            continue;
        if (best != NULL && strlen(best->path) >= strlen(routes[i].path))
            continue;
        best = &routes[i];
        *rest = behind;
    }
    return best;
}

/* A route of a line; its path is to be freed. */
static struct route make_route(struct input *input)
{
    char *path = take_text(input, '\n');
    size_t length = strlen(path);
    bool prefix = length >= 2 && strcmp(path + length - 2, "/*") == 0;
    if (prefix)
        path[length - 2] = '\0';
    return (struct route){.path = path, .prefix = prefix};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct route routes[ROUTES_MAX] = {0};
    size_t count = 0;
    char *path = take_text(&input, '\n');
    while (input.left > 0 && count < ROUTES_MAX)
        routes[count++] = make_route(&input);

    const char *rest = NULL;
    const char *expected_rest = NULL;
    const struct route *expected = search(routes, count, path, &expected_rest);
    MUST(route_match(routes, count, path, &rest) == expected);
    if (expected != NULL)
        MUST(strcmp(rest, expected_rest) == 0);

    for (size_t i = 0; i < count; i++)
        free_text(routes[i].path);
    free(path);
    return 0;
}
