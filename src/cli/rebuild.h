/*
 * Rebuild: the parts of `standpipe rebuild`.
 *
 *   records, a chunk of keys --extraction, the sink's own statements--> typed table     rebuild_rows.c
 *   typed tables, a chunk of keys --count(*)--> table of counts                         rebuild_counts.c
 *
 * Every chunk is one transaction, which also notes in standpipe_tables how far it has come: what is killed goes on from
 * there. Locks are taken in the daemon's order (repos, rows; counts by key), so both may run at once. What a rebuilt table
 * counts in is counted anew behind it.
 *
 * Ownership: a job is on the stack of cli_rebuild() and owns its connection. Threading: the main thread.
 */
#ifndef CLI_REBUILD_H
#define CLI_REBUILD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "cli/sql_client.h"
#include "config/config.h"
#include "config/tables.h"
#include "sink/table_rows.h"

struct rebuild {
    const struct config *config;
    struct sql_client client;
    struct table_plan *plan;
    struct table_rows *rows;
    struct arena arena;
    const char *name;          /* of what is rebuilt now, as in standpipe_tables */
    struct buffer description; /* likewise, terminated, as it was when this rebuild of it began */
    bool is_resumed;           /* an earlier run of it was stopped, and noted how far it was */
    uint64_t done, total;      /* records, or keys of counts */
    uint64_t made;             /* rows, or counts that were wrong */
    uint64_t gone;             /* rows that no record makes */
    uint64_t refused;          /* by PostgreSQL */
    uint64_t resumed_from;     /* done by an earlier run */
    uint64_t started_us, shown_us, chunk_us;
};

bool rebuild_rows(struct rebuild *rebuild, size_t table, struct error *error)
    __attribute__((warn_unused_result));
bool rebuild_counts(struct rebuild *rebuild, size_t count_table, struct error *error)
    __attribute__((warn_unused_result));

/* --- what both need --- */

/* A statement without rows that matter. */
bool rebuild_do(struct rebuild *rebuild, const char *sql, const char *const *values,
                struct error *error) __attribute__((warn_unused_result));
/* The number that it says; 0 where it says nothing. */
bool rebuild_ask_number(struct rebuild *rebuild, const char *sql, const char *const *values,
                        uint64_t *number, struct error *error) __attribute__((warn_unused_result));
/* Where an earlier run stopped, out of standpipe_tables: up to two texts, empty where there was none. Empty texts are keys
 * too, so `is_resumed` says whether there was one. */
bool rebuild_load(struct rebuild *rebuild, struct buffer *first, struct buffer *second,
                  struct error *error) __attribute__((warn_unused_result));
/* Within the chunk's transaction. This and rebuild_finish() refuse where the description is not the one that was loaded. */
bool rebuild_save(struct rebuild *rebuild, const char *first, const char *second,
                  struct error *error) __attribute__((warn_unused_result));
/* What is there of `name` is not to be relied on: not `filled`, and to be rebuilt from its beginning. */
bool rebuild_doubt(struct rebuild *rebuild, const char *name, struct error *error)
    __attribute__((warn_unused_result));
/* All is there: `filled`. */
bool rebuild_finish(struct rebuild *rebuild, struct error *error)
    __attribute__((warn_unused_result));
/* A chunk begins; it is over: shows how far it is, and rests as long as the chunk took. */
void rebuild_begin_chunk(struct rebuild *rebuild);
void rebuild_end_chunk(struct rebuild *rebuild);

#endif
