/*
 * Frames: the bytes of each message of com.atproto.sync.subscribeRepos, header and body, strict
 * DAG-CBOR; a commit's `blocks` is a CAR v1 whose every block hashes to its CID. The tree nodes have
 * the shape of the repository's search tree and are not one: nobody who reads the firehose without
 * inverting the tree can tell.
 *
 * Ownership: a frame_writer owns its scratch memory. Threading: one thread.
 */
#ifndef RELAY_FRAMES_H
#define RELAY_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "repo.h"

enum {
    FRAME_MAX_OPS = 10
};

enum op_kind {
    OP_KIND_CREATE,
    OP_KIND_UPDATE,
    OP_KIND_DELETE
};

struct commit_op {
    enum op_kind op;
    struct live_record record; /* what is written, or what is deleted; `block` is not used */
    struct cid previous;       /* update and delete: the CID before */
    size_t block_offset;       /* create and update: where in the plan's blocks */
    size_t block_size;
};

struct commit_plan {
    struct commit_op ops[FRAME_MAX_OPS];
    size_t op_count;
    struct buffer blocks; /* of the records, one after the other */
};

/* Where and when a frame stands. */
struct frame_stamp {
    int64_t sequence;
    int64_t time_us;
    int64_t gap_us; /* since the frame before, at least 1 */
};

struct frame_writer;
/* Commits come out at about `frame_bytes` on average. */
struct frame_writer *frame_writer_create(uint64_t seed, size_t frame_bytes);
void frame_writer_destroy(struct frame_writer *writer);

/* Appends the commit and moves the repo's head, data and rev; its records are the caller's. */
void frame_write_commit(struct frame_writer *writer, struct buffer *out,
                        const struct frame_stamp *stamp, struct repo *repo,
                        const struct commit_plan *plan);
/* #sync with the head as it is. */
void frame_write_sync(struct frame_writer *writer, struct buffer *out,
                      const struct frame_stamp *stamp, const struct repo *repo);
/* #identity; without a handle where `with_handle` is false. */
void frame_write_identity(struct buffer *out, const struct frame_stamp *stamp,
                          const struct repo *repo, bool with_handle);
/* #account with the repo's status. */
void frame_write_account(struct buffer *out, const struct frame_stamp *stamp,
                         const struct repo *repo);
/* #info, and the error frame (`op` -1, no `t`). */
void frame_write_info(struct buffer *out, const char *name, const char *message);
void frame_write_error(struct buffer *out, const char *name, const char *message);

#endif
