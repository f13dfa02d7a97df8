/*
 * CAR v1: the blocks of a commit, found by their CID.
 *
 *   `blocks` bytes --car_parse--> struct car --car_find(cid)--> block bytes
 *
 * Blocks may come in any order, twice, or without anyone asking for them. Blocks under a CID that is
 * no CIDv1 with SHA-256 are passed over: they could not be checked.
 * Ownership: the car owns its tables, which are kept for the next parse; blocks point into the input.
 * Threading: one thread. Memory: at most CAR_BLOCKS_MAX blocks, and only for blocks that are there.
 * Source: IPLD's CAR v1 specification.
 */
#ifndef ATPROTO_CAR_H
#define ATPROTO_CAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/dag_cbor.h"
#include "base/slice.h"

/* The lexicon's 2,000,000 bytes hold 54,054 of the smallest blocks. */
enum {
    CAR_BLOCKS_MAX = 65536
};

struct car_block {
    const uint8_t *cid; /* CID_SIZE bytes */
    struct slice data;
};

struct car {
    struct car_block *blocks;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* open addressing; block number + 1, 0 where free */
    size_t slot_capacity;
    unsigned slot_bits; /* of which 2^slot_bits are in use */
    uint64_t keys[4];   /* secret, so that nobody can make up CIDs that collide */
};

enum car_result {
    CAR_DONE,
    CAR_BAD,
    CAR_OVER_LIMIT
};

void car_init(struct car *car);
void car_deinit(struct car *car);
/* No blocks; keeps small tables and gives back big ones. */
void car_clear(struct car *car);
/* Reads `bytes`, which must outlive the blocks. `*why` is a static text where it is not CAR_DONE. */
enum car_result car_parse(struct car *car, struct slice bytes, struct dag_stack *stack,
                          const char **why) __attribute__((warn_unused_result));
/* False where no block has this CID. */
bool car_find(const struct car *car, struct slice cid, struct slice *data);
/* Whether every block hashes to its CID; else `*bad` is the first that does not. */
bool car_verify(const struct car *car, const struct car_block **bad);

#endif
