/*
 * Typed book: the rows of standpipe_tables, which say what we made, of which description, and whether it is filled.
 *
 * Ownership: appends to the plan. Threading: pure.
 */
#ifndef SINK_TYPED_BOOK_H
#define SINK_TYPED_BOOK_H

#include "sink/typed_plan.h"

#define TYPED_BOOK_ROWS     "rows"
#define TYPED_BOOK_COUNTS   "counts"
#define TYPED_BOOK_EXISTING "existing"

/* Each plans to remember what is not remembered so yet. A new table is filled where there are no records at all; one
 * whose description changed, or that is made again although it is remembered, is not, until it is rebuilt from its
 * beginning. */
void typed_book_remember_rows(struct typed_plan *plan, const struct table *table, const char *view);
void typed_book_remember_existing(struct typed_plan *plan, const struct table *table);
void typed_book_remember_counts(struct typed_plan *plan, const struct tables *tables,
                                const struct count_table *counts);

#endif
