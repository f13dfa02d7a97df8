#include "http/api.h"

#include "atproto/json.h"
#include "http/api_view.h"
#include "http/health.h"
#include "http/json_out.h"

static void append_counts(struct buffer *out, const uint64_t *counts, uint64_t total)
{
    json_out_number(out, "{\"eventsProcessed\":", total);
    json_out_number(out, ",\"eventCounts\":{\"#commit\":", counts[EVENT_COMMIT]);
    json_out_number(out, ",\"#identity\":", counts[EVENT_IDENTITY]);
    json_out_number(out, ",\"#account\":", counts[EVENT_ACCOUNT]);
    json_out_number(out, ",\"#sync\":", counts[EVENT_SYNC]);
}

static void append_status(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_relay *relay = &snapshot->relay;
    const struct snapshot_stream *stream = &snapshot->stream;
    json_out_bool(out, "},\"firehoseStatus\":{\"connected\":", relay->is_connected);
    json_out_text(out, ",\"url\":", relay->url != NULL ? relay->url : "unknown");
    buffer_append_string(out, ",\"currentCursor\":");
    if (relay->queued_sequence > 0) { /* text, as in `firehose:status` */
        buffer_append_format(out, "\"%" PRIu64 "\"", relay->queued_sequence);
    } else {
        buffer_append_string(out, "null");
    }
    json_out_bool(out, ",\"isConnected\":", relay->is_connected);
    json_out_known(out, ",\"queueDepth\":", stream->is_known,
                   stream->pending + stream->undelivered);
    json_out_known(out, ",\"streamLength\":", stream->is_known, stream->length);
    json_out_known(out, ",\"deadLetterLength\":", stream->is_known, stream->dead_letters);
    buffer_append_byte(out, '}');
}

static void append_ledger(struct buffer *out, const struct snapshot_ledger *ledger)
{
    if (!ledger->is_known) {
        buffer_append_string(out, ",\"ledger\":null");
        return;
    }
    json_out_number(out, ",\"ledger\":{\"received\":", ledger->received);
    json_out_number(out, ",\"appended\":", ledger->appended);
    json_out_number(out, ",\"duplicate\":", ledger->duplicate);
    json_out_number(out, ",\"filtered\":", ledger->filtered);
    json_out_number(out, ",\"ignored\":", ledger->ignored);
    json_out_number(out, ",\"dead\":", ledger->dead);
    json_out_number(out, ",\"waiting\":", ledger->waiting);
    json_out_number(out, ",\"committed\":", ledger->committed);
    json_out_number(out, ",\"deadEntries\":", ledger->dead_entries);
    json_out_number(out, ",\"pending\":", ledger->pending);
    json_out_number(out, ",\"undelivered\":", ledger->undelivered);
    json_out_number(out, ",\"ops\":{\"written\":", ledger->ops[ROW_WRITTEN]);
    json_out_number(out, ",\"unchanged\":", ledger->ops[ROW_UNCHANGED]);
    json_out_number(out, ",\"skipped\":", ledger->ops[ROW_SKIPPED]);
    json_out_number(out, ",\"dead\":", ledger->ops[ROW_DEAD]);
    buffer_append_format(out, "},\"unexplained\":{\"intake\":%" PRId64 ",\"stream\":%" PRId64 "}}",
                         ledger_unexplained_intake(ledger), ledger_unexplained_stream(ledger));
}

static void append_lag(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_stream *stream = &snapshot->stream;
    const struct snapshot_relay *relay = &snapshot->relay;
    uint64_t behind_us;
    bool is_behind_known = snapshot_behind_us(snapshot, &behind_us);
    json_out_known(out, ",\"lag\":{\"pending\":", stream->is_known, stream->pending);
    json_out_known(out, ",\"undelivered\":", stream->is_known, stream->undelivered);
    json_out_bool(out, ",\"isKnown\":", stream->is_known && stream->is_lag_known);
    json_out_known_seconds(out, ",\"oldestPendingSeconds\":", stream->is_known,
                           stream->oldest_pending_ms * 1000);
    json_out_known_seconds(out, ",\"eventToCommitSeconds\":", snapshot->sink.last_commit_us > 0,
                           snapshot->sink.event_lag_us);
    json_out_known_seconds(out, ",\"behindSeconds\":", is_behind_known, behind_us);
    json_out_known(out, ",\"sequence\":", relay->sequence > 0, relay->sequence);
    json_out_known(out, ",\"queuedSequence\":", relay->queued_sequence > 0, relay->queued_sequence);
    json_out_known(out, ",\"committedSequence\":", relay->committed_sequence > 0,
                   relay->committed_sequence);
    json_out_time(out, ",\"lastEvent\":", relay->last_event_us);
    json_out_time(out, ",\"lastCommit\":", snapshot->sink.last_commit_us);
    buffer_append_byte(out, '}');
}

static void append_workers(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    buffer_append_string(out, ",\"workers\":[");
    for (unsigned i = 0; i < snapshot->worker_count; i++) {
        const struct snapshot_worker *worker = &snapshot->workers[i];
        json_out_number(out, i == 0 ? "{\"worker\":" : ",{\"worker\":", i);
        json_out_text(out, ",\"postgres\":", dependency_state_name(worker->postgres));
        json_out_number(out, ",\"committed\":", worker->committed);
        json_out_number(out, ",\"inFlight\":", worker->in_flight);
        json_out_seconds(out, ",\"loopLagSeconds\":", worker->loop_lag_us);
        json_out_seconds(out, ",\"heartbeatAgeSeconds\":", worker->heartbeat_age_ms * 1000);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, ']');
}

/* What `standpipe reload` asks for. */
static void append_reload(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_reload *reload = &snapshot->reload;
    json_out_number(out, ",\"reload\":{\"number\":", reload->number);
    json_out_bool(out, ",\"isRunning\":", reload->is_running);
    json_out_bool(out, ",\"wasRefused\":", reload->was_refused);
    json_out_text(out, ",\"why\":", reload->why != NULL ? reload->why : "");
    json_out_time(out, ",\"time\":", reload->verdict_us);
    buffer_append_string(out, ",\"changes\":");
    buffer_append_slice(out, reload->changes.size > 0 ? reload->changes : SLICE("[]"));
    buffer_append_byte(out, '}');
}

static void append_process(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct process_usage *process = &snapshot->process;
    json_out_text(out, ",\"version\":", snapshot->version);
    json_out_time(out, ",\"startTime\":", snapshot->started_us);
    json_out_number(out, ",\"process\":{\"pid\":", (uint64_t)snapshot->reload.pid);
    json_out_known(out, ",\"residentBytes\":", process->is_known, process->resident_bytes);
    json_out_known_seconds(out, ",\"cpuSeconds\":", process->is_known, process->cpu_us);
    json_out_known(out, ",\"openDescriptors\":", process->is_known, process->descriptors);
    buffer_append_byte(out, '}');
}

/* What the relay's connection is doing; counts are of this process. */
static void append_intake(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_relay *relay = &snapshot->relay;
    const char *separator = "";
    json_out_bool(out, ",\"relay\":{\"ingests\":", relay->is_leader);
    json_out_number(out, ",\"frames\":", relay->frames);
    json_out_number(out, ",\"bytes\":", relay->bytes);
    json_out_number(out, ",\"reconnects\":", relay->reconnects);
    json_out_number(out, ",\"gaps\":", relay->gaps);
    json_out_seconds(out, ",\"pausedSeconds\":", relay->paused_us);
    buffer_append_string(out, ",\"pausedFor\":[");
    for (unsigned i = 0; i < PAUSE_COUNT; i++) {
        if (relay->is_paused[i]) {
            buffer_append_format(out, "%s\"%s\"", separator,
                                 pause_reason_name((enum pause_reason)i));
            separator = ",";
        }
    }
    json_out_time(out, "],\"certificateExpiry\":", relay->certificate_expiry_us);
    buffer_append_byte(out, '}');
}

static void append_stream(struct buffer *out, const struct snapshot_stream *stream)
{
    json_out_known(out, ",\"redis\":{\"memoryBytes\":", stream->is_known, stream->memory_bytes);
    json_out_known(out,
                   ",\"memoryLimitBytes\":", stream->is_known && stream->memory_limit_bytes > 0,
                   stream->memory_limit_bytes);
    buffer_append_byte(out, '}');
}

static void append_rates(struct buffer *out, const struct snapshot_rates *rates)
{
    buffer_append_format(out,
                         ",\"rates\":{\"frames\":%.1f,\"bytes\":%.0f,\"appended\":%.1f,"
                         "\"committed\":%.1f,\"opsWritten\":%.1f}",
                         rates->frames, rates->bytes, rates->appended, rates->committed,
                         rates->ops_written);
}

static void append_alert(struct buffer *out, const struct snapshot_alert *alert)
{
    json_out_text(out, "{\"name\":", alert->name);
    json_out_text(out, ",\"severity\":", alert_severity_name(alert->severity));
    json_out_time(out, ",\"since\":", alert->since_us);
    json_out_text(out, ",\"text\":", alert->text);
    buffer_append_string(out, "},");
}

static void append_alerts_of(struct buffer *out, const struct metrics_snapshot *snapshot,
                             enum alert_severity severity)
{
    for (unsigned i = 0; i < snapshot->alert_count; i++) {
        if (snapshot->alerts[i].severity == severity) {
            append_alert(out, &snapshot->alerts[i]);
        }
    }
}

/* Those that are active, the worst first. */
static void append_alerts(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    buffer_append_string(out, ",\"alerts\":[");
    size_t before = out->size;
    append_alerts_of(out, snapshot, ALERT_CRITICAL);
    append_alerts_of(out, snapshot, ALERT_WARNING);
    out->size -= out->size > before; /* the last comma */
    buffer_append_byte(out, ']');
}

void api_metrics(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_ledger *ledger = &snapshot->ledger;
    const uint64_t *counts = ledger->is_known ? ledger->events : snapshot->sink.committed_entries;
    uint64_t errors = ledger->is_known ? ledger->errors : snapshot->sink.dead_entries;
    uint64_t total = 0;
    for (unsigned i = 0; i < EVENT_TYPE_COUNT; i++) {
        total += counts[i];
    }
    append_counts(out, counts, total);
    append_status(out, snapshot);
    buffer_append_string(out, ",\"errorRate\":");
    json_append_real(out, total == 0 ? 0.0 : 100.0 * (double)errors / (double)total);
    json_out_time(out, ",\"lastUpdate\":", snapshot->now_us);
    append_ledger(out, ledger);
    append_lag(out, snapshot);
    append_workers(out, snapshot);
    append_reload(out, snapshot);
    append_process(out, snapshot);
    append_intake(out, snapshot);
    append_stream(out, &snapshot->stream);
    append_rates(out, &snapshot->rates);
    append_alerts(out, snapshot);
    json_out_bool(out, ",\"ready\":", dependencies_are_fine(snapshot->dependencies));
    health_append_dependencies(out, snapshot);
    api_view(out, snapshot);
    buffer_append_byte(out, '}');
}
