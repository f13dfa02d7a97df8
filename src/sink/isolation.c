#include "sink/isolation.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "sink/transaction.h"

void isolation_deinit(struct isolation *isolation)
{
    free(isolation->verdicts);
    free(isolation->trials);
    *isolation = (struct isolation){0};
}

/* --- the walk over the entries --- */

static const struct sink_batch *current_batch(const struct isolation *isolation)
{
    return LIST_ENTRY(isolation->batch, struct sink_batch, node);
}

const struct entry *isolation_entry(const struct isolation *isolation)
{
    return &current_batch(isolation)->entries[isolation->entry];
}

bool isolation_is_trying(const struct isolation *isolation)
{
    return isolation->is_on && isolation->is_trying;
}

int isolation_only_op(const struct isolation *isolation)
{
    return isolation->is_trying ? isolation->trials[isolation->trial] : BATCH_OP_ENTRY;
}

/* Leaves out batches without entries; false past the last entry. */
static bool find_entry(struct isolation *isolation)
{
    while (isolation->batch != isolation->batches &&
           isolation->entry == current_batch(isolation)->count) {
        isolation->batch = isolation->batch->next;
        isolation->outcome++;
        isolation->entry = 0;
    }
    return isolation->batch != isolation->batches;
}

static void begin_entry(struct isolation *isolation)
{
    isolation->verdict_count = 0;
    isolation->trial_count = 0;
    isolation->is_trying = false;
    isolation->has_tried = false;
    isolation->form = DEAD_LETTER_WHOLE;
    isolation->written = 0;
}

bool isolation_begin(struct isolation *isolation, struct list *batches,
                     struct sink_outcome *outcomes)
{
    isolation->is_on = true;
    isolation->batches = batches;
    isolation->batch = batches->next;
    isolation->outcome = 0;
    isolation->entry = 0;
    begin_entry(isolation);
    LIST_FOREACH (node, batches) {
        *outcomes++ = (struct sink_outcome){0};
    }
    return find_entry(isolation);
}

void isolation_end(struct isolation *isolation)
{
    isolation->is_on = false;
}

static void add_outcome(struct sink_outcome *to, const struct sink_outcome *from)
{
    to->written += from->written;
    to->unchanged += from->unchanged;
    to->skipped += from->skipped;
    to->dead += from->dead;
    to->dead_entries += from->dead_entries;
    to->refused_rows += from->refused_rows;
    to->commits += from->commits;
    to->identities += from->identities;
    to->accounts += from->accounts;
    to->syncs += from->syncs;
    if (from->newest_event_us > to->newest_event_us) {
        to->newest_event_us = from->newest_event_us;
    }
    if (from->oldest_event_us != 0 &&
        (to->oldest_event_us == 0 || from->oldest_event_us < to->oldest_event_us)) {
        to->oldest_event_us = from->oldest_event_us;
    }
}

static void next_trial(struct isolation *isolation)
{
    isolation->trial++;
    isolation->is_trying = isolation->trial < isolation->trial_count;
}

bool isolation_accept(struct isolation *isolation, uint64_t written, struct sink_outcome *outcomes)
{
    isolation->written += written;
    if (isolation->is_trying) {
        next_trial(isolation);
        return true; /* the entry itself is still to come */
    }
    outcome_move_written(&isolation->entry_outcome, &isolation->written);
    add_outcome(&outcomes[isolation->outcome], &isolation->entry_outcome);
    isolation->entry++;
    begin_entry(isolation);
    return find_entry(isolation);
}

/* --- verdicts --- */

static void log_refused(struct isolation *isolation, struct log_limit *limit, const char *message,
                        int op, const struct pg_failure *failure)
{
    uint64_t suppressed = 0;
    const struct entry *entry = isolation_entry(isolation);
    if (!log_limit_pass(limit, &suppressed)) {
        return;
    }
    log_warning(isolation->object, message, LOG_INT("epoch", entry->id.epoch),
                LOG_INT("sequence", entry->id.sequence), LOG_INT("op", op),
                LOG_TEXT("sqlstate", failure->sqlstate), LOG_TEXT("why", failure->text),
                LOG_SUPPRESSED(suppressed));
}

static struct batch_verdict *add_verdict(struct isolation *isolation, int op, int table,
                                         const struct pg_failure *failure)
{
    if (isolation->verdict_count == isolation->verdict_capacity) {
        isolation->verdict_capacity = isolation->verdict_capacity * 2 + 8;
        isolation->verdicts = memory_resize(isolation->verdicts, isolation->verdict_capacity *
                                                                     sizeof(*isolation->verdicts));
    }
    struct batch_verdict *verdict = &isolation->verdicts[isolation->verdict_count++];
    *verdict = (struct batch_verdict){
        .op = op, .table = table, .is_skipped = failure->class == SQLSTATE_DONE};
    memcpy(verdict->sqlstate, failure->sqlstate, sizeof(verdict->sqlstate));
    memcpy(verdict->detail, failure->detail, sizeof(verdict->detail));
    log_refused(isolation, &isolation->refused_limit, "refused", op, failure);
    return verdict;
}

static void begin_trials(struct isolation *isolation, const struct batch *batch)
{
    isolation->trial_count = 0;
    for (int op; (op = batch_winner_op(batch, isolation->trial_count)) >= 0;) {
        if (isolation->trial_count == isolation->trial_capacity) {
            isolation->trial_capacity = isolation->trial_capacity * 2 + 16;
            isolation->trials = memory_resize(isolation->trials, isolation->trial_capacity *
                                                                     sizeof(*isolation->trials));
        }
        isolation->trials[isolation->trial_count++] = op;
    }
    isolation->trial = 0;
    isolation->has_tried = true;
    isolation->is_trying = isolation->trial_count > 1;
}

static bool has_verdict_on_entry(const struct isolation *isolation)
{
    for (size_t i = 0; i < isolation->verdict_count; i++) {
        if (isolation->verdicts[i].op == BATCH_OP_ENTRY &&
            isolation->verdicts[i].table == BATCH_NO_TABLE) {
            return true;
        }
    }
    return false;
}

static bool reduce_letters(struct isolation *isolation, const struct pg_failure *failure)
{
    switch (isolation->form) {
    case DEAD_LETTER_WHOLE:
        log_refused(isolation, &isolation->letter_limit, "dead letter refused, it is reduced",
                    BATCH_OP_ENTRY, failure);
        isolation->form = DEAD_LETTER_REDUCED;
        return true;
    case DEAD_LETTER_REDUCED:
        isolation->form = DEAD_LETTER_BARE;
        return true;
    case DEAD_LETTER_BARE:
        break;
    }
    isolation->form = DEAD_LETTER_WHOLE;
    return false;
}

/* --- typed tables --- */

static struct batch_verdict *find_verdict(struct isolation *isolation, int op, int table)
{
    for (size_t i = 0; i < isolation->verdict_count; i++) {
        if (isolation->verdicts[i].op == op && isolation->verdicts[i].table == table) {
            return &isolation->verdicts[i];
        }
    }
    return NULL;
}

/* The next step down for an op in a table: no row, then not even its removal. False where both are taken. */
static bool blame_op(struct isolation *isolation, int op, size_t table, bool is_removal,
                     const struct pg_failure *failure)
{
    struct batch_verdict *verdict = find_verdict(isolation, op, (int)table);
    bool is_known = verdict != NULL;
    if (is_known && (verdict->is_removal || op == BATCH_OP_ENTRY)) {
        return false;
    }
    if (!is_known) {
        verdict = add_verdict(isolation, op, (int)table, failure);
    }
    verdict->is_removal = is_known || is_removal;
    return true;
}

/* The ops that the refused transaction has tried; then the entry itself, for its clearing. */
static bool blame_table(struct isolation *isolation, size_t table, bool is_removal,
                        const struct pg_failure *failure)
{
    bool is_news = false;
    if (isolation->is_trying) {
        is_news = blame_op(isolation, isolation_only_op(isolation), table, is_removal, failure);
    }
    for (size_t i = 0; i < isolation->trial_count && !isolation->is_trying; i++) {
        is_news = blame_op(isolation, isolation->trials[i], table, is_removal, failure) || is_news;
    }
    return is_news || blame_op(isolation, BATCH_OP_ENTRY, table, true, failure);
}

static bool blame_counts(struct isolation *isolation, const struct table_plan *plan, size_t counts,
                         const struct pg_failure *failure)
{
    bool is_news = false;
    for (size_t i = 0; i < plan->tables->count; i++) {
        if (table_plan_feeds(plan, i, counts)) {
            is_news = blame_table(isolation, i, false, failure) || is_news;
        }
    }
    return is_news;
}

/* A constraint that is checked at the commit names its table: as if the statement that wrote it had refused. */
static struct statement_sent find_cause(const struct table_plan *plan,
                                        const struct pg_failure *failure,
                                        struct statement_sent sent)
{
    for (size_t i = 0;
         sent.statement == STATEMENT_COMMIT && plan != NULL && i < plan->tables->count; i++) {
        const char *name = strrchr(plan->tables->items[i].rows_name, '.');
        name = name != NULL ? name + 1 : plan->tables->items[i].rows_name;
        if (strcmp(name, failure->table) == 0) {
            return (struct statement_sent){.statement = STATEMENT_LIVE_ROWS, .table = i};
        }
    }
    return sent;
}

/* True where a typed table is at fault, and something is left to be tried without it. */
static bool blame_tables(struct isolation *isolation, const struct table_plan *plan,
                         struct statement_sent sent, const struct pg_failure *failure)
{
    if (sent.statement == STATEMENT_CLEAR_ROWS) {
        return blame_op(isolation, BATCH_OP_ENTRY, sent.table, true, failure);
    }
    if (sent.statement == STATEMENT_GONE_ROWS || sent.statement == STATEMENT_LIVE_ROWS) {
        return blame_table(isolation, sent.table, sent.statement == STATEMENT_GONE_ROWS, failure);
    }
    return sent.statement == STATEMENT_TABLE_COUNTS && plan != NULL &&
           blame_counts(isolation, plan, sent.table, failure);
}

/* Whether one op of several may be what was refused. */
static bool is_of_ops(struct statement_sent sent)
{
    return sent.statement == STATEMENT_RECORDS || sent.statement == STATEMENT_GONE_ROWS ||
           sent.statement == STATEMENT_LIVE_ROWS || sent.statement == STATEMENT_TABLE_COUNTS;
}

bool isolation_refuse(struct isolation *isolation, const struct pg_failure *failure,
                      const struct batch *batch, struct statement_sent sent)
{
    const struct table_plan *plan =
        batch->rows_of_tables != NULL ? batch->rows_of_tables->plan : NULL;
    sent = find_cause(plan, failure, sent);
    if (sent.statement == STATEMENT_DEAD_LETTERS || has_verdict_on_entry(isolation)) {
        return reduce_letters(isolation, failure);
    }
    if (is_of_ops(sent) && !isolation->has_tried) {
        begin_trials(isolation, batch); /* some op, nobody knows which */
        if (isolation->is_trying) {
            return true;
        }
    }
    if (blame_tables(isolation, plan, sent, failure)) {
        return true;
    }
    if (isolation->is_trying) {
        (void)add_verdict(isolation, isolation_only_op(isolation), BATCH_NO_TABLE, failure);
        next_trial(isolation);
        return true;
    }
    int op = sent.statement == STATEMENT_RECORDS && isolation->trial_count == 1
                 ? isolation->trials[0]
                 : BATCH_OP_ENTRY;
    bool is_judged = find_verdict(isolation, op, BATCH_NO_TABLE) != NULL;
    (void)add_verdict(isolation, is_judged ? BATCH_OP_ENTRY : op, BATCH_NO_TABLE, failure);
    return true;
}
