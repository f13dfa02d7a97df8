/*
 * Sink: entries of the stream become rows of PostgreSQL, one transaction a group of batches.
 *
 *   sink_submit --> [waiting, FIFO] --> a free connection takes as many as fit --> pipeline:
 *   BEGIN, repos, records, typed tables, counts, dead letters, COMMIT --> on_done of each batch
 *
 * Transactions that run at the same time have no repo in common (lanes.h): a batch goes in parts, and those whose repos
 * another transaction of this process has wait for it here and not in PostgreSQL.
 *
 * Where no transaction is out, a batch goes at once. Beside one the next begins with what fills it, with a batch that has
 * waited for `batch_age_ms`, or when that one ends: many events come in few transactions, and few events cost no wait.
 *
 * A batch is done only when its transaction has committed with synchronous_commit on. The sink retries
 * an outage with backoff for ever, isolates a bad row (single-row transactions) into
 * standpipe_dead_letters, and waits 30 s between tries where the set-up is wrong: `on_state` says which.
 * An unknown outcome of COMMIT is run again: every statement is guarded by revision or position.
 *
 * Ownership: heap; freed after `on_closed`. Batches are embedded in their owner and borrowed until
 * `on_done`; so are their entries. Threading: one sink per worker thread, the loop's thread only.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/error.h"
#include "base/list.h"

struct uv_loop_s;
struct sink;

enum sink_state {
    SINK_CONNECTING,
    SINK_READY,
    SINK_AWAY,          /* an outage: the batch is retried */
    SINK_MISCONFIGURED, /* 42xxx, 28xxx, 3D000, 0A000: nothing is consumed, tried again every 30 s */
};

struct lanes;
struct tables;

struct sink_options {
    const char *conninfo;        /* libpq; copied */
    const char *schema;          /* copied */
    const struct tables *tables; /* typed tables; borrowed; NULL: none */
    const char *name; /* application_name and the log's object `postgres[name]`; copied */
    unsigned connections;
    struct lanes *lanes;   /* shared with the other sinks of this process; borrowed; NULL: none */
    size_t batch_bytes;    /* a transaction takes batches up to this */
    size_t batch_entries;  /* and up to this many entries */
    size_t full_entries;   /* so many are worth a transaction beside others */
    uint64_t batch_age_ms; /* how long a batch waits for company beside a transaction; 0: never */
    uint64_t
        lane_patience_ms; /* how long a part waits for its lane before it goes without; 0: 2,000 */
    uint64_t statement_timeout_ms;
    bool prepared;         /* false behind a transaction pooler */
    bool ignores_horizon;  /* all that was deleted since is deleted again, too: see tombstones.h */
    bool keeps_no_letters; /* a retry of dead letters: what is dead again is only counted */
    bool
        clears_repos; /* also removes what large deleted repos have left: purger.h; one connection more */
    uint64_t
        tombstone_age_ms; /* with clears_repos: deletes are forgotten after it, see tombstones.h; 0: never */
    uint64_t purge_interval_ms;     /* between its looks; 0: 5,000 */
    uint64_t misconfigured_wait_ms; /* between tries where the set-up is wrong; 0: 30,000 */
};

/* What became of a batch that has committed. */
struct sink_outcome {
    uint32_t written;      /* ops that changed a row of records */
    uint32_t unchanged;    /* ops that found the row as new or newer */
    uint32_t skipped;      /* ops that a user's own constraint refused */
    uint32_t dead;         /* ops, or entries without ops, that became dead letters */
    uint32_t dead_entries; /* entries of which nothing but dead letters came */
    uint32_t
        refused_rows; /* rows that a typed table refused: letters, though `records` has the op */
    uint32_t commits, identities, accounts, syncs; /* entries by type */
    int64_t
        newest_event_us; /* event time of the newest entry, microseconds since 1970; 0: unknown */
    int64_t oldest_event_us;
    uint64_t
        transaction_us; /* from its first statement to its commit, in the first batch of a transaction;
                                0 in the others, and where rows had to be isolated */
};

struct sink_batch {
    struct list node;      /* private */
    uint64_t submitted_us; /* private */
    const struct entry *entries;
    size_t count;
    size_t bytes;
    bool is_alone; /* each of its entries in a transaction of its own */
    /* `error` is NULL where it has committed; ERROR_CLOSED where the sink was closed before. */
    void (*on_done)(struct sink_batch *batch, const struct sink_outcome *outcome,
                    const struct error *error);
};

/* What became of rows in a typed table. */
struct sink_rows {
    uint32_t written, unchanged, skipped, dead;
};

struct sink_callbacks {
    /* A transaction has committed; `table` is the place in the tables, past them that of a table of counts. May be
     * NULL. */
    void (*on_rows)(void *owner, size_t table, const struct sink_rows *rows);
    void (*on_state)(void *owner, enum sink_state state, const struct error *error);
    /* A transaction failed, or a connection was lost or refused; "" where no server said why. May be NULL. */
    void (*on_error)(void *owner, const char *sqlstate);
    /* So many tombstones were forgotten. May be NULL. */
    void (*on_forgotten)(void *owner, uint64_t tombstones);
    /* For so long a connection was idle and none of the waiting parts had its lane. May be NULL. */
    void (*on_lane_wait)(void *owner, uint64_t waited_us);
    /* So many parts go without their lane, which others have had for too long. May be NULL. */
    void (*on_lane_bypass)(void *owner, unsigned parts);
    void (*on_closed)(void *owner);
};

struct sink *sink_open(struct uv_loop_s *loop, const struct sink_options *options,
                       const struct sink_callbacks *callbacks, void *owner);
/* `batch` is borrowed until its on_done, which is never called from inside this function. */
void sink_submit(struct sink *sink, struct sink_batch *batch);
/* Batches in a transaction are finished, waiting ones end with ERROR_CLOSED; after `drain_ms` the rest
 * is given up likewise. Safe twice. */
void sink_close(struct sink *sink, uint64_t drain_ms);

#endif
