#include "unit/http/sample.h"

#include <stdio.h>
#include <string.h>

enum {
    WORKERS = 3
};
#define NOW_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */

static struct metrics_snapshot snapshot;

struct metrics_snapshot *sample_empty(void)
{
    memset(&snapshot, 0, sizeof(snapshot));
    return &snapshot;
}

static void fill_dependencies(void)
{
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        snapshot.dependencies[i].state = DEPENDENCY_READY;
        snapshot.dependencies[i].since_us = NOW_US - 1000000;
    }
}

static void fill_relay(void)
{
    snapshot.relay = (struct snapshot_relay){
        .url = "wss://relay.example",
        .is_connected = true,
        .is_leader = true,
        .is_stopped = true,
        .is_paused = {[PAUSE_REDIS] = true},
        .frames = 1001,
        .bytes = 1002,
        .reconnects = 3,
        .gaps = 4,
        .decode_errors = {[FRAME_FAULT_CAR] = 5},
        .paused_us = 1500000,
        .sequence = 9007199254740991,
        .queued_sequence = 9007199254740990,
        .committed_sequence = 9007199254740900,
        .last_event_us = NOW_US - 250000,
        .certificate_expiry_us = NOW_US + 86400000000,
    };
    snapshot.intake = (struct snapshot_intake){1001, 900, 50, 30, 10, 5, 6};
}

static void fill_stream(void)
{
    snapshot.stream = (struct snapshot_stream){
        .is_known = true,
        .length = 5000,
        .pending = 300,
        .undelivered = 70,
        .is_lag_known = true,
        .oldest_pending_ms = 1250,
        .dead_letters = 12,
        .memory_bytes = 1 << 20,
        .memory_limit_bytes = 1 << 30,
    };
    snapshot.ledger = (struct snapshot_ledger){
        .is_known = true,
        .received = 1001,
        .appended = 900,
        .duplicate = 50,
        .filtered = 30,
        .ignored = 10,
        .dead = 5,
        .waiting = 6,
        .committed = 525,
        .dead_entries = 5,
        .pending = 300,
        .undelivered = 70,
        .ops = {400, 90, 8, 2},
        .events = {500, 10, 10, 5},
        .errors = 21,
    };
}

static void fill_sink(void)
{
    struct histogram rows;
    struct histogram times;
    struct snapshot_sink *sink = &snapshot.sink;
    histogram_init(&rows, &histogram_scale_rows);
    histogram_record(&rows, 300);
    histogram_record(&rows, 9000);
    histogram_collect(&sink->batch_rows, &rows);
    histogram_init(&times, &histogram_scale_short);
    histogram_record(&times, 2500);
    histogram_collect(&sink->batch_us, &times);
    histogram_collect(&sink->commit_us, &times);
    histogram_init(&times, &histogram_scale_long);
    histogram_record(&times, 700000);
    histogram_collect(&sink->event_commit_us, &times);
    sink->committed_entries[EVENT_COMMIT] = 77;
    sink->errors[snapshot_sqlstate_class("23502")] = 9;
    sink->lane_wait_us = 2750000;
    sink->lane_bypasses = 11;
    sink->last_commit_us = NOW_US - 1;
    sink->event_lag_us = 812345;
    sink->table_count = 2;
    sink->tables[0] = (struct snapshot_table){"records", {1, 2, 3, 4}};
    sink->tables[1] = (struct snapshot_table){"od\"d\\\n", {5, 6, 7, 8}};
}

static void fill_alerts(void)
{
    snapshot.alert_count = 3;
    snapshot.alerts[0] = (struct snapshot_alert){"quiet", ALERT_NONE, 0, "nothing"};
    snapshot.alerts[1] =
        (struct snapshot_alert){"backlog", ALERT_WARNING, NOW_US - 1000000, "many entries"};
    snapshot.alerts[2] =
        (struct snapshot_alert){"lag", ALERT_CRITICAL, NOW_US - 2000000, "it \"is\" late"};
}

static void fill_view(void)
{
    struct snapshot_view *view = &snapshot.view;
    view->process = "host-0";
    view->thresholds = (struct snapshot_thresholds){100, 250, 500, 60000000, 1000};
    view->collections.count = 1;
    view->collections.items[0].name = "app.bsky.feed.like";
    view->collections.items[0].ops = 7;
    view->collections.other = 3;
    view->letters.count = 1;
    view->letters.kinds[0] = (struct snapshot_letter_kind){
        .letters = 12,
        .reason = "bad path",
        .id = "9",
        .seq = "77",
        .type = "commit",
        .collection = "",
        .error = "22P02: because",
        .data = "{\"n\":1}",
    };
}

struct metrics_snapshot *sample_snapshot(void)
{
    (void)sample_empty();
    snapshot.version = "1.2.3";
    snapshot.now_us = NOW_US;
    fill_dependencies();
    fill_relay();
    fill_stream();
    fill_sink();
    snapshot.reload.pid = 4711;
    snapshot.reload.number = 3;
    snapshot.reload.verdict_us = NOW_US;
    snapshot.reload.changes = SLICE("[{\"key\":\"log.level\"}]");
    snapshot.started_us = NOW_US - 5000000;
    snapshot.rates = (struct snapshot_rates){250.5, 1000000, 240, 239, 260};
    fill_alerts();
    fill_view();
    snapshot.reload.success_us = NOW_US - 5000000;
    snapshot.worker_count = WORKERS;
    for (unsigned i = 0; i < WORKERS; i++) {
        snapshot.workers[i] = (struct snapshot_worker){
            .heartbeat_age_ms = 100 + i,
            .loop_lag_us = 1000 + i,
            .committed = 10 + i,
            .in_flight = 20 + i,
            .postgres = DEPENDENCY_READY,
        };
    }
    process_usage_read(&snapshot.process);
    return &snapshot;
}
