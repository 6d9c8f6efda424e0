#include "handlers/handler.h"

/* One row for each handler, in the order in which help shows them. */
const struct handler *const handlers[] = {
    &handler_broadcast, &handler_echo,   &handler_exec,     &handler_health,
    &handler_metrics,   &handler_page,   &handler_redirect, &handler_respond,
    &handler_static,    &handler_status, &handler_tcp,      NULL,
};

enum { HANDLERS_MAX = sizeof handlers / sizeof handlers[0] };

const struct option_group *handler_groups(void)
{
    static struct option_group groups[HANDLERS_MAX];
    for (size_t i = 0; handlers[i] != NULL; i++)
        groups[i] = (struct option_group){
            .name = handlers[i]->name,
            .help = handlers[i]->help,
            .options = handlers[i]->options,
            .websockets = handlers[i]->message != NULL,
        };
    return groups;
}
