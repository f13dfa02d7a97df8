/*
 * Redis connection: hiredis' async API on our own libuv adapter, which reconnects by itself.
 *
 *   redis_send --> [in flight, FIFO] --> Redis --> on_reply, in order
 *
 * The states are RESOLVE -> CONNECT -> AUTH/SELECT/CLIENT SETNAME -> READY -> CLOSED -> BACKOFF -> RESOLVE.
 * Ownership: heap; freed right after `on_closed`. Replies are borrowed for the callback, unless
 * redis_keep_reply() takes them over. Threading: the loop's thread only.
 * Bounds: the callers bound what is in flight; a reply that is due for `reply_timeout_ms` closes the
 * connection. After a loss every command in flight ends with reply NULL: its outcome is unknown.
 */
#ifndef STREAM_REDIS_H
#define STREAM_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

struct uv_loop_s;
struct redis;
struct redisReply;

struct redis_options {
    const char *url;         /* redis://, rediss:// or unix://, as in the configuration; copied */
    const char *client_name; /* CLIENT SETNAME; copied; also the log's object `redis[name]` */
    uint64_t connect_timeout_ms;
    uint64_t reply_timeout_ms; /* must exceed any BLOCK used on this connection */
    uint64_t refused_wait_ms;  /* what only a human can mend is tried again after it; 0: 30,000 */
};

struct redis_callbacks {
    /* Ready for commands; again after each reconnect. */
    void (*on_ready)(void *owner);
    /* An attempt failed or the connection is gone, and comes back by itself; commands in flight have
     * ended before. ERROR_REFUSED and ERROR_USAGE: only the set-up can mend it; tried every 30 s. */
    void (*on_lost)(void *owner, const struct error *error);
    /* Last call; only after redis_close(). */
    void (*on_closed)(void *owner);
};

/* `reply` is NULL where the connection ended first; a Redis error is a reply of REDIS_REPLY_ERROR. */
typedef void redis_reply_callback(void *owner, struct redisReply *reply);

struct redis *redis_open(struct uv_loop_s *loop, const struct redis_options *options,
                         const struct redis_callbacks *callbacks, void *owner);
bool redis_is_ready(const struct redis *redis);
/* False, and `on_reply` is never called, where the connection is not ready. */
bool redis_send(struct redis *redis, const struct slice *arguments, size_t count,
                redis_reply_callback *on_reply, void *owner) __attribute__((warn_unused_result));
/* The same for a command that is formatted already (RESP), copied. */
bool redis_send_formatted(struct redis *redis, struct slice command, redis_reply_callback *on_reply,
                          void *owner) __attribute__((warn_unused_result));
/* Ends the connection at once and reconnects with backoff: the peer breaks the rules. */
void redis_reset(struct redis *redis, const char *why);
/* Safe inside any callback, safe twice. */
void redis_close(struct redis *redis);
/* Inside on_reply: takes over what `reply` holds, strings and elements in place; the caller frees it by
 * redis_free_reply(). */
struct redisReply *redis_keep_reply(struct redisReply *reply) __attribute__((warn_unused_result));
void redis_free_reply(struct redisReply *reply);
/* Formats one command as RESP. */
void redis_format(struct buffer *out, const struct slice *arguments, size_t count);
/* The same in parts, for commands that grow: the head, then each of its `count` arguments. */
void redis_format_head(struct buffer *out, size_t count);
void redis_format_argument(struct buffer *out, struct slice argument);

#endif
