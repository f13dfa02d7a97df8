/*
 * Stream tail: reads entries of the stream for the command line, blocking. It belongs to no group,
 * acknowledges nothing and changes nothing in Redis.
 *
 *   XRANGE from the start, then XREAD BLOCK while following --> on_entry
 *
 * Ownership: entries are borrowed for the callback. Threading: blocks its thread; no loop.
 */
#ifndef STREAM_STREAM_TAIL_H
#define STREAM_STREAM_TAIL_H

#include <stdbool.h>

#include "atproto/entry.h"
#include "base/error.h"
#include "base/slice.h"

struct stream_tail_options {
    const char *url;  /* redis.url */
    const char *key;  /* the stream's */
    const char *from; /* an entry ID, included; NULL: the oldest, while following only what comes */
    bool should_follow;
};

/* `id` as Redis wrote it. False ends the tail. */
typedef bool stream_tail_callback(void *owner, struct slice id, const struct entry *entry);

/* True where the end was reached or the callback ended it. ERROR_UNREACHABLE where Redis cannot be
 * reached or goes away, ERROR_USAGE for a bad URL or ID, ERROR_REFUSED where Redis says no. */
bool stream_tail(const struct stream_tail_options *options, stream_tail_callback *on_entry,
                 void *owner, struct error *error) __attribute__((warn_unused_result));

#endif
