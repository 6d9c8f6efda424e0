#include "config/websockets.h"

#include <string.h>

#include "config/entry.h"
#include "config/keys.h"
#include "config/member.h"

bool websockets_has_key(const char *name)
{
    for (const struct config_key *key = config_route_keys; key->option.name; key++)
        if (strcmp(key->option.name, name) == 0)
            return true;
    return false;
}

/* What is required must be there. A list that could not be read has been reported. */
static void check_subprotocols(const struct document *document, size_t section,
                               const struct config_route *route, struct problems *problems)
{
    const struct entry *entry = document_find(document, section, "subprotocols_required");

    if (entry && route->subprotocols_required && route->subprotocols && !*route->subprotocols)
        problems_add(problems, entry->origin,
                     "subprotocols_required = yes: no subprotocols are named, so every client "
                     "would be refused; name them with subprotocols, or leave it out");
}

void websockets_read(const struct document *document, size_t section, bool given,
                     struct config_route *route, struct problems *problems)
{
    struct buffer text = {0};
    struct option_value value;

    for (const struct config_key *key = config_route_keys; key->option.name; key++) {
        const struct entry *entry =
            given ? document_find(document, section, key->option.name) : NULL;
        if (entry_read(entry, &key->option, &key->extra, &text, &value, problems) == 0 &&
            member_set(route, key, &value) < 0)
            problems_no_memory(problems);
    }
    buffer_free(&text);
    check_subprotocols(document, section, route, problems);
}
