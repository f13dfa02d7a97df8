#include "sink/transaction.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/panic.h"
#include "sink/isolation.h"

void transaction_init(struct transaction *transaction, const struct table_plan *plan)
{
    batch_init(&transaction->batch, plan);
    if (plan != NULL) {
        size_t count = plan->tables->count + plan->tables->count_table_count;
        transaction->tables = memory_allocate(count * sizeof(*transaction->tables));
    }
}

void transaction_deinit(struct transaction *transaction)
{
    batch_deinit(&transaction->batch);
    free(transaction->tables);
}

void outcome_move_written(struct sink_outcome *outcome, uint64_t *written)
{
    uint32_t moved = *written < outcome->unchanged ? (uint32_t)*written : outcome->unchanged;
    outcome->written += moved;
    outcome->unchanged -= moved;
    *written -= moved;
}

void transaction_build_whole(struct transaction *transaction, const struct list *batches,
                             struct sink_outcome *outcomes)
{
    size_t index = 0;
    batch_begin(&transaction->batch);
    LIST_FOREACH (node, batches) {
        const struct sink_batch *batch = LIST_ENTRY(node, struct sink_batch, node);
        struct sink_outcome *outcome = &outcomes[index++];
        *outcome = (struct sink_outcome){0};
        for (size_t i = 0; i < batch->count; i++) {
            batch_add(&transaction->batch, &batch->entries[i], outcome);
        }
    }
    batch_build(&transaction->batch);
}

void transaction_build_isolated(struct transaction *transaction, struct isolation *isolation)
{
    isolation->entry_outcome = (struct sink_outcome){0};
    batch_begin_one(&transaction->batch, isolation->verdicts, isolation->verdict_count,
                    isolation->form, isolation_only_op(isolation));
    batch_add(&transaction->batch, isolation_entry(isolation), &isolation->entry_outcome);
    batch_build(&transaction->batch);
}

struct statement_sent transaction_failed_in(const struct transaction *transaction,
                                            const struct pg_failure *failure)
{
    const struct statement_sent commit = {.statement = STATEMENT_COMMIT};
    bool is_ours = failure->query < transaction->sent.count;
    return is_ours ? transaction->sent.order[failure->query] : commit;
}

/* --- rows of typed tables --- */

static size_t table_count(const struct transaction *transaction)
{
    const struct table_rows *rows = transaction->batch.rows_of_tables;
    return rows != NULL ? rows->plan->tables->count + rows->plan->tables->count_table_count : 0;
}

void transaction_forget_rows(struct transaction *transaction)
{
    for (size_t i = 0; i < table_count(transaction); i++) {
        transaction->tables[i] = (struct table_written){0};
    }
}

void transaction_keep_rows(struct transaction *transaction)
{
    for (size_t i = 0; i < table_count(transaction); i++) {
        struct table_written *table = &transaction->tables[i];
        table->rows += table->now;
        table->cleared += table->now_cleared;
        table->now = 0;
        table->now_cleared = 0;
    }
}

void transaction_report_rows(struct transaction *transaction,
                             void (*on_rows)(void *owner, size_t table,
                                             const struct sink_rows *rows),
                             void *owner)
{
    const struct table_rows *tables = transaction->batch.rows_of_tables;
    for (size_t i = 0; i < table_count(transaction); i++) {
        const struct table_written *written = &transaction->tables[i];
        struct sink_rows rows = {.written = written->rows + written->cleared};
        if (i < tables->plan->tables->count) {
            const struct table_tally *tally = &tables->tables[i].tally;
            rows.unchanged = tally->given > written->rows ? tally->given - written->rows : 0;
            rows.skipped = tally->skipped;
            rows.dead = tally->dead;
        }
        on_rows(owner, i, &rows);
    }
    transaction_forget_rows(transaction);
}

static void note_rows(struct transaction *transaction, const struct statement_sent *sent,
                      uint64_t written)
{
    size_t counts =
        table_count(transaction) > 0 ? transaction->batch.rows_of_tables->plan->tables->count : 0;
    if (sent->statement == STATEMENT_CLEAR_ROWS) {
        transaction->tables[sent->table].now_cleared += (uint32_t)written;
    } else if (sent->statement == STATEMENT_GONE_ROWS || sent->statement == STATEMENT_LIVE_ROWS) {
        transaction->tables[sent->table].now += (uint32_t)written;
    } else if (sent->statement == STATEMENT_TABLE_COUNTS) {
        transaction->tables[counts + sent->table].now += (uint32_t)written;
    }
}

/* --- running --- */

/* A statement that counts says how many rows it wrote; the command tag of any other does. */
static void on_result(struct pg_request *request, unsigned query, const struct pg_answer *answer)
{
    struct transaction *transaction = LIST_ENTRY(request, struct transaction, request);
    if (query >= transaction->sent.count) {
        return;
    }
    const struct statement_sent *sent = &transaction->sent.order[query];
    uint64_t written =
        answer->rows == 1 ? strtoull(pg_answer_text(answer, 0, 0), NULL, 10) : answer->affected;
    if (sent->statement == STATEMENT_RECORDS) {
        transaction->written = written;
    }
    note_rows(transaction, sent, written);
}

static void on_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct transaction *transaction = LIST_ENTRY(request, struct transaction, request);
    transaction->on_done(transaction, failure);
}

void transaction_run(struct transaction *transaction, struct pg_connection *connection)
{
    transaction->written = 0;
    transaction->started_us = clock_monotonic_us();
    for (size_t i = 0; i < table_count(transaction); i++) {
        transaction->tables[i].now = 0;
        transaction->tables[i].now_cleared = 0;
    }
    transaction->request = (struct pg_request){.on_result = on_result, .on_done = on_done};
    pg_connection_begin(connection, &transaction->request);
    statements_send(connection, &transaction->batch, &transaction->sent);
    pg_connection_end(connection);
}

uint64_t transaction_age_us(const struct transaction *transaction)
{
    return clock_monotonic_us() - transaction->started_us;
}
