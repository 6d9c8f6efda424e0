/*
 * answer: what a handler answers to a request, caught before it becomes bytes on a socket.
 *
 * For the unit test of one handler: http_begin, http_write and http_respond are implemented here,
 * and `answer` is what they were given last.
 */
#ifndef LASTCALL_TESTS_SUPPORT_ANSWER_H
#define LASTCALL_TESTS_SUPPORT_ANSWER_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "handlers/handler.h"

#define ANSWER_BODY_MAX 2000000

static struct {
    int begun;
    int status;
    char type[512];
    char headers[HTTP_HEAD_MAX + 1];
    int64_t length;
    char body[ANSWER_BODY_MAX + 1];
    size_t size;
} answer;

int http_begin(const struct http_request *request, const struct http_answer *begin)
{
    (void)request;
    answer.begun++;
    answer.status = begin->status;
    answer.length = begin->length;
    answer.size = 0;
    snprintf(answer.type, sizeof answer.type, "%s", begin->type == NULL ? "" : begin->type);
    const char *headers = begin->headers == NULL ? "" : begin->headers;
    ck_assert_uint_lt(strlen(headers), sizeof answer.headers);
    snprintf(answer.headers, sizeof answer.headers, "%s", headers);
    return 0;
}

int http_write(const struct http_request *request, const void *data, size_t length)
{
    (void)request;
    ck_assert_uint_le(answer.size + length, ANSWER_BODY_MAX);
    memcpy(answer.body + answer.size, data, length);
    answer.size += length;
    answer.body[answer.size] = '\0';
    return 0;
}

int http_respond(const struct http_request *request, int status, const char *type, const char *text)
{
    struct http_answer begin = {.status = status, .type = type, .length = (int64_t)strlen(text)};

    http_begin(request, &begin);
    return http_write(request, text, strlen(text));
}

/* Lets a handler answer; it must do so once. */
static void ask(const struct handler *handler, void *state, const struct http_request *request)
{
    answer.begun = 0;
    handler->http(state, request);
    ck_assert_int_eq(answer.begun, 1);
    ck_assert_int_eq(answer.length, (int64_t)answer.size);
}

#endif
