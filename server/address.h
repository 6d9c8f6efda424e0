/*
 * address: IP addresses and ports as people write them. Pure; any thread.
 */
#ifndef LASTCALL_SERVER_ADDRESS_H
#define LASTCALL_SERVER_ADDRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_SIZE 64

/* Writes "127.0.0.1:8080" or "[::1]:8080", without a port that is 0; "?" for another family. */
void address_format(const struct sockaddr *address, char *text, size_t size);

/* Writes the address alone: "127.0.0.1", "::1"; "?" for another family. */
void address_host(const struct sockaddr *address, char *text, size_t size);

/* Writes host and port, putting a host with colons in brackets; an empty host becomes a star. */
void address_join(const char *host, uint16_t port, char *text, size_t size);

/* The port of an IPv4 or IPv6 address; 0 for another family. */
uint16_t address_port(const struct sockaddr *address);

#endif
