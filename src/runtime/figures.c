#include "runtime/figures.h"

#include <string.h>

#include "base/clock.h"
#include "config/tables.h"
#include "runtime/ingester.h"
#include "runtime/marks.h"
#include "runtime/pressure.h"
#include "runtime/readiness.h"
#include "runtime/relay_totals.h"

enum {
    LOOK_FRESH_MS = 5000, /* an older look says nothing of now */
    US_PER_MS = 1000,
    US_PER_SECOND = 1000000,
};

bool console_look_is_fresh(const struct console_sources *sources)
{
    return sources->depth_at_ms > 0 && clock_monotonic_ms() - sources->depth_at_ms < LOOK_FRESH_MS;
}

static uint64_t total(const struct console_sources *sources, enum counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i <= sources->worker_count; i++) {
        sum += counters_get(&sources->workers[i].counters, which);
    }
    return sum;
}

/* Those of the process: `figures` are of the ingester of now, zeros where there is none. */
static void fill_relay_counters(const struct console_sources *sources,
                                const struct ingester_figures *figures,
                                struct snapshot_relay *relay)
{
    const struct relay_totals *totals = sources->relay_totals;
    uint64_t connects = totals->connects + figures->connects;
    relay->frames = total(sources, COUNTER_FRAMES);
    relay->bytes = totals->bytes + figures->bytes;
    relay->reconnects = connects > 0 ? connects - 1 : 0;
    relay->gaps = total(sources, COUNTER_GAPS);
    memcpy(relay->decode_errors, totals->decode_errors, sizeof(relay->decode_errors));
    relay->paused_us = totals->paused_us + figures->paused_us;
}

static void fill_relay(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_relay *relay = &snapshot->relay;
    struct ingester_figures figures = {0};
    if (sources->ingester == NULL) {
        fill_relay_counters(sources, &figures, relay);
        return;
    }
    ingester_figures(sources->ingester, &figures);
    fill_relay_counters(sources, &figures, relay);
    relay->url = sources->config->relay.url;
    relay->is_connected = figures.is_connected;
    relay->connected_ms = figures.connected_ms;
    relay->is_leader = figures.is_leader;
    relay->is_stopped = figures.is_stopped;
    relay->is_paused[PAUSE_WRITER] = (figures.paused_for & PRESSURE_WRITER) != 0;
    relay->is_paused[PAUSE_REDIS] = (figures.paused_for & PRESSURE_REDIS) != 0;
    relay->is_paused[PAUSE_DEPTH] = (figures.paused_for & PRESSURE_DEPTH) != 0;
    relay->is_paused[PAUSE_DEAD_LETTERS] = (figures.paused_for & PRESSURE_LETTERS) != 0;
    relay->sequence = (uint64_t)figures.sequence;
    relay->queued_sequence = (uint64_t)sources->marks->queued.sequence;
    relay->committed_sequence = sources->marks->saved > 0 ? (uint64_t)sources->marks->saved : 0;
    relay->last_event_us = figures.last_event_us;
    relay->certificate_expiry_us = figures.certificate_expiry * US_PER_SECOND;
}

/* Each kind without those of its own that wait: a dead frame that waits takes nothing from what was appended. */
static uint64_t stored(uint64_t taken, uint64_t waiting)
{
    return taken > waiting ? taken - waiting : 0;
}

static void fill_intake(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_intake *intake = &snapshot->intake;
    struct ingester_figures figures = {0};
    if (sources->ingester != NULL) {
        ingester_figures(sources->ingester, &figures);
    }
    intake->waiting = figures.waiting;
    intake->received = total(sources, COUNTER_FRAMES);
    intake->appended =
        stored(total(sources, COUNTER_APPENDED), figures.waiting - figures.waiting_frames);
    intake->duplicate = total(sources, COUNTER_DUPLICATE);
    intake->filtered = total(sources, COUNTER_FILTERED);
    intake->ignored = total(sources, COUNTER_IGNORED);
    intake->dead = stored(total(sources, COUNTER_DECODE_DEAD), figures.waiting_frames);
}

static void fill_stream(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    const struct stream_depth *depth = &sources->depth;
    struct snapshot_stream *stream = &snapshot->stream;
    stream->is_known = console_look_is_fresh(sources);
    stream->length = depth->length;
    stream->pending = depth->pending;
    stream->undelivered = depth->undelivered;
    stream->is_lag_known = depth->is_lag_known;
    stream->oldest_pending_ms = depth->oldest_pending_ms;
    stream->oldest_event_us = sources->oldest_event_us;
    stream->dead_letters = sources->undecided_letters;
    stream->memory_bytes = depth->used_memory;
    stream->memory_limit_bytes = depth->max_memory;
}

/* Before an ingester of ours has begun, all that is in the stream is by another program, which kept no count. The first
 * that begins makes it so in Redis (`begin` in stream/scripts.c). */
static uint64_t appended_by_others(const struct stream_depth *depth)
{
    const struct stream_ledger *ledger = &depth->ledger;
    uint64_t found = ledger->committed + ledger->dead_entries + depth->pending + depth->undelivered;
    return depth->has_meta || found < ledger->appended ? 0 : found - ledger->appended;
}

static void fill_ledger(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    const struct stream_ledger *from = &sources->depth.ledger;
    struct snapshot_ledger *to = &snapshot->ledger;
    to->is_known = console_look_is_fresh(sources);
    to->waiting = snapshot->intake.waiting;
    uint64_t by_others = appended_by_others(&sources->depth);
    to->received = from->received + by_others + to->waiting;
    to->appended = from->appended + by_others;
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
    to->events[EVENT_SYNC] = from->syncs;
    to->errors = from->dead_frames + from->dead_ops;
}

static void fill_worker(const struct worker_stats *stats, struct snapshot_worker *worker)
{
    uint64_t heartbeat_ms = worker_stats_get(stats, GAUGE_HEARTBEAT_MS);
    worker->heartbeat_age_ms = heartbeat_ms > 0 ? clock_monotonic_ms() - heartbeat_ms : 0;
    worker->loop_lag_us = worker_stats_get(stats, GAUGE_LOOP_LAG_US);
    worker->committed = counters_get(&stats->counters, COUNTER_COMMITTED);
    worker->in_flight = worker_stats_get(stats, GAUGE_IN_FLIGHT);
    worker->postgres =
        readiness_of_sink((enum sink_state)worker_stats_get(stats, GAUGE_SINK_STATE));
    worker->is_reading_hindered = worker_stats_get(stats, GAUGE_READER_STATE) != READER_READY;
}

static void fill_workers(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    struct snapshot_sink *sink = &snapshot->sink;
    for (unsigned i = 0; i < sources->worker_count; i++) {
        const struct worker_stats *stats = &sources->workers[i];
        fill_worker(stats, &snapshot->workers[i]);
        histogram_collect(&sink->batch_rows, &stats->batch_rows);
        histogram_collect(&sink->batch_us, &stats->batch_us);
        histogram_collect(&sink->commit_us, &stats->commit_us);
        histogram_collect(&sink->event_commit_us, &stats->event_commit_us);
        for (unsigned c = 0; c < SQLSTATE_CLASS_COUNT; c++) {
            sink->errors[c] += __atomic_load_n(&stats->errors[c], __ATOMIC_RELAXED);
        }
        int64_t last_us = (int64_t)worker_stats_get(stats, GAUGE_LAST_COMMIT_US);
        if (last_us > sink->last_commit_us) {
            sink->last_commit_us = last_us;
            sink->event_lag_us = worker_stats_get(stats, GAUGE_EVENT_LAG_US);
        }
    }
    snapshot->worker_count = sources->worker_count;
}

static void fill_table(const struct console_sources *sources, struct snapshot_sink *sink,
                       size_t index, const char *name)
{
    struct worker_rows rows = {0};
    if (sink->table_count == SNAPSHOT_TABLES_MAX) {
        return;
    }
    for (unsigned i = 0; i < sources->worker_count; i++) {
        worker_stats_collect_rows(&sources->workers[i], index, &rows);
    }
    struct snapshot_table *table = &sink->tables[sink->table_count++];
    table->name = name;
    memcpy(table->rows, rows.values, sizeof(table->rows));
}

/* `records` first: others rely on it. */
static void fill_tables(const struct console_sources *sources, struct snapshot_sink *sink)
{
    const struct tables *tables =
        sources->tables != NULL ? sources->tables : sources->config->tables;
    sink->table_count = 1;
    sink->tables[0].name = "records";
    sink->tables[0].rows[ROW_WRITTEN] = total(sources, COUNTER_WRITTEN);
    sink->tables[0].rows[ROW_UNCHANGED] = total(sources, COUNTER_UNCHANGED);
    sink->tables[0].rows[ROW_SKIPPED] = total(sources, COUNTER_SKIPPED);
    sink->tables[0].rows[ROW_DEAD] = total(sources, COUNTER_DEAD);
    for (size_t i = 0; i < tables->count; i++) {
        fill_table(sources, sink, i, tables->items[i].name);
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        fill_table(sources, sink, tables->count + i, tables->count_tables[i].name);
    }
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
    sink->forgotten = total(sources, COUNTER_FORGOTTEN);
    sink->lane_wait_us = total(sources, COUNTER_LANE_WAIT_US);
    sink->lane_bypasses = total(sources, COUNTER_LANE_BYPASSES);
    sink->late = total(sources, COUNTER_LATE);
    sink->rewinds = total(sources, COUNTER_REWINDS);
    sink->dead_entries = total(sources, COUNTER_DEAD_ENTRIES);
    fill_tables(sources, sink);
}

static void fill_collections(const struct console_sources *sources,
                             struct snapshot_collections *collections)
{
    const struct tally *tally = &sources->relay_totals->collections;
    collections->count = tally->used;
    collections->other = tally->other;
    for (unsigned i = 0; i < tally->used; i++) {
        collections->items[i].name = tally->places[i].name;
        collections->items[i].ops = tally->places[i].count;
    }
}
_Static_assert((int)SNAPSHOT_COLLECTIONS_MAX >= (int)TALLY_PLACES, "each place is shown");

static void fill_letters(const struct dead_letter_count *count, struct snapshot_letters *letters)
{
    letters->count = count->kind_count;
    for (unsigned i = 0; i < count->kind_count; i++) {
        const struct dead_letter_kind *kind = &count->kinds[i];
        letters->kinds[i] = (struct snapshot_letter_kind){
            .letters = kind->letters,
            .reason = kind->reason,
            .id = kind->id,
            .seq = kind->seq,
            .time = kind->time,
            .type = kind->type,
            .collection = kind->collection,
            .error = kind->error,
            .data = kind->data,
        };
    }
}
_Static_assert((int)SNAPSHOT_LETTER_KINDS_MAX >= (int)DEAD_LETTER_KINDS_MAX,
               "each reason is shown");

static void fill_view(const struct console_sources *sources, struct snapshot_view *view)
{
    const struct config *config = sources->config;
    view->process = sources->process_name;
    view->thresholds = (struct snapshot_thresholds){
        .depth_warning = config->alerts.depth_warning,
        .depth_critical = config->alerts.depth_critical,
        .max_backlog = config->stream.max_backlog,
        .lag_warning_us = config->alerts.lag_warning_ms * US_PER_MS,
        .max_letters = config->stream.dead_letter_max,
    };
    fill_collections(sources, &view->collections);
    fill_letters(&sources->letters, &view->letters);
}

void figures_fill(const struct console_sources *sources, struct metrics_snapshot *snapshot)
{
    snapshot->version = STANDPIPE_VERSION;
    fill_relay(sources, snapshot);
    fill_intake(sources, snapshot);
    fill_stream(sources, snapshot);
    fill_ledger(sources, snapshot);
    fill_workers(sources, snapshot);
    fill_sink(sources, snapshot);
    fill_view(sources, &snapshot->view);
}
