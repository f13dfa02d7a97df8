/*
 * Redis replies: small safe looks into them. A look at what is not there gives the empty value, so a
 * strange server is a wrong figure at worst, never a crash.
 * Ownership: everything is borrowed from the reply. Threading: pure functions.
 */
#ifndef STREAM_REDIS_REPLY_H
#define STREAM_REDIS_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

struct redisReply;

/* Bytes of a string, status or error; empty for all others, also for NULL. */
struct slice reply_text(const struct redisReply *reply);
/* Of an integer, or of a string of decimal digits with a sign; else 0. */
int64_t reply_number(const struct redisReply *reply);
bool reply_is_nil(const struct redisReply *reply);
bool reply_is_array(const struct redisReply *reply);
size_t reply_count(const struct redisReply *reply);
/* NULL where it is no array or has no such element. */
struct redisReply *reply_element(const struct redisReply *reply, size_t index);
/* True for a Redis error whose text starts with `code`, or holds it where a script passed it on (6.2
 * wraps it: "ERR Error running script ... -OOM command not allowed"). */
bool reply_is_error(const struct redisReply *reply);
bool reply_has_error(const struct redisReply *reply, const char *code);
/* Translates a Redis error: ERROR_UNREACHABLE where waiting mends it (OOM, LOADING, READONLY, MISCONF,
 * BUSY, NOREPLICAS, MASTERDOWN, TRYAGAIN), else ERROR_REFUSED; the text says what to do. */
void reply_error(const struct redisReply *reply, struct error *error);

/* `<ms>-<n>` of an entry ID; false where it is none or a part does not fit. */
bool position_parse(struct slice text, struct position *position)
    __attribute__((warn_unused_result));
void position_append(struct buffer *out, struct position position);
/* One below: what lies right before this position. {0, 0} stays. */
struct position position_before(struct position position);

#endif
