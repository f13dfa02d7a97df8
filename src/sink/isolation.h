/*
 * Isolation: which row of a refused batch is the bad one.
 *
 *   each entry in a transaction of its own --refused--> each of its ops alone --> the entry again, with
 *   what was refused as dead letters (or skipped, where a user's own constraint refused it)
 *
 * Ownership: embedded; borrows the batches. Threading: none of its own.
 */
#ifndef SINK_ISOLATION_H
#define SINK_ISOLATION_H

#include "base/list.h"
#include "base/log.h"
#include "sink/batch.h"
#include "sink/pg_failure.h"

/* Private, but for what transaction.c reads. */
struct isolation {
    const char *object; /* the log's; borrowed */
    struct log_limit refused_limit;
    bool is_on;
    struct list *batches;
    struct list *batch; /* node */
    size_t outcome;     /* index of the batch */
    size_t entry;
    struct batch_verdict *verdicts;
    size_t verdict_count, verdict_capacity;
    int *trials; /* ops to run alone */
    size_t trial_count, trial_capacity;
    size_t trial;
    bool is_trying; /* trials[trial] is being run */
    bool has_tried;
    uint64_t written; /* by the trials */
    struct sink_outcome entry_outcome;
};

void isolation_deinit(struct isolation *isolation);
/* From the first entry of `batches` on; false where they have none. Outcomes start anew. */
bool isolation_begin(struct isolation *isolation, struct list *batches,
                     struct sink_outcome *outcomes) __attribute__((warn_unused_result));
/* The batches are out of hands. */
void isolation_end(struct isolation *isolation);
/* What to run now: an entry, and which op of it (BATCH_OP_ENTRY: all). */
const struct entry *isolation_entry(const struct isolation *isolation);
int isolation_only_op(const struct isolation *isolation);
/* That has committed, and wrote so many records. False where it was the last. */
bool isolation_accept(struct isolation *isolation, uint64_t written, struct sink_outcome *outcomes)
    __attribute__((warn_unused_result));
/* That was refused; `batch` is as it was built, `is_record`: by the statement on records. False where nobody
 * is left to blame: the dead letter itself was refused. */
bool isolation_refuse(struct isolation *isolation, const struct pg_failure *failure,
                      const struct batch *batch, bool is_record)
    __attribute__((warn_unused_result));

#endif
