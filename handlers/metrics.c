#include "server/metrics.h"

#include "handlers/handler.h"

static const struct option no_options[] = {{0}};

static void metrics_http(void *state, const struct http_request *request)
{
    (void)state;
    if (!http_gets(request))
        return;
    struct exposition text;
    if (metrics_write(&text) == 0) {
        const struct http_answer answer = {.status = 200,
                                           .type = "text/plain; version=0.0.4; charset=utf-8",
                                           .length = (int64_t)text.length};
        if (http_begin(request, &answer) == 0)
            http_write(request, text.text, text.length);
    } else {
        http_respond(request, 503, "text/plain; charset=utf-8", "out of memory\n");
    }
    exposition_free(&text);
}

const struct handler handler_metrics = {
    .name = "metrics",
    .help =
        "counts for Prometheus: sessions, messages, bytes, closes by code and outcome,\n"
        "refusals by reason, for each route",
    .options = no_options,
    .http = metrics_http,
    .always = true,
};
