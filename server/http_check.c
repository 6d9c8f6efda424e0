#include <string.h>

#include "config/slice.h"
#include "server/http.h"

int http_check_host(const struct header *headers, size_t count, const char *http_version,
                    const char **why)
{
    size_t hosts = 0;
    for (size_t i = 0; i < count; i++) {
        if (!header_is(&headers[i], "Host"))
            continue;
        struct slice host = slice_trim(slice_of(headers[i].value));
        hosts++;
        for (size_t j = 0; j < host.length; j++) {
            unsigned char byte = (unsigned char)host.text[j];
            if (byte > ' ' && byte != 127 && strchr("/?#@\\,\"<>", byte) == NULL)
                continue;
            *why = "the Host header holds more than a host and a port";
            return 400;
        }
    }
    if (hosts == 1 || (hosts == 0 && strcmp(http_version, "1.1") != 0))
        return 0;
    *why = hosts == 0 ? "an HTTP/1.1 request needs a Host header"
                      : "a request has one Host header, not several";
    return 400;
}
