#include "sink/table_rows.h"

#include <stdlib.h>

#include "atproto/event_time.h"
#include "base/panic.h"

const enum pg_element table_key_elements[TABLE_KEY_PARAMETERS] = {PG_TEXT, PG_TEXT, PG_TEXT,
                                                                  PG_TEXT, PG_INT8};

/* jsonb and text[] go as text, and are cast by the statement. */
enum pg_element table_column_element(enum column_type type)
{
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_CID:
    case COLUMN_JSONB:
    case COLUMN_TEXT_ARRAY:
        return PG_TEXT;
    case COLUMN_INTEGER:
        return PG_INT8;
    case COLUMN_BOOLEAN:
        return PG_BOOL;
    case COLUMN_TIMESTAMPTZ:
        return PG_TIMESTAMPTZ;
    }
    PANIC("no such type");
}

/* --- life --- */

struct table_rows *table_rows_create(const struct table_plan *plan)
{
    if (plan == NULL) {
        return NULL;
    }
    struct table_rows *rows = memory_allocate(sizeof(*rows));
    rows->plan = plan;
    rows->tables = memory_allocate(plan->tables->count * sizeof(*rows->tables));
    table_moves_init(&rows->moves, plan->tables);
    for (size_t i = 0; i < plan->tables->count; i++) {
        struct table_columns *columns = &rows->tables[i];
        columns->extraction = extraction_create(&plan->tables->items[i]);
        columns->live_columns = table_plan_statement(plan, i, TABLE_LIVE)->count;
        columns->live = memory_allocate(columns->live_columns * sizeof(*columns->live));
    }
    return rows;
}

void table_rows_destroy(struct table_rows *rows)
{
    for (size_t i = 0; rows != NULL && i < rows->plan->tables->count; i++) {
        struct table_columns *columns = &rows->tables[i];
        for (unsigned c = 0; c < columns->live_columns; c++) {
            pg_array_deinit(&columns->live[c]);
        }
        for (unsigned c = 0; c < TABLE_KEY_PARAMETERS - 1; c++) {
            pg_array_deinit(&columns->gone[c]);
        }
        free(columns->live);
        extraction_destroy(columns->extraction);
    }
    if (rows != NULL) {
        free(rows->tables);
        table_moves_deinit(&rows->moves);
        buffer_deinit(&rows->scratch);
        free(rows);
    }
}

static void begin_live(struct table_columns *columns, const struct table *table)
{
    unsigned at = 0;
    for (; at < TABLE_KEY_PARAMETERS; at++) {
        pg_array_begin(&columns->live[at], table_key_elements[at]);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (table_column_is_sent(&table->columns[i])) {
            pg_array_begin(&columns->live[at++], table_column_element(table->columns[i].type));
        }
    }
    columns->live_rows = 0;
}

void table_rows_begin(struct table_rows *rows)
{
    table_moves_begin(&rows->moves);
    for (size_t i = 0; i < rows->plan->tables->count; i++) {
        struct table_columns *columns = &rows->tables[i];
        begin_live(columns, &rows->plan->tables->items[i]);
        for (unsigned c = 0; c < TABLE_KEY_PARAMETERS - 1; c++) {
            pg_array_begin(&columns->gone[c], table_key_elements[c]);
        }
        columns->gone_rows = 0;
        columns->is_cleared = true;
        columns->tally = (struct table_tally){0};
    }
}

/* --- rows --- */

static void append_key(struct pg_array *column, const struct table_key *key)
{
    pg_array_append(&column[0], key->did);
    pg_array_append(&column[1], key->rkey);
    pg_array_append(&column[2], key->rev);
    if (key->cid.data == NULL) {
        pg_array_append_null(&column[3]);
    } else {
        pg_array_append(&column[3], key->cid);
    }
}

static void append_value(struct table_rows *rows, struct pg_array *column, enum column_type type,
                         const struct column_value *value)
{
    if (!value->has_value) {
        pg_array_append_null(column);
        return;
    }
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_CID:
    case COLUMN_JSONB:
        pg_array_append(column, value->text);
        return;
    case COLUMN_INTEGER:
        pg_array_append_int64(column, value->number);
        return;
    case COLUMN_BOOLEAN:
        pg_array_append_bool(column, value->number != 0);
        return;
    case COLUMN_TIMESTAMPTZ:
        pg_array_append_time(column, value->number);
        return;
    case COLUMN_TEXT_ARRAY:
        buffer_clear(&rows->scratch);
        column_value_append_array(value, &rows->scratch);
        pg_array_append(column, buffer_slice(&rows->scratch));
        return;
    }
}

/* What the row counts by; false where that is null, or where nobody asks. */
static bool counted_by(const struct table_rows *rows, size_t index, const struct table_key *key,
                       size_t column, struct slice *by)
{
    const struct table_column *described = &rows->plan->tables->items[index].columns[column];
    const struct column_value *value = extraction_value(rows->tables[index].extraction, column);
    switch (described->source) {
    case COLUMN_PATH:
    case COLUMN_LITERAL:
        *by = value->has_value              ? value->text
              : described->fallback != NULL ? slice_from_string(described->fallback)
                                            : (struct slice){0};
        return value->has_value || described->fallback != NULL;
    case COLUMN_DID:
        *by = key->did;
        return true;
    case COLUMN_RKEY:
        *by = key->rkey;
        return true;
    case COLUMN_RECORD_CID:
        *by = key->cid;
        return true;
    case COLUMN_REV:
        *by = key->rev;
        return true;
    case COLUMN_URI: /* it has no place */
    case COLUMN_INDEXED_AT:
    case COLUMN_SEQ:
    case COLUMN_EVENT_TIME:
    case COLUMN_RECORD:
        return false;
    }
    PANIC("no such source");
}

static void count_live(struct table_rows *rows, size_t index, const struct table_key *key)
{
    const struct table *table = &rows->plan->tables->items[index];
    for (size_t i = 0; i < table->count_count; i++) {
        struct slice by;
        if (counted_by(rows, index, key, table->counts[i].by, &by)) {
            table_moves_add(&rows->moves, index, i, by);
        }
    }
}

static void append_live(struct table_rows *rows, size_t index, const struct table_key *key)
{
    struct table_columns *columns = &rows->tables[index];
    const struct table *table = &rows->plan->tables->items[index];
    unsigned at = TABLE_KEY_PARAMETERS;
    append_key(columns->live, key);
    pg_array_append_int64(&columns->live[TABLE_KEY_PARAMETERS - 1], key->seq);
    for (size_t i = 0; i < table->column_count; i++) {
        if (table_column_is_sent(&table->columns[i])) {
            append_value(rows, &columns->live[at++], table->columns[i].type,
                         extraction_value(columns->extraction, i));
        }
    }
    columns->live_rows++;
    columns->tally.given++;
    count_live(rows, index, key);
}

void table_rows_remove(struct table_rows *rows, size_t table, const struct table_key *key)
{
    struct table_columns *columns = &rows->tables[table];
    append_key(columns->gone, key);
    columns->gone_rows++;
    columns->tally.given++;
}

enum extraction_result table_rows_put(struct table_rows *rows, size_t table,
                                      const struct table_key *key, struct slice record,
                                      struct arena *arena)
{
    struct table_columns *columns = &rows->tables[table];
    enum extraction_result result =
        extraction_run(columns->extraction, record, key->did.size + key->rkey.size, arena);
    if (result == EXTRACTION_ROW) {
        append_live(rows, table, key);
    } else {
        table_rows_remove(rows, table, key);
    }
    return result;
}

const struct table_column *table_rows_bad_column(const struct table_rows *rows, size_t table)
{
    size_t column = extraction_bad_column(rows->tables[table].extraction);
    return &rows->plan->tables->items[table].columns[column];
}

bool table_rows_feed(const struct table_rows *rows, size_t count_table, bool is_clearing)
{
    for (size_t i = 0; i < rows->plan->tables->count; i++) {
        const struct table_columns *columns = &rows->tables[i];
        bool has_rows = columns->live_rows > 0 || columns->gone_rows > 0;
        if ((has_rows || (is_clearing && columns->is_cleared)) &&
            table_plan_feeds(rows->plan, i, count_table)) {
            return true;
        }
    }
    return false;
}
