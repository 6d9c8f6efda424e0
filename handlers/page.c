#include "handlers/handler.h"

extern const char embedded_page[]; /* page.html */

static const struct option no_options[] = {{0}};

static void page_http(void *state, const struct http_request *request)
{
    (void)state;
    if (http_gets(request))
        http_respond(request, 200, "text/html; charset=utf-8", embedded_page);
}

const struct handler handler_page = {
    .name = "page",
    .help =
        "a page that talks to /echo, shows every frame and, at the end, the close code;\nand a "
        "chat box for /chat",
    .options = no_options,
    .http = page_http,
};
