/*
 * URLs of the three peers: checked, made whole, and masked wherever they are shown.
 *
 * Ownership: what is returned or filled is on the heap and the caller's. Threading: pure functions.
 * Sources: RFC 3986 part 3; the `redis` URI scheme as IANA lists it; libpq reads its own.
 */
#ifndef CONFIG_URLS_H
#define CONFIG_URLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* "wss://Host:443" becomes "wss://host/xrpc/com.atproto.sync.subscribeRepos": scheme and host in
 * lower case, the scheme's own port dropped, the XRPC path added where it is missing. */
bool relay_url_normalize(struct slice url, struct buffer *out, struct error *error)
    __attribute__((warn_unused_result));

/* Where Redis is, and who we are there. */
struct redis_address {
    char *host;     /* NULL with `path`; an IPv6 address comes without brackets */
    char *path;     /* of a unix socket, else NULL */
    char *user;     /* NULL: none was given */
    char *password; /* NULL: none was given */
    uint16_t port;
    uint32_t database;
    bool is_tls;
};
/* redis://[user[:password]@]host[:port][/db], rediss://..., unix:///path[?db=n]; percent-encoding is
 * undone in user, password and path. On failure there is nothing to free. */
bool redis_address_parse(struct redis_address *address, struct slice url, struct error *error)
    __attribute__((warn_unused_result));
void redis_address_deinit(struct redis_address *address);

/* Whether libpq understands `url`; the error never repeats a part that may be a password. */
bool postgres_url_check(const char *url, struct error *error) __attribute__((warn_unused_result));

/* Appends `text` with what may be a password in it replaced by ****. */
void url_mask(struct slice text, struct buffer *out);

#endif
