/*
 * URL: ws:// and wss:// addresses (RFC 6455 part 3, RFC 3986), checked once so that what is put into
 * a request line or a Host header can hold neither blanks nor line ends.
 *
 *   "wss://[::1]:8443/xrpc/x?cursor=5" --> is_secure, host "::1", port 8443, target "/xrpc/x?cursor=5"
 *
 * Ownership: a value; nothing to free. Threading: pure.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    URL_HOST_SIZE = 256,
    URL_TARGET_SIZE = 2048
};

struct url {
    bool is_secure; /* wss */
    bool is_ipv6;   /* `host` is an IPv6 literal, here without its brackets */
    uint16_t port;
    char host[URL_HOST_SIZE];     /* lower case */
    char target[URL_TARGET_SIZE]; /* path and query, starts with a slash */
};

/* False where `text` is no ws or wss URL, has user information or a fragment, or is too long. */
bool url_parse(struct url *url, struct slice text, struct error *error)
    __attribute__((warn_unused_result));
/* The Location of a redirect, seen from `base`: http and https mean ws and wss there, and it may be
 * relative. Fragments are dropped. `url` may be `base`. */
bool url_resolve(struct url *url, const struct url *base, struct slice location,
                 struct error *error) __attribute__((warn_unused_result));
/* Appends the whole URL. */
void url_append(struct buffer *out, const struct url *url);
/* Appends host[:port] as a Host header has it: brackets where needed, no default port. */
void url_append_authority(struct buffer *out, const struct url *url);

#endif
