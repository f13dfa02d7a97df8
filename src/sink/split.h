/*
 * Split: a batch in parts, one a lane, so that they can go in transactions that wait for nobody (lanes.h).
 *
 *   batch --split_create--> parts --each with a transaction--> the last one done: on_done of the batch
 *
 * The entries of one repo are all in one part, in their order. What became of the parts is added up; where one of them was
 * given up, so is the batch: what the others wrote is written once more, and changes nothing.
 *
 * Ownership: heap; frees itself before the batch's on_done; the batch's entries stay borrowed. Threading: one loop.
 */
#ifndef SINK_SPLIT_H
#define SINK_SPLIT_H

#include "sink/lanes.h"
#include "sink/sink.h"

struct split;

struct split_part {
    struct sink_batch batch; /* `is_alone`: in no lane */
    unsigned lane;
    struct split *split;
};

/* At least one part; an empty batch and one that is alone are one. Parts whose list nodes are not used yet. */
struct split *split_create(struct sink_batch *batch);
unsigned split_part_count(const struct split *split);
struct split_part *split_part(struct split *split, unsigned index);

#endif
