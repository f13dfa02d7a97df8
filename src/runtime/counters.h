/*
 * Counters: what a thread has done since the start. Written by one thread, read by any without locks;
 * each set of counters sits on cache lines of its own.
 */
#ifndef RUNTIME_COUNTERS_H
#define RUNTIME_COUNTERS_H

#include <stdint.h>

enum counter {
    COUNTER_FRAMES,      /* received from the relay */
    COUNTER_APPENDED,    /* entries */
    COUNTER_DUPLICATE,   /* frames at or below the mark */
    COUNTER_FILTERED,    /* frames of which the collection filter left nothing */
    COUNTER_IGNORED,     /* unknown t or op */
    COUNTER_DECODE_DEAD, /* frames that could not be decoded */
    COUNTER_GAPS,        /* sequences that the relay skipped */
    COUNTER_COMMITTED,   /* entries */
    COUNTER_DEAD_ENTRIES,
    COUNTER_COMMITS, /* committed entries by type, in the order of the contract */
    COUNTER_IDENTITIES,
    COUNTER_ACCOUNTS,
    COUNTER_SYNCS,
    COUNTER_WRITTEN, /* ops */
    COUNTER_UNCHANGED,
    COUNTER_SKIPPED,
    COUNTER_DEAD,
    COUNTER_CLAIMED,   /* entries taken over from others, or our own of an earlier run */
    COUNTER_TRIMMED,   /* entries */
    COUNTER_REWINDS,   /* times that the group was set back because PostgreSQL went back in time */
    COUNTER_FORGOTTEN, /* tombstones */
    COUNTER_LATE,      /* batches that were not acknowledged since the group was set back */
    COUNTER_DELETED,   /* entries that were gone before anyone saw them */
    COUNTER_LANE_WAIT_US,
    COUNTER_LANE_BYPASSES, /* parts of batches */
    COUNTER_COUNT
};

struct counters {
    _Alignas(64) uint64_t values[COUNTER_COUNT];
};

/* For the owning thread only: no other writes, so a relaxed load and store are enough. */
static inline void counters_add(struct counters *counters, enum counter which, uint64_t amount)
{
    uint64_t value = __atomic_load_n(&counters->values[which], __ATOMIC_RELAXED);
    __atomic_store_n(&counters->values[which], value + amount, __ATOMIC_RELAXED);
}

static inline uint64_t counters_get(const struct counters *counters, enum counter which)
{
    return __atomic_load_n(&counters->values[which], __ATOMIC_RELAXED);
}

#endif
