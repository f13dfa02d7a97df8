/*
 * History: what the made-up network does, one frame after the other, the same for the same options
 * on every machine. It keeps the state that a correct consumer must end up with: the truth.
 *
 *   seed --> history_next --> frame bytes          history_write_truth --> JSON lines
 *
 * Mix, after the births of the accounts: likes 69 %, posts 11 %, reposts 10 %, follows 4 %, deletes
 * 3.5 %, updates 0.8 %, identity and account about 0.7 % each, the rest other collections, #sync and
 * commits of several ops. Memory: repos x 1,000 records at most.
 * Ownership: heap object. Threading: one thread.
 */
#ifndef RELAY_HISTORY_H
#define RELAY_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"

struct history_options {
    uint64_t seed;
    uint32_t repos;
    size_t frame_bytes; /* of a commit, on average */
    int64_t first_sequence;
    int64_t base_time_us; /* of the frame before the first */
    int64_t step_us;      /* between frames; at least 1 */
    bool keep_records;    /* for the truth */
};

struct history;
struct history *history_create(const struct history_options *options);
void history_destroy(struct history *history);
/* Appends the next frame to `out`; returns its sequence. */
int64_t history_next(struct history *history, struct buffer *out);
/* From the next frame on time counts from `time_us`, if that is later than now. */
void history_move_time(struct history *history, int64_t time_us);
/* The fold of everything so far: account lines by DID, then the records of the active accounts by
 * DID, collection and record key. False where writing failed. */
bool history_write_truth(struct history *history, FILE *out) __attribute__((warn_unused_result));

#endif
