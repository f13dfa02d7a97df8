/*
 * Reply builder: hiredis' replies in memory of one arena each, so that a batch of entries costs a few allocations and not a
 * dozen an entry, and goes in one step.
 *
 *   bytes --hiredis' reader, these functions--> struct redisReply, as hiredis would make it --redis_free_reply-->
 *
 * RESP 2 only, which is all that we ask for: what RESP 3 adds is refused, and hiredis then ends the connection.
 * Ownership: the root owns all below it; only a root may be freed or kept (redis_keep_reply).
 * Threading: pure functions; a reply belongs to one thread at a time.
 */
#ifndef STREAM_REPLY_BUILDER_H
#define STREAM_REPLY_BUILDER_H

struct redisReplyObjectFunctions;

/* For a reader's `fn`. */
const struct redisReplyObjectFunctions *reply_builder_functions(void);

#endif
