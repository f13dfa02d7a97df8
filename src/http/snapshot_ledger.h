/*
 * Ledger of the whole stream, kept across restarts: where each event went, then where each op went.
 *
 *   received = appended + duplicate + filtered + ignored + dead + waiting
 *   appended = committed + dead_entries + pending + undelivered
 *
 * Ownership: part of a snapshot. Threading: pure functions. Source: the public contract, "the promise".
 */
#ifndef HTTP_SNAPSHOT_LEDGER_H
#define HTTP_SNAPSHOT_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

enum event_type {
    EVENT_COMMIT,
    EVENT_IDENTITY,
    EVENT_ACCOUNT,
    EVENT_SYNC,
    EVENT_TYPE_COUNT
};

enum row_outcome {
    ROW_WRITTEN,
    ROW_UNCHANGED,
    ROW_SKIPPED,
    ROW_DEAD,
    ROW_OUTCOME_COUNT
};

struct snapshot_ledger {
    bool is_known;
    uint64_t received, appended, duplicate, filtered, ignored, dead, waiting;
    uint64_t committed, dead_entries, pending, undelivered;
    uint64_t ops[ROW_OUTCOME_COUNT];
    uint64_t events[EVENT_TYPE_COUNT]; /* committed, by type, of all processes */
    uint64_t errors;                   /* events or ops that became dead letters */
};

/* What the equations of the ledger leave over: received, and appended, less all that became of them.
 * 0 but for the moments between two counts. */
int64_t ledger_unexplained_intake(const struct snapshot_ledger *ledger);
int64_t ledger_unexplained_stream(const struct snapshot_ledger *ledger);

#endif
