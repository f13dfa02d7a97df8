/*
 * DNS: one host name becomes addresses, off the loop (uv_getaddrinfo).
 *
 *   "bsky.network", 443 --> up to 8 addresses, families alternating (RFC 8305 part 4)
 *
 * Ownership: a query frees itself after its callback, or after dns_cancel() when the resolver returns;
 * a resolver thread cannot be stopped, so the loop may stay alive for as long as it takes.
 * Threading: call from the loop's thread only.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct uv_loop_s;
struct dns_query;

enum {
    DNS_ADDRESSES_MAX = 8,
    DNS_TEXT_SIZE = 64
};

struct dns_answer {
    struct sockaddr_storage addresses[DNS_ADDRESSES_MAX]; /* the port is set */
    size_t count;                                         /* at least 1 */
};

/* Once, unless cancelled: `answer` is borrowed and set exactly when `error` is NULL. */
typedef void (*dns_callback)(void *owner, const struct dns_answer *answer,
                             const struct error *error);

/* `host` is a name or an address without brackets. NULL, with no callback to come, where the
 * question cannot even be asked. */
struct dns_query *dns_resolve(struct uv_loop_s *loop, const char *host, uint16_t port,
                              dns_callback callback, void *owner, struct error *error)
    __attribute__((warn_unused_result));
/* No callback will come. */
void dns_cancel(struct dns_query *query);
/* "1.2.3.4:443" or "[::1]:443" into `text`, which holds DNS_TEXT_SIZE bytes. */
void dns_format_address(const struct sockaddr *address, char *text);

#endif
