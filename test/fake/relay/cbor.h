/*
 * CBOR as DAG-CBOR wants it: shortest heads, definite lengths, tag 42 for links. The writer does not
 * sort: whoever writes a map writes its keys in order (length first, then bytes).
 * The reader knows one question: where is `seq` in a frame. Threading: pure functions.
 */
#ifndef RELAY_CBOR_H
#define RELAY_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

struct cid {
    uint8_t bytes[36]; /* 0x01 0x71 0x12 0x20 and the SHA-256 */
};

/* SHA-256 of `block` as a dag-cbor CID v1. */
struct cid cid_of_block(struct slice block);
/* `bafyrei...`, 59 characters. */
void cid_append_text(struct buffer *out, const struct cid *cid);

void cbor_write_unsigned(struct buffer *out, uint64_t number);
void cbor_write_negative(struct buffer *out, int64_t number); /* number < 0 */
void cbor_write_bytes(struct buffer *out, struct slice bytes);
void cbor_write_text(struct buffer *out, struct slice text);
/* A terminated string: keys and constants. */
void cbor_write_string(struct buffer *out, const char *text);
/* A map's key and a text. */
void cbor_write_pair(struct buffer *out, const char *key, const char *text);
void cbor_write_array(struct buffer *out, uint64_t count);
void cbor_write_map(struct buffer *out, uint64_t pairs);
void cbor_write_bool(struct buffer *out, bool value);
void cbor_write_null(struct buffer *out);
void cbor_write_link(struct buffer *out, const struct cid *cid);
/* The link, or null where `cid` is NULL. */
void cbor_write_link_or_null(struct buffer *out, const struct cid *cid);

struct cbor_head {
    unsigned major; /* 0 to 7 */
    uint64_t number;
};
/* Takes one head off `in`; false where it is cut short or of no definite length. */
bool cbor_read_head(struct slice *in, struct cbor_head *head) __attribute__((warn_unused_result));

struct frame_sequence {
    size_t offset; /* of the encoded number in the frame */
    size_t size;   /* its bytes */
    int64_t value;
};
/* Finds the body's `seq`; false where the frame has none or cannot be walked. */
bool cbor_find_sequence(struct slice frame, struct frame_sequence *found)
    __attribute__((warn_unused_result));

#endif
