/*
 * environment: the variables that a program is given for a request (RFC 3875, section 4.1).
 *
 * What a client sends becomes HTTP_NAME, but for what a program must not believe or know: Proxy
 * (programs take HTTP_PROXY for their own), Authorization and Proxy-Authorization, the headers of a
 * body, and names that would become another header's. Of the server's own environment only PATH is
 * passed on. Pure; knows neither processes nor sessions.
 */
#ifndef LASTCALL_SERVER_ENVIRONMENT_H
#define LASTCALL_SERVER_ENVIRONMENT_H

#include <stddef.h>

#include "handlers/handler.h"

/*
 * Checks words that are to be added to each environment, NAME=value, or NAME for the server's own
 * variable of that name, and returns them as NAME=value in one block to be freed, ended by NULL;
 * what the server has not got is left out. Returns NULL for a mistake, said in `why`, which is
 * empty when memory ran out.
 */
char **environment_additions(char *const *words, char *why, size_t size);

/*
 * Returns all variables, ended by NULL, in one block to be freed; NULL: out of memory. `additions`
 * take the place of others of the same name.
 */
char **environment_make(const struct http_request *request, char *const *additions);

#endif
