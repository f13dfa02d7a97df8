/*
 * Table plan: the description of typed tables as prepared statements, in the order in which they are sent.
 *
 *   struct tables --table_plan_create--> statements; table_plan_find: which tables a collection fills
 *
 * Rows are inserted in the order of the file, so that a table that others refer to stands first, and deleted the other
 * way round.
 *
 * Ownership: heap; borrows the tables. Threading: immutable once made.
 */
#ifndef SINK_TABLE_PLAN_H
#define SINK_TABLE_PLAN_H

#include "config/tables.h"
#include "sink/pg_pipeline.h"
#include "sink/table_sql.h"

struct table_plan {
    const struct tables *tables; /* borrowed */
    size_t *order;               /* indexes of the tables, as they stand in the file */
    struct pg_statement *statements;
    unsigned statement_count;
};

/* NULL where `tables` is NULL or empty. */
struct table_plan *table_plan_create(const struct tables *tables)
    __attribute__((warn_unused_result));
void table_plan_destroy(struct table_plan *plan); /* NULL is fine */
const struct pg_statement *table_plan_statement(const struct table_plan *plan, size_t table,
                                                enum table_form form);
const struct pg_statement *table_plan_counts(const struct table_plan *plan, size_t count_table);
/* The index of the first table of `collection`, `*count` follow each other; `*count` is 0: none. */
size_t table_plan_find(const struct table_plan *plan, struct slice collection, size_t *count);
/* Whether rows of the `table`th table count in the `count_table`th table of counts. */
bool table_plan_feeds(const struct table_plan *plan, size_t table, size_t count_table);

#endif
