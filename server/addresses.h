/*
 * addresses: what each client address takes, so that one client leaves something for the others.
 *
 * An address is an IPv4 one, or a /64 of IPv6, which is what one customer of a provider has. What
 * is known of it is kept while it has something in flight, or its rate has not rested. Decides and
 * counts; no I/O. Any thread; a lock is held for a look-up, nothing blocks.
 */
#ifndef LASTCALL_SERVER_ADDRESSES_H
#define LASTCALL_SERVER_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Of one address; 0: any number. */
struct addresses_limits {
    size_t connections; /* sessions that are open */
    size_t requests;    /* that are served at a time */
    int64_t rate;       /* requests a second */
};

struct addresses;
struct address_use; /* what is known of one address */

/* Any port, and of IPv6 any address of the same /64, is the same. */
struct address_key {
    uint8_t bytes[16];
};

/* The key of an IPv4 or IPv6 address; all zeros for another family. */
struct address_key address_key(const struct sockaddr *address);

/* A request that is being served; the caller's memory, until addresses_leave_request. */
struct address_request {
    struct address_key key; /* of the socket's peer, and its port */
    uint16_t port;
    struct address_use *use; /* of the client, whom a proxy may have told */
    struct address_request *next;
    struct address_request **link;
};

enum address_answer {
    ADDRESS_IN,
    ADDRESS_REQUESTS,  /* so many of this address are being served already */
    ADDRESS_RATE,      /* it has asked so often in the last second */
    ADDRESS_NO_MEMORY, /* for what is to be known of it */
};

/* For about so many addresses at a time. Returns NULL without memory. */
struct addresses *addresses_new(const struct addresses_limits *limits, size_t expected);

/* Frees it; nothing may be in flight. */
void addresses_free(struct addresses *addresses);

/*
 * Lets a request of `client` in, whose socket's peer is `peer`, at time `now` (milliseconds). Only
 * with ADDRESS_IN is there something to leave.
 */
enum address_answer addresses_enter_request(struct addresses *addresses,
                                            struct address_request *request,
                                            const struct sockaddr *client,
                                            const struct sockaddr *peer, int64_t now);
void addresses_leave_request(struct addresses *addresses, struct address_request *request);

/* Lets a session in, `use` being its request's, or NULL, which is no address and has no limit.
   Returns whether it is in. */
bool addresses_enter_session(struct address_use *use);
void addresses_leave_session(struct address_use *use);

/* Whether a request from this peer is being served. */
bool addresses_serves(struct addresses *addresses, const struct address_key *key, uint16_t port);

/* Requests that may be served at a time for one address; 0: any number. */
size_t addresses_requests(const struct addresses *addresses);

/* How many addresses are known now. */
size_t addresses_count(struct addresses *addresses);

#endif
