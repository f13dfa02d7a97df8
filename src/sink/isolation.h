/*
 * Isolation: which row of a refused batch is the bad one.
 *
 *   each entry in a transaction of its own --refused--> each of its ops alone --> the entry again, with
 *   what was refused as dead letters (or skipped, where a user's own constraint refused it) --refused-->
 *   the same with less in the letters
 *
 * A typed table that refuses costs the op its row in that table; where it will not even give up the row that it had,
 * that one stays; and where it refuses the clearing of a deleted repo, it is not cleared. So the walk ends: each
 * refusal takes away one statement's reason to refuse.
 *
 * Ownership: embedded; borrows the batches. Threading: none of its own.
 */
#ifndef SINK_ISOLATION_H
#define SINK_ISOLATION_H

#include "base/list.h"
#include "base/log.h"
#include "sink/batch.h"
#include "sink/pg_failure.h"
#include "sink/statements.h"

/* Private, but for what transaction.c reads. */
struct isolation {
    const char *object; /* the log's; borrowed */
    struct log_limit refused_limit, letter_limit;
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
    enum dead_letter_form form; /* of the entry's letters */
    uint64_t written;           /* by the trials */
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
/* Whether that is one op of several: the entry whole is still to come. */
bool isolation_is_trying(const struct isolation *isolation);
/* That was refused by `sent`; `batch` is as it was built. False where nothing is left to be tried: even bare letters
 * are refused. The next time begins with whole ones. */
bool isolation_refuse(struct isolation *isolation, const struct pg_failure *failure,
                      const struct batch *batch, struct statement_sent sent)
    __attribute__((warn_unused_result));

#endif
