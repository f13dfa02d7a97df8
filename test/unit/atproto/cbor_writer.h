/*
 * CBOR writer for tests: says exactly what it is told, right or wrong.
 *
 * Ownership: appends to the caller's buffer. Panics rather than fails.
 */
#ifndef TEST_UNIT_ATPROTO_CBOR_WRITER_H
#define TEST_UNIT_ATPROTO_CBOR_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/cid.h"
#include "base/buffer.h"
#include "base/slice.h"

enum {
    CBOR_NULL = 0xf6,
    CBOR_FALSE = 0xf4,
    CBOR_TRUE = 0xf5
};

/* The shortest head of a major type: 0 unsigned, 1 negative, 4 array, 5 map, 6 tag. */
void cbor_put_head(struct buffer *out, unsigned major, uint64_t number);
void cbor_put_text(struct buffer *out, const char *text);
void cbor_put_bytes(struct buffer *out, struct slice bytes);
/* Tag 42 over 0x00 and `cid`. */
void cbor_put_link(struct buffer *out, struct slice cid);
/* Bytes as they are, in hexadecimal. */
void cbor_put_hex(struct buffer *out, const char *hex);

/* The binary CIDv1 (dag-cbor, SHA-256) of `block`, CID_SIZE bytes. */
struct slice make_cid(struct slice block, char cid[CID_SIZE]);

/* A CAR: car_begin, then blocks, in any order and however often. */
void car_begin(struct buffer *out, struct slice root);
void car_add(struct buffer *out, struct slice cid, struct slice block);

/* One op of a commit; `cid` with size 0 is null. */
struct op_spec {
    const char *action;
    const char *path;
    struct slice cid;
};

/* A commit frame. What is NULL or 0 is what an ordinary commit has. */
struct commit_spec {
    const char *repo;
    const char *rev;
    const char *since; /* NULL: null */
    const char *time;
    uint64_t sequence; /* 0: 7 */
    const struct op_spec *ops;
    size_t op_count;
    struct slice blocks;    /* the CAR; empty bytes where size is 0 */
    bool leaves_out_blocks; /* no `blocks` at all */
    bool has_prev_data;
};
void put_commit_frame(struct buffer *out, const struct commit_spec *spec);
/* {op: 1, t: `type`}. */
void put_frame_head(struct buffer *out, const char *type);

#endif
