/*
 * Redis TLS: rediss://, where hiredis has its TLS part (Debian 13). redis_tls_none.c stands in where
 * it has not, and says so.
 * Ownership: heap, one per connection object; keeps OpenSSL's context. Threading: one thread.
 */
#ifndef STREAM_REDIS_TLS_H
#define STREAM_REDIS_TLS_H

#include <stdbool.h>

#include "base/error.h"

struct redis_tls;
struct redisContext;

/* NULL with `error` where TLS is not there. The system's certificates and the host name are checked. */
struct redis_tls *redis_tls_create(const char *host, struct error *error)
    __attribute__((warn_unused_result));
void redis_tls_destroy(struct redis_tls *tls);
/* Puts TLS under a fresh connection. False where hiredis or OpenSSL refuse. */
bool redis_tls_start(struct redis_tls *tls, struct redisContext *context)
    __attribute__((warn_unused_result));

#endif
