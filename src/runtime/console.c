#include "runtime/console.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/panic.h"
#include "http/http.h"
#include "runtime/ingester.h"
#include "runtime/marks.h"
#include "runtime/pressure.h"
#include "sink/sink.h"

enum {
    LOOK_FRESH_MS = 5000, /* an older look says nothing of now */
    US_PER_SECOND = 1000000,
    REASON_SIZE = SNAPSHOT_REASON_SIZE,
};

struct console {
    const struct console_sources *sources;
    struct console_callbacks callbacks;
    void *owner;
    struct http *http;
    int64_t started_us;
    /* Since when each dependency has been in its state. */
    enum dependency_state states[DEPENDENCY_COUNT];
    int64_t since_us[DEPENDENCY_COUNT];
};

/* ---- dependencies ------------------------------------------------------------------------------ */

static void set_dependency(struct console *console, struct metrics_snapshot *snapshot,
                           enum dependency which, enum dependency_state state, const char *reason)
{
    struct snapshot_dependency *dependency = &snapshot->dependencies[which];
    if (console->states[which] != state || console->since_us[which] == 0) {
        console->states[which] = state;
        console->since_us[which] = clock_wall_us();
    }
    dependency->state = state;
    dependency->since_us = console->since_us[which];
    (void)snprintf(dependency->reason, REASON_SIZE, "%s", reason);
}

static bool is_look_fresh(const struct console_sources *sources)
{
    return sources->depth_at_ms > 0 && clock_monotonic_ms() - sources->depth_at_ms < LOOK_FRESH_MS;
}

static void judge_relay(struct console *console, struct metrics_snapshot *snapshot)
{
    const struct console_sources *sources = console->sources;
    struct ingester_figures figures = {0};
    if (sources->ingester == NULL) {
        set_dependency(console, snapshot, DEPENDENCY_RELAY, DEPENDENCY_READY,
                       "this process does not ingest");
        return;
    }
    ingester_figures(sources->ingester, &figures);
    if (figures.is_stopped) {
        char reason[REASON_SIZE];
        (void)snprintf(reason, sizeof(reason), "stopped until an operator decides: %s",
                       figures.why);
        set_dependency(console, snapshot, DEPENDENCY_RELAY, DEPENDENCY_MISCONFIGURED, reason);
    } else if (!figures.is_leader) {
        bool is_asked = is_look_fresh(sources);
        set_dependency(console, snapshot, DEPENDENCY_RELAY,
                       is_asked ? DEPENDENCY_READY : DEPENDENCY_STARTING,
                       is_asked ? "another process holds the ingest lease"
                                : "the ingest lease could not be asked for yet");
    } else if (figures.paused_for == PRESSURE_WRITER) { /* a burst: gone within moments */
        set_dependency(console, snapshot, DEPENDENCY_RELAY, DEPENDENCY_CATCHING_UP,
                       "events wait for their append");
    } else if (figures.paused_for != 0) {
        set_dependency(console, snapshot, DEPENDENCY_RELAY, DEPENDENCY_PAUSED,
                       "reading waits: a bound is reached");
    } else if (figures.is_connected) {
        set_dependency(console, snapshot, DEPENDENCY_RELAY, DEPENDENCY_READY, "");
    } else {
        set_dependency(console, snapshot, DEPENDENCY_RELAY,
                       figures.connects == 0 ? DEPENDENCY_STARTING : DEPENDENCY_AWAY,
                       "the relay is not connected");
    }
}

static void judge_redis(struct console *console, struct metrics_snapshot *snapshot)
{
    const struct console_sources *sources = console->sources;
    if (sources->depth_at_ms == 0) {
        set_dependency(console, snapshot, DEPENDENCY_REDIS, DEPENDENCY_STARTING,
                       "Redis has not answered yet");
    } else if (is_look_fresh(sources)) {
        set_dependency(console, snapshot, DEPENDENCY_REDIS, DEPENDENCY_READY, "");
    } else {
        set_dependency(console, snapshot, DEPENDENCY_REDIS, DEPENDENCY_AWAY,
                       "Redis does not answer");
    }
}

/* The worst state of all sinks; SINK_READY where each is. */
static enum sink_state worst_sink(const struct console_sources *sources)
{
    enum sink_state worst = SINK_READY;
    for (unsigned i = 0; i < sources->worker_count; i++) {
        enum sink_state state =
            (enum sink_state)worker_stats_get(&sources->workers[i], GAUGE_SINK_STATE);
        if (state == SINK_MISCONFIGURED) {
            return state;
        }
        if (state != SINK_READY && worst != SINK_AWAY) {
            worst = state;
        }
    }
    return worst;
}

static enum dependency_state state_of_sink(enum sink_state state)
{
    switch (state) {
    case SINK_CONNECTING:
        return DEPENDENCY_STARTING;
    case SINK_READY:
        return DEPENDENCY_READY;
    case SINK_AWAY:
        return DEPENDENCY_AWAY;
    case SINK_MISCONFIGURED:
        return DEPENDENCY_MISCONFIGURED;
    }
    return DEPENDENCY_STARTING;
}

static void judge_postgres(struct console *console, struct metrics_snapshot *snapshot)
{
    static const char *const reasons[] = {
        [SINK_CONNECTING] = "not connected yet",
        [SINK_READY] = "",
        [SINK_AWAY] = "PostgreSQL is away or busy: batches are retried",
        [SINK_MISCONFIGURED] = "PostgreSQL refuses the set-up: see the log",
    };
    bool is_ready = console->sources->is_schema_ready;
    set_dependency(console, snapshot, DEPENDENCY_SCHEMA,
                   is_ready ? DEPENDENCY_READY : DEPENDENCY_STARTING,
                   is_ready ? "" : "the migrations have not run yet");
    enum sink_state worst = is_ready ? worst_sink(console->sources) : SINK_CONNECTING;
    set_dependency(console, snapshot, DEPENDENCY_POSTGRES, state_of_sink(worst), reasons[worst]);
}

static void judge_stream(struct console *console, struct metrics_snapshot *snapshot)
{
    const struct console_sources *sources = console->sources;
    const struct config_stream *limits = &sources->config->stream;
    const struct stream_depth *depth = &sources->depth;
    if (sources->depth_at_ms == 0) {
        set_dependency(console, snapshot, DEPENDENCY_BACKLOG, DEPENDENCY_STARTING, "");
        set_dependency(console, snapshot, DEPENDENCY_DEAD_LETTERS, DEPENDENCY_STARTING, "");
        return;
    }
    char reason[REASON_SIZE] = "";
    enum dependency_state state = DEPENDENCY_READY;
    if (depth->backlog >= limits->max_backlog) {
        state = DEPENDENCY_PAUSED;
    } else if (depth->backlog > sources->config->alerts.depth_warning) {
        state = DEPENDENCY_CATCHING_UP;
    }
    if (state != DEPENDENCY_READY) {
        (void)snprintf(reason, sizeof(reason), "%llu entries are not yet acknowledged",
                       (unsigned long long)depth->backlog);
    }
    set_dependency(console, snapshot, DEPENDENCY_BACKLOG, state, reason);
    bool is_full = sources->are_letters_too_many;
    set_dependency(console, snapshot, DEPENDENCY_DEAD_LETTERS,
                   is_full ? DEPENDENCY_PAUSED : DEPENDENCY_READY,
                   is_full ? "too many dead letters are undecided" : "");
}

static void judge_all(struct console *console, struct metrics_snapshot *snapshot)
{
    judge_relay(console, snapshot);
    judge_redis(console, snapshot);
    judge_postgres(console, snapshot);
    judge_stream(console, snapshot);
    if (!console->sources->is_draining) {
        return;
    }
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        set_dependency(console, snapshot, (enum dependency)i, DEPENDENCY_DRAINING,
                       "the process is stopping");
    }
}

/* ---- figures ------------------------------------------------------------------------------------ */

static uint64_t total(const struct console_sources *sources, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= sources->worker_count; i++) {
        sum += counters_get(&sources->workers[i].counters, which);
    }
    return sum;
}

static void fill_relay(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_relay *relay = &snapshot->relay;
    struct ingester_figures figures = {0};
    if (sources->ingester == NULL) {
        return;
    }
    ingester_figures(sources->ingester, &figures);
    relay->url = sources->config->relay.url;
    relay->is_connected = figures.is_connected;
    relay->is_leader = figures.is_leader;
    relay->is_paused[PAUSE_WRITER] = (figures.paused_for & PRESSURE_WRITER) != 0;
    relay->is_paused[PAUSE_REDIS] = (figures.paused_for & PRESSURE_REDIS) != 0;
    relay->is_paused[PAUSE_DEPTH] = (figures.paused_for & PRESSURE_DEPTH) != 0;
    relay->frames = total(sources, COUNTER_FRAMES);
    relay->bytes = figures.bytes;
    relay->reconnects = figures.connects > 0 ? figures.connects - 1 : 0;
    relay->gaps = total(sources, COUNTER_GAPS);
    for (unsigned i = 0; i < FRAME_FAULT_COUNT; i++) {
        relay->decode_errors[i] = figures.decode_errors[i];
    }
    relay->paused_us = figures.paused_us;
    relay->sequence = (uint64_t)figures.sequence;
    relay->queued_sequence = (uint64_t)sources->marks->queued.sequence;
    relay->committed_sequence = sources->marks->saved > 0 ? (uint64_t)sources->marks->saved : 0;
    relay->last_event_us = figures.last_event_us;
    relay->certificate_expiry_us = figures.certificate_expiry * US_PER_SECOND;
    snapshot->intake.waiting = figures.waiting;
}

static void fill_intake(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_intake *intake = &snapshot->intake;
    uint64_t taken = total(sources, COUNTER_APPENDED);
    intake->received = total(sources, COUNTER_FRAMES);
    intake->appended = taken > intake->waiting ? taken - intake->waiting : 0;
    intake->duplicate = total(sources, COUNTER_DUPLICATE);
    intake->filtered = total(sources, COUNTER_FILTERED);
    intake->ignored = total(sources, COUNTER_IGNORED);
    intake->dead = total(sources, COUNTER_DECODE_DEAD);
}

static void fill_stream(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    const struct stream_depth *depth = &sources->depth;
    struct snapshot_stream *stream = &snapshot->stream;
    stream->is_known = is_look_fresh(sources);
    stream->length = depth->length;
    stream->pending = depth->pending;
    stream->undelivered = depth->undelivered;
    stream->is_lag_known = depth->is_lag_known;
    stream->oldest_pending_ms = depth->oldest_pending_ms;
    stream->dead_letters = sources->undecided_letters;
    stream->memory_bytes = depth->used_memory;
    stream->memory_limit_bytes = depth->max_memory;
}

static void fill_ledger(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    const struct stream_ledger *from = &sources->depth.ledger;
    struct snapshot_ledger *to = &snapshot->ledger;
    to->is_known = is_look_fresh(sources);
    to->waiting = snapshot->intake.waiting;
    to->received = from->received + to->waiting;
    to->appended = from->appended;
    to->duplicate = from->duplicate;
    to->filtered = from->filtered;
    to->ignored = from->ignored;
    to->dead = from->dead_frames;
    to->committed = from->committed;
    to->dead_entries = from->dead_entries;
    to->pending = sources->depth.pending;
    to->undelivered = sources->depth.undelivered;
    to->ops[ROW_WRITTEN] = from->written;
    to->ops[ROW_UNCHANGED] = from->unchanged;
    to->ops[ROW_SKIPPED] = from->skipped;
    to->ops[ROW_DEAD] = from->dead_ops;
    to->events[EVENT_COMMIT] = from->commits;
    to->events[EVENT_IDENTITY] = from->identities;
    to->events[EVENT_ACCOUNT] = from->accounts;
    uint64_t named = from->commits + from->identities + from->accounts;
    to->events[EVENT_SYNC] = from->events > named ? from->events - named : 0;
    to->errors = from->dead_frames + from->dead_ops;
}

static void fill_worker(const struct worker_stats *stats, struct snapshot_worker *worker)
{
    uint64_t heartbeat_ms = worker_stats_get(stats, GAUGE_HEARTBEAT_MS);
    worker->heartbeat_age_ms = heartbeat_ms > 0 ? clock_monotonic_ms() - heartbeat_ms : 0;
    worker->loop_lag_us = worker_stats_get(stats, GAUGE_LOOP_LAG_US);
    worker->committed = counters_get(&stats->counters, COUNTER_COMMITTED);
    worker->in_flight = worker_stats_get(stats, GAUGE_IN_FLIGHT);
    worker->postgres = state_of_sink((enum sink_state)worker_stats_get(stats, GAUGE_SINK_STATE));
}

static void fill_workers(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_sink *sink = &snapshot->sink;
    for (unsigned i = 0; i < sources->worker_count; i++) {
        const struct worker_stats *stats = &sources->workers[i];
        fill_worker(stats, &snapshot->workers[i]);
        histogram_collect(&sink->batch_rows, &stats->batch_rows);
        histogram_collect(&sink->batch_us, &stats->batch_us);
        histogram_collect(&sink->event_commit_us, &stats->event_commit_us);
        int64_t last_us = (int64_t)worker_stats_get(stats, GAUGE_LAST_COMMIT_US);
        if (last_us > sink->last_commit_us) {
            sink->last_commit_us = last_us;
            sink->event_lag_us = worker_stats_get(stats, GAUGE_EVENT_LAG_US);
        }
    }
    snapshot->worker_count = sources->worker_count;
}

static void fill_sink(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_sink *sink = &snapshot->sink;
    sink->committed_entries[EVENT_COMMIT] = total(sources, COUNTER_COMMITS);
    sink->committed_entries[EVENT_IDENTITY] = total(sources, COUNTER_IDENTITIES);
    sink->committed_entries[EVENT_ACCOUNT] = total(sources, COUNTER_ACCOUNTS);
    sink->committed_entries[EVENT_SYNC] = total(sources, COUNTER_SYNCS);
    sink->claimed = total(sources, COUNTER_CLAIMED);
    sink->trimmed = total(sources, COUNTER_TRIMMED);
    sink->dead_entries = total(sources, COUNTER_DEAD_ENTRIES);
    sink->table_count = 1;
    sink->tables[0].name = "records";
    sink->tables[0].rows[ROW_WRITTEN] = total(sources, COUNTER_WRITTEN);
    sink->tables[0].rows[ROW_UNCHANGED] = total(sources, COUNTER_UNCHANGED);
    sink->tables[0].rows[ROW_SKIPPED] = total(sources, COUNTER_SKIPPED);
    sink->tables[0].rows[ROW_DEAD] = total(sources, COUNTER_DEAD);
}

static void http_on_fill(void *owner, struct metrics_snapshot *snapshot)
{
    struct console *console = owner;
    const struct console_sources *sources = console->sources;
    snapshot->version = STANDPIPE_VERSION;
    judge_all(console, snapshot);
    fill_relay(sources, snapshot);
    fill_intake(sources, snapshot);
    fill_stream(sources, snapshot);
    fill_ledger(sources, snapshot);
    fill_workers(sources, snapshot);
    fill_sink(sources, snapshot);
    snapshot->reload.success_us = console->started_us;
}

/* ---- dead letters --------------------------------------------------------------------------------- */

static void letters_on_letter(void *owner, const struct stream_letter *letter)
{
    const struct http_letter page = {
        .id = letter->id,
        .type = letter->type,
        .data = letter->data,
        .seq = letter->sequence,
        .orig_id = letter->origin,
        .deliveries = letter->deliveries,
        .reason = letter->reason,
    };
    (void)http_answer_add(owner, &page);
}

static void letters_on_end(void *owner, const struct error *error)
{
    http_answer_end(owner, error);
}

static void http_on_dead_letters(void *owner, unsigned limit, struct http_answer *answer)
{
    struct console *console = owner;
    static const struct stream_letters_callbacks callbacks = {
        .on_letter = letters_on_letter,
        .on_end = letters_on_end,
    };
    if (console->sources->monitor != NULL) {
        stream_monitor_letters(console->sources->monitor, limit, &callbacks, answer);
        return;
    }
    struct error error;
    error_set(&error, ERROR_UNREACHABLE, "Redis is not connected");
    http_answer_end(answer, &error);
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void http_on_closed(void *owner)
{
    struct console *console = owner;
    struct console_callbacks callbacks = console->callbacks;
    void *console_owner = console->owner;
    free(console);
    callbacks.on_closed(console_owner);
}

struct console *console_open(struct uv_loop_s *loop, const struct console_sources *sources,
                             const struct console_callbacks *callbacks, void *owner,
                             struct error *error)
{
    static const struct http_callbacks http_callbacks = {
        .fill = http_on_fill,
        .dead_letters = http_on_dead_letters,
        .on_closed = http_on_closed,
    };
    struct console *console = memory_allocate(sizeof(*console));
    console->sources = sources;
    console->callbacks = *callbacks;
    console->owner = owner;
    console->started_us = clock_wall_us();
    struct http_options options = {
        .listen = sources->config->http.listen,
        .token_file = sources->config->http.token_file,
    };
    console->http = http_open(loop, &options, &http_callbacks, console, error);
    if (console->http == NULL) {
        free(console);
        return NULL;
    }
    return console;
}

void console_close(struct console *console)
{
    http_close(console->http);
}
