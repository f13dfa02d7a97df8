/*
 * Table SQL: the statements that keep one typed table true to `records`. Pure functions of the description.
 *
 *   clear  before the records of a deleted repo go: their rows             $1 DIDs
 *   gone   rows whose record is not what they were made of any more        $1..$4 did, rkey, rev, cid of the op
 *   live   rows of records that are what the op said: inserted or changed  $1..$5 the same and seq, then columns
 *   counts what the three have added and removed, to one table of counts   $1 keys, then numbers
 *
 *   sweep  rows of these keys that no record would make there: a rebuild                  $1 URIs
 *   reset  rows of these keys, whatever they were made of: a rebuild makes them anew      $1, $2 did, rkey
 *
 * Each is sent after the statement that has locked the repos of all its rows, so its snapshot shows them as they are.
 * Rows that are right already are not written. What is counted goes to `counts` within the transaction
 * by settings of its own (standpipe.live_<table>_<count> and so on), because no round trip may lie between.
 *
 * The usual transaction brings nothing but new records of a collection, and its statement on records has said so
 * (standpipe.all_written, standpipe.replaced). Then `live` inserts without looking for what is there, its setting is
 * TABLE_ALL_NEW, and `counts` adds the numbers that were sent with it: those of the rows given to `live`. Who writes rows
 * one by one, after a refusal or in a rebuild, says nothing of the sort, and gets the statement that looks.
 */
#ifndef SINK_TABLE_SQL_H
#define SINK_TABLE_SQL_H

#include "base/buffer.h"
#include "config/tables.h"

#define TABLE_ALL_NEW "*"

enum table_form {
    TABLE_CLEAR,
    TABLE_GONE,
    TABLE_LIVE,
    TABLE_FORM_COUNT
};

enum {
    TABLE_KEY_PARAMETERS =
        5, /* of TABLE_LIVE, before the columns; TABLE_GONE has all but the last */
    TABLE_PLACES_MAX = 32,
    TABLE_NO_PLACE = -1,
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
/* Both delete rows by key, of a table of ours, and count nothing: who rebuilds rows counts them anew behind it. */
void table_sql_append_sweep(const struct tables *tables, size_t index, struct buffer *out);
void table_sql_append_reset(const struct tables *tables, size_t index, struct buffer *out);
/* The statement on the `index`th table of counts: its keys, then a number of rows in each place. */
void table_sql_append_counts(const struct tables *tables, size_t index, struct buffer *out);
/* Where the `count`th count of a table stands among the numbers of its table of counts, whose index goes to
 * `*count_table`; TABLE_NO_PLACE where only PostgreSQL knows what it goes by. */
int table_sql_place(const struct tables *tables, size_t table, size_t count, size_t *count_table);
unsigned table_sql_place_count(const struct tables *tables, size_t count_table);
/* Whether `key`, an SQL expression, is counted: one that is null, or too long for the key of a table of counts
 * (TABLE_KEY_BYTES_MAX), is not, whether its row comes, goes or stays. */
void table_sql_append_is_counted(struct buffer *out, const char *key);
/* Quoted, the setting in which the transaction keeps what the statement has counted for the `count`th count of a table. */
void table_sql_append_setting(struct buffer *out, size_t table, enum table_form form, size_t count);

#endif
