/*
 * Typed migration: brings the typed tables to what the description says, after the numbered steps.
 *
 * One transaction a table, each under the lock of all migrations and each from a fresh look, so that a running daemon
 * waits for one table only, and a migration that was killed goes on where it was. Indexes of large tables are built
 * outside of a transaction, on a second connection, while the first one holds the lock.
 */
#ifndef SINK_TYPED_MIGRATION_H
#define SINK_TYPED_MIGRATION_H

#include "config/tables.h"
#include "sink/migration_session.h"

/* Refuses (ERROR_REFUSED), before anything is changed, what would lose data. `report` gets a line for each change;
 * with `dry_run` the SQL, and the refusals as comments. */
bool typed_migration_run(struct migration_session *session, const struct tables *tables,
                         bool dry_run, struct buffer *report) __attribute__((warn_unused_result));

#endif
