#include "sink/batch_tables.h"

#include "base/buffer.h"

/* A reason names the table, so that each of several tables has its own letter. */
static struct slice make_reason(struct batch *batch, const char *what, const struct table *table,
                                const struct table_column *column)
{
    buffer_clear(&batch->scratch);
    buffer_append_format(&batch->scratch, "%s %s", what, table->name);
    if (column != NULL) {
        buffer_append_format(&batch->scratch, ".%s", column->name);
    }
    return arena_copy(&batch->arena, buffer_slice(&batch->scratch));
}

static void add_refused(struct batch *batch, const struct batch_event *event,
                        const struct batch_verdict *verdict)
{
    size_t index = (size_t)verdict->table;
    const struct table *table = &batch->rows_of_tables->plan->tables->items[index];
    struct table_tally *tally = &batch->rows_of_tables->tables[index].tally;
    if (verdict->is_skipped) {
        tally->skipped++;
        return;
    }
    const struct dead_letter letter = {
        .entry = event->entry,
        .event = &event->event,
        .op = verdict->op,
        .reason = make_reason(batch, "refused by table", table, NULL),
        .sqlstate = slice_from_string(verdict->sqlstate),
        .detail = slice_from_string(verdict->detail),
    };
    batch_add_letter(batch, &letter);
    event->outcome->refused_rows++;
    tally->dead++;
}

static void add_bad_value(struct batch *batch, const struct batch_event *event, uint32_t op,
                          size_t index)
{
    const struct table *table = &batch->rows_of_tables->plan->tables->items[index];
    const struct dead_letter letter = {
        .entry = event->entry,
        .event = &event->event,
        .op = (int)op,
        .reason = make_reason(batch, "bad value for", table,
                              table_rows_bad_column(batch->rows_of_tables, index)),
    };
    batch_add_letter(batch, &letter);
    event->outcome->refused_rows++;
    batch->rows_of_tables->tables[index].tally.dead++;
}

static void put_row(struct batch *batch, const struct batch_event *event, uint32_t op,
                    const struct table_key *key, struct slice record, size_t index)
{
    const struct batch_verdict *verdict = batch_find_verdict(batch, (int)op, (int)index);
    if (verdict != NULL) {
        add_refused(batch, event, verdict);
        if (!verdict->is_removal) {
            table_rows_remove(batch->rows_of_tables, index, key);
        }
    } else if (key->cid.data == NULL) {
        table_rows_remove(batch->rows_of_tables, index, key);
    } else if (table_rows_put(batch->rows_of_tables, index, key, record, &batch->arena) ==
               EXTRACTION_BAD) {
        add_bad_value(batch, event, op, index);
    }
}

void batch_tables_put(struct batch *batch, const struct batch_event *event, uint32_t op,
                      struct slice record)
{
    if (batch->rows_of_tables == NULL) {
        return;
    }
    const struct event_op *what = &event->event.ops[op];
    struct table_key key = {.did = event->event.did,
                            .rkey = what->rkey,
                            .rev = event->event.rev,
                            .seq = event->event.position.sequence};
    if (what->action != OP_DELETE) {
        key.cid = what->cid.size > 0 ? what->cid : SLICE("");
    }
    size_t count;
    size_t first = table_plan_find(batch->rows_of_tables->plan, what->collection, &count);
    for (size_t i = 0; i < count; i++) {
        put_row(batch, event, op, &key, record, first + i);
    }
}

void batch_tables_spare(struct batch *batch)
{
    for (size_t i = 0; batch->rows_of_tables != NULL && i < batch->verdict_count; i++) {
        const struct batch_verdict *verdict = &batch->verdicts[i];
        if (verdict->op == BATCH_OP_ENTRY && verdict->table >= 0) {
            batch->rows_of_tables->tables[verdict->table].is_cleared = false;
            add_refused(batch, &batch->events[0], verdict);
        }
    }
}
