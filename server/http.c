#include "server/http.h"

#include <civetweb.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/tokens.h"
#include "server/clock.h"
#include "server/date.h"

enum { REFUSAL_SIZE = 1024, LARGE = 65536 };

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
    return header_find(request->headers, request->header_count, name);
}

static void fill(struct http_exchange *exchange, struct mg_connection *connection,
                 const struct mg_request_info *info)
{
    exchange->connection = connection;
    exchange->status = 0;
    exchange->http_version = info->http_version;
    exchange->head = strcmp(info->request_method, "HEAD") == 0;
    exchange->failed = false;
    exchange->cut = false;
    exchange->began = clock_microseconds();
    exchange->sent = 0;
    exchange->gathered = 0;
    exchange->patience = 0;
    exchange->place = (struct address_request){.use = NULL};
    exchange->peer = (struct takeover_peer){.host = info->remote_addr,
                                            .port = (uint16_t)info->remote_port,
                                            .local_port = (uint16_t)info->server_port};
    exchange->body = info->content_length > 0;
    exchange->header_count = 0;
    for (int i = 0; i < info->num_headers && exchange->header_count < HTTP_HEADERS_MAX; i++)
        exchange->headers[exchange->header_count++] = (struct header){
            .name = info->http_headers[i].name, .value = info->http_headers[i].value};
    exchange->request = (struct http_request){
        .method = info->request_method,
        .raw_path = info->local_uri_raw,
        .path = exchange->path,
        .rest = "",
        .query = info->query_string,
        .remote_address = info->remote_addr,
        .remote_port = (uint16_t)info->remote_port,
        .local_port = (uint16_t)info->server_port,
        .headers = exchange->headers,
        .header_count = exchange->header_count,
        .header = find_header,
        .connection = exchange,
    };
    if (find_header(&exchange->request, "Transfer-Encoding") != NULL)
        exchange->body = true;
    exchange->path[0] = '\0';
}

/*
 * Whether the header section ends here, behind the CRLF of a line. Of a request that ends in LF LF
 * and fills CivetWeb's buffer to its last byte this is behind the buffer, though still within its
 * block of memory: HTTP_REQUEST_MAX is a few bytes less than what blocks are rounded up to. A mark
 * that is found is taken away: a request in the same memory that ends in LF LF would find it next.
 */
__attribute__((no_sanitize("address"))) static bool take_end(const char *text)
{
    bool found = text[0] == '\r' && text[1] == '\0';
    if (found)
        *(char *)(uintptr_t)text = '\0';
    return found;
}

/*
 * Whether the name is a token, and the colon right behind it (RFC 9112, section 5.1). CivetWeb
 * takes blanks before the colon for none: they are zeros, as the colon itself.
 */
static bool is_name(const struct header *header)
{
    size_t length = strlen(header->name);
    const char *colon = header->name + length;
    return length > 0 && token_span(header->name) == length &&
           (colon + 1 == header->value || colon[1] != '\0');
}

/*
 * Whether all header lines were read. CivetWeb stops, and says nothing, at a line that does not
 * begin like a header and behind HTTP_HEADERS_MAX of them: an Origin or an X-Forwarded-For that
 * comes later would not be there. What it has read lies in the request as it came, CR and LF of
 * each line made zeros; behind the last there is the CR of the empty line, and a zero again. A line
 * that a lone LF ends counts as none, as RFC 9112, section 2.2 allows.
 */
static int check_headers(const struct http_exchange *exchange, const char **why)
{
    const struct header *headers = exchange->headers;
    const size_t count = exchange->header_count;
    if (count == HTTP_HEADERS_MAX) {
        *why = "the request has more than 63 header lines";
        return 431;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_name(&headers[i])) {
            *why = "a header's name holds what no name can, or a blank stands before its colon";
            return 400;
        }
        const char *end = headers[i].value + strlen(headers[i].value) + 2;
        if (i + 1 < count ? end == headers[i + 1].name : take_end(end))
            continue;
        *why = "each header line needs a name at its beginning and CRLF at its end";
        return 400;
    }
    return 0;
}

/* Blanks behind a value are no part of it (RFC 9112, section 5.1); CivetWeb takes away those before
   it, and refuses tabs. */
static void trim_headers(struct http_exchange *exchange)
{
    for (size_t i = 0; i < exchange->header_count; i++) {
        char *value = (char *)(uintptr_t)exchange->headers[i].value;
        for (size_t length = strlen(value); length > 0 && value[length - 1] == ' '; length--)
            value[length - 1] = '\0';
    }
}

/* Decodes the path. Returns 0, or the status to refuse it with. */
static int read_path(struct http_exchange *exchange, const char *raw, const char **why)
{
    if (strlen(raw) >= HTTP_PATH_MAX) {
        *why = "the path is longer than 4095 bytes";
        return 414;
    }
    if (http_clean_path(raw, exchange->path, HTTP_PATH_MAX) != 0) {
        *why = "the path has a broken escape, a zero byte or leads above the root";
        return 400;
    }
    return 0;
}

/* It may be half decoded: the log gets it as it came, up to a question mark, written as such or
   not, behind which there may be what nobody should see. */
static void show_raw_path(struct http_exchange *exchange, const char *raw)
{
    const char *mark = strcasestr(raw, "%3f");
    size_t length = mark == NULL ? strlen(raw) : (size_t)(mark - raw) + strlen("%3f");
    snprintf(exchange->path, sizeof exchange->path, "%.*s", (int)length, raw);
}

int http_read(struct http_exchange *exchange, struct mg_connection *connection, const char **why)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    fill(exchange, connection, info);
    int status = check_headers(exchange, why);
    trim_headers(exchange);
    if (status != 0) {
        exchange->header_count = exchange->request.header_count =
            0; /* what is missing may be what would contradict them */
    } else {
        status =
            http_check_host(exchange->headers, exchange->header_count, exchange->http_version, why);
        if (status == 0)
            status = read_path(exchange, info->local_uri_raw, why);
    }
    if (status != 0)
        show_raw_path(exchange, info->local_uri_raw);
    return status;
}

/* Notes that an answer is not whole, and whether that is the peer's doing. */
static int give_up(struct http_exchange *exchange)
{
    exchange->failed = true;
    exchange->cut = takeover_peer_there(&exchange->peer);
    return -1;
}

/* Sends what is large past CivetWeb, which takes a slow peer for one that reads nothing. Returns
   how much that was; 0 where it is not possible. */
static int64_t send_large(struct http_exchange *exchange, const struct takeover_piece *piece)
{
    if (piece->length < LARGE)
        return 0;
    int64_t sent = takeover_send(&exchange->peer, piece, exchange->patience);
    return sent < 0 ? 0 : sent;
}

static int send_all(struct http_exchange *exchange, const void *data, size_t length)
{
    const struct takeover_piece piece = {.data = data, .length = (int64_t)length};
    if (exchange->failed)
        return -1;
    size_t sent = (size_t)send_large(exchange, &piece);
    if (sent == length ||
        (sent == 0 && mg_write(exchange->connection, data, length) == (int)length))
        return 0;
    return give_up(exchange);
}

static int flush(struct http_exchange *exchange)
{
    size_t gathered = exchange->gathered;
    exchange->gathered = 0;
    return gathered == 0 ? 0 : send_all(exchange, exchange->output, gathered);
}

void http_finish(struct http_exchange *exchange)
{
    flush(exchange);
}

void http_refuse(struct http_exchange *exchange, int status, const char *why)
{
    char *response = exchange->output;
    size_t length = handshake_refusal(response, REFUSAL_SIZE, status, why, time(NULL));
    const char *body = strstr(response, "\r\n\r\n");
    size_t head = body == NULL ? length : (size_t)(body + 4 - response);
    exchange->status = status;
    if (!exchange->head)
        exchange->sent = length - head;
    send_all(exchange, response, exchange->head ? head : length);
}

int http_begin(const struct http_request *request, const struct http_answer *answer)
{
    struct http_exchange *exchange = exchange_of(request);
    char date[DATE_SIZE] = "";
    char length_header[48] = "";
    if (answer->status != 204 && answer->status != 304) /* RFC 9110, section 8.6 */
        snprintf(length_header, sizeof length_header, "Content-Length: %lld\r\n",
                 (long long)answer->length);
    date_write(time(NULL), date);
    int length = snprintf(
        exchange->output, sizeof exchange->output,
        "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n%s%s%s%s%s\r\n", answer->status,
        http_reason(answer->status), date, length_header,
        answer->type == NULL ? "" : "Content-Type: ", answer->type == NULL ? "" : answer->type,
        answer->type == NULL ? "" : "\r\n", answer->headers == NULL ? "" : answer->headers);
    if (length < 0 || (size_t)length >= sizeof exchange->output) {
        http_refuse(exchange, 500, "the answer's headers are too long");
        exchange->failed = true;
        return -1;
    }
    exchange->status = answer->status;
    exchange->gathered = (size_t)length;
    return 0;
}

int http_write(const struct http_request *request, const void *data, size_t length)
{
    struct http_exchange *exchange = exchange_of(request);
    if (exchange->head || length == 0)
        return 0;
    exchange->sent += length;
    if (length > sizeof exchange->output - exchange->gathered && flush(exchange) != 0)
        return -1;
    if (length > sizeof exchange->output)
        return send_all(exchange, data, length);
    memcpy(exchange->output + exchange->gathered, data, length);
    exchange->gathered += length;
    return exchange->failed ? -1 : 0;
}

/* Reads a piece of the file to where it is sent from. Returns how much that was; 0: no more. */
static size_t gather(struct http_exchange *exchange, int descriptor, int64_t offset, int64_t length)
{
    size_t room = sizeof exchange->output - exchange->gathered;
    size_t want = length < (int64_t)room ? (size_t)length : room;
    ssize_t got;
    do
        got = pread(descriptor, exchange->output + exchange->gathered, want, offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return 0;
    exchange->gathered += (size_t)got;
    exchange->sent += (size_t)got;
    return (size_t)got;
}

/* Sends a file by copying it, from `done` bytes on. */
static int copy_file(struct http_exchange *exchange, int descriptor, int64_t offset, int64_t length)
{
    for (int64_t done = 0; done < length;) {
        size_t got = gather(exchange, descriptor, offset + done, length - done);
        done += (int64_t)got;
        if ((got == 0 || done < length) && flush(exchange) != 0)
            return -1;
        if (got == 0) { /* it is shorter: the peer was told another length */
            exchange->failed = true;
            return -1;
        }
    }
    return 0;
}

int http_send_file(const struct http_request *request, int descriptor, int64_t offset,
                   int64_t length)
{
    struct http_exchange *exchange = exchange_of(request);
    const struct takeover_piece piece = {.file = descriptor, .offset = offset, .length = length};
    if (exchange->head)
        return 0;
    if (length >= LARGE && flush(exchange) != 0)
        return -1;
    int64_t sent = send_large(exchange, &piece);
    exchange->sent += (uint64_t)sent;
    if (sent == 0)
        return copy_file(exchange, descriptor, offset, length);
    if (sent == length)
        return 0;
    struct stat about;
    exchange->failed = true;
    if (fstat(descriptor, &about) != 0 || about.st_size < offset + length)
        return -1; /* it is shorter: the peer was told another length */
    return give_up(exchange);
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
