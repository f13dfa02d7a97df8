/*
 * Frame body: the header and body maps of a frame, read strictly, with their known fields laid out
 * for frame.c to judge. Which fields must be there is not known here.
 *
 *   frame bytes --frame_head_read--> op, t --frame_body_read--> fields[], ops[]
 *
 * Ownership: slices point into the frame; the table of ops is kept for reuse. Threading: one thread.
 * Source: lexicon com.atproto.sync.subscribeRepos.
 */
#ifndef ATPROTO_FRAME_BODY_H
#define ATPROTO_FRAME_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/dag_cbor.h"
#include "base/slice.h"

/* The lexicon allows 200; somewhat more is tolerated, for what came before the limit. */
enum {
    FRAME_OPS_MAX = 4096
};

enum body_field {
    BODY_SEQ,
    BODY_REPO,
    BODY_DID,
    BODY_TIME,
    BODY_REV,
    BODY_SINCE,
    BODY_COMMIT,
    BODY_PREV_DATA,
    BODY_BLOCKS,
    BODY_OPS,
    BODY_HANDLE,
    BODY_ACTIVE,
    BODY_STATUS,
    BODY_NAME,
    BODY_ERROR,
    BODY_MESSAGE,
    BODY_FIELD_COUNT, /* how many there are */
};

struct body_op {
    struct slice action;
    struct slice path;
    struct slice cid; /* binary; empty where null or absent */
};

struct frame_head {
    int64_t op;
    struct slice type; /* `t`; empty where absent */
};

struct frame_body {
    struct dag_item fields[BODY_FIELD_COUNT]; /* DAG_NONE where absent */
    struct body_op *ops;
    size_t op_count;
    size_t op_capacity;
    size_t ops_over_limit;   /* how many were left out */
    const char *ops_problem; /* static text; NULL where they are well-formed */
};

/* Reads {op, t}. False: `reader->fault` says why, or is INVALID_NONE where op is missing or a field
 * has a wrong type. */
bool frame_head_read(struct dag_reader *reader, struct frame_head *head);
/* Reads one item, whole; the fields of a map. With `wants_ops`, also `ops`. False: `reader->fault`;
 * the fields before it are there. */
bool frame_body_read(struct frame_body *body, struct dag_reader *reader, bool wants_ops);
/* "seq", "repo", ...: the key of a field. */
const char *body_field_name(enum body_field field);
void frame_body_deinit(struct frame_body *body);
/* Gives back what one giant frame took. */
void frame_body_shrink(struct frame_body *body);

#endif
