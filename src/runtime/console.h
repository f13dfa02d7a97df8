/*
 * Console: what an operator looks at. Fills the pages of the HTTP server from figures that the stages
 * leave behind; no page waits for a stage.
 *
 *   worker statistics, marks, depth, ingester --> struct metrics_snapshot --> http
 *
 * Ownership: heap; freed right after `on_closed`. Borrows all its sources. Threading: thread 0's loop.
 */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "runtime/worker_stats.h"
#include "stream/stream_monitor.h"

struct uv_loop_s;
struct console;
struct ingester;
struct marks;

/* What the pages are made of; the owner keeps it current. */
struct console_sources {
    const struct config *config;
    const struct worker_stats *workers; /* worker_count of them, then the ingester's */
    unsigned worker_count;
    const struct marks *marks;
    const struct ingester *ingester; /* NULL: this process does not ingest */
    struct stream_monitor *monitor;  /* NULL: not open */
    struct stream_depth depth;       /* of the last look */
    uint64_t depth_at_ms;            /* clock_monotonic_ms() of the last look; 0: none yet */
    uint64_t undecided_letters;      /* rows of standpipe_dead_letters */
    bool are_letters_too_many;
    bool is_schema_ready;
    bool is_draining;
};

struct console_callbacks {
    /* Last call. */
    void (*on_closed)(void *owner);
};

/* NULL where it cannot listen; `error` says why. `sources` is borrowed and may change. */
struct console *console_open(struct uv_loop_s *loop, const struct console_sources *sources,
                             const struct console_callbacks *callbacks, void *owner,
                             struct error *error);
void console_close(struct console *console);

#endif
