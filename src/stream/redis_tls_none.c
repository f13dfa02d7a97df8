#include "stream/redis_tls.h"

#include <stddef.h>

struct redis_tls *redis_tls_create(const char *host, struct error *error)
{
    error_set(error, ERROR_USAGE,
              "rediss://%s: this build's hiredis has no TLS: use redis:// through a tunnel, or a "
              "build with libhiredis_ssl (Debian 13 or later)",
              host);
    return NULL;
}

void redis_tls_destroy(struct redis_tls *tls)
{
    (void)tls;
}

bool redis_tls_start(struct redis_tls *tls, struct redisContext *context)
{
    (void)tls;
    (void)context;
    return false;
}
