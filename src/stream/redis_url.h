/*
 * Redis URL: where Redis is and who we are there.
 *
 *   redis://[user[:password]@]host[:port][/db]     rediss:// the same over TLS (default port 6379)
 *   unix:///path[?db=n]                            unix://[user[:password]@]/path[?db=n]
 *
 * Host may be [an IPv6 address]; user, password and path are percent-decoded (RFC 3986 part 2.1).
 * Ownership: a parsed URL owns its strings until redis_url_deinit(). Threading: pure functions.
 */
#ifndef STREAM_REDIS_URL_H
#define STREAM_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    REDIS_DEFAULT_PORT = 6379
};

struct redis_url {
    bool is_tls;
    char *host; /* without brackets; NULL for a unix socket */
    uint16_t port;
    char *path;     /* of the unix socket, else NULL */
    char *user;     /* NULL where none is named */
    char *password; /* NULL where none is named */
    uint32_t database;
};

/* False, and nothing to deinit, where `text` is no such URL; the error never repeats the password. */
bool redis_url_parse(struct redis_url *url, const char *text, struct error *error)
    __attribute__((warn_unused_result));
void redis_url_deinit(struct redis_url *url);

#endif
