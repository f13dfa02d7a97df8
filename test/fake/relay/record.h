/*
 * Record: the app.bsky records of the made-up network, as strict DAG-CBOR.
 * Sources: the lexicons app.bsky.feed.*, app.bsky.graph.*, app.bsky.actor.profile and
 * app.bsky.labeler.service.
 */
#ifndef RELAY_RECORD_H
#define RELAY_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "cbor.h"
#include "random.h"

enum record_kind {
    RECORD_LIKE,
    RECORD_POST,
    RECORD_REPOST,
    RECORD_FOLLOW,
    RECORD_BLOCK,
    RECORD_LIST,
    RECORD_LIST_ITEM,
    RECORD_LIST_BLOCK,
    RECORD_PROFILE,
    RECORD_GENERATOR,
    RECORD_STARTER_PACK,
    RECORD_LABELER,
    RECORD_THREAD_GATE,
    RECORD_POST_GATE,
    RECORD_VERIFICATION,
    RECORD_KIND_COUNT /* how many there are */
};

const char *record_collection(enum record_kind kind);
/* The record key is `self`: at most one of them in a repo. */
bool record_is_self(enum record_kind kind);

/* What a record may speak of. */
struct record_inputs {
    struct random *random;
    int64_t time_us;        /* createdAt */
    const char *target_did; /* of the post, or of the account that is followed */
    uint64_t target_tid;    /* record key of the post */
    const struct cid *target_cid;
};

/* Appends the record's block. */
void record_write(struct buffer *out, enum record_kind kind, const struct record_inputs *inputs);

#endif
