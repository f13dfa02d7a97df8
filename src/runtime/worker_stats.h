/*
 * Worker statistics: what one worker does, for pages that another thread builds.
 *
 * Ownership: the daemon owns one a worker; the worker borrows it. Threading: written by the worker's
 * thread alone, read by any without locks; each set sits on cache lines of its own.
 */
#ifndef RUNTIME_WORKER_STATS_H
#define RUNTIME_WORKER_STATS_H

#include <stdint.h>

#include "base/histogram.h"
#include "config/tables.h"
#include "http/snapshot_flow.h"
#include "runtime/counters.h"
#include "sink/sink.h"

/* Figures that are replaced rather than added to. */
enum gauge {
    GAUGE_HEARTBEAT_MS,   /* clock_monotonic_ms() when the loop turned last; 0: no worker */
    GAUGE_LOOP_LAG_US,    /* how late the last heartbeat was */
    GAUGE_IN_FLIGHT,      /* entries out in the sink */
    GAUGE_SINK_STATE,     /* enum sink_state */
    GAUGE_READER_STATE,   /* enum reader_state, the worst of the worker's readers */
    GAUGE_LAST_COMMIT_US, /* since 1970 */
    GAUGE_EVENT_LAG_US,   /* event time to commit of the newest event committed last */
    GAUGE_COUNT
};

/* Rows of one typed table, or table of counts. */
struct worker_rows {
    uint64_t values[ROW_OUTCOME_COUNT]; /* enum row_outcome */
};

struct worker_stats {
    struct counters counters;
    struct histogram batch_rows;      /* entries of a batch */
    struct histogram batch_us;        /* from read to commit */
    struct histogram commit_us;       /* of a transaction, its COMMIT included */
    struct histogram event_commit_us; /* time of the batch's oldest event to its commit */
    uint64_t gauges[GAUGE_COUNT];
    uint64_t errors[SQLSTATE_CLASS_COUNT]; /* of PostgreSQL; the owning thread writes */
    /* In the order of the configuration's tables, then of its tables of counts. */
    struct worker_rows rows[2 * TABLES_MAX];
};

void worker_stats_init(struct worker_stats *stats);
/* While no worker is open: rows that were counted in the order of `before` go to where `after` has tables of their
 * names; those of a table that is no longer described are forgotten. */
void worker_stats_move_rows(struct worker_stats *stats, const struct tables *before,
                            const struct tables *after);
void worker_stats_add_rows(struct worker_stats *stats, size_t table, const struct sink_rows *rows);
/* For any thread: adds what is counted of `table`. */
void worker_stats_collect_rows(const struct worker_stats *stats, size_t table,
                               struct worker_rows *sum);

/* For the owning thread. */
static inline void worker_stats_add_error(struct worker_stats *stats, const char *sqlstate)
{
    uint64_t *errors = &stats->errors[snapshot_sqlstate_class(sqlstate)];
    __atomic_store_n(errors, __atomic_load_n(errors, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

static inline void worker_stats_set(struct worker_stats *stats, enum gauge which, uint64_t value)
{
    __atomic_store_n(&stats->gauges[which], value, __ATOMIC_RELAXED);
}

static inline uint64_t worker_stats_get(const struct worker_stats *stats, enum gauge which)
{
    return __atomic_load_n(&stats->gauges[which], __ATOMIC_RELAXED);
}

#endif
