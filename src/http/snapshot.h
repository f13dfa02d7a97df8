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

#include "http/process.h"
#include "http/snapshot_alert.h"
#include "http/snapshot_dependency.h"
#include "http/snapshot_flow.h"
#include "http/snapshot_ledger.h"
#include "http/snapshot_view.h"

enum {
    SNAPSHOT_WORKERS_MAX = 1024
};

struct snapshot_reload {
    int64_t pid;          /* of this process: who is asked to */
    uint64_t number;      /* verdicts since the start */
    bool is_running;      /* one more is on its way */
    bool was_refused;     /* the last one changed nothing */
    int64_t verdict_us;   /* of the last one, since 1970; 0: none yet */
    const char *why;      /* it was refused; else empty */
    struct slice changes; /* by the last one: a JSON array, as /api/metrics shows it; empty: none */
    int64_t success_us;   /* when a configuration was taken last (the start counts); 0: unknown */
};

/* Filled by the server itself. */
enum {
    HTTP_STATUS_CLASSES = 5
};
struct snapshot_server {
    bool is_closed; /* pages are wanted, and nobody listens */
    uint64_t connections, refused;
    uint64_t busy_us;                        /* time of the thread that HTTP took */
    uint64_t event_streams, skipped_events;  /* skipped: the client still read the one before */
    uint64_t responses[HTTP_STATUS_CLASSES]; /* 1xx to 5xx */
};

struct metrics_snapshot {
    const char *version; /* of standpipe */
    int64_t now_us;      /* since 1970; filled by the server */
    int64_t started_us;  /* of the process, since 1970 */
    struct snapshot_dependency dependencies[DEPENDENCY_COUNT];
    struct snapshot_relay relay;
    struct snapshot_intake intake;
    struct snapshot_stream stream;
    struct snapshot_sink sink;
    struct snapshot_ledger ledger;
    struct snapshot_view view;
    struct snapshot_reload reload;
    struct snapshot_rates rates;
    unsigned alert_count;
    struct snapshot_alert alerts[SNAPSHOT_ALERTS_MAX]; /* all that there are, active or not */
    struct snapshot_server server;
    struct process_usage process; /* filled by the server */
    unsigned worker_count;
    struct snapshot_worker workers[SNAPSHOT_WORKERS_MAX];
};

/* How far what is in PostgreSQL is behind the relay, in time: it grows while entries wait and nothing commits,
 * and is 0 where nothing waits and nothing came of late. False: not known, because Redis was not looked at, or because
 * this process has committed nothing and the entry that waits longest does not say its time. */
bool snapshot_behind_us(const struct metrics_snapshot *snapshot, uint64_t *behind_us);

#endif
