/*
 * Redis caller: one command after another for the command line, blocking: a small loop of its own runs until Redis
 * has answered. It is stream/redis, so URL, TLS, log-in and scripts are as in the daemon.
 *
 *   redis_caller_open --> redis_caller_call, redis_caller_script... --> redis_caller_close
 *
 * Ownership: embedded; replies are the caller's (redis_free_reply). Threading: one thread; blocks it.
 * Errors: ERROR_UNREACHABLE where Redis is away or busy, ERROR_REFUSED where it says no. A connection that is lost
 * is not made again: every later call says so.
 */
#ifndef STREAM_REDIS_CALLER_H
#define STREAM_REDIS_CALLER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"
#include "stream/scripts.h"

#include <uv.h>

struct redis_caller {
    uv_loop_t loop;
    struct redis *redis; /* NULL: closed */
    struct redisReply *reply;
    struct script_call script;
    bool is_ready, is_answered, is_failed;
    struct error error;
};

struct redis_words {
    const struct slice *items;
    size_t count;
};

/* Where it fails there is nothing to close. */
bool redis_caller_open(struct redis_caller *caller, const char *url, const char *client_name,
                       struct error *error) __attribute__((warn_unused_result));
void redis_caller_close(struct redis_caller *caller);
/* NULL with `error` where Redis answers with an error or not at all. */
struct redisReply *redis_caller_call(struct redis_caller *caller, const struct slice *words,
                                     size_t count, struct error *error)
    __attribute__((warn_unused_result));
struct redisReply *redis_caller_script(struct redis_caller *caller, enum script_name name,
                                       struct redis_words keys, struct redis_words arguments,
                                       struct error *error) __attribute__((warn_unused_result));

#endif
