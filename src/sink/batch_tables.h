/*
 * Batch tables: what the winners of a batch do to the typed tables (table_rows.h), and the letters about rows that a
 * table refused. Part of batch.c.
 */
#ifndef SINK_BATCH_TABLES_H
#define SINK_BATCH_TABLES_H

#include "sink/batch.h"

/* The op has won its key; `record` is its JSON as it goes to `records`. */
void batch_tables_put(struct batch *batch, const struct batch_event *event, uint32_t op,
                      struct slice record);
/* For the verdicts on the entry itself: tables that refuse to be cleared are left alone. */
void batch_tables_spare(struct batch *batch);

#endif
