/*
 * Reach: says whether the relay, Redis and PostgreSQL of a configuration can be reached, with
 * blocking calls that give up after REACH_TIMEOUT_S (names: after the resolver's own time).
 *
 * Ownership: `found` is the caller's. Threading: any thread: a command's, or one of libuv's pool at a reload.
 * Errors: ERROR_UNREACHABLE where nothing answers or the server is not ready, ERROR_REFUSED where it
 * answers and does not let us in. No error shows a password.
 */
#ifndef RUNTIME_REACH_H
#define RUNTIME_REACH_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "config/config.h"

enum {
    REACH_TIMEOUT_S = 5
};

/* Each appends what it found ("127.0.0.1:6379 answers") to `found`. */
/* TCP only: no TLS, no WebSocket. */
bool reach_relay(const struct config *config, struct buffer *found, struct error *error)
    __attribute__((warn_unused_result));
/* AUTH, SELECT and PING. */
bool reach_redis(const struct config *config, struct buffer *found, struct error *error)
    __attribute__((warn_unused_result));
bool reach_postgres(const struct config *config, struct buffer *found, struct error *error)
    __attribute__((warn_unused_result));

#endif
