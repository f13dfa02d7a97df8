/*
 * Transaction: the statements of one batch, or of one entry, on their way to a commit.
 *
 *   build (whole batches, or one entry of them) -> run -> on_done(written)
 *
 * Ownership: embedded; borrows the entries until its on_done; keeps its columns for the next one.
 * Threading: the loop's thread only.
 */
#ifndef SINK_TRANSACTION_H
#define SINK_TRANSACTION_H

#include "sink/batch.h"
#include "sink/pg_connection.h"
#include "sink/statements.h"

struct isolation;

/* Rows of one table: of the transaction that is out, and of those since the last report. */
struct table_written {
    uint32_t now, now_cleared;
    uint32_t rows, cleared;
};

struct transaction {
    struct batch batch;
    struct statements_sent sent;
    struct pg_request request;
    uint64_t written; /* rows of records, by the command tag */
    uint64_t started_us;
    struct table_written
        *tables; /* of each typed table, then of each table of counts; NULL: none */
    /* `failure` is NULL where it has committed. */
    void (*on_done)(struct transaction *transaction, const struct pg_failure *failure);
};

/* Starts zeroed; `plan` is borrowed, NULL: no typed tables. */
void transaction_init(struct transaction *transaction, const struct table_plan *plan);
void transaction_deinit(struct transaction *transaction);
/* All entries of `batches` (struct sink_batch), which has one outcome each, made anew. */
void transaction_build_whole(struct transaction *transaction, const struct list *batches,
                             struct sink_outcome *outcomes);
/* What the isolation wants to be tried next. */
void transaction_build_isolated(struct transaction *transaction, struct isolation *isolation);
/* Ready connections only. */
void transaction_run(struct transaction *transaction, struct pg_connection *connection);
/* Since it was sent. The answers of statements and of COMMIT arrive together, so COMMIT alone cannot be timed. */
uint64_t transaction_age_us(const struct transaction *transaction);
/* Which statement failed; STATEMENT_COMMIT where it was the commit. */
struct statement_sent transaction_failed_in(const struct transaction *transaction,
                                            const struct pg_failure *failure);
/* It has committed: what it wrote to typed tables counts. */
void transaction_keep_rows(struct transaction *transaction);
/* Tells what became of typed rows since the last report; `batch` is the one that was the last of its entries. */
void transaction_report_rows(struct transaction *transaction,
                             void (*on_rows)(void *owner, size_t table,
                                             const struct sink_rows *rows),
                             void *owner);
/* Forgets what was kept. */
void transaction_forget_rows(struct transaction *transaction);

/* Says of ops that count as unchanged that they were written: as many as fit of `*written`, which is less
 * by them. */
void outcome_move_written(struct sink_outcome *outcome, uint64_t *written);

#endif
