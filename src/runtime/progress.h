/*
 * Progress: one line a minute that says what went through, so that a log alone shows a healthy daemon.
 * Threading: thread 0.
 */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H

#include <stdint.h>

#include "runtime/worker_stats.h"
#include "stream/stream_monitor.h"

struct progress {
    uint64_t last[COUNTER_COUNT];
    uint64_t last_ms; /* when it was said last; before, when the process began */
    uint64_t backlog, stream_length, dead_letters;
};

/* Zeroed before. */
void progress_begin(struct progress *progress);
void progress_note_depth(struct progress *progress, const struct stream_depth *depth);
/* Sums `count` sets of counters and logs what they grew by since the last call. */
void progress_log(struct progress *progress, const struct worker_stats *stats, unsigned count);

#endif
