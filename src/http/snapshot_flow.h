/*
 * Flow: what went through this process since its start, stage by stage: relay, intake, stream, sink,
 * workers. Figures that stay zero are "none" or "unknown", as each comment says.
 * Ownership: part of a snapshot; strings are borrowed until the end of the request's handler.
 */
#ifndef HTTP_SNAPSHOT_FLOW_H
#define HTTP_SNAPSHOT_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/frame.h"
#include "base/histogram.h"
#include "http/snapshot_dependency.h"
#include "http/snapshot_ledger.h"

enum {
    SNAPSHOT_TABLES_MAX = 128 /* tables of conf/tables.conf and our own */
};

enum pause_reason {
    PAUSE_WRITER,       /* events wait for their append */
    PAUSE_REDIS,        /* Redis takes no writes */
    PAUSE_DEPTH,        /* the backlog or Redis' memory at its limit */
    PAUSE_DEAD_LETTERS, /* too many are undecided */
    PAUSE_COUNT
};
/* "writer", "redis", "depth", "dead_letters". */
const char *pause_reason_name(enum pause_reason reason);

struct snapshot_relay {
    const char *url; /* credentials masked; NULL: this process never ingests */
    bool is_connected;
    uint64_t connected_ms; /* since the connection came; 0: none */
    bool is_leader;        /* this process ingests */
    bool is_stopped;       /* until an operator decides */
    bool is_paused[PAUSE_COUNT];
    uint64_t frames, bytes, reconnects, gaps;
    uint64_t decode_errors[FRAME_FAULT_COUNT];
    uint64_t paused_us;
    uint64_t sequence;             /* newest that was read; 0: none */
    uint64_t queued_sequence;      /* all at or below it are in the stream; 0: unknown */
    uint64_t committed_sequence;   /* all at or below it are in PostgreSQL; 0: unknown */
    int64_t last_event_us;         /* time of the newest event read, since 1970; 0: none */
    int64_t certificate_expiry_us; /* since 1970; 0: no TLS */
};

/* Events of this process: received = appended + duplicate + filtered + ignored + dead + waiting. */
struct snapshot_intake {
    uint64_t received, appended, duplicate, filtered, ignored, dead;
    uint64_t waiting; /* read, not yet appended */
};

struct snapshot_stream {
    bool is_known; /* false: Redis was not looked at (lately); nothing of this part is shown */
    uint64_t length, pending, undelivered;
    bool is_lag_known;
    uint64_t oldest_pending_ms;
    int64_t oldest_event_us; /* time of the event that waits longest, since 1970; 0: unknown */
    uint64_t dead_letters;   /* undecided */
    uint64_t memory_bytes, memory_limit_bytes;
};

struct snapshot_table {
    const char *name;
    uint64_t rows[ROW_OUTCOME_COUNT];
};

/* Classes of SQLSTATE (its first two characters) that are told apart; any other is the last. */
enum {
    SQLSTATE_CLASS_COUNT = 21
};
extern const char *const snapshot_sqlstate_classes[SQLSTATE_CLASS_COUNT];
/* Where errors of `sqlstate` are counted; the first, `none`, where it is empty: no answer at all. */
unsigned snapshot_sqlstate_class(const char *sqlstate);

struct snapshot_sink {
    uint64_t committed_entries[EVENT_TYPE_COUNT];
    uint64_t claimed, trimmed, trimmed_unread, dead_entries;
    uint64_t forgotten;     /* tombstones */
    uint64_t late;          /* batches that were not acknowledged since the group was set back */
    uint64_t rewinds;       /* of the group, because PostgreSQL went back in time */
    uint64_t lane_wait_us;  /* connections idle for want of a lane; of all workers */
    uint64_t lane_bypasses; /* parts of batches that went without their lane */
    uint64_t errors[SQLSTATE_CLASS_COUNT];
    struct histogram_totals batch_rows;      /* histogram_scale_rows */
    struct histogram_totals batch_us;        /* from read to commit; histogram_scale_short */
    struct histogram_totals commit_us;       /* of a transaction; histogram_scale_short */
    struct histogram_totals event_commit_us; /* event time to commit; histogram_scale_long */
    int64_t last_commit_us;                  /* since 1970; 0: none */
    uint64_t event_lag_us; /* event time to commit of the newest commit; 0: none */
    unsigned table_count;
    struct snapshot_table tables[SNAPSHOT_TABLES_MAX];
};

/* Per second, over the last ten seconds; of this process. */
struct snapshot_rates {
    double frames, bytes, appended, committed, ops_written;
};

/* Entries of all types. */
uint64_t snapshot_committed(const struct snapshot_sink *sink);

struct snapshot_worker {
    uint64_t heartbeat_age_ms; /* since its loop turned last: liveness */
    uint64_t loop_lag_us;      /* how late its last timer was */
    uint64_t committed;        /* entries */
    uint64_t in_flight;        /* entries read, not yet acknowledged */
    enum dependency_state postgres;
    bool is_reading_hindered; /* Redis does not let one of its readers read or acknowledge */
};

#endif
