/*
 * Migrations: creates or upgrades the schema in numbered steps, recorded in standpipe_migrations,
 * under an advisory lock. Blocking libpq: call it from a command or from uv_queue_work.
 */
#ifndef SINK_MIGRATIONS_H
#define SINK_MIGRATIONS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "config/tables.h"

struct migrations_options {
    const char *conninfo;
    const char *schema;
    const struct tables
        *tables;  /* typed tables, brought to this description; NULL: left as they are */
    bool dry_run; /* appends the SQL that would run to `report`, changes nothing */
};

/* Runs what is missing, then makes or upgrades the typed tables (typed_migration.h); `report` gets one line a step (or the SQL). Twice changes nothing. Refuses a
 * schema newer than itself (ERROR_REFUSED). ERROR_UNREACHABLE where PostgreSQL is away. */
bool migrations_run(const struct migrations_options *options, struct buffer *report,
                    struct error *error) __attribute__((warn_unused_result));

#endif
