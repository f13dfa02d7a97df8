#include "http/health.h"

#include "http/json_out.h"

static unsigned stalled_loops(const struct metrics_snapshot *snapshot, uint64_t timeout_ms)
{
    unsigned count = 0;
    for (unsigned i = 0; i < snapshot->worker_count; i++) {
        count += snapshot->workers[i].heartbeat_age_ms > timeout_ms;
    }
    return count;
}

void health_livez(struct response *response, const struct metrics_snapshot *snapshot,
                  uint64_t timeout_ms)
{
    unsigned stalled = stalled_loops(snapshot, timeout_ms);
    struct buffer *out = &response->body;
    const char *separator = "";
    response_begin(response, stalled > 0 ? 503 : 200, CONTENT_JSON);
    json_out_text(out, "{\"status\":", stalled > 0 ? "stalled" : "alive");
    json_out_number(out, ",\"loops\":", snapshot->worker_count);
    buffer_append_string(out, ",\"stalled\":[");
    for (unsigned i = 0; i < snapshot->worker_count; i++) {
        uint64_t age_ms = snapshot->workers[i].heartbeat_age_ms;
        if (age_ms > timeout_ms) {
            buffer_append_format(out, "%s{\"worker\":%u", separator, i);
            json_out_seconds(out, ",\"seconds\":", age_ms * 1000);
            buffer_append_byte(out, '}');
            separator = ",";
        }
    }
    buffer_append_string(out, "]}\n");
}

void health_health(struct response *response, const struct metrics_snapshot *snapshot,
                   uint64_t timeout_ms)
{
    bool is_alive = stalled_loops(snapshot, timeout_ms) == 0;
    response_begin(response, is_alive ? 200 : 503, CONTENT_JSON);
    json_out_text(&response->body, "{\"status\":", is_alive ? "healthy" : "unhealthy");
    json_out_time(&response->body, ",\"timestamp\":", snapshot->now_us);
    buffer_append_string(&response->body, "}\n");
}

static bool is_fine(const struct metrics_snapshot *snapshot, enum dependency which)
{
    return dependency_is_fine(snapshot->dependencies[which].state);
}

void health_append_dependencies(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    buffer_append_string(out, ",\"dependencies\":{");
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        const struct snapshot_dependency *dependency = &snapshot->dependencies[i];
        buffer_append_format(out, "%s\"%s\":{", i == 0 ? "" : ",",
                             dependency_name((enum dependency)i));
        json_out_bool(out, "\"ready\":", dependency_is_fine(dependency->state));
        json_out_text(out, ",\"state\":", dependency_state_name(dependency->state));
        json_out_text(out, ",\"reason\":", dependency->reason);
        json_out_time(out, ",\"since\":", dependency->since_us);
        buffer_append_byte(out, '}');
    }
    buffer_append_byte(out, '}');
}

void health_readyz(struct response *response, const struct metrics_snapshot *snapshot)
{
    bool ready = dependencies_are_fine(snapshot->dependencies);
    struct buffer *out = &response->body;
    response_begin(response, ready ? 200 : 503, CONTENT_JSON);
    json_out_text(out, "{\"status\":", ready ? "ready" : "not ready");
    json_out_time(out, ",\"timestamp\":", snapshot->now_us);
    health_append_dependencies(out, snapshot);
    buffer_append_string(out, "}\n");
}

static void append_details(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_relay *relay = &snapshot->relay;
    json_out_bool(out, ",\"details\":{\"firehose\":{\"connected\":", relay->is_connected);
    json_out_text(out, ",\"url\":", relay->url != NULL ? relay->url : "unknown");
    buffer_append_string(out, ",\"currentCursor\":");
    if (relay->queued_sequence > 0) {
        buffer_append_format(out, "\"%" PRIu64 "\"", relay->queued_sequence);
    } else {
        buffer_append_string(out, "null");
    }
    buffer_append_format(out, "},\"memory\":{\"percentUsed\":%u}}",
                         (unsigned)snapshot->process.machine_memory_percent);
}

/* `memory` is shown as the reference system shows it; it has no say in readiness here, for memory
 * is bounded and a full machine is not this process's to tell. */
void health_ready(struct response *response, const struct metrics_snapshot *snapshot)
{
    enum {
        MEMORY_CRITICAL_PERCENT = 95
    };
    bool ready = dependencies_are_fine(snapshot->dependencies);
    bool has_database =
        is_fine(snapshot, DEPENDENCY_POSTGRES) && is_fine(snapshot, DEPENDENCY_SCHEMA);
    bool is_full = snapshot->process.machine_memory_percent >= MEMORY_CRITICAL_PERCENT;
    struct buffer *out = &response->body;
    response_begin(response, ready ? 200 : 503, CONTENT_JSON);
    json_out_text(out, "{\"status\":", ready ? "ready" : "not ready");
    json_out_time(out, ",\"timestamp\":", snapshot->now_us);
    json_out_text(out, ",\"checks\":{\"firehose\":",
                  is_fine(snapshot, DEPENDENCY_RELAY) ? "connected" : "disconnected");
    json_out_text(out, ",\"database\":", has_database ? "healthy" : "unhealthy");
    json_out_text(out, ",\"memory\":", is_full ? "critical" : "ok");
    buffer_append_byte(out, '}');
    if (!ready) {
        append_details(out, snapshot);
    }
    buffer_append_string(out, "}\n");
}
