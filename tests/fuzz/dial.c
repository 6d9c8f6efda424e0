/*
 * The target of a bridge: what is read is an address that a system call can be given, and written
 * out again it is the same.
 *
 * Input: the text.
 */
#include <arpa/inet.h>

#include "server/dial.h"
#include "tests/fuzz/fuzz.h"

enum { WRITTEN_SIZE = 512 };

static void write_path(const struct dial_target *target, char *text)
{
    const struct sockaddr_un *address = &target->address.path;
    MUST(target->length > offsetof(struct sockaddr_un, sun_path) + 1);
    MUST(target->length <= sizeof *address);
    const size_t length = target->length - offsetof(struct sockaddr_un, sun_path);
    if (address->sun_path[0] == '\0') {
        snprintf(text, WRITTEN_SIZE, "unix:@%.*s", (int)length - 1, address->sun_path + 1);
    } else {
        MUST(address->sun_path[length - 1] == '\0');
        MUST(strlen(address->sun_path) == length - 1);
        snprintf(text, WRITTEN_SIZE, "unix:%s", address->sun_path);
    }
}

static void write_address(const struct dial_target *target, char *text)
{
    const struct sockaddr *address = &target->address.any;
    char host[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_UNIX) {
        write_path(target, text);
    } else if (address->sa_family == AF_INET) {
        MUST(target->length == sizeof target->address.v4);
        MUST(target->address.v4.sin_port == htons(target->port));
        inet_ntop(AF_INET, &target->address.v4.sin_addr, host, sizeof host);
        snprintf(text, WRITTEN_SIZE, "%s:%u", host, target->port);
    } else {
        MUST(address->sa_family == AF_INET6 && target->length == sizeof target->address.v6);
        MUST(target->address.v6.sin6_port == htons(target->port));
        inet_ntop(AF_INET6, &target->address.v6.sin6_addr, host, sizeof host);
        snprintf(text, WRITTEN_SIZE, "[%s]:%u", host, target->port);
    }
}

static void check_right(const struct dial_target *target)
{
    struct dial_target again;
    char text[WRITTEN_SIZE];
    char why[256];
    if (target->host[0] == '\0') {
        write_address(target, text);
    } else {
        MUST(target->length == 0 && target->port > 0);
        MUST(strspn(target->host,
                    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                    "-._") == strlen(target->host));
        snprintf(text, sizeof text, "%s:%u", target->host, target->port);
    }
    MUST(dial_parse(text, &again, why, sizeof why) == 0);
    MUST(strcmp(target->host, again.host) == 0 && target->port == again.port);
    MUST(bytes_equal(&target->address, target->length, &again.address, again.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.at = data, .left = size};
    char *text = take_text(&input, '\n');
    struct dial_target *target = malloc(sizeof *target);
    char why[256] = "";
    MUST(target != NULL);
    memset(target, 0, sizeof *target);
    if (dial_parse(text, target, why, sizeof why) == 0)
        check_right(target);
    else
        MUST(why[0] != '\0' && strlen(why) < sizeof why);
    free(target);
    free(text);
    return 0;
}
