/*
 * CID: content identifiers in their binary form, and as text.
 *
 * Ownership: slices are borrowed. Threading: pure functions.
 * Sources: multiformats CID v0 and v1, unsigned varint; atproto's blessed form is CIDv1 with codec
 * dag-cbor (0x71) or raw (0x55) and SHA-256: 36 bytes, 59 characters of base32.
 */
#ifndef ATPROTO_CID_H
#define ATPROTO_CID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum {
    CID_SIZE = 36,         /* of a CIDv1 with SHA-256 */
    CID_DIGEST_OFFSET = 4, /* where its digest starts */
    CID_DIGEST_SIZE = 32,
    CID_SIZE_MAX = 128 /* of any well-formed one; more is refused */
};

/* Reads an unsigned varint of minimal length, up to 63 bits; false where there is none. */
bool varint_take(struct slice *bytes, uint64_t *number) __attribute__((warn_unused_result));

/* The length of the CID, of any version 0 or 1, that `bytes` starts with; 0 where there is none. */
size_t cid_prefix_size(struct slice bytes);
/* Whether `cid` is one CID and nothing more. */
bool cid_is_well_formed(struct slice cid);
/* Whether `cid` is a CIDv1 with codec dag-cbor or raw and SHA-256. */
bool cid_is_blessed(struct slice cid);
/* Whether `text` is what cid_append_text() writes of a well-formed CID of version 1. */
bool cid_is_text(struct slice text) __attribute__((warn_unused_result));
/* Appends the text of a well-formed CID: base32 with `b`, or base58btc `Qm...` for version 0. */
void cid_append_text(struct buffer *out, struct slice cid);

#endif
