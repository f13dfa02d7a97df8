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
                LOG_INT("suppressed", suppressed));
}

static void add_verdict(struct isolation *isolation, int op, const struct pg_failure *failure)
{
    if (isolation->verdict_count == isolation->verdict_capacity) {
        isolation->verdict_capacity = isolation->verdict_capacity * 2 + 8;
        isolation->verdicts = memory_resize(isolation->verdicts, isolation->verdict_capacity *
                                                                     sizeof(*isolation->verdicts));
    }
    struct batch_verdict *verdict = &isolation->verdicts[isolation->verdict_count++];
    *verdict = (struct batch_verdict){.op = op, .is_skipped = failure->class == SQLSTATE_DONE};
    memcpy(verdict->sqlstate, failure->sqlstate, sizeof(verdict->sqlstate));
    memcpy(verdict->detail, failure->detail, sizeof(verdict->detail));
    log_refused(isolation, &isolation->refused_limit, "refused", op, failure);
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
        if (isolation->verdicts[i].op == BATCH_OP_ENTRY) {
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

bool isolation_refuse(struct isolation *isolation, const struct pg_failure *failure,
                      const struct batch *batch, enum statement statement)
{
    if (statement == STATEMENT_DEAD_LETTERS || has_verdict_on_entry(isolation)) {
        return reduce_letters(isolation, failure);
    }
    if (isolation->is_trying) {
        add_verdict(isolation, isolation_only_op(isolation), failure);
        next_trial(isolation);
        return true;
    }
    if (statement != STATEMENT_RECORDS || isolation->has_tried) {
        add_verdict(isolation, BATCH_OP_ENTRY, failure);
        return true;
    }
    begin_trials(isolation, batch); /* some op, nobody knows which */
    if (!isolation->is_trying) {
        add_verdict(isolation, isolation->trials[0], failure);
    }
    return true;
}
