/*
 * Histogram: how often a figure fell between fixed bounds. Written by one thread, read by any, no locks.
 *
 *   worker thread: histogram_record(h, 1500)     any thread: histogram_collect(&totals, h) per worker
 *
 * Ownership: embedded in the writer's own data. Threading: one writer; relaxed atomics, so a reader may
 * see a figure in a bucket a moment before it sees it in the sum.
 * Units: whole numbers (microseconds, rows); the scale says how many make one base unit.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BOUNDS_MAX = 16
};

struct histogram_scale {
    unsigned count;                        /* of the bounds */
    uint64_t bounds[HISTOGRAM_BOUNDS_MAX]; /* rising; a figure equal to a bound is under it */
    uint64_t per_unit;                     /* figures that make one base unit */
};

extern const struct histogram_scale histogram_scale_rows;  /* 1 to 5,000 rows */
extern const struct histogram_scale histogram_scale_short; /* microseconds, 1 ms to 30 s */
extern const struct histogram_scale histogram_scale_long;  /* microseconds, 50 ms to 1 h */

struct histogram {
    _Alignas(64) const struct histogram_scale *scale;
    uint64_t
        counts[HISTOGRAM_BOUNDS_MAX + 1]; /* by bucket, not cumulative; the last is above all */
    uint64_t sum;
};

/* What several histograms of one scale hold together. Zero it before the first. */
struct histogram_totals {
    const struct histogram_scale *scale; /* NULL: nothing was collected */
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t sum;
};

/* Before other threads know of it. `scale` must outlive it. */
void histogram_init(struct histogram *histogram, const struct histogram_scale *scale);
/* For the writing thread only. */
void histogram_record(struct histogram *histogram, uint64_t figure);
/* Adds what `histogram` holds; all that go into one `totals` have the same scale. */
void histogram_collect(struct histogram_totals *totals, const struct histogram *histogram);
uint64_t histogram_count(const struct histogram_totals *totals);

#endif
