#include <inttypes.h>

#include "http/metrics.h"

/* All metrics, in the order of the page: one reads here what standpipe tells about itself. */

#define AT(member)       .at = offsetof(struct metrics_snapshot, member)
#define KNOWN_BY(member) .known_at = offsetof(struct metrics_snapshot, member)
#define COUNTER(text)    .name = (text), .type = METRIC_COUNTER
#define GAUGE(text)      .name = (text), .type = METRIC_GAUGE
#define HISTOGRAM(text)  .name = (text), .type = METRIC_HISTOGRAM, .value = VALUE_TOTALS

/* --- labels ----------------------------------------------------------------------------------- */

static const char *pause_name(unsigned index)
{
    return pause_reason_name((enum pause_reason)index);
}

static const char *fault_name(unsigned index)
{
    return frame_fault_reason_name((enum frame_fault_reason)index);
}

static const char *event_name(unsigned index)
{
    static const char *const names[EVENT_TYPE_COUNT] = {[EVENT_COMMIT] = "commit",
                                                        [EVENT_IDENTITY] = "identity",
                                                        [EVENT_ACCOUNT] = "account",
                                                        [EVENT_SYNC] = "sync"};
    return names[index];
}

static const char *outcome_name(unsigned index)
{
    static const char *const names[ROW_OUTCOME_COUNT] = {[ROW_WRITTEN] = "written",
                                                         [ROW_UNCHANGED] = "unchanged",
                                                         [ROW_SKIPPED] = "skipped",
                                                         [ROW_DEAD] = "dead"};
    return names[index];
}

static const char *sqlstate_name(unsigned index)
{
    return snapshot_sqlstate_classes[index];
}

static const char *status_name(unsigned index)
{
    static const char *const names[HTTP_STATUS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    return names[index];
}

static const char *waiting_name(unsigned index)
{
    return index == 0 ? "pending" : "undelivered";
}

#define ARRAY_OF(text, function, number, type)                                                     \
    {                                                                                              \
        .label = (text), .name = (function), .count = (number), .stride = sizeof(type)             \
    }

static const struct metric_by by_pause = ARRAY_OF("reason", pause_name, PAUSE_COUNT, bool);
static const struct metric_by by_fault =
    ARRAY_OF("reason", fault_name, FRAME_FAULT_COUNT, uint64_t);
static const struct metric_by by_event = ARRAY_OF("type", event_name, EVENT_TYPE_COUNT, uint64_t);
static const struct metric_by by_outcome =
    ARRAY_OF("outcome", outcome_name, ROW_OUTCOME_COUNT, uint64_t);
static const struct metric_by by_sqlstate =
    ARRAY_OF("class", sqlstate_name, SQLSTATE_CLASS_COUNT, uint64_t);
static const struct metric_by by_status =
    ARRAY_OF("status", status_name, HTTP_STATUS_CLASSES, uint64_t);
/* `pending` and `undelivered` are neighbours. */
static const struct metric_by by_waiting = ARRAY_OF("state", waiting_name, 2, uint64_t);
_Static_assert(offsetof(struct snapshot_stream, undelivered) ==
                   offsetof(struct snapshot_stream, pending) + sizeof(uint64_t),
               "both states of the backlog are read as one array");
static const struct metric_by by_worker = {
    .label = "worker",
    .count_at = offsetof(struct metrics_snapshot, worker_count),
    .stride = sizeof(struct snapshot_worker),
};

/* --- those that no single figure of the snapshot says ------------------------------------------ */

static void write_build(struct buffer *out, const struct metric *metric,
                        const struct metrics_snapshot *snapshot)
{
    buffer_append_string(out, metric->name);
    metrics_append_label(out, "{", "version",
                         snapshot->version != NULL ? snapshot->version : "unknown");
    buffer_append_string(out, "} 1\n");
}

static void write_dependencies(struct buffer *out, const struct metric *metric,
                               const struct metrics_snapshot *snapshot)
{
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        bool is_fine = dependency_is_fine(snapshot->dependencies[i].state);
        buffer_append_string(out, metric->name);
        metrics_append_label(out, "{", "dependency", dependency_name((enum dependency)i));
        buffer_append_format(out, "} %d\n", is_fine);
    }
}

static void write_alerts(struct buffer *out, const struct metric *metric,
                         const struct metrics_snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->alert_count; i++) {
        const struct snapshot_alert *alert = &snapshot->alerts[i];
        buffer_append_string(out, metric->name);
        metrics_append_label(out, "{", "alert", alert->name);
        buffer_append_format(out, "} %d\n", alert->severity != ALERT_NONE);
    }
}

static void write_tables(struct buffer *out, const struct metric *metric,
                         const struct metrics_snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->sink.table_count; i++) {
        const struct snapshot_table *table = &snapshot->sink.tables[i];
        for (unsigned j = 0; j < ROW_OUTCOME_COUNT; j++) {
            buffer_append_string(out, metric->name);
            metrics_append_label(out, "{", "table", table->name);
            metrics_append_label(out, ",", "outcome", outcome_name(j));
            buffer_append_format(out, "} %" PRIu64 "\n", table->rows[j]);
        }
    }
}

static void write_unexplained(struct buffer *out, const struct metric *metric,
                              const struct metrics_snapshot *snapshot)
{
    buffer_append_format(out, "%s{side=\"intake\"} %" PRId64 "\n", metric->name,
                         ledger_unexplained_intake(&snapshot->ledger));
    buffer_append_format(out, "%s{side=\"stream\"} %" PRId64 "\n", metric->name,
                         ledger_unexplained_stream(&snapshot->ledger));
}

/* --- the table -------------------------------------------------------------------------------- */

const struct metric metrics_table[] = {
    {GAUGE("standpipe_build_info"), .unit = "1", .help = "The version that runs; always 1.",
     .value = VALUE_OWN, .labels = "version", .write = write_build},
    {GAUGE("standpipe_dependency_ready"), .unit = "0 or 1",
     .help = "Whether readiness is content with this dependency.", .value = VALUE_OWN,
     .labels = "dependency", .write = write_dependencies},
    {GAUGE("standpipe_alert_active"), .unit = "0 or 1",
     .help =
         "Whether this alert is active, as warning or as critical: docs/operations.md names each.",
     .value = VALUE_OWN, .labels = "alert", .write = write_alerts},

    /* the relay */
    {GAUGE("standpipe_ingest_leader"), .unit = "0 or 1",
     .help = "Whether this process reads the relay.", .value = VALUE_FLAG, AT(relay.is_leader)},
    {GAUGE("standpipe_relay_connected"), .unit = "0 or 1",
     .help = "Whether the subscription is open.", .value = VALUE_FLAG, AT(relay.is_connected)},
    {GAUGE("standpipe_relay_stopped"), .unit = "0 or 1",
     .help = "Whether reading has stopped until an operator decides.", .value = VALUE_FLAG,
     AT(relay.is_stopped)},
    {COUNTER("standpipe_relay_frames_total"), .unit = "frames",
     .help = "Messages received from the relay.", AT(relay.frames)},
    {COUNTER("standpipe_relay_bytes_total"), .unit = "bytes",
     .help = "Bytes read from the relay's socket, TLS included.", AT(relay.bytes)},
    {COUNTER("standpipe_relay_reconnects_total"), .unit = "connections",
     .help = "Connections to the relay after the first.", AT(relay.reconnects)},
    {COUNTER("standpipe_relay_gaps_total"), .unit = "sequences",
     .help = "Sequences that the relay left out.", AT(relay.gaps)},
    {GAUGE("standpipe_relay_sequence"), .unit = "sequence",
     .help = "Newest sequence read from the relay.", .value = VALUE_MARK, AT(relay.sequence)},
    {GAUGE("standpipe_relay_last_event_timestamp_seconds"), .unit = "seconds since 1970",
     .help = "Time that the newest event read from the relay carries.", .value = VALUE_TIME,
     AT(relay.last_event_us)},
    {GAUGE("standpipe_relay_paused"), .unit = "0 or 1",
     .help = "Whether reading the relay waits, by reason.", .value = VALUE_FLAG,
     AT(relay.is_paused), .by = &by_pause},
    {COUNTER("standpipe_relay_paused_seconds_total"), .unit = "seconds",
     .help = "Time in which back-pressure kept the relay waiting.", .value = VALUE_MICROSECONDS,
     AT(relay.paused_us)},
    {GAUGE("standpipe_relay_certificate_expiry_timestamp_seconds"), .unit = "seconds since 1970",
     .help = "When the relay's certificate ends; left out without TLS.", .value = VALUE_TIME,
     AT(relay.certificate_expiry_us)},
    {COUNTER("standpipe_decode_errors_total"), .unit = "frames",
     .help = "Frames that were refused whole, by reason.", AT(relay.decode_errors),
     .by = &by_fault},

    /* from the relay into the stream */
    {COUNTER("standpipe_received_events_total"), .unit = "events",
     .help = "Events taken from the relay: appended + duplicate + filtered + ignored + dead + "
             "waiting.",
     AT(intake.received)},
    {COUNTER("standpipe_appended_events_total"), .unit = "events",
     .help = "Events appended to the stream.", AT(intake.appended)},
    {COUNTER("standpipe_duplicate_events_total"), .unit = "events",
     .help = "Events that the stream had already.", AT(intake.duplicate)},
    {COUNTER("standpipe_filtered_events_total"), .unit = "events",
     .help = "Events of which the collection filter left nothing.", AT(intake.filtered)},
    {COUNTER("standpipe_ignored_events_total"), .unit = "events",
     .help = "Events of an unknown type.", AT(intake.ignored)},
    {COUNTER("standpipe_undecodable_events_total"), .unit = "events",
     .help = "Events that went to the dead letters before the stream.", AT(intake.dead)},
    {GAUGE("standpipe_waiting_events"), .unit = "events",
     .help = "Events read from the relay and not yet appended.", AT(intake.waiting)},

    /* the stream */
    {GAUGE("standpipe_stream_entries"), .unit = "entries", .help = "Length of the stream.",
     AT(stream.length), KNOWN_BY(stream.is_known)},
    {GAUGE("standpipe_stream_backlog_entries"), .unit = "entries",
     .help = "Entries not yet acknowledged: delivered (pending) or not (undelivered, the lag).",
     AT(stream.pending), KNOWN_BY(stream.is_known), .by = &by_waiting},
    {GAUGE("standpipe_stream_lag_known"), .unit = "0 or 1",
     .help = "Whether Redis tells the group's lag; 0: it is counted by standpipe.",
     .value = VALUE_FLAG, AT(stream.is_lag_known), KNOWN_BY(stream.is_known)},
    {GAUGE("standpipe_stream_oldest_pending_seconds"), .unit = "seconds",
     .help = "How long the oldest pending entry waits for its acknowledgement.",
     .value = VALUE_MILLISECONDS, AT(stream.oldest_pending_ms), KNOWN_BY(stream.is_known)},
    {COUNTER("standpipe_stream_claimed_entries_total"), .unit = "entries",
     .help = "Entries taken over from dead consumers.", AT(sink.claimed)},
    {COUNTER("standpipe_stream_trimmed_entries_total"), .unit = "entries",
     .help = "Entries trimmed after every group had acknowledged them.", AT(sink.trimmed)},
    {COUNTER("standpipe_group_rewinds_total"), .unit = "rewinds",
     .help = "Times that this process set the group back because PostgreSQL went back in time.",
     AT(sink.rewinds)},
    {COUNTER("standpipe_group_late_batches_total"), .unit = "batches",
     .help = "Batches that were not acknowledged since the group was set back meanwhile.",
     AT(sink.late)},
    {COUNTER("standpipe_stream_trimmed_unread_entries_total"), .unit = "entries",
     .help = "Entries that were gone before they were acknowledged; anything but 0 is an alarm.",
     AT(sink.trimmed_unread)},
    {GAUGE("standpipe_queued_sequence"), .unit = "sequence",
     .help = "All events up to this sequence are in the stream.", .value = VALUE_MARK,
     AT(relay.queued_sequence)},
    {GAUGE("standpipe_committed_sequence"), .unit = "sequence",
     .help = "All events up to this sequence are in PostgreSQL.", .value = VALUE_MARK,
     AT(relay.committed_sequence)},
    {GAUGE("standpipe_dead_letters"), .unit = "letters", .help = "Undecided dead letters.",
     AT(stream.dead_letters), KNOWN_BY(stream.is_known)},
    {GAUGE("standpipe_redis_memory_bytes"), .unit = "bytes", .help = "Memory that Redis uses.",
     AT(stream.memory_bytes), KNOWN_BY(stream.is_known)},
    {GAUGE("standpipe_redis_memory_limit_bytes"), .unit = "bytes",
     .help = "Redis' maxmemory; left out where there is none.", .value = VALUE_MARK,
     AT(stream.memory_limit_bytes), KNOWN_BY(stream.is_known)},

    /* from the stream into PostgreSQL */
    {COUNTER("standpipe_committed_entries_total"), .unit = "entries",
     .help = "Entries whose transaction has committed, by type.", AT(sink.committed_entries),
     .by = &by_event},
    {COUNTER("standpipe_dead_entries_total"), .unit = "entries",
     .help = "Entries of which nothing but dead letters came.", AT(sink.dead_entries)},
    {HISTOGRAM("standpipe_batch_rows"), .unit = "rows",
     .help = "Entries of one read, which are written and acknowledged together.",
     AT(sink.batch_rows)},
    {HISTOGRAM("standpipe_batch_seconds"), .unit = "seconds",
     .help = "Time of a batch from its reading to its commit.", AT(sink.batch_us)},
    {HISTOGRAM("standpipe_commit_seconds"), .unit = "seconds",
     .help = "Time that PostgreSQL took for a transaction, COMMIT included.", AT(sink.commit_us)},
    {HISTOGRAM("standpipe_event_to_commit_seconds"), .unit = "seconds",
     .help = "Time from an event's own time to its commit.", AT(sink.event_commit_us)},
    {COUNTER("standpipe_rows_total"), .unit = "rows",
     .help = "What became of rows, by table and outcome.", .value = VALUE_OWN,
     .labels = "table, outcome", .write = write_tables},
    {COUNTER("standpipe_forgotten_tombstones_total"), .unit = "tombstones",
     .help = "Deletes that are no longer remembered: nothing that they guard against can come.",
     AT(sink.forgotten)},
    {COUNTER("standpipe_lane_wait_seconds_total"), .unit = "seconds",
     .help =
         "Time in which a worker had an idle connection, and other transactions of this process "
         "had the lanes of all that waited; added up over workers.",
     .value = VALUE_MICROSECONDS, AT(sink.lane_wait_us)},
    {COUNTER("standpipe_lane_bypasses_total"), .unit = "parts",
     .help = "Parts of batches that went without their lane, which was taken for over two seconds.",
     AT(sink.lane_bypasses)},
    {COUNTER("standpipe_postgres_errors_total"), .unit = "errors",
     .help = "Errors of PostgreSQL, by the class of their SQLSTATE; none: it did not answer.",
     AT(sink.errors), .by = &by_sqlstate},
    {GAUGE("standpipe_last_commit_timestamp_seconds"), .unit = "seconds since 1970",
     .help = "When a transaction committed last.", .value = VALUE_TIME, AT(sink.last_commit_us)},

    /* workers */
    {GAUGE("standpipe_worker_loop_lag_seconds"), .unit = "seconds",
     .help = "How late the last timer of a worker's loop was.", .value = VALUE_MICROSECONDS,
     AT(workers[0].loop_lag_us), .by = &by_worker},
    {GAUGE("standpipe_worker_heartbeat_age_seconds"), .unit = "seconds",
     .help = "How long ago a worker's loop turned last.", .value = VALUE_MILLISECONDS,
     AT(workers[0].heartbeat_age_ms), .by = &by_worker},
    {GAUGE("standpipe_worker_reading"), .unit = "0 or 1",
     .help = "Whether Redis lets all readers of a worker read and acknowledge.",
     .value = VALUE_INVERSE_FLAG, AT(workers[0].is_reading_hindered), .by = &by_worker},
    {GAUGE("standpipe_worker_in_flight_entries"), .unit = "entries",
     .help = "Entries that a worker has read and not yet acknowledged.", AT(workers[0].in_flight),
     .by = &by_worker},
    {COUNTER("standpipe_worker_committed_entries_total"), .unit = "entries",
     .help = "Entries that a worker has committed.", AT(workers[0].committed), .by = &by_worker},

    /* the ledger of the whole stream */
    {COUNTER("standpipe_ledger_ops_total"), .unit = "ops",
     .help = "What became of ops, of all processes and across restarts.", AT(ledger.ops),
     KNOWN_BY(ledger.is_known), .by = &by_outcome},
    {GAUGE("standpipe_ledger_unexplained_events"), .unit = "events",
     .help = "What the ledger cannot say where it went; anything that stays off 0 is a fault.",
     .value = VALUE_OWN, KNOWN_BY(ledger.is_known), .labels = "side", .write = write_unexplained},

    /* the process */
    {GAUGE("standpipe_config_last_reload_successful"), .unit = "0 or 1",
     .help = "0: the last reload was refused and changed nothing.", .value = VALUE_INVERSE_FLAG,
     AT(reload.was_refused)},
    {GAUGE("standpipe_config_last_reload_success_timestamp_seconds"), .unit = "seconds since 1970",
     .help = "When a configuration was taken last.", .value = VALUE_TIME, AT(reload.success_us)},
    {GAUGE("standpipe_http_connections"), .unit = "connections", .help = "Open HTTP connections.",
     AT(server.connections)},
    {COUNTER("standpipe_http_refused_connections_total"), .unit = "connections",
     .help = "HTTP connections over the cap.", AT(server.refused)},
    {COUNTER("standpipe_http_busy_seconds_total"), .unit = "seconds",
     .help = "CPU of thread 0 that HTTP took; it gets 5 % of it where clients ask for more.",
     .value = VALUE_MICROSECONDS, AT(server.busy_us)},
    {GAUGE("standpipe_http_event_streams"), .unit = "streams",
     .help = "Dashboards and others that listen to server-sent events.", AT(server.event_streams)},
    {COUNTER("standpipe_http_skipped_events_total"), .unit = "events",
     .help = "Server-sent events that a slow reader was not sent.", AT(server.skipped_events)},
    {COUNTER("standpipe_http_responses_total"), .unit = "responses",
     .help = "HTTP responses, by class of status.", AT(server.responses), .by = &by_status},
    {COUNTER("process_cpu_seconds_total"), .unit = "seconds",
     .help = "CPU time, of user and system.", .value = VALUE_MICROSECONDS, AT(process.cpu_us),
     KNOWN_BY(process.is_known)},
    {GAUGE("process_resident_memory_bytes"), .unit = "bytes", .help = "Memory in RAM.",
     AT(process.resident_bytes), KNOWN_BY(process.is_known)},
    {GAUGE("process_virtual_memory_bytes"), .unit = "bytes", .help = "Address space.",
     AT(process.virtual_bytes), KNOWN_BY(process.is_known)},
    {GAUGE("process_open_fds"), .unit = "descriptors", .help = "Open descriptors.",
     AT(process.descriptors), KNOWN_BY(process.is_known)},
    {GAUGE("process_max_fds"), .unit = "descriptors", .help = "Limit of open descriptors.",
     .value = VALUE_MARK, AT(process.descriptor_limit), KNOWN_BY(process.is_known)},
    {GAUGE("process_threads"), .unit = "threads", .help = "Threads.", AT(process.threads),
     KNOWN_BY(process.is_known)},
    {GAUGE("process_start_time_seconds"), .unit = "seconds since 1970",
     .help = "When the process started.", .value = VALUE_TIME, AT(process.start_us),
     KNOWN_BY(process.is_known)},
};

const size_t metrics_count = sizeof(metrics_table) / sizeof(metrics_table[0]);
