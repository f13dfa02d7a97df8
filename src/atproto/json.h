/*
 * JSON out: DAG-CBOR records become compact JSON in one pass, straight into a buffer.
 *
 *   block --json_append_record--> {"text":"...","subject":{"cid":{"$link":"bafy..."}}}
 *
 * Keys stay in the record's order; text is raw UTF-8; U+0000 and its like are \u00XX; bytes are
 * base64 without padding.
 * Ownership: the caller's buffer and stack. Threading: pure functions.
 * Sources: RFC 8259; the data model's JSON form ($link, $bytes).
 */
#ifndef ATPROTO_JSON_H
#define ATPROTO_JSON_H

#include <stdint.h>

#include "atproto/dag_cbor.h"
#include "base/buffer.h"
#include "base/slice.h"

/* Appends `text` in quotes. Returns the invalid_bit()s of what JSON or PostgreSQL cannot hold. */
uint32_t json_append_text(struct buffer *out, struct slice text);
/* Appends the shortest decimal that reads back as `real`; null where it is not finite. */
void json_append_real(struct buffer *out, double real);
/* Appends the record that `block` holds, or null where it cannot be read. Returns invalid_bit()s;
 * not 0 means that `block` has to travel beside it. */
uint32_t json_append_record(struct buffer *out, struct slice block, struct dag_stack *stack);

#endif
