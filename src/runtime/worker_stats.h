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
#include "runtime/counters.h"

/* Figures that are replaced rather than added to. */
enum gauge {
    GAUGE_HEARTBEAT_MS,   /* clock_monotonic_ms() when the loop turned last; 0: no worker */
    GAUGE_LOOP_LAG_US,    /* how late the last heartbeat was */
    GAUGE_IN_FLIGHT,      /* entries out in the sink */
    GAUGE_SINK_STATE,     /* enum sink_state */
    GAUGE_LAST_COMMIT_US, /* since 1970 */
    GAUGE_EVENT_LAG_US,   /* event time to commit of the newest event committed last */
    GAUGE_COUNT
};

struct worker_stats {
    struct counters counters;
    struct histogram batch_rows;      /* entries of a batch */
    struct histogram batch_us;        /* from read to commit */
    struct histogram commit_us;       /* of a transaction, its COMMIT included */
    struct histogram event_commit_us; /* time of the batch's oldest event to its commit */
    uint64_t gauges[GAUGE_COUNT];
};

void worker_stats_init(struct worker_stats *stats);

static inline void worker_stats_set(struct worker_stats *stats, enum gauge which, uint64_t value)
{
    __atomic_store_n(&stats->gauges[which], value, __ATOMIC_RELAXED);
}

static inline uint64_t worker_stats_get(const struct worker_stats *stats, enum gauge which)
{
    return __atomic_load_n(&stats->gauges[which], __ATOMIC_RELAXED);
}

#endif
