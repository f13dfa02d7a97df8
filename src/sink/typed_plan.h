/*
 * Typed plan: what must be done so that the database has what the description says, and what only a human may do.
 *
 *   description + catalogue --> SQL for one transaction | an index, in a transaction of its own or outside of any | refusals
 *
 * Nothing that loses data is planned: a column or table that is no longer described, or has another type, is refused
 * with the statement that a human would run.
 *
 * Ownership: embedded, deinit frees. Threading: pure.
 */
#ifndef SINK_TYPED_PLAN_H
#define SINK_TYPED_PLAN_H

#include "config/tables.h"
#include "sink/typed_catalog.h"

enum {
    TYPED_SMALL_BYTES =
        8 * 1024 * 1024 /* an index of a table of this size is made within the transaction */
};

struct typed_plan {
    const struct typed_catalog *catalog; /* borrowed, as the next one */
    const char *schema;                  /* quoted */
    bool is_whole;     /* of a dry run: all indexes of a table at once, and not the next one */
    struct buffer sql; /* for one transaction; empty: nothing */
    struct buffer
        index_sql;      /* an index of rows that are there, once `sql` is done; empty: nothing */
    bool is_concurrent; /* `index_sql` is one statement, and outside of any transaction */
    const struct table *index_table; /* of `index_sql`, as the next one */
    const struct table_index *index; /* that is made; NULL: what is left of it is dropped */
    struct buffer words;             /* a line for each thing that `sql` does */
    struct buffer index_words;
    struct buffer refusals; /* a line each */
    bool is_waiting;        /* another session is building an index of it */
    bool is_emptied;        /* what `sql` makes is empty, whatever is remembered of it */
};

void typed_plan_clear(struct typed_plan *plan);
void typed_plan_deinit(struct typed_plan *plan);
/* Each appends to the plan. */
void typed_plan_table(struct typed_plan *plan, const struct table *table);
void typed_plan_counts(struct typed_plan *plan, const struct tables *tables,
                       const struct count_table *counts);
/* A name of standpipe_tables that the description may no longer have. */
void typed_plan_remembered(struct typed_plan *plan, const struct tables *tables, const char *name);

#endif
