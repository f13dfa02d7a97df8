/*
 * Watch: looks at the whole process every second, whether or not anybody asks for a page: since when each
 * dependency is as it is, the rates, the alerts; and says in the log when the process gets ready or stops
 * being so.
 *
 *   console sources --watch_tick, every second--> log
 *                   --watch_fill, per page--> struct metrics_snapshot
 *
 * Ownership: embedded; borrows the sources. Threading: thread 0.
 */
#ifndef RUNTIME_WATCH_H
#define RUNTIME_WATCH_H

#include "runtime/alerts.h"
#include "runtime/console_sources.h"
#include "runtime/rates.h"
#include "runtime/readiness.h"

enum {
    WATCH_INTERVAL_MS = 1000
};

struct watch {
    const struct console_sources *sources;
    struct readiness readiness;
    struct alerts alerts;
    struct rates rates;
    int64_t started_us;
    uint64_t started_ms;
    bool is_ready_told;    /* what the log says */
    uint64_t next_tell_ms; /* a dependency that comes and goes does not fill the log */
    struct metrics_snapshot scratch;
};

void watch_init(struct watch *watch, const struct console_sources *sources);
void watch_tick(struct watch *watch);
/* All but what the server fills itself. */
void watch_fill(struct watch *watch, struct metrics_snapshot *snapshot);

#endif
