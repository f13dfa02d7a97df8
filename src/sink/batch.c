#include "sink/batch.h"

#include <stdlib.h>
#include <string.h>

#include "atproto/event_time.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/panic.h"
#include "sink/batch_tables.h"
#include "sink/dead_letter.h"
#include "sink/jsonb_text.h"
#include "sink/repo_fold.h"

enum {
    FUTURE_TOLERANCE_US = 5 * 60 * 1000000,
    EVENTS_KEPT = 512
};

/* How far the reference system's times are put back where an account's or identity's events are ordered: 50 years. */
#define REFERENCE_BEFORE_US (INT64_C(50) * 365 * 86400 * 1000000)

/* An op on its way to a row. */
struct batch_row {
    uint32_t event; /* index */
    uint32_t op;    /* index */
    bool is_dead;
};

void batch_init(struct batch *batch, const struct table_plan *plan)
{
    batch->rows_of_tables = table_rows_create(plan);
}

void batch_deinit(struct batch *batch)
{
    table_rows_destroy(batch->rows_of_tables);
    for (unsigned t = 0; t < BATCH_TABLE_COUNT; t++) {
        for (unsigned c = 0; c < BATCH_COLUMNS_MAX; c++) {
            pg_array_deinit(&batch->tables[t].columns[c]);
        }
    }
    arena_deinit(&batch->arena);
    free(batch->events);
    free(batch->rows);
    buffer_deinit(&batch->scratch);
    *batch = (struct batch){0};
}

/* As buffer_recycle() does. */
static void recycle_events(struct batch *batch)
{
    if (batch->event_capacity > EVENTS_KEPT && batch->event_count < batch->event_capacity / 4) {
        free(batch->events);
        batch->events = NULL;
        batch->event_capacity = 0;
    }
    batch->event_count = 0;
}

static void begin_table(struct batch_columns *table, const enum pg_element *elements,
                        unsigned count)
{
    ASSERT(count <= BATCH_COLUMNS_MAX);
    table->column_count = count;
    table->rows = 0;
    for (unsigned c = 0; c < count; c++) {
        pg_array_begin(&table->columns[c], elements[c]);
    }
}

#define BEGIN_TABLE(batch, table, ...)                                                             \
    do {                                                                                           \
        static const enum pg_element elements_[] = {__VA_ARGS__};                                  \
        begin_table(&(batch)->tables[table], elements_, sizeof(elements_) / sizeof(elements_[0])); \
    } while (0)

void batch_begin_one(struct batch *batch, const struct batch_verdict *verdicts, size_t count,
                     enum dead_letter_form form, int only_op)
{
    arena_reset(&batch->arena);
    recycle_events(batch);
    batch->row_count = 0;
    batch->verdicts = verdicts;
    batch->verdict_count = count;
    batch->form = form;
    batch->only_op = only_op;
    batch->is_whole = false;
    batch->now_us = clock_wall_us();
    if (batch->rows_of_tables != NULL) {
        table_rows_begin(batch->rows_of_tables);
    }
    BEGIN_TABLE(batch, BATCH_REPOS, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT);
    BEGIN_TABLE(batch, BATCH_IDENTITIES, PG_TEXT, PG_INT8, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT);
    BEGIN_TABLE(batch, BATCH_ACCOUNTS, PG_TEXT, PG_INT8, PG_INT8, PG_TIMESTAMPTZ, PG_BOOL, PG_TEXT,
                PG_TEXT, PG_TIMESTAMPTZ);
    BEGIN_TABLE(batch, BATCH_FLOORS, PG_TEXT, PG_TEXT, PG_TIMESTAMPTZ);
    BEGIN_TABLE(batch, BATCH_CLEARED, PG_TEXT);
    BEGIN_TABLE(batch, BATCH_OWED, PG_TEXT, PG_TEXT);
    BEGIN_TABLE(batch, BATCH_RECORDS, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT,
                PG_BYTEA, PG_TEXT, PG_INT8, PG_TIMESTAMPTZ, PG_TEXT, PG_INT8);
    BEGIN_TABLE(batch, BATCH_DEAD_LETTERS, PG_INT8, PG_INT8, PG_INT8, PG_TEXT, PG_TEXT, PG_TEXT,
                PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_TEXT, PG_BYTEA, PG_INT8, PG_INT8);
}

void batch_begin(struct batch *batch)
{
    batch_begin_one(batch, NULL, 0, DEAD_LETTER_WHOLE, BATCH_OP_ENTRY);
    batch->is_whole = true;
}

/* --- adding --- */

const struct batch_verdict *batch_find_verdict(const struct batch *batch, int op, int table)
{
    for (size_t i = 0; i < batch->verdict_count; i++) {
        if (batch->verdicts[i].op == op && batch->verdicts[i].table == table) {
            return &batch->verdicts[i];
        }
    }
    return NULL;
}

void batch_add_letter(struct batch *batch, const struct dead_letter *letter)
{
    if (batch->only_op == BATCH_OP_ENTRY && !batch->keeps_no_letters) {
        dead_letter_append(&batch->tables[BATCH_DEAD_LETTERS], letter, batch->form,
                           &batch->scratch);
    }
}

/* PostgreSQL has said no: a letter, or nothing where a constraint of the user's said it. */
static void add_refused(struct batch *batch, const struct batch_event *event,
                        const struct batch_verdict *verdict, uint32_t weight,
                        struct sink_outcome *outcome)
{
    if (verdict->is_skipped) {
        outcome->skipped += weight;
        return;
    }
    const struct dead_letter letter = {
        .entry = event->entry,
        .event = &event->event,
        .op = verdict->op,
        .reason = SLICE("refused by PostgreSQL"),
        .sqlstate = slice_from_string(verdict->sqlstate),
        .detail = slice_from_string(verdict->detail),
    };
    batch_add_letter(batch, &letter);
    outcome->dead += weight;
}

/* What keeps an op from being applied; empty: nothing. */
static struct slice op_fault(const struct event_op *op)
{
    if (op->action == OP_UNKNOWN) {
        return SLICE("unknown action");
    }
    if (op->collection.size == 0 || op->rkey.size == 0) {
        return SLICE("bad path");
    }
    /* A block without a byte is there all the same: its `cbor` is empty, and not absent. */
    bool has_block =
        op->cbor.data != NULL || (op->record.size > 0 && !slice_equals(op->record, SLICE("null")));
    if (slice_equals(op->invalid, SLICE("missing block")) ||
        (op->action != OP_DELETE && !has_block)) {
        return SLICE("missing block");
    }
    return slice_of(NULL, 0);
}

static void push_row(struct batch *batch, uint32_t op, bool is_dead)
{
    if (batch->row_count == batch->row_capacity) {
        batch->row_capacity = batch->row_capacity == 0 ? 256 : batch->row_capacity * 2;
        batch->rows = memory_resize(batch->rows, batch->row_capacity * sizeof(*batch->rows));
    }
    batch->rows[batch->row_count++] =
        (struct batch_row){.event = (uint32_t)batch->event_count - 1, .op = op, .is_dead = is_dead};
}

/* True where the op will be a row. */
static bool add_op(struct batch *batch, struct batch_event *event, uint32_t index,
                   struct sink_outcome *outcome)
{
    const struct event_op *op = &event->event.ops[index];
    const struct batch_verdict *verdict = batch_find_verdict(batch, (int)index, BATCH_NO_TABLE);
    struct slice fault = op_fault(op);
    bool is_missing = slice_equals(fault, SLICE("missing block"));
    event->lacks_block = event->lacks_block || is_missing;
    if (fault.size > 0) {
        const struct dead_letter letter = {.entry = event->entry,
                                           .event = &event->event,
                                           .op = (int)index,
                                           .reason = fault,
                                           .detail = op->invalid};
        batch_add_letter(batch, &letter);
        outcome->dead++;
    } else if (verdict != NULL) {
        add_refused(batch, event, verdict, 1, outcome);
    }
    if (fault.size == 0 || is_missing) {
        push_row(batch, index, is_missing || verdict != NULL);
    }
    return fault.size == 0 && verdict == NULL;
}

static void add_commit(struct batch *batch, struct batch_event *event, struct sink_outcome *outcome)
{
    uint32_t live = 0;
    uint32_t skipped = outcome->skipped;
    for (uint32_t i = 0; i < event->event.op_count; i++) {
        live += add_op(batch, event, i, outcome) ? 1 : 0;
    }
    outcome->unchanged += live; /* until the commit says which were written */
    if (live == 0 && event->event.op_count > 0 && skipped == outcome->skipped) {
        outcome->dead_entries++;
    }
}

static void count_type(enum frame_type type, struct sink_outcome *outcome)
{
    switch (type) {
    case FRAME_COMMIT:
        outcome->commits++;
        return;
    case FRAME_IDENTITY:
        outcome->identities++;
        return;
    case FRAME_ACCOUNT:
        outcome->accounts++;
        return;
    case FRAME_SYNC:
        outcome->syncs++;
        return;
    case FRAME_INFO:
    case FRAME_ERROR:
    case FRAME_IGNORED:
        break;
    }
    PANIC("entry_parse gives events only");
}

/* An entry of the reference system says no time, but its ID is the time it was appended at. That is later than the
 * event, which we may bring ourselves with all it says: so it orders such entries among themselves, below all of ours. */
static void read_time(struct batch *batch, struct batch_event *event, struct sink_outcome *outcome)
{
    event->time_us = event_time_parse(event->event.time);
    const int64_t last_ms = INT64_C(253402300799999); /* of the year 9999 */
    if (event->time_us == TIME_UNKNOWN && event->event.is_reference &&
        event->entry->id.epoch <= (uint64_t)last_ms) {
        event->time_us = (int64_t)event->entry->id.epoch * 1000;
    }
    bool is_future = event->time_us > batch->now_us + FUTURE_TOLERANCE_US;
    event->guard_us = is_future ? TIME_UNKNOWN : event->time_us;
    if (event->event.is_reference && event->guard_us != TIME_UNKNOWN) {
        event->guard_us -= REFERENCE_BEFORE_US;
    }
    if (event->time_us == TIME_UNKNOWN) {
        return;
    }
    if (outcome->newest_event_us == 0 || event->time_us > outcome->newest_event_us) {
        outcome->newest_event_us = event->time_us;
    }
    if (outcome->oldest_event_us == 0 || event->time_us < outcome->oldest_event_us) {
        outcome->oldest_event_us = event->time_us;
    }
}

static struct batch_event *push_event(struct batch *batch, const struct entry *entry,
                                      struct sink_outcome *outcome)
{
    if (batch->event_count == batch->event_capacity) {
        batch->event_capacity = batch->event_capacity == 0 ? 256 : batch->event_capacity * 2;
        batch->events =
            memory_resize(batch->events, batch->event_capacity * sizeof(*batch->events));
    }
    struct batch_event *event = &batch->events[batch->event_count++];
    *event = (struct batch_event){.entry = entry, .outcome = outcome};
    return event;
}

static void add_unreadable(struct batch *batch, const struct entry *entry, const char *reason,
                           struct sink_outcome *outcome)
{
    const struct dead_letter letter = {
        .entry = entry, .op = BATCH_OP_ENTRY, .reason = slice_from_string(reason)};
    batch_add_letter(batch, &letter);
    outcome->dead++;
    outcome->dead_entries++;
    batch->event_count--;
}

void batch_add(struct batch *batch, const struct entry *entry, struct sink_outcome *outcome)
{
    char reason[ENTRY_REASON_SIZE];
    struct batch_event *event = push_event(batch, entry, outcome);
    if (entry_parse(entry, &batch->arena, &event->event, reason) != PARSE_DONE) {
        add_unreadable(batch, entry, reason, outcome);
        return;
    }
    count_type(event->event.type, outcome);
    read_time(batch, event, outcome);
    const struct batch_verdict *verdict = batch_find_verdict(batch, BATCH_OP_ENTRY, BATCH_NO_TABLE);
    if (verdict != NULL) {
        uint32_t ops = (uint32_t)event->event.op_count;
        add_refused(batch, event, verdict, ops > 0 ? ops : 1, outcome);
        outcome->dead_entries += verdict->is_skipped ? 0 : 1;
        batch->event_count--; /* it touches nothing but the letters */
        return;
    }
    if (event->event.type == FRAME_COMMIT) {
        add_commit(batch, event, outcome);
    }
}

/* --- records --- */

static int compare_keys(const struct batch *batch, const struct batch_row *a,
                        const struct batch_row *b)
{
    const struct event *event_a = &batch->events[a->event].event;
    const struct event *event_b = &batch->events[b->event].event;
    int order = slice_compare(event_a->did, event_b->did);
    if (order == 0) {
        order = slice_compare(event_a->ops[a->op].collection, event_b->ops[b->op].collection);
    }
    if (order == 0) {
        order = slice_compare(event_a->ops[a->op].rkey, event_b->ops[b->op].rkey);
    }
    return order;
}

/* By key; of one key the one that wins first. */
static int compare_rows(const void *left, const void *right, void *context)
{
    const struct batch *batch = context;
    const struct batch_row *a = left;
    const struct batch_row *b = right;
    const struct event *event_a = &batch->events[a->event].event;
    const struct event *event_b = &batch->events[b->event].event;
    int order = compare_keys(batch, a, b);
    if (order == 0) {
        order = slice_compare(event_b->rev, event_a->rev);
    }
    if (order == 0 && event_a->position.sequence != event_b->position.sequence) {
        order = event_a->position.sequence > event_b->position.sequence ? -1 : 1;
    }
    if (order == 0 && a->event != b->event) {
        order = a->event > b->event ? -1 : 1;
    }
    if (order == 0 && a->op != b->op) {
        order = a->op > b->op ? -1 : 1;
    }
    return order;
}

static void append_cbor(struct batch *batch, struct pg_array *column, struct slice base64)
{
    buffer_clear(&batch->scratch);
    if (base64.data != NULL && base64_decode(&batch->scratch, base64)) {
        pg_array_append(column, buffer_slice(&batch->scratch));
    } else {
        pg_array_append_null(column);
    }
}

/* Where a row stands against its repo's floor: its rev, or the TID of its time where it has none. */
static void append_floor_rev(struct batch *batch, struct pg_array *column,
                             const struct batch_event *event)
{
    char tid[EVENT_TID_SIZE];
    if (event->event.rev.size > 0) {
        pg_array_append(column, event->event.rev);
        return;
    }
    event_time_tid(event->time_us != TIME_UNKNOWN ? event->time_us : batch->now_us, tid);
    pg_array_append(column, slice_of(tid, sizeof(tid)));
}

/* What the horizon is compared with: none for the reference system's entries. A delete keeps its own in any case. */
static void append_epoch(struct batch *batch, struct pg_array *column, const struct event *event,
                         const struct event_op *op)
{
    bool is_exempt = batch->ignores_horizon && op->action != OP_DELETE;
    if (event->position.epoch == 0 || is_exempt) {
        pg_array_append_null(column);
    } else {
        pg_array_append_int64(column, (int64_t)event->position.epoch);
    }
}

static void append_record(struct batch *batch, const struct batch_row *row)
{
    const struct batch_event *event = &batch->events[row->event];
    const struct event_op *op = &event->event.ops[row->op];
    struct batch_columns *table = &batch->tables[BATCH_RECORDS];
    struct pg_array *column = table->columns;
    struct slice record = jsonb_text_without_nul(op->record, &batch->arena);
    pg_array_append(&column[0], event->event.did);
    pg_array_append(&column[1], op->collection);
    pg_array_append(&column[2], op->rkey);
    if (op->action == OP_DELETE) {
        pg_array_append_null(&column[3]);
        pg_array_append_null(&column[5]);
    } else {
        pg_array_append(&column[3], op->cid);
        pg_array_append_or_null(&column[5], record);
    }
    pg_array_append(&column[4], event->event.rev);
    append_cbor(batch, &column[6], op->cbor);
    pg_array_append_or_null(&column[7], op->invalid);
    pg_array_append_int64(&column[8], event->event.position.sequence);
    pg_array_append_time(&column[9], event->time_us);
    append_floor_rev(batch, &column[10], event);
    append_epoch(batch, &column[11], &event->event, op);
    table->rows++;
    batch_tables_put(batch, event, row->op, record);
}

static bool has_rev_of(const struct batch *batch, const struct batch_row *a,
                       const struct batch_row *b)
{
    struct slice rev = batch->events[a->event].event.rev;
    return rev.size > 0 && slice_equals(rev, batch->events[b->event].event.rev);
}

/* Of two commits with one rev, which no honest server makes: as in the statement on records, what is live wins
 * over a tombstone, the higher CID over the lower. So neither order nor batching matters. */
static bool outranks(const struct batch *batch, const struct batch_row *a,
                     const struct batch_row *b)
{
    const struct event_op *op_a = &batch->events[a->event].event.ops[a->op];
    const struct event_op *op_b = &batch->events[b->event].event.ops[b->op];
    if (op_a->action == OP_DELETE || op_b->action == OP_DELETE) {
        return op_a->action != OP_DELETE && op_b->action == OP_DELETE;
    }
    return slice_compare(op_a->cid, op_b->cid) > 0;
}

/* The row of `rows`, all of one key and in order, that counts; NULL where all are dead. */
static const struct batch_row *choose_row(const struct batch *batch, const struct batch_row *rows,
                                          size_t count)
{
    const struct batch_row *chosen = NULL;
    uint32_t heard = UINT32_MAX; /* the event whose last word on this key was the latest */
    for (size_t i = 0; i < count; i++) {
        if (chosen != NULL && !has_rev_of(batch, chosen, &rows[i])) {
            break;
        }
        bool is_last_word = rows[i].event != heard;
        heard = rows[i].event;
        if (is_last_word && !rows[i].is_dead &&
            (chosen == NULL || outranks(batch, &rows[i], chosen))) {
            chosen = &rows[i];
        }
    }
    return chosen;
}

static void build_records(struct batch *batch)
{
    struct batch_row *rows = batch->rows;
    size_t winners = 0;
    if (batch->row_count > 0) {
        qsort_r(rows, batch->row_count, sizeof(*rows), compare_rows, batch);
    }
    for (size_t i = 0, next; i < batch->row_count; i = next) {
        for (next = i + 1;
             next < batch->row_count && compare_keys(batch, &rows[i], &rows[next]) == 0;) {
            next++;
        }
        const struct batch_row *chosen = choose_row(batch, &rows[i], next - i);
        if (chosen == NULL || (batch->only_op >= 0 && chosen->op != (uint32_t)batch->only_op)) {
            continue;
        }
        append_record(batch, chosen);
        rows[winners++] = *chosen; /* never past what has been read */
    }
    batch->row_count = winners;
}

int batch_winner_op(const struct batch *batch, size_t index)
{
    return index < batch->row_count ? (int)batch->rows[index].op : -1;
}

/* --- repos --- */

static int compare_dids(const void *left, const void *right)
{
    const struct batch_event *const *a = left;
    const struct batch_event *const *b = right;
    int order = slice_compare((*a)->event.did, (*b)->event.did);
    if (order == 0) {
        order = *a < *b ? -1 : *a > *b; /* both are in the one array: as they were added */
    }
    return order;
}

static void build_repos(struct batch *batch)
{
    size_t count = batch->event_count;
    if (count == 0) {
        return;
    }
    const struct batch_event **order =
        arena_allocate(&batch->arena, count * sizeof(struct batch_event *));
    for (size_t i = 0; i < count; i++) {
        order[i] = &batch->events[i];
    }
    qsort(order, count, sizeof(struct batch_event *), compare_dids);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1;
             next < count && slice_equals(order[i]->event.did, order[next]->event.did);) {
            next++;
        }
        repo_fold_append(batch, &order[i], next - i);
    }
}

void batch_build(struct batch *batch)
{
    build_repos(batch);
    build_records(batch);
    if (batch->event_count > 0) {
        batch_tables_spare(batch);
    }
}
