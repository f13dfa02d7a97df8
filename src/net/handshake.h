/*
 * Handshake: the HTTP/1.1 half of a WebSocket (RFC 6455 part 4): the request, and the reading of the
 * answer by llhttp.
 *
 *   url --> request bytes --> peer
 *   answer bytes --handshake_receive--> accepted (101), answered (another status) or bad
 *
 * Ownership: heap memory of the caller's. Threading: one thread at a time.
 * Memory: 16 KiB of answer header at most, whatever it is made of.
 */
#ifndef NET_HANDSHAKE_H
#define NET_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "net/url.h"

struct handshake;

enum {
    HANDSHAKE_HEADER_MAX = 16 * 1024
};

enum handshake_result {
    HANDSHAKE_NEED_MORE,
    HANDSHAKE_ACCEPTED, /* 101 and all its headers are right; frames follow */
    HANDSHAKE_ANSWERED, /* another status: see handshake_status() */
    HANDSHAKE_BAD,      /* no HTTP, too much of it, or a 101 that breaks RFC 6455 */
};

/* `url` is borrowed for as long as the handshake lives. */
struct handshake *handshake_create(const struct url *url);
void handshake_destroy(struct handshake *handshake);
/* Appends the request; `user_agent` holds visible ASCII and blanks only. */
void handshake_append_request(struct handshake *handshake, const char *user_agent,
                              struct buffer *out);
/* Feeds the next bytes; `*consumed` of them belong to the answer's header. `error` is set for
 * HANDSHAKE_ANSWERED and HANDSHAKE_BAD. Not to be called again once it has decided. */
enum handshake_result handshake_receive(struct handshake *handshake, struct slice bytes,
                                        size_t *consumed, struct error *error)
    __attribute__((warn_unused_result));
/* 0 before the status line. */
int handshake_status(const struct handshake *handshake);
/* Of 429 and 503: Retry-After in seconds or as a date, at most a day; else 0. */
uint64_t handshake_retry_after_ms(const struct handshake *handshake);
/* Of 301, 302, 303, 307, 308: as sent; else empty. */
struct slice handshake_location(const struct handshake *handshake);

#endif
