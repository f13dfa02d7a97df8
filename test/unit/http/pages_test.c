/* Health pages and /api/metrics, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "atproto/json_scan.h"
#include "http/api.h"
#include "http/health.h"
#include "unit/http/sample.h"

/* Zero-terminated, and one JSON value with nothing after it. */
static void expect_json(struct buffer *body)
{
    struct arena arena = {0};
    struct slice value;
    buffer_append_byte(body, '\0');
    body->size--;
    struct json_scan scan = json_scan_over(buffer_slice(body), &arena);
    assert_true(json_scan_value(&scan, &value));
    assert_true(json_scan_is_at_end(&scan));
    arena_deinit(&arena);
}

static void expect_text(const struct buffer *body, const char *text)
{
    if (strstr(body->data, text) == NULL) {
        fail_msg("missing `%s` in: %s", text, body->data);
    }
}

/* --- liveness -------------------------------------------------------------------------------------- */

static void liveness_is_about_the_loops_only(void **state)
{
    (void)state;
    struct response response = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        snapshot->dependencies[i].state = DEPENDENCY_AWAY;
    }
    health_livez(&response, snapshot, 15000);
    expect_json(&response.body);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data, "{\"status\":\"alive\",\"loops\":3,\"stalled\":[]}\n");
    buffer_deinit(&response.body);
}

static void a_loop_that_stands_still_is_named(void **state)
{
    (void)state;
    struct response response = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->workers[1].heartbeat_age_ms = 15001;
    snapshot->workers[2].heartbeat_age_ms = 20500;
    health_livez(&response, snapshot, 15000);
    expect_json(&response.body);
    assert_int_equal(response.status, 503);
    expect_text(&response.body, "\"stalled\":[{\"worker\":1,\"seconds\":15.001},"
                                "{\"worker\":2,\"seconds\":20.500}]");
    buffer_clear(&response.body);
    health_health(&response, snapshot, 15000);
    expect_json(&response.body);
    assert_int_equal(response.status, 503);
    expect_text(&response.body, "{\"status\":\"unhealthy\"");
    buffer_deinit(&response.body);
}

static void health_has_the_shape_of_the_reference_system(void **state)
{
    (void)state;
    struct response response = {0};
    health_health(&response, sample_snapshot(), 15000);
    expect_json(&response.body);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data,
                        "{\"status\":\"healthy\",\"timestamp\":\"2026-01-01T00:00:00.000Z\"}\n");
    buffer_deinit(&response.body);
}

/* --- readiness ------------------------------------------------------------------------------------- */

static void readiness_names_every_dependency_with_its_state(void **state)
{
    (void)state;
    struct response response = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->dependencies[DEPENDENCY_BACKLOG].state = DEPENDENCY_CATCHING_UP;
    health_readyz(&response, snapshot);
    expect_json(&response.body);
    assert_int_equal(response.status, 200);
    expect_text(&response.body, "{\"status\":\"ready\",\"timestamp\":");
    expect_text(&response.body, "\"relay\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\","
                                "\"since\":\"2025-12-31T23:59:59.000Z\"}");
    expect_text(&response.body, "\"backlog\":{\"ready\":true,\"state\":\"catching up\"");
    expect_text(&response.body, "\"dead_letters\":{");
    buffer_deinit(&response.body);
}

static void each_bad_state_of_each_dependency_fails_readiness_with_its_reason(void **state)
{
    (void)state;
    static const enum dependency_state bad[] = {DEPENDENCY_STARTING, DEPENDENCY_PAUSED,
                                                DEPENDENCY_DRAINING, DEPENDENCY_MISCONFIGURED,
                                                DEPENDENCY_AWAY};
    struct response response = {0};
    for (unsigned i = 0; i < DEPENDENCY_COUNT * 5; i++) {
        struct metrics_snapshot *snapshot = sample_snapshot();
        struct snapshot_dependency *dependency = &snapshot->dependencies[i / 5];
        dependency->state = bad[i % 5];
        dependency->since_us = 0;
        (void)snprintf(dependency->reason, sizeof(dependency->reason), "it \"said\" %u\n", i);
        buffer_clear(&response.body);
        health_readyz(&response, snapshot);
        expect_json(&response.body);
        assert_int_equal(response.status, 503);
        expect_text(&response.body, "{\"status\":\"not ready\"");
        expect_text(&response.body, dependency_state_name(bad[i % 5]));
        expect_text(&response.body, "\"reason\":\"it \\\"said\\\" ");
        expect_text(&response.body, "\"since\":null");
    }
    buffer_deinit(&response.body);
}

static void a_dependency_that_nobody_filled_in_is_starting_and_not_ready(void **state)
{
    (void)state;
    struct response response = {0};
    health_readyz(&response, sample_empty());
    expect_json(&response.body);
    assert_int_equal(response.status, 503);
    expect_text(&response.body, "\"redis\":{\"ready\":false,\"state\":\"starting\"");
    buffer_deinit(&response.body);
}

static void ready_has_the_shape_of_the_reference_system(void **state)
{
    (void)state;
    struct response response = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->process.machine_memory_percent = 42.9;
    health_ready(&response, snapshot);
    expect_json(&response.body);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body.data,
                        "{\"status\":\"ready\",\"timestamp\":\"2026-01-01T00:00:00.000Z\","
                        "\"checks\":{\"firehose\":\"connected\",\"database\":\"healthy\","
                        "\"memory\":\"ok\"}}\n");
    snapshot->dependencies[DEPENDENCY_SCHEMA].state = DEPENDENCY_MISCONFIGURED;
    snapshot->dependencies[DEPENDENCY_RELAY].state = DEPENDENCY_AWAY;
    snapshot->relay.is_connected = false;
    snapshot->process.machine_memory_percent = 97.0;
    buffer_clear(&response.body);
    health_ready(&response, snapshot);
    expect_json(&response.body);
    assert_int_equal(response.status, 503);
    expect_text(&response.body, "{\"status\":\"not ready\",");
    expect_text(&response.body, "\"checks\":{\"firehose\":\"disconnected\",\"database\":"
                                "\"unhealthy\",\"memory\":\"critical\"},"
                                "\"details\":{\"firehose\":{\"connected\":false,\"url\":"
                                "\"wss://relay.example\",\"currentCursor\":\"9007199254740990\"},"
                                "\"memory\":{\"percentUsed\":97}}}");
    buffer_deinit(&response.body);
}

/* --- the API ---------------------------------------------------------------------------------------- */

static void api_metrics_is_what_the_contract_says(void **state)
{
    (void)state;
    struct buffer body = {0};
    api_metrics(&body, sample_snapshot());
    expect_json(&body);
    expect_text(
        &body,
        "{\"eventsProcessed\":525,"
        "\"eventCounts\":{\"#commit\":500,\"#identity\":10,\"#account\":10,\"#sync\":5},"
        "\"firehoseStatus\":{\"connected\":true,\"url\":\"wss://relay.example\","
        "\"currentCursor\":\"9007199254740990\",\"isConnected\":true,\"queueDepth\":370,"
        "\"streamLength\":5000,\"deadLetterLength\":12},\"errorRate\":4,"
        "\"lastUpdate\":\"2026-01-01T00:00:00.000Z\","
        "\"ledger\":{\"received\":1001,\"appended\":900,\"duplicate\":50,\"filtered\":30,"
        "\"ignored\":10,\"dead\":5,\"waiting\":6,\"committed\":525,\"deadEntries\":5,"
        "\"pending\":300,\"undelivered\":70,"
        "\"ops\":{\"written\":400,\"unchanged\":90,\"skipped\":8,\"dead\":2},"
        "\"unexplained\":{\"intake\":0,\"stream\":0}},"
        "\"lag\":{\"pending\":300,\"undelivered\":70,\"isKnown\":true,"
        "\"oldestPendingSeconds\":1.250,\"eventToCommitSeconds\":0.812,\"behindSeconds\":0.812,"
        "\"sequence\":9007199254740991,\"queuedSequence\":9007199254740990,"
        "\"committedSequence\":9007199254740900,\"lastEvent\":\"2025-12-31T23:59:59.750Z\","
        "\"lastCommit\":\"2025-12-31T23:59:59.999Z\"},"
        "\"workers\":[{\"worker\":0,\"postgres\":\"ready\",\"committed\":10,\"inFlight\":20,"
        "\"loopLagSeconds\":0.001,\"heartbeatAgeSeconds\":0.100},"
        "{\"worker\":1,\"postgres\":\"ready\",\"committed\":11,\"inFlight\":21,"
        "\"loopLagSeconds\":0.001,\"heartbeatAgeSeconds\":0.101},"
        "{\"worker\":2,\"postgres\":\"ready\",\"committed\":12,\"inFlight\":22,"
        "\"loopLagSeconds\":0.001,\"heartbeatAgeSeconds\":0.102}],");
    expect_text(&body,
                "\"relay\":{\"ingests\":true,\"frames\":1001,\"bytes\":1002,\"reconnects\":3,"
                "\"gaps\":4,\"pausedSeconds\":1.500,\"pausedFor\":[\"redis\"],"
                "\"certificateExpiry\":\"2026-01-02T00:00:00.000Z\"}");
    expect_text(&body, "\"redis\":{\"memoryBytes\":1048576,\"memoryLimitBytes\":1073741824}");
    expect_text(&body, "\"rates\":{\"frames\":250.5,\"bytes\":1000000,\"appended\":240.0,"
                       "\"committed\":239.0,\"opsWritten\":260.0}");
    expect_text(&body, "\"version\":\"1.2.3\",\"startTime\":\"2025-12-31T23:59:55.000Z\","
                       "\"process\":{\"pid\":4711,");
    expect_text(&body, "\"reload\":{\"number\":3,\"isRunning\":false,\"wasRefused\":false,"
                       "\"why\":\"\",\"time\":\"2026-01-01T00:00:00.000Z\",\"changes\":[{\"key\":"
                       "\"log.level\"}]}");
    expect_text(&body, "\"ready\":true,\"dependencies\":{\"relay\":{\"ready\":true,");
    expect_text(&body,
                ",\"consumer\":\"host-0\",\"received\":1001,\"committed\":77,\"state\":{"
                "\"dependency\":null,"
                "\"state\":\"ready\",\"reason\":\"\",\"since\":\"2025-12-31T23:59:59.000Z\"}");
    expect_text(&body, "\"thresholds\":{\"depthWarning\":100,\"depthCritical\":250,"
                       "\"maxBacklog\":500,\"lagWarningSeconds\":60.000,\"maxDeadLetters\":1000}");
    expect_text(&body,
                "\"collections\":{\"items\":[{\"collection\":\"app.bsky.feed.like\",\"ops\":7}"
                "],\"other\":3}");
    expect_text(&body,
                "\"deadLetters\":[{\"reason\":\"bad path\",\"letters\":12,\"newest\":{"
                "\"id\":\"9\",\"seq\":\"77\",\"time\":null,\"type\":\"commit\","
                "\"collection\":\"\",\"error\":\"22P02: because\",\"data\":\"{\\\"n\\\":1}\"}}]");
    buffer_deinit(&body);
}

static void the_api_lists_the_alerts_that_are_active_the_worst_first(void **state)
{
    (void)state;
    struct buffer body = {0};
    api_metrics(&body, sample_snapshot());
    expect_json(&body);
    expect_text(&body, "\"alerts\":[{\"name\":\"lag\",\"severity\":\"critical\","
                       "\"since\":\"2025-12-31T23:59:58.000Z\",\"text\":\"it \\\"is\\\" late\"},"
                       "{\"name\":\"backlog\",\"severity\":\"warning\",");
    assert_null(strstr(body.data, "\"quiet\""));
    buffer_deinit(&body);
}

static void what_the_api_does_not_know_is_null(void **state)
{
    (void)state;
    struct buffer body = {0};
    api_metrics(&body, sample_empty());
    expect_json(&body);
    expect_text(&body, "{\"eventsProcessed\":0,");
    expect_text(&body, "\"url\":\"unknown\",\"currentCursor\":null,\"isConnected\":false,"
                       "\"queueDepth\":null,\"streamLength\":null,\"deadLetterLength\":null}");
    expect_text(&body, "\"errorRate\":0,");
    expect_text(&body,
                "\"ledger\":null,\"lag\":{\"pending\":null,\"undelivered\":null,\"isKnown\":false,"
                "\"oldestPendingSeconds\":null,\"eventToCommitSeconds\":null,"
                "\"behindSeconds\":null,\"sequence\":null,");
    expect_text(&body, "\"cpuSeconds\":null,");
    expect_text(&body, "\"workers\":[],");
    expect_text(&body, "\"time\":null,\"changes\":[]}");
    expect_text(&body, "\"alerts\":[],");
    expect_text(&body, "\"state\":{\"dependency\":\"relay\",\"state\":\"starting\"");
    expect_text(&body, "\"deadLetters\":[]}");
    buffer_deinit(&body);
}

static void what_redis_said_last_is_not_shown_once_it_says_nothing(void **state)
{
    (void)state;
    struct buffer body = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->stream.is_known = false;
    api_metrics(&body, snapshot);
    expect_json(&body);
    expect_text(&body, "\"lag\":{\"pending\":null,\"undelivered\":null,\"isKnown\":false,"
                       "\"oldestPendingSeconds\":null,\"eventToCommitSeconds\":0.812,"
                       "\"behindSeconds\":null,");
    buffer_deinit(&body);
}

static void the_state_of_all_is_that_of_the_worst(void **state)
{
    (void)state;
    struct buffer body = {0};
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->dependencies[DEPENDENCY_BACKLOG].state = DEPENDENCY_CATCHING_UP;
    assert_int_equal(dependency_worst(snapshot->dependencies), DEPENDENCY_BACKLOG);
    snapshot->dependencies[DEPENDENCY_POSTGRES].state = DEPENDENCY_MISCONFIGURED;
    snapshot->dependencies[DEPENDENCY_REDIS].state = DEPENDENCY_AWAY;
    (void)snprintf(snapshot->dependencies[DEPENDENCY_POSTGRES].reason, SNAPSHOT_REASON_SIZE, "why");
    api_metrics(&body, snapshot);
    expect_json(&body);
    expect_text(&body, "\"state\":{\"dependency\":\"postgres\",\"state\":\"misconfigured\","
                       "\"reason\":\"why\",\"since\":\"2025-12-31T23:59:59.000Z\"}");
    buffer_deinit(&body);
}

static void an_imbalance_of_the_ledger_is_told_with_its_sign(void **state)
{
    (void)state;
    struct metrics_snapshot *snapshot = sample_snapshot();
    snapshot->ledger.received += 3;
    snapshot->ledger.committed += 2;
    assert_int_equal(ledger_unexplained_intake(&snapshot->ledger), 3);
    assert_int_equal(ledger_unexplained_stream(&snapshot->ledger), -2);
}

static void the_process_knows_itself(void **state)
{
    (void)state;
    struct process_usage usage;
    process_usage_read(&usage);
    assert_true(usage.is_known);
    assert_true(usage.resident_bytes > 100000 && usage.virtual_bytes >= usage.resident_bytes);
    assert_true(usage.descriptors >= 3 && usage.descriptors <= usage.descriptor_limit);
    assert_true(usage.threads >= 1);
    assert_true(usage.start_us > INT64_C(1500000000000000));
    assert_true(usage.machine_memory_percent > 0 && usage.machine_memory_percent <= 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(liveness_is_about_the_loops_only),
        cmocka_unit_test(a_loop_that_stands_still_is_named),
        cmocka_unit_test(health_has_the_shape_of_the_reference_system),
        cmocka_unit_test(readiness_names_every_dependency_with_its_state),
        cmocka_unit_test(each_bad_state_of_each_dependency_fails_readiness_with_its_reason),
        cmocka_unit_test(a_dependency_that_nobody_filled_in_is_starting_and_not_ready),
        cmocka_unit_test(ready_has_the_shape_of_the_reference_system),
        cmocka_unit_test(api_metrics_is_what_the_contract_says),
        cmocka_unit_test(what_the_api_does_not_know_is_null),
        cmocka_unit_test(what_redis_said_last_is_not_shown_once_it_says_nothing),
        cmocka_unit_test(the_api_lists_the_alerts_that_are_active_the_worst_first),
        cmocka_unit_test(the_state_of_all_is_that_of_the_worst),
        cmocka_unit_test(an_imbalance_of_the_ledger_is_told_with_its_sign),
        cmocka_unit_test(the_process_knows_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
