#include "runtime/worker_stats.h"

#include <string.h>

void worker_stats_init(struct worker_stats *stats)
{
    memset(stats, 0, sizeof(*stats));
    histogram_init(&stats->batch_rows, &histogram_scale_rows);
    histogram_init(&stats->batch_us, &histogram_scale_short);
    histogram_init(&stats->commit_us, &histogram_scale_short);
    histogram_init(&stats->event_commit_us, &histogram_scale_long);
}

static void set_rows(struct worker_rows *rows, enum row_outcome outcome, uint64_t value)
{
    __atomic_store_n(&rows->values[outcome], value, __ATOMIC_RELAXED);
}

static uint64_t get_rows(const struct worker_rows *rows, enum row_outcome outcome)
{
    return __atomic_load_n(&rows->values[outcome], __ATOMIC_RELAXED);
}

void worker_stats_forget_rows(struct worker_stats *stats)
{
    for (size_t i = 0; i < sizeof(stats->rows) / sizeof(stats->rows[0]); i++) {
        for (int outcome = 0; outcome < ROW_OUTCOME_COUNT; outcome++) {
            set_rows(&stats->rows[i], (enum row_outcome)outcome, 0);
        }
    }
}

void worker_stats_add_rows(struct worker_stats *stats, size_t table, const struct sink_rows *rows)
{
    const uint64_t more[ROW_OUTCOME_COUNT] = {[ROW_WRITTEN] = rows->written,
                                              [ROW_UNCHANGED] = rows->unchanged,
                                              [ROW_SKIPPED] = rows->skipped,
                                              [ROW_DEAD] = rows->dead};
    struct worker_rows *mine = &stats->rows[table];
    for (int i = 0; i < ROW_OUTCOME_COUNT; i++) {
        enum row_outcome outcome = (enum row_outcome)i;
        set_rows(mine, outcome, get_rows(mine, outcome) + more[outcome]);
    }
}

void worker_stats_collect_rows(const struct worker_stats *stats, size_t table,
                               struct worker_rows *sum)
{
    for (int outcome = 0; outcome < ROW_OUTCOME_COUNT; outcome++) {
        sum->values[outcome] += get_rows(&stats->rows[table], (enum row_outcome)outcome);
    }
}
