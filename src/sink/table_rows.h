/*
 * Table rows: what one transaction does to the typed tables, as the columns of its statements.
 *
 *   key and JSON of a record --table_rows_put--> a row for TABLE_LIVE, or a key for TABLE_GONE where it has none
 *
 * Where the JSON comes from is all the same: an op of the stream, or `records`. Keys must differ within a table.
 *
 * Ownership: heap; borrows the plan, and the keys of counts from what is put, until the next begin. Threading: one thread.
 */
#ifndef SINK_TABLE_ROWS_H
#define SINK_TABLE_ROWS_H

#include "base/arena.h"
#include "sink/extraction.h"
#include "sink/pg_array.h"
#include "sink/table_moves.h"
#include "sink/table_plan.h"

extern const enum pg_element table_key_elements[TABLE_KEY_PARAMETERS];
enum pg_element table_column_element(enum column_type type);

/* Of the record that is to stand behind the row. */
struct table_key {
    struct slice did, rkey, rev;
    struct slice cid; /* with `data` NULL: a tombstone */
    int64_t seq;
};

/* What became of rows in one table, as metrics count it. */
struct table_tally {
    uint32_t given; /* to statements, without a table's clearing */
    uint32_t skipped, dead;
};

struct table_columns {
    struct extraction *extraction;
    struct pg_array *live; /* TABLE_KEY_PARAMETERS, then the columns that are sent */
    unsigned live_columns;
    unsigned live_rows;
    struct pg_array gone[TABLE_KEY_PARAMETERS - 1];
    unsigned gone_rows;
    bool is_cleared; /* not where clearing was refused */
    struct table_tally tally;
};

struct table_rows {
    const struct table_plan *plan;
    struct table_columns *tables; /* one a table */
    struct table_moves moves;     /* of the live rows */
    struct buffer scratch;
};

/* NULL where `plan` is. */
struct table_rows *table_rows_create(const struct table_plan *plan)
    __attribute__((warn_unused_result));
void table_rows_destroy(struct table_rows *rows); /* NULL is fine */
/* Forgets what was put. */
void table_rows_begin(struct table_rows *rows);
/* EXTRACTION_ROW: it is a row; else its key is put among those that have none, which is a dead letter for
 * EXTRACTION_BAD (table_rows_bad_column() says which) and nothing to speak of otherwise. */
enum extraction_result table_rows_put(struct table_rows *rows, size_t table,
                                      const struct table_key *key, struct slice record,
                                      struct arena *arena) __attribute__((warn_unused_result));
/* The record has no row in this table any more. */
void table_rows_remove(struct table_rows *rows, size_t table, const struct table_key *key);
/* The column that made the last table_rows_put() bad. */
const struct table_column *table_rows_bad_column(const struct table_rows *rows, size_t table);
/* Whether the `count_table`th table of counts may have to change. */
bool table_rows_feed(const struct table_rows *rows, size_t count_table, bool is_clearing);

#endif
