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
