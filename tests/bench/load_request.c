#include "load_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "load_measure.h"

/* The key of RFC 6455, section 1.3, and the answer to it: one handshake is as good as another. */
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* A Cookie's line of exactly so many bytes. */
static size_t fill(char *text, size_t size)
{
    static const char cookie[] = "Cookie: session=";
    memcpy(text, cookie, sizeof cookie - 1);
    memset(text + sizeof cookie - 1, 'c', size - (sizeof cookie - 1) - 2);
    memcpy(text + size - 2, "\r\n", 2);
    return size;
}

char *request_compose(const struct request_plan *plan, size_t *length)
{
    static const char upgrade[] =
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n";
    const char *headers = plan->headers == NULL ? "" : plan->headers;
    size_t room = strlen(plan->path) + strlen(headers) + plan->size + 512;
    char *text = malloc(room);
    if (text == NULL)
        fail("out of memory");
    size_t used = (size_t)snprintf(text, room, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s",
                                   plan->path, plan->port, plan->upgrade ? upgrade : "", headers);
    if (used + sizeof "Cookie: session=c\r\n\r\n" < plan->size)
        used += fill(text + used, plan->size - used - 2);
    memcpy(text + used, "\r\n", 2);
    *length = used + 2;
    return text;
}

const char *response_body(const char *response, size_t length)
{
    const char *end = memmem(response, length, "\r\n\r\n", 4);
    return end == NULL ? NULL : end + 4;
}

/* The value of the head's first line that begins so, up to its CRLF. NULL: there is none. */
static const char *find_line(const char *response, size_t length, const char *begin)
{
    const char *body = response_body(response, length);
    size_t size = strlen(begin);
    for (const char *line = response; line != NULL && line + size < body;) {
        if (strncasecmp(line, begin, size) == 0)
            return line + size;
        line = memmem(line, (size_t)(body - line), "\r\n", 2);
        line = line == NULL ? NULL : line + 2;
    }
    return NULL;
}

bool response_has(const char *response, size_t length, const char *line)
{
    const char *rest = find_line(response, length, line);
    return rest != NULL && *rest == '\r';
}

bool response_accepts(const char *response, size_t length)
{
    return find_line(response, length, "HTTP/1.1 101 ") == response + 13 &&
           response_has(response, length, ACCEPT);
}

bool response_whole(const char *response, size_t length, const char **body, size_t *size)
{
    *body = response_body(response, length);
    if (find_line(response, length, "HTTP/1.1 200 ") != response + 13)
        return false;
    const char *announced = find_line(response, length, "Content-Length: ");
    *size = length - (size_t)(*body - response);
    return announced != NULL && strtoull(announced, NULL, 10) == *size;
}
