/*
 * Makes look-ups of names end as a test wants (LD_PRELOAD): "stuck.invalid" never does, and
 * "two.invalid" has the addresses 127.0.0.2 and 127.0.0.1, in this order. All others go where they
 * always went. Never instrumented itself.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* Freed by freeaddrinfo, which follows the list. */
static int find_two(lookup *real, const char *service, const struct addrinfo *hints,
                    struct addrinfo **found)
{
    struct addrinfo *last = NULL;
    int error = real("127.0.0.2", service, hints, found);
    if (error == 0)
        error = real("127.0.0.1", service, hints, &last);
    if (error == 0)
        (*found)->ai_next = last;
    return error;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found)
{
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    lookup *real;
    memcpy(&real, &symbol, sizeof real);
    while (name != NULL && strcmp(name, "stuck.invalid") == 0)
        pause();
    if (name != NULL && strcmp(name, "two.invalid") == 0)
        return find_two(real, service, hints, found);
    return real(name, service, hints, found);
}
