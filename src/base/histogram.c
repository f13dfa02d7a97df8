#include "base/histogram.h"

#include "base/panic.h"

#define MS UINT64_C(1000)
#define S  (1000 * MS)

const struct histogram_scale histogram_scale_rows = {
    .count = 12,
    .bounds = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000},
    .per_unit = 1,
};
const struct histogram_scale histogram_scale_short = {
    .count = 14,
    .bounds = {1 * MS, 2500, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S,
               2500 * MS, 5 * S, 10 * S, 30 * S},
    .per_unit = S,
};
const struct histogram_scale histogram_scale_long = {
    .count = 14,
    .bounds = {50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S, 2500 * MS, 5 * S, 10 * S, 30 * S,
               60 * S, 300 * S, 900 * S, 1800 * S, 3600 * S},
    .per_unit = S,
};

/* One writer, so a load and a store are enough: no locked instruction. */
/* NOLINTNEXTLINE(readability-non-const-parameter): clang-tidy does not see the store */
static void add(uint64_t *cell, uint64_t amount)
{
    __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + amount, __ATOMIC_RELAXED);
}

void histogram_init(struct histogram *histogram, const struct histogram_scale *scale)
{
    ASSERT(scale->count <= HISTOGRAM_BOUNDS_MAX);
    *histogram = (struct histogram){.scale = scale};
}

void histogram_record(struct histogram *histogram, uint64_t figure)
{
    const struct histogram_scale *scale = histogram->scale;
    unsigned bucket = 0;
    while (bucket < scale->count && figure > scale->bounds[bucket]) {
        bucket++;
    }
    add(&histogram->counts[bucket], 1);
    add(&histogram->sum, figure);
}

void histogram_collect(struct histogram_totals *totals, const struct histogram *histogram)
{
    ASSERT(totals->scale == NULL || totals->scale == histogram->scale);
    totals->scale = histogram->scale;
    for (unsigned i = 0; i <= histogram->scale->count; i++) {
        totals->counts[i] += __atomic_load_n(&histogram->counts[i], __ATOMIC_RELAXED);
    }
    totals->sum += __atomic_load_n(&histogram->sum, __ATOMIC_RELAXED);
}

uint64_t histogram_count(const struct histogram_totals *totals)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++) {
        count += totals->counts[i];
    }
    return count;
}
