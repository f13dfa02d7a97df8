/*
 * Snapshot: every figure that a page may show, as plain numbers, taken at one moment.
 *
 *   runtime: http_callbacks.fill(owner, &snapshot) --> metrics page, health pages, /api/metrics
 *
 * Zeroed before it is filled; what stays zero is "none" or "unknown", as each comment says. Figures
 * count from the start of the process, but for the ledger. Ownership: owned by the server; strings are
 * borrowed until the end of the request's handler. Threading: thread 0.
 * Sources: the public contract, ledger and HTTP.
 */
#ifndef HTTP_SNAPSHOT_H
#define HTTP_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/frame.h"
#include "base/histogram.h"
#include "http/process.h"

enum {
    SNAPSHOT_WORKERS_MAX = 1024,
    SNAPSHOT_TABLES_MAX = 128, /* tables of conf/tables.conf and our own */
    SNAPSHOT_REASON_SIZE = 256,
};

/* --- dependencies: what readiness is made of --- */

enum dependency {
    DEPENDENCY_RELAY,
    DEPENDENCY_REDIS,
    DEPENDENCY_POSTGRES,
    DEPENDENCY_SCHEMA,
    DEPENDENCY_BACKLOG,
    DEPENDENCY_DEAD_LETTERS,
    DEPENDENCY_COUNT
};

/* READY and CATCHING_UP are fine, all others fail readiness. */
enum dependency_state {
    DEPENDENCY_STARTING, /* never looked at yet */
    DEPENDENCY_READY,
    DEPENDENCY_CATCHING_UP, /* works, but is behind */
    DEPENDENCY_PAUSED,      /* a bound is reached: reading waits */
    DEPENDENCY_DRAINING,    /* the process is stopping */
    DEPENDENCY_MISCONFIGURED,
    DEPENDENCY_AWAY,
    DEPENDENCY_STATE_COUNT
};

struct snapshot_dependency {
    enum dependency_state state;
    char reason[SNAPSHOT_REASON_SIZE]; /* one sentence without secrets; may be empty where ready */
    int64_t since_us;                  /* of this state, microseconds since 1970; 0: unknown */
};

/* --- what went through this process --- */

enum pause_reason {
    PAUSE_WRITER, /* events wait for their append */
    PAUSE_REDIS,  /* Redis takes no writes */
    PAUSE_DEPTH,  /* backlog, dead letters or memory at their limit */
    PAUSE_COUNT
};

struct snapshot_relay {
    const char *url; /* credentials masked; NULL: this process never ingests */
    bool is_connected;
    bool is_leader; /* this process ingests */
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
    uint64_t dead_letters; /* undecided */
    uint64_t memory_bytes, memory_limit_bytes;
};

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
    uint64_t errors[SQLSTATE_CLASS_COUNT];
    struct histogram_totals batch_rows;      /* histogram_scale_rows */
    struct histogram_totals batch_us;        /* from read to commit; histogram_scale_short */
    struct histogram_totals commit_us;       /* COMMIT alone; histogram_scale_short */
    struct histogram_totals event_commit_us; /* event time to commit; histogram_scale_long */
    int64_t last_commit_us;                  /* since 1970; 0: none */
    uint64_t event_lag_us; /* event time to commit of the newest commit; 0: none */
    unsigned table_count;
    struct snapshot_table tables[SNAPSHOT_TABLES_MAX];
};

struct snapshot_worker {
    uint64_t heartbeat_age_ms; /* since its loop turned last: liveness */
    uint64_t loop_lag_us;      /* how late its last timer was */
    uint64_t committed;        /* entries */
    uint64_t in_flight;        /* entries read, not yet acknowledged */
    enum dependency_state postgres;
};

/* --- of the whole stream, kept across restarts --- */

/* The ledger: in events, then in ops. */
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

struct snapshot_reload {
    bool was_refused;   /* the last one changed nothing */
    int64_t success_us; /* when a configuration was taken last (the start counts); 0: unknown */
};

/* Filled by the server itself. */
enum {
    HTTP_STATUS_CLASSES = 5
};
struct snapshot_server {
    uint64_t connections, refused;
    uint64_t responses[HTTP_STATUS_CLASSES]; /* 1xx to 5xx */
};

struct metrics_snapshot {
    const char *version; /* of standpipe */
    int64_t now_us;      /* since 1970; filled by the server */
    struct snapshot_dependency dependencies[DEPENDENCY_COUNT];
    struct snapshot_relay relay;
    struct snapshot_intake intake;
    struct snapshot_stream stream;
    struct snapshot_sink sink;
    struct snapshot_ledger ledger;
    struct snapshot_reload reload;
    struct snapshot_server server;
    struct process_usage process; /* filled by the server */
    unsigned worker_count;
    struct snapshot_worker workers[SNAPSHOT_WORKERS_MAX];
};

/* "relay", ... "dead_letters". */
const char *dependency_name(enum dependency dependency);
/* "starting", "ready", "catching up", "paused", "draining", "misconfigured", "away". */
const char *dependency_state_name(enum dependency_state state);
bool dependency_is_fine(enum dependency_state state);

#endif
