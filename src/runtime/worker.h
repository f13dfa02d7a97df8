/*
 * Worker: reads the stream through its pipelines and writes PostgreSQL through its sink, on one loop.
 *
 *   stream reader --batch--> sink --committed--> acknowledge        (times workers.pipelines)
 *
 * Ownership: heap; owns its readers and its sink; freed right after `on_closed`.
 * Threading: the loop's thread only.
 *
 * Closing: readers stop reading -> batches in flight commit -> they are acknowledged -> readers are
 * closed -> the sink is closed -> `on_closed`. When the drain time is over, the sink gives the rest up,
 * and those entries stay pending for the next run.
 */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "runtime/worker_stats.h"

struct lanes;
struct uv_loop_s;
struct worker;

struct worker_options {
    const struct config *config; /* borrowed, must outlive the worker */
    unsigned number;             /* of this worker in its process */
    unsigned slot;               /* of this process on its host */
    unsigned connections;        /* to PostgreSQL */
    const char *consumer_id;     /* borrowed */
    struct lanes *lanes;         /* of all workers; borrowed */
    struct worker_stats *stats;  /* borrowed; written by this worker alone */
};

struct worker_callbacks {
    /* Last call. */
    void (*on_closed)(void *owner);
};

struct worker *worker_open(struct uv_loop_s *loop, const struct worker_options *options,
                           const struct worker_callbacks *callbacks, void *owner);
/* Drains for at most `drain_ms`. Safe twice. */
void worker_close(struct worker *worker, uint64_t drain_ms);
/* One line in the log for each pipeline (SIGUSR1). */
void worker_log_state(const struct worker *worker);

#endif
