/*
 * Table moves: what the live rows of a transaction add to the tables of counts, as the columns of their statements.
 *
 *   each row --table_moves_add--> keys, each with a number in the place of the count --> $1 keys, $2.. numbers
 *
 * PostgreSQL adds them only where it has found all rows of the table new (table_sql.h).
 *
 * Ownership: heap, in its table_rows; keys are borrowed until the next begin. Threading: one thread.
 */
#ifndef SINK_TABLE_MOVES_H
#define SINK_TABLE_MOVES_H

#include "base/slice.h"
#include "config/tables.h"
#include "sink/pg_array.h"

struct table_move {
    struct slice key;
    unsigned place;
};

/* Where a count stands: TABLE_NO_PLACE, or a place in a table of counts. */
struct table_place {
    int place;
    size_t count_table;
};

/* Of one table of counts. */
struct count_moves {
    struct table_move *items;
    size_t count, capacity;
    struct pg_array *columns; /* the keys, then a number for each place */
    unsigned column_count;
    int64_t *numbers; /* scratch: of one key */
};

struct table_moves {
    const struct tables *tables; /* borrowed */
    struct table_place **places; /* of each table: one a count */
    struct count_moves *counts;  /* one a table of counts */
};

void table_moves_init(struct table_moves *moves, const struct tables *tables);
void table_moves_deinit(struct table_moves *moves);
void table_moves_begin(struct table_moves *moves);
/* A row of the `table`th table whose `count`th count goes by `key`. */
void table_moves_add(struct table_moves *moves, size_t table, size_t count, struct slice key);
/* As many as the statement has parameters; keys in their order, each once. Until the next begin. */
struct pg_array *table_moves_columns(struct table_moves *moves, size_t count_table);

#endif
