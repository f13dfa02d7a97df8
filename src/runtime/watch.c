#include "runtime/watch.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/figures.h"
#include "runtime/reload_report.h"

enum {
    TELL_INTERVAL_MS = 5000
};

void watch_init(struct watch *watch, const struct console_sources *sources)
{
    watch->sources = sources;
    watch->started_us = clock_wall_us();
    watch->started_ms = clock_monotonic_ms();
}

static void fill_reload(const struct reload_report *report, struct metrics_snapshot *snapshot)
{
    snapshot->reload = (struct snapshot_reload){
        .pid = getpid(),
        .number = report->number,
        .is_running = report->is_running,
        .was_refused = report->was_refused,
        .success_us = report->success_us,
        .verdict_us = report->verdict_us,
        .why = report->why,
        .changes = buffer_slice(&report->changes),
    };
}

void watch_fill(struct watch *watch, struct metrics_snapshot *snapshot)
{
    snapshot->now_us = clock_wall_us();
    snapshot->started_us = watch->started_us;
    snapshot->server.is_closed = watch->sources->is_http_closed;
    fill_reload(watch->sources->reload, snapshot);
    readiness_judge(&watch->readiness, watch->sources, snapshot);
    figures_fill(watch->sources, snapshot);
    rates_fill(&watch->rates, snapshot);
    alerts_fill(&watch->alerts, snapshot);
}

/* What is away or refused is why others wait, so it comes first; DEPENDENCY_COUNT: all are fine. */
static enum dependency worst_dependency(const struct metrics_snapshot *snapshot)
{
    enum dependency waiting = DEPENDENCY_COUNT;
    for (unsigned i = DEPENDENCY_COUNT; i-- > 0;) {
        enum dependency_state state = snapshot->dependencies[i].state;
        if (state == DEPENDENCY_AWAY || state == DEPENDENCY_MISCONFIGURED) {
            return (enum dependency)i;
        }
        waiting = dependency_is_fine(state) ? waiting : (enum dependency)i;
    }
    return waiting;
}

/* The start and the stop have lines of their own. */
static void tell_readiness(struct watch *watch, uint64_t now_ms)
{
    enum dependency which = worst_dependency(&watch->scratch);
    bool is_ready = which == DEPENDENCY_COUNT;
    if (is_ready == watch->is_ready_told || now_ms < watch->next_tell_ms ||
        watch->sources->is_draining) {
        return;
    }
    watch->is_ready_told = is_ready;
    watch->next_tell_ms = now_ms + TELL_INTERVAL_MS;
    if (is_ready) {
        log_info("standpipe", "ready", LOG_INT("uptime_ms", now_ms - watch->started_ms));
    } else {
        const struct snapshot_dependency *bad = &watch->scratch.dependencies[which];
        log_warning("standpipe", "not ready", LOG_TEXT("dependency", dependency_name(which)),
                    LOG_TEXT("state", dependency_state_name(bad->state)),
                    LOG_TEXT("why", bad->reason));
    }
}

void watch_tick(struct watch *watch)
{
    uint64_t now_ms = clock_monotonic_ms();
    memset(&watch->scratch, 0, sizeof(watch->scratch));
    watch_fill(watch, &watch->scratch);
    rates_note(&watch->rates, &watch->scratch, now_ms);
    tell_readiness(watch, now_ms);
    /* A process that stops is behind, silent and alone on purpose. */
    if (!watch->sources->is_draining) {
        alerts_check(&watch->alerts, &watch->sources->config->alerts, &watch->scratch, now_ms);
    }
}
