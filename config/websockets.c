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
}
