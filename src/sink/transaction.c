#include "sink/transaction.h"

#include "sink/isolation.h"

void transaction_deinit(struct transaction *transaction)
{
    batch_deinit(&transaction->batch);
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

static bool is_records(const struct transaction *transaction, unsigned query)
{
    return query < transaction->sent.count && transaction->sent.order[query] == STATEMENT_RECORDS;
}

enum statement transaction_failed_in(const struct transaction *transaction,
                                     const struct pg_failure *failure)
{
    bool is_ours = failure->query < transaction->sent.count;
    return is_ours ? transaction->sent.order[failure->query] : STATEMENT_COUNT;
}

static void on_result(struct pg_request *request, unsigned query, const struct pg_answer *answer)
{
    struct transaction *transaction = LIST_ENTRY(request, struct transaction, request);
    if (is_records(transaction, query)) {
        transaction->written = answer->affected;
    }
}

static void on_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct transaction *transaction = LIST_ENTRY(request, struct transaction, request);
    transaction->on_done(transaction, failure);
}

void transaction_run(struct transaction *transaction, struct pg_connection *connection)
{
    transaction->written = 0;
    transaction->request = (struct pg_request){.on_result = on_result, .on_done = on_done};
    pg_connection_begin(connection, &transaction->request);
    statements_send(connection, &transaction->batch, &transaction->sent);
    pg_connection_end(connection);
}
