/*
 * Table SQL: the statements that keep one typed table true to `records`. Pure functions of the description.
 *
 *   clear  before the records of a deleted repo go: their rows             $1 DIDs
 *   gone   rows whose record is not what they were made of any more        $1..$4 did, rkey, rev, cid of the op
 *   live   rows of records that are what the op said: inserted or changed  $1..$5 the same and seq, then columns
 *   counts what the three have added and removed, to one table of counts   none
 *
 *   reset  rows of these keys, whatever they were made of: a rebuild makes them anew      $1..$4 as gone
 *
 * Each is sent after the statement that has locked the repos of all its rows, so its snapshot shows them as they are.
 * Rows that are right already are not written. What is counted goes to `counts` within the transaction
 * by settings of its own (standpipe.live_<table>_<count> and so on), because no round trip may lie between.
 */
#ifndef SINK_TABLE_SQL_H
#define SINK_TABLE_SQL_H

#include "base/buffer.h"
#include "config/tables.h"

enum table_form {
    TABLE_CLEAR,
    TABLE_GONE,
    TABLE_LIVE,
    TABLE_FORM_COUNT
};

enum {
    TABLE_KEY_PARAMETERS =
        5, /* of TABLE_LIVE, before the columns; TABLE_GONE has all but the last */
};

/* Whether the column is a parameter of TABLE_LIVE, in the order of the table. */
static inline bool table_column_is_sent(const struct table_column *column)
{
    return column->source == COLUMN_PATH;
}

/* Appends the statement of the `index`th table. One row comes back where it counts something or is a table of the
 * user's: how many rows were written; else the command tag says it. */
void table_sql_append(const struct tables *tables, size_t index, enum table_form form,
                      struct buffer *out);
/* Deletes rows by key and counts them like TABLE_GONE; only before TABLE_LIVE in a transaction of a rebuild. */
void table_sql_append_reset(const struct tables *tables, size_t index, struct buffer *out);
/* The statement on the `index`th table of counts. */
void table_sql_append_counts(const struct tables *tables, size_t index, struct buffer *out);
/* Quoted, the setting in which the transaction keeps what the statement has counted for the `count`th count of a table. */
void table_sql_append_setting(struct buffer *out, size_t table, enum table_form form, size_t count);

#endif
