/*
 * DAG-CBOR: a pull reader over one item, on libcbor's streaming decoder. libcbor says what one head
 * is; structure, order, counts and strictness are checked here, on a stack of our own.
 *
 *   bytes --dag_reader_next--> item, item, item ... (a container ends with DAG_END)
 *
 * Strict (frames, CAR headers): the first break of the rules ends it. Lenient (records): what can
 * still be read is, and each break leaves its bit in `breaks`.
 * Ownership: items point into the input; the stack belongs to the caller and is kept for reuse.
 * Threading: one reader, one thread. Never recurses; takes memory only for levels that are there.
 * Sources: RFC 8949; DAG-CBOR (definite lengths, minimal heads, text keys sorted length-first and
 * unique, tag 42 only over 0x00-prefixed bytes, float64 only); atproto data model.
 */
#ifndef ATPROTO_DAG_CBOR_H
#define ATPROTO_DAG_CBOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/invalid.h"
#include "base/slice.h"

enum {
    FRAME_DEPTH_MAX = 32,
    RECORD_DEPTH_MAX = 4096
};

enum dag_kind {
    DAG_NONE,     /* nothing was read: a field that is absent */
    DAG_UNSIGNED, /* number */
    DAG_NEGATIVE, /* -1 - number */
    DAG_BYTES,
    DAG_TEXT,  /* strict: valid UTF-8; lenient: not checked */
    DAG_LINK,  /* bytes: the CID without its 0x00 prefix, well-formed */
    DAG_ARRAY, /* number: how many items follow */
    DAG_MAP,   /* number: how many pairs follow */
    DAG_END,   /* of an array or map */
    DAG_FALSE,
    DAG_TRUE,
    DAG_NULL,
    DAG_UNDEFINED, /* or an unassigned simple value; lenient only */
    DAG_FLOAT,     /* real */
    DAG_TAG,       /* never leaves the reader */
};

struct dag_item {
    enum dag_kind kind;
    bool is_key; /* of a map; its kind is DAG_TEXT */
    uint64_t number;
    double real;
    struct slice bytes;
};

struct dag_level {
    uint64_t left; /* items until the end; a pair of a map counts two */
    struct slice last_key;
    bool is_map;
    bool is_key_next;
    uint8_t role;  /* the caller's, about the current key; 0 at the start */
    uint8_t marks; /* the caller's, about the whole map; 0 at the start */
};

struct dag_stack {
    struct dag_level *levels;
    size_t capacity;
};
void dag_stack_deinit(struct dag_stack *stack);

struct dag_reader {
    const uint8_t *next; /* first byte not yet read */
    const uint8_t *end;
    struct dag_stack *stack;
    size_t depth; /* open containers */
    size_t depth_max;
    bool is_lenient;
    uint32_t breaks;           /* invalid_bit()s, lenient only */
    enum invalid_reason fault; /* why dag_reader_next() returned false */
};

struct dag_reader dag_reader_strict(struct slice input, struct dag_stack *stack);
struct dag_reader dag_reader_lenient(struct slice input, struct dag_stack *stack);

/* Reads on. One item is complete when `depth` is 0 after a call. False: `fault` says why. */
bool dag_reader_next(struct dag_reader *reader, struct dag_item *item)
    __attribute__((warn_unused_result));
/* After `item` was read: reads on to its end where it is a container. */
bool dag_reader_skip(struct dag_reader *reader, const struct dag_item *item)
    __attribute__((warn_unused_result));

/* What was not read yet. */
static inline struct slice dag_reader_rest(const struct dag_reader *reader)
{
    return slice_of(reader->next, (size_t)(reader->end - reader->next));
}

/* The innermost open container; `depth` is not 0. After DAG_END, dag_reader_closed() is the level
 * that ended, until the next call. */
static inline struct dag_level *dag_reader_level(const struct dag_reader *reader)
{
    return &reader->stack->levels[reader->depth - 1];
}
static inline const struct dag_level *dag_reader_closed(const struct dag_reader *reader)
{
    return &reader->stack->levels[reader->depth];
}

#endif
