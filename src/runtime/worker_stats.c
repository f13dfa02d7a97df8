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

static size_t table_count(const struct tables *tables)
{
    return tables->count + tables->count_table_count;
}

static const char *table_name(const struct tables *tables, size_t at)
{
    return at < tables->count ? tables->items[at].name
                              : tables->count_tables[at - tables->count].name;
}

static void take_rows(struct worker_rows *rows, const struct worker_rows *counted,
                      const struct tables *tables, const char *name)
{
    for (size_t i = 0; i < table_count(tables); i++) {
        if (strcmp(table_name(tables, i), name) == 0) {
            *rows = counted[i];
        }
    }
}

void worker_stats_move_rows(struct worker_stats *stats, const struct tables *before,
                            const struct tables *after)
{
    struct worker_rows counted[2 * TABLES_MAX];
    memcpy(counted, stats->rows, sizeof(counted));
    memset(stats->rows, 0, sizeof(stats->rows));
    for (size_t i = 0; i < table_count(after); i++) {
        take_rows(&stats->rows[i], counted, before, table_name(after, i));
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
