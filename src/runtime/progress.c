#include "runtime/progress.h"

#include "base/clock.h"
#include "base/log.h"

void progress_begin(struct progress *progress)
{
    progress->last_ms = clock_monotonic_ms();
}

void progress_note_depth(struct progress *progress, const struct stream_depth *depth)
{
    progress->backlog = depth->backlog;
    progress->stream_length = depth->length;
    progress->dead_letters = depth->dead_letters;
}

static uint64_t sum(const struct worker_stats *stats, unsigned count, enum counter which)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += counters_get(&stats[i].counters, which);
    }
    return total;
}

void progress_log(struct progress *progress, const struct worker_stats *stats, unsigned count)
{
    uint64_t grown[COUNTER_COUNT];
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        uint64_t total = sum(stats, count, (enum counter)i);
        grown[i] = total - progress->last[i];
        progress->last[i] = total;
    }
    uint64_t now = clock_monotonic_ms();
    uint64_t over_ms = now - progress->last_ms;
    progress->last_ms = now;
    log_info("standpipe", "progress", LOG_INT("over_ms", over_ms),
             LOG_INT("frames", grown[COUNTER_FRAMES]), LOG_INT("appended", grown[COUNTER_APPENDED]),
             LOG_INT("duplicate", grown[COUNTER_DUPLICATE]),
             LOG_INT("filtered", grown[COUNTER_FILTERED]),
             LOG_INT("ignored", grown[COUNTER_IGNORED]),
             LOG_INT("undecodable", grown[COUNTER_DECODE_DEAD]),
             LOG_INT("committed", grown[COUNTER_COMMITTED]),
             LOG_INT("ops_written", grown[COUNTER_WRITTEN]),
             LOG_INT("ops_unchanged", grown[COUNTER_UNCHANGED]),
             LOG_INT("ops_dead", grown[COUNTER_DEAD]), LOG_INT("backlog", progress->backlog),
             LOG_INT("stream_length", progress->stream_length),
             LOG_INT("dead_letters", progress->dead_letters));
}
