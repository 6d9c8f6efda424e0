#include "server/metrics.h"

#include <stdlib.h>

#include "handlers/handler.h"

static const struct option no_options[] = {{0}};

static void metrics_http(void *state, const struct http_request *request)
{
    (void)state;
    if (!http_gets(request))
        return;
    size_t length = 0;
    char *text = metrics_text(&length);
    if (text == NULL)
        http_respond(request, 503, "text/plain", "out of memory\n");
    else
        http_respond(request, 200, "text/plain; version=0.0.4; charset=utf-8", text);
    free(text);
}

const struct handler handler_metrics = {
    .name = "metrics",
    .help =
        "counts for Prometheus: sessions, messages, bytes, closes by code and outcome,\n"
        "refusals by reason, for each route",
    .options = no_options,
    .http = metrics_http,
};
