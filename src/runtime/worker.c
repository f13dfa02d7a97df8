#include "runtime/worker.h"

#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/sink.h"
#include "stream/batch_size.h"
#include "stream/stream_reader.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    REPLY_SLACK_MS = 15000, /* over BLOCK: a Redis that rewrites its AOF may be that slow */
    STATEMENT_TIMEOUT_MS = 30000,
    CLOSE_SLACK_MS = 500, /* of the drain time, left for acknowledging */
    HEARTBEAT_MS = 500,
    HEARTBEAT_US = HEARTBEAT_MS * 1000,
    US_PER_MS = 1000,
    FULL_READS = 2,  /* of each pipeline fill a transaction */
    NAME_SIZE = 640, /* workers.consumer_id has up to 512 bytes */
};

struct pipeline {
    struct worker *worker;
    struct stream_reader *reader; /* NULL once closed */
    struct sink_batch batch;      /* out in the sink while `is_out` */
    bool is_out;
    uint64_t out_since_us;
    enum reader_state state; /* what Redis says to the reader */
    char name[NAME_SIZE];
};

struct worker {
    struct uv_loop_s *loop;
    struct worker_callbacks callbacks;
    void *owner;
    struct worker_stats *stats;
    struct sink *sink;
    struct pipeline *pipelines;
    unsigned pipeline_count;
    uint64_t max_deliveries;
    unsigned readers_open;
    bool is_closing;
    uint64_t drain_until_ms;
    uv_timer_t drain_timer;
    uv_timer_t heartbeat;
    uint64_t heartbeat_due_us;
    unsigned timers_open;
    char name[32];
};

/* ---- a batch: from the reader to the sink and back ------------------------------------------ */

static void count_outcome(struct counters *counters, size_t entries,
                          const struct sink_outcome *outcome)
{
    counters_add(counters, COUNTER_COMMITTED, entries - outcome->dead_entries);
    counters_add(counters, COUNTER_DEAD_ENTRIES, outcome->dead_entries);
    counters_add(counters, COUNTER_COMMITS, outcome->commits);
    counters_add(counters, COUNTER_IDENTITIES, outcome->identities);
    counters_add(counters, COUNTER_ACCOUNTS, outcome->accounts);
    counters_add(counters, COUNTER_SYNCS, outcome->syncs);
    counters_add(counters, COUNTER_WRITTEN, outcome->written);
    counters_add(counters, COUNTER_UNCHANGED, outcome->unchanged);
    counters_add(counters, COUNTER_SKIPPED, outcome->skipped);
    counters_add(counters, COUNTER_DEAD, outcome->dead);
}

static uint64_t lag_us(int64_t now_us, int64_t event_us)
{
    return event_us > 0 && now_us > event_us ? (uint64_t)(now_us - event_us) : 0;
}

static void note_times(struct worker_stats *stats, const struct pipeline *pipeline,
                       const struct sink_outcome *outcome)
{
    int64_t now_us = clock_wall_us();
    histogram_record(&stats->batch_rows, pipeline->batch.count);
    histogram_record(&stats->batch_us, clock_monotonic_us() - pipeline->out_since_us);
    if (outcome->transaction_us > 0) {
        histogram_record(&stats->commit_us, outcome->transaction_us);
    }
    if (outcome->oldest_event_us > 0) {
        histogram_record(&stats->event_commit_us, lag_us(now_us, outcome->oldest_event_us));
    }
    worker_stats_set(stats, GAUGE_LAST_COMMIT_US, (uint64_t)now_us);
    worker_stats_set(stats, GAUGE_EVENT_LAG_US, lag_us(now_us, outcome->newest_event_us));
}

static void note_in_flight(struct worker *worker)
{
    uint64_t in_flight = 0;
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        in_flight += worker->pipelines[i].is_out ? worker->pipelines[i].batch.count : 0;
    }
    worker_stats_set(worker->stats, GAUGE_IN_FLIGHT, in_flight);
}

static void batch_on_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                          const struct error *error)
{
    struct pipeline *pipeline = LIST_ENTRY(batch, struct pipeline, batch);
    pipeline->is_out = false;
    if (error != NULL) {
        stream_reader_release(pipeline->reader);
        return;
    }
    struct worker_stats *stats = pipeline->worker->stats;
    count_outcome(&stats->counters, batch->count, outcome);
    note_times(stats, pipeline, outcome);
    note_in_flight(pipeline->worker);
    struct stream_verdict verdict = {
        .dead_entries = outcome->dead_entries,
        .written = outcome->written,
        .unchanged = outcome->unchanged,
        .skipped = outcome->skipped,
        .dead = outcome->dead,
        .commits = outcome->commits,
        .identities = outcome->identities,
        .accounts = outcome->accounts,
        .syncs = outcome->syncs,
    };
    stream_reader_acknowledge(pipeline->reader, &verdict);
}

/* Delivered so often, it may be what ends whoever gets it: alone it cannot hold up others, and shows itself. */
static bool is_suspect(const struct worker *worker, const struct stream_batch *batch)
{
    for (size_t i = 0; batch->is_claimed && i < batch->count; i++) {
        if (batch->entries[i].deliveries >= worker->max_deliveries) {
            return true;
        }
    }
    return false;
}

static void reader_on_batch(void *owner, const struct stream_batch *batch)
{
    struct pipeline *pipeline = owner;
    ASSERT(!pipeline->is_out);
    if (pipeline->worker->sink == NULL) { /* closed already: the drain time was over */
        stream_reader_release(pipeline->reader);
        return;
    }
    pipeline->is_out = true;
    pipeline->out_since_us = clock_monotonic_us();
    if (batch->is_claimed) {
        counters_add(&pipeline->worker->stats->counters, COUNTER_CLAIMED, batch->count);
    }
    pipeline->batch = (struct sink_batch){
        .entries = batch->entries,
        .count = batch->count,
        .bytes = batch->bytes,
        .is_alone = is_suspect(pipeline->worker, batch),
        .on_done = batch_on_done,
    };
    note_in_flight(pipeline->worker);
    sink_submit(pipeline->worker->sink, &pipeline->batch);
}

static void reader_on_acknowledged(void *owner, uint32_t acknowledged)
{
    (void)owner;
    (void)acknowledged;
}

static void reader_on_late(void *owner)
{
    const struct pipeline *pipeline = owner;
    counters_add(&pipeline->worker->stats->counters, COUNTER_LATE, 1);
}

static void reader_on_state(void *owner, enum reader_state state)
{
    struct pipeline *pipeline = owner;
    const struct worker *worker = pipeline->worker;
    enum reader_state worst = READER_READY;
    pipeline->state = state;
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        worst = worker->pipelines[i].state > worst ? worker->pipelines[i].state : worst;
    }
    worker_stats_set(worker->stats, GAUGE_READER_STATE, worst);
}

static void reader_on_deleted(void *owner, uint32_t count)
{
    struct pipeline *pipeline = owner;
    counters_add(&pipeline->worker->stats->counters, COUNTER_DELETED, count);
    log_warning(pipeline->name, "entries were deleted before they were read",
                LOG_INT("entries", count));
}

/* ---- closing -------------------------------------------------------------------------------- */

static uint64_t drain_left_ms(const struct worker *worker)
{
    uint64_t now = clock_monotonic_ms();
    return worker->drain_until_ms > now ? worker->drain_until_ms - now : 0;
}

static void timer_on_closed(uv_handle_t *handle)
{
    struct worker *worker = handle->data;
    if (--worker->timers_open > 0) {
        return;
    }
    struct worker_callbacks callbacks = worker->callbacks;
    void *owner = worker->owner;
    worker_stats_set(worker->stats, GAUGE_HEARTBEAT_MS, 0); /* gone, not stuck */
    free(worker->pipelines);
    free(worker);
    callbacks.on_closed(owner);
}

/* The worker goes when readers and sink are gone, whichever comes last: with its drain time over, the sink
 * is closed under readers that still wait for Redis. */
static void proceed(struct worker *worker)
{
    if (worker->readers_open > 0) {
        return;
    }
    if (worker->sink != NULL) {
        sink_close(worker->sink, drain_left_ms(worker));
        return;
    }
    uv_close((uv_handle_t *)&worker->drain_timer, timer_on_closed);
    uv_close((uv_handle_t *)&worker->heartbeat, timer_on_closed);
}

static void sink_on_closed(void *owner)
{
    struct worker *worker = owner;
    worker->sink = NULL;
    proceed(worker);
}

static void reader_on_closed(void *owner)
{
    struct pipeline *pipeline = owner;
    struct worker *worker = pipeline->worker;
    pipeline->reader = NULL;
    ASSERT(worker->is_closing);
    ASSERT(worker->readers_open > 0);
    worker->readers_open--;
    proceed(worker);
}

/* The drain time is over: the sink ends what it has with ERROR_CLOSED, so the readers can close; one whose
 * acknowledgement waits for a Redis that is gone gives it up. All of it stays pending. */
static void drain_on_timeout(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    log_warning(worker->name, "drain time is over, the rest stays pending",
                LOG_INT("readers", worker->readers_open));
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        struct pipeline *pipeline = &worker->pipelines[i];
        if (pipeline->reader != NULL && !pipeline->is_out) {
            stream_reader_release(pipeline->reader);
        }
    }
    if (worker->sink != NULL) {
        sink_close(worker->sink, 0);
    }
}

void worker_close(struct worker *worker, uint64_t drain_ms)
{
    if (worker->is_closing) {
        return;
    }
    worker->is_closing = true;
    worker->drain_until_ms = clock_monotonic_ms() + drain_ms;
    uint64_t patience = drain_ms > CLOSE_SLACK_MS ? drain_ms - CLOSE_SLACK_MS : 0;
    (void)uv_timer_start(&worker->drain_timer, drain_on_timeout, patience, 0);
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        stream_reader_close(worker->pipelines[i].reader);
    }
}

/* ---- the sink's state decides whether reading makes sense ------------------------------------ */

static void sink_on_state(void *owner, enum sink_state state, const struct error *error)
{
    struct worker *worker = owner;
    (void)error; /* the sink has said it in the log */
    worker_stats_set(worker->stats, GAUGE_SINK_STATE, state);
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        struct stream_reader *reader = worker->pipelines[i].reader;
        if (reader == NULL) {
            continue;
        }
        if (state == SINK_READY) {
            stream_reader_resume(reader);
        } else {
            stream_reader_pause(reader);
        }
    }
}

static void sink_on_rows(void *owner, size_t table, const struct sink_rows *rows)
{
    struct worker *worker = owner;
    worker_stats_add_rows(worker->stats, table, rows);
}

static void sink_on_error(void *owner, const char *sqlstate)
{
    struct worker *worker = owner;
    worker_stats_add_error(worker->stats, sqlstate);
}

static void sink_on_forgotten(void *owner, uint64_t tombstones)
{
    struct worker *worker = owner;
    counters_add(&worker->stats->counters, COUNTER_FORGOTTEN, tombstones);
}

static void sink_on_lane_wait(void *owner, uint64_t waited_us)
{
    struct worker *worker = owner;
    counters_add(&worker->stats->counters, COUNTER_LANE_WAIT_US, waited_us);
}

static void sink_on_lane_bypass(void *owner, unsigned parts)
{
    struct worker *worker = owner;
    counters_add(&worker->stats->counters, COUNTER_LANE_BYPASSES, parts);
}

/* ---- opening -------------------------------------------------------------------------------- */

static void open_sink(struct worker *worker, const struct worker_options *options)
{
    static const struct sink_callbacks callbacks = {
        .on_state = sink_on_state,
        .on_rows = sink_on_rows,
        .on_error = sink_on_error,
        .on_forgotten = sink_on_forgotten,
        .on_lane_wait = sink_on_lane_wait,
        .on_lane_bypass = sink_on_lane_bypass,
        .on_closed = sink_on_closed,
    };
    const struct config_postgres *postgres = &options->config->postgres;
    const struct config_workers *workers = &options->config->workers;
    uint64_t entries = workers->batch_size * workers->pipelines;
    struct sink_options sink_options = {
        .conninfo = postgres->url,
        .schema = postgres->schema,
        .tables = options->config->tables,
        .clears_repos = options->number == 0,
        .tombstone_age_ms = postgres->tombstone_age_ms,
        .name = worker->name,
        .connections = options->connections,
        .lanes = options->lanes,
        .batch_bytes = postgres->batch_bytes,
        .batch_entries = entries * BATCH_STRETCH_MAX,
        .full_entries = entries * FULL_READS,
        .batch_age_ms = postgres->batch_age_ms,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .prepared = postgres->prepared != PREPARED_OFF,
    };
    worker->sink = sink_open(worker->loop, &sink_options, &callbacks, worker);
}

static void open_reader(struct pipeline *pipeline, const struct worker_options *options,
                        unsigned number)
{
    static const struct stream_reader_callbacks callbacks = {
        .on_batch = reader_on_batch,
        .on_acknowledged = reader_on_acknowledged,
        .on_late = reader_on_late,
        .on_deleted = reader_on_deleted,
        .on_state = reader_on_state,
        .on_closed = reader_on_closed,
    };
    const struct config *config = options->config;
    (void)snprintf(pipeline->name, sizeof(pipeline->name), "%s-%u-%u-p%u", options->consumer_id,
                   options->slot, options->number, number);
    struct stream_reader_options reader_options = {
        .redis = {.url = config->redis.url,
                  .client_name = pipeline->name,
                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                  .reply_timeout_ms = config->workers.block_ms + REPLY_SLACK_MS},
        .keys = {.key = config->stream.key,
                 .group = config->stream.group,
                 .dead_letter_key = config->stream.dead_letter_key},
        .consumer = pipeline->name,
        .batch_size = (uint32_t)config->workers.batch_size,
        .block_ms = (uint32_t)config->workers.block_ms,
        .batch_bytes = config->postgres.batch_bytes,
        .claim_interval_ms = config->workers.claim_interval_ms,
        .claim_min_idle_ms = config->workers.claim_min_idle_ms,
        .claims = number == 0,
    };
    pipeline->reader =
        stream_reader_open(pipeline->worker->loop, &reader_options, &callbacks, pipeline);
}

static void heartbeat_on_time(uv_timer_t *timer)
{
    struct worker *worker = timer->data;
    uint64_t now_us = clock_monotonic_us();
    uint64_t late_us = now_us > worker->heartbeat_due_us ? now_us - worker->heartbeat_due_us : 0;
    worker_stats_set(worker->stats, GAUGE_HEARTBEAT_MS, clock_monotonic_ms());
    worker_stats_set(worker->stats, GAUGE_LOOP_LAG_US, late_us);
    worker->heartbeat_due_us = now_us + HEARTBEAT_US;
}

static void open_timers(struct worker *worker)
{
    (void)uv_timer_init(worker->loop, &worker->drain_timer);
    (void)uv_timer_init(worker->loop, &worker->heartbeat);
    worker->drain_timer.data = worker;
    worker->heartbeat.data = worker;
    worker->timers_open = 2;
    worker->heartbeat_due_us = clock_monotonic_us() + HEARTBEAT_US;
    /* From now on it counts: a loop that never turns is as dead as one that stopped. */
    worker_stats_set(worker->stats, GAUGE_HEARTBEAT_MS, clock_monotonic_ms());
    (void)uv_timer_start(&worker->heartbeat, heartbeat_on_time, HEARTBEAT_MS, HEARTBEAT_MS);
}

struct worker *worker_open(struct uv_loop_s *loop, const struct worker_options *options,
                           const struct worker_callbacks *callbacks, void *owner)
{
    struct worker *worker = memory_allocate(sizeof(*worker));
    worker->loop = loop;
    worker->callbacks = *callbacks;
    worker->owner = owner;
    worker->stats = options->stats;
    worker_stats_set(worker->stats, GAUGE_SINK_STATE, SINK_CONNECTING);
    worker_stats_set(worker->stats, GAUGE_READER_STATE, READER_READY);
    worker_stats_set(worker->stats, GAUGE_IN_FLIGHT, 0);
    worker_stats_set(worker->stats, GAUGE_HEARTBEAT_MS, clock_monotonic_ms());
    (void)snprintf(worker->name, sizeof(worker->name), "worker-%u", options->number);
    worker->pipeline_count = (unsigned)options->config->workers.pipelines;
    worker->max_deliveries = options->config->workers.max_deliveries;
    worker->readers_open = worker->pipeline_count;
    worker->pipelines = memory_allocate(worker->pipeline_count * sizeof(*worker->pipelines));
    open_timers(worker);
    open_sink(worker, options);
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        struct pipeline *pipeline = &worker->pipelines[i];
        pipeline->worker = worker;
        open_reader(pipeline, options, i);
        stream_reader_pause(pipeline->reader); /* until the sink is ready */
    }
    return worker;
}

void worker_log_state(const struct worker *worker)
{
    uint64_t now_us = clock_monotonic_us();
    for (unsigned i = 0; i < worker->pipeline_count; i++) {
        const struct pipeline *pipeline = &worker->pipelines[i];
        log_info(worker->name, "pipeline", LOG_TEXT("consumer", pipeline->name),
                 LOG_TEXT("state", pipeline->is_out ? "batch out" : "reading"),
                 LOG_INT("entries", pipeline->is_out ? pipeline->batch.count : 0),
                 LOG_INT("for_ms",
                         pipeline->is_out ? (now_us - pipeline->out_since_us) / US_PER_MS : 0));
    }
}
