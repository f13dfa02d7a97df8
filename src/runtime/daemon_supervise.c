/*
 * What the init system is told: ready, reloading, stopping, alive, and in words how it stands.
 *
 * READY=1 comes when the relay is read or this process stands by for the one that reads it, once; until then, and
 * while draining, the time that is allowed is extended for as long as the loop turns. WATCHDOG=1 is sent only where
 * the loop of every worker has turned since the last time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/daemon_private.h"
#include "runtime/pressure.h"

enum {
    INTERVAL_MS = 1000,
    PULSES_PER_WATCHDOG = 3,
    EXTENSION_MS = 15000,
    LOOK_FRESH_MS = 5000,
    US_PER_MS = 1000,
};

/* ---- words --------------------------------------------------------------------------------------- */

static const char *words_of_ingester(const struct ingester_figures *figures)
{
    if (figures->is_stopped) {
        return "stopped until an operator decides";
    }
    if (!figures->is_leader) {
        return "standing by";
    }
    if (!figures->is_ingesting) {
        return "finding its position";
    }
    if (figures->paused_for != 0) {
        return "paused";
    }
    return figures->is_connected ? "ingesting" : "connecting to the relay";
}

static const char *words(const struct daemon *daemon, const struct ingester_figures *figures)
{
    switch (daemon->state) {
    case DAEMON_STARTING:
        return "waiting for PostgreSQL";
    case DAEMON_RUNNING:
        if (daemon->reload.state != RELOAD_IDLE) {
            return "reloading";
        }
        return daemon->ingester != NULL ? words_of_ingester(figures) : "working";
    case DAEMON_DRAINING:
    case DAEMON_SAVING:
    case DAEMON_CLOSING:
        return "draining";
    }
    return "";
}

static void tell_status(const struct daemon *daemon, const struct ingester_figures *figures)
{
    supervisor_tell(
        &daemon->supervisor, "STATUS=%s, backlog %" PRIu64 ", committed sequence %" PRId64 "%s",
        words(daemon, figures), daemon->console_sources.depth.backlog,
        daemon->marks.saved > 0 ? daemon->marks.saved : 0,
        daemon->console_sources.is_http_closed ? ", no pages: http.listen cannot be listened on"
                                               : "");
}

/* ---- ready, alive -------------------------------------------------------------------------------- */

static bool is_ready(const struct daemon *daemon, const struct ingester_figures *figures)
{
    uint64_t looked_ms = daemon->console_sources.depth_at_ms;
    bool has_redis = looked_ms > 0 && clock_monotonic_ms() - looked_ms < LOOK_FRESH_MS;
    if (daemon->state != DAEMON_RUNNING || !has_redis) {
        return false;
    }
    return daemon->ingester == NULL || !figures->is_leader || figures->is_ingesting ||
           figures->is_stopped;
}

/* Workers that a reload or a stop is closing, or that are not there yet, need not turn. */
static bool have_all_turned(const struct daemon *daemon, uint64_t since_ms)
{
    if (daemon->state != DAEMON_RUNNING || daemon->reload.state != RELOAD_IDLE) {
        return true;
    }
    for (unsigned i = 0; i < daemon_thread_count(daemon); i++) {
        if (worker_stats_get(&daemon->stats[i], GAUGE_HEARTBEAT_MS) < since_ms) {
            return false;
        }
    }
    return true;
}

static void pat_watchdog(struct daemon *daemon)
{
    uint64_t limit_ms = daemon->supervisor.watchdog_ms;
    uint64_t now_ms = clock_monotonic_ms();
    /* Heartbeats come every 500 ms; a short watchdog must not be fed by an old one, nor starve between two. */
    uint64_t since_ms = now_ms > limit_ms / 2 ? now_ms - limit_ms / 2 : 0;
    if (limit_ms > 0 && have_all_turned(daemon, since_ms)) {
        supervisor_tell(&daemon->supervisor, "WATCHDOG=1");
    }
}

static void extend(const struct daemon *daemon)
{
    supervisor_tell(&daemon->supervisor, "EXTEND_TIMEOUT_USEC=%d", EXTENSION_MS * US_PER_MS);
}

static void supervise_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct ingester_figures figures = {0};
    if (daemon->ingester != NULL) {
        ingester_figures(daemon->ingester, &figures);
    }
    if (!daemon->is_ready_told && is_ready(daemon, &figures)) {
        daemon->is_ready_told = true;
        supervisor_tell(&daemon->supervisor, "READY=1");
    }
    if (!daemon->is_ready_told || daemon->state > DAEMON_RUNNING) {
        extend(daemon);
    }
    tell_status(daemon, &figures);
    pat_watchdog(daemon);
}

/* ---- reload and stop ------------------------------------------------------------------------------ */

void daemon_supervise_reloading(struct daemon *daemon)
{
    if (daemon->is_ready_told) {
        supervisor_tell(&daemon->supervisor,
                        "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reloading",
                        clock_monotonic_us());
    }
}

void daemon_supervise_reloaded(struct daemon *daemon)
{
    const struct reload_report *report = &daemon->reload.report;
    if (!daemon->is_ready_told) {
        return;
    }
    if (report->was_refused) {
        supervisor_tell(&daemon->supervisor, "READY=1\nSTATUS=reload refused: %s", report->why);
    } else {
        supervisor_tell(&daemon->supervisor, "READY=1");
    }
}

void daemon_supervise_stopping(struct daemon *daemon)
{
    supervisor_tell(&daemon->supervisor, "STOPPING=1\nSTATUS=draining");
    extend(daemon);
}

// NOLINTBEGIN(concurrency-mt-unsafe): thread 0, and nothing of ours changes the environment
void daemon_supervise_open(struct daemon *daemon)
{
    struct supervisor *supervisor = &daemon->supervisor;
    const char *name = getenv("NOTIFY_SOCKET");
    if (!supervisor_init(supervisor, name, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"))) {
        log_warning("standpipe", "NOTIFY_SOCKET cannot be used, the init system is told nothing",
                    LOG_TEXT("socket", name));
    }
    if (!supervisor_listens(supervisor)) {
        return;
    }
    uint64_t interval_ms = INTERVAL_MS;
    if (supervisor->watchdog_ms > 0 &&
        supervisor->watchdog_ms / PULSES_PER_WATCHDOG < interval_ms) {
        interval_ms = supervisor->watchdog_ms / PULSES_PER_WATCHDOG;
    }
    (void)uv_timer_start(&daemon->supervise_timer, supervise_on_time, 0, interval_ms);
}
// NOLINTEND(concurrency-mt-unsafe)
