/*
 * Redis link: one connection of hiredis' async API on libuv; our own adapter, because the packaged one
 * of 0.14 drops poll errors: a refused connection or a reset peer is then never reported.
 *
 *   redis_link_open --> on_connected --> [commands, replies] --> on_gone (always, once, last)
 *
 * Ownership: heap; freed by itself after `on_gone`. Threading: the loop's thread only.
 * Works with hiredis 0.14 and 1.x. Only this file and redis.c know the async API.
 */
#ifndef STREAM_REDIS_LINK_H
#define STREAM_REDIS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "stream/redis.h"

struct redis_link;
struct redis_tls;

struct redis_link_callbacks {
    /* The transport stands. Only redis_link_send() may be called inside. */
    void (*on_connected)(void *owner);
    /* Every command has ended with NULL before. Called from the loop, never from inside a call. */
    void (*on_gone)(void *owner, const struct error *error);
};

struct redis_link_target {
    const char *address; /* numeric; NULL: `path` */
    uint16_t port;
    const char *path;      /* unix socket */
    struct redis_tls *tls; /* NULL: plain */
};

/* Starts connecting; failures arrive in `on_gone`. */
struct redis_link *redis_link_open(struct uv_loop_s *loop, const struct redis_link_target *target,
                                   const struct redis_link_callbacks *callbacks, void *owner);
/* False where the link is ending. `on_reply` is called exactly once, with NULL where the link ends. */
bool redis_link_send(struct redis_link *link, struct slice command, redis_reply_callback *on_reply,
                     void *owner) __attribute__((warn_unused_result));
/* Ends the link; `error` is what on_gone will tell. Safe inside any callback, safe twice. */
void redis_link_end(struct redis_link *link, const struct error *error);

#endif
