#include <string.h>

#include "handlers/handler.h"
#include "server/readiness.h"

static const struct option no_options[] = {{0}};

/* What /health/ready answers in each state. */
static const struct {
    int status;
    const char *body;
} answers[] = {
    [READINESS_STARTING] = {503,
                            "{\"status\":\"starting\",\"reason\":\"routes are not up yet\"}\n"},
    [READINESS_READY] = {200, "{\"status\":\"ready\"}\n"},
    [READINESS_PAUSED] = {503,
                          "{\"status\":\"paused\",\"reason\":\"taken out of service by SIGUSR2; "
                          "another SIGUSR2 puts it back\"}\n"},
    [READINESS_STOPPING] = {503,
                            "{\"status\":\"draining\",\"reason\":\"a signal to stop has come; "
                            "open connections are finished\"}\n"},
};

static void health_http(void *state, const struct http_request *request)
{
    (void)state;
    static const char json[] = "application/json";
    const char *which = request->rest;
    enum readiness now = readiness_get();
    if (!http_gets(request))
        return;
    if (strcmp(which, "live") == 0)
        http_respond(request, 200, json, "{\"status\":\"live\"}\n");
    else if (strcmp(which, "") == 0 || strcmp(which, "ready") == 0)
        http_respond(request, answers[now].status, json, answers[now].body);
    else
        http_respond(request, 404, json, "{\"error\":\"there are live and ready here\"}\n");
}

const struct handler handler_health = {
    .name = "health",
    .help =
        "tells orchestrators how it is: /live (200 while the process runs) and /ready (503\n"
        "before the start is done and as soon as a signal to stop has come)",
    .options = no_options,
    .http = health_http,
    .always = true,
};
