#include "server/http.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static int digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    if (letter >= 'a' && letter <= 'f')
        return letter - 'a' + 10;
    if (letter >= 'A' && letter <= 'F')
        return letter - 'A' + 10;
    return -1;
}

/* Returns the length, or -1. */
static int decode(const char *raw, char *path, size_t size)
{
    size_t length = 0;
    for (; *raw != '\0'; raw++) {
        char byte = *raw;
        if (byte == '%') {
            int high = digit(raw[1]);
            int low = high < 0 ? -1 : digit(raw[2]);
            if (low < 0 || (high == 0 && low == 0))
                return -1;
            byte = (char)(high * 16 + low);
            raw += 2;
        }
        if (length + 1 >= size)
            return -1;
        path[length++] = byte;
    }
    path[length] = '\0';
    return (int)length;
}

int http_clean_path(const char *raw, char *path, size_t size)
{
    if (*raw != '/' || decode(raw, path, size) < 0)
        return -1;
    char *out = path;
    for (const char *in = path; *in != '\0';) {
        const char *segment = in + 1; /* in is at a slash */
        size_t length = strcspn(segment, "/");
        bool last = segment[length] == '\0';
        in = segment + length;
        if (length == 2 && segment[0] == '.' && segment[1] == '.') {
            if (out == path)
                return -1;
            while (*--out != '/')
                ;
            if (last)
                *out++ = '/';
        } else if (length == 0 || (length == 1 && segment[0] == '.')) {
            if (last)
                *out++ = '/';
        } else {
            *out++ = '/';
            memmove(out, segment, length);
            out += length;
        }
    }
    *out = '\0';
    return 0;
}

static struct http_exchange *exchange_of(const struct http_request *request)
{
    return request->connection;
}

static const char *find_header(const struct http_request *request, const char *name)
{
    const struct http_exchange *exchange = exchange_of(request);
    return header_find(exchange->headers, exchange->header_count, name);
}

int http_read(struct http_exchange *exchange, struct mg_connection *connection, const char **why)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    exchange->connection = connection;
    exchange->status = 0;
    exchange->http_version = info->http_version;
    exchange->head = strcmp(info->request_method, "HEAD") == 0;
    exchange->failed = false;
    exchange->body = info->content_length > 0;
    exchange->header_count = 0;
    for (int i = 0; i < info->num_headers && exchange->header_count < HTTP_HEADERS_MAX; i++)
        exchange->headers[exchange->header_count++] = (struct header){
            .name = info->http_headers[i].name, .value = info->http_headers[i].value};
    exchange->request = (struct http_request){
        .method = info->request_method,
        .path = exchange->path,
        .rest = "",
        .query = info->query_string,
        .remote_address = info->remote_addr,
        .remote_port = (uint16_t)info->remote_port,
        .header = find_header,
        .connection = exchange,
    };
    if (find_header(&exchange->request, "Transfer-Encoding") != NULL)
        exchange->body = true;
    exchange->path[0] = '\0';
    if (strcmp(exchange->http_version, "1.1") == 0 &&
        find_header(&exchange->request, "Host") == NULL) {
        *why = "an HTTP/1.1 request needs a Host header";
        return 400;
    }
    if (strlen(info->local_uri_raw) >= HTTP_PATH_MAX) {
        *why = "the path is longer than 4095 bytes";
        return 414;
    }
    if (http_clean_path(info->local_uri_raw, exchange->path, HTTP_PATH_MAX) != 0) {
        *why = "the path has a broken escape, a zero byte or leads above the root";
        return 400;
    }
    return 0;
}

static int send_all(struct http_exchange *exchange, const void *data, size_t length)
{
    if (mg_write(exchange->connection, data, length) == (int)length)
        return 0;
    exchange->failed = true;
    return -1;
}

void http_refuse(struct http_exchange *exchange, int status, const char *why)
{
    char response[1024];
    size_t length = handshake_refusal(response, sizeof response, status, why);
    exchange->status = status;
    if (exchange->head) { /* the headers alone */
        const char *body = strstr(response, "\r\n\r\n");
        if (body != NULL)
            length = (size_t)(body + 4 - response);
    }
    send_all(exchange, response, length);
}

int http_begin(const struct http_request *request, const struct http_answer *answer)
{
    struct http_exchange *exchange = exchange_of(request);
    char head[2048];
    char date[64];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    int length = snprintf(
        head, sizeof head,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n"
        "Content-Length: %lld\r\n%s%s%s%s\r\n",
        answer->status, http_reason(answer->status), date, (long long)answer->length,
        answer->type == NULL ? "" : "Content-Type: ", answer->type == NULL ? "" : answer->type,
        answer->type == NULL ? "" : "\r\n", answer->headers == NULL ? "" : answer->headers);
    if (length < 0 || (size_t)length >= sizeof head)
        return -1;
    exchange->status = answer->status;
    return send_all(exchange, head, (size_t)length);
}

int http_write(const struct http_request *request, const void *data, size_t length)
{
    struct http_exchange *exchange = exchange_of(request);
    return exchange->head || length == 0 ? 0 : send_all(exchange, data, length);
}

int http_respond(const struct http_request *request, int status, const char *type, const char *text)
{
    struct http_answer answer = {.status = status, .type = type, .length = (int64_t)strlen(text)};
    if (http_begin(request, &answer) != 0)
        return -1;
    return http_write(request, text, strlen(text));
}

int http_refuse_method(const struct http_request *request, const char *allowed)
{
    static const char text[] = "this path does not take that method\n";
    char headers[128];
    snprintf(headers, sizeof headers, "Allow: %s\r\n", allowed);
    struct http_answer answer = {.status = 405,
                                 .type = "text/plain; charset=utf-8",
                                 .length = (int64_t)strlen(text),
                                 .headers = headers};
    if (http_begin(request, &answer) != 0)
        return -1;
    return http_write(request, text, strlen(text));
}
