#include "http/api_view.h"

#include "http/json_out.h"

/* The state of all is that of the worst; where all are ready, since the last became so. */
static void append_state(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    enum dependency worst = dependency_worst(snapshot->dependencies);
    struct snapshot_dependency state = snapshot->dependencies[worst];
    bool is_ready = state.state == DEPENDENCY_READY;
    for (unsigned i = 0; is_ready && i < DEPENDENCY_COUNT; i++) {
        int64_t since_us = snapshot->dependencies[i].since_us;
        state.since_us = since_us > state.since_us ? since_us : state.since_us;
    }
    json_out_text(out, ",\"state\":{\"dependency\":", is_ready ? NULL : dependency_name(worst));
    json_out_text(out, ",\"state\":", dependency_state_name(state.state));
    json_out_text(out, ",\"reason\":", state.reason);
    json_out_time(out, ",\"since\":", state.since_us);
    buffer_append_byte(out, '}');
}

static void append_thresholds(struct buffer *out, const struct snapshot_thresholds *thresholds)
{
    json_out_number(out, ",\"thresholds\":{\"depthWarning\":", thresholds->depth_warning);
    json_out_number(out, ",\"depthCritical\":", thresholds->depth_critical);
    json_out_number(out, ",\"maxBacklog\":", thresholds->max_backlog);
    json_out_seconds(out, ",\"lagWarningSeconds\":", thresholds->lag_warning_us);
    json_out_number(out, ",\"maxDeadLetters\":", thresholds->max_letters);
    buffer_append_byte(out, '}');
}

static void append_collections(struct buffer *out, const struct snapshot_collections *collections)
{
    buffer_append_string(out, ",\"collections\":{\"items\":[");
    for (unsigned i = 0; i < collections->count; i++) {
        json_out_text(
            out, i == 0 ? "{\"collection\":" : ",{\"collection\":", collections->items[i].name);
        json_out_number(out, ",\"ops\":", collections->items[i].ops);
        buffer_append_byte(out, '}');
    }
    json_out_number(out, "],\"other\":", collections->other);
    buffer_append_byte(out, '}');
}

static void append_letters(struct buffer *out, const struct snapshot_letters *letters)
{
    buffer_append_string(out, ",\"deadLetters\":[");
    for (unsigned i = 0; i < letters->count; i++) {
        const struct snapshot_letter_kind *kind = &letters->kinds[i];
        json_out_text(out, i == 0 ? "{\"reason\":" : ",{\"reason\":", kind->reason);
        json_out_number(out, ",\"letters\":", kind->letters);
        json_out_text(out, ",\"newest\":{\"id\":", kind->id);
        json_out_text(out, ",\"seq\":", kind->seq);
        json_out_text(out, ",\"time\":", kind->time);
        json_out_text(out, ",\"type\":", kind->type);
        json_out_text(out, ",\"collection\":", kind->collection);
        json_out_text(out, ",\"error\":", kind->error);
        json_out_text(out, ",\"data\":", kind->data);
        buffer_append_string(out, "}}");
    }
    buffer_append_byte(out, ']');
}

void api_view(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_view *view = &snapshot->view;
    json_out_text(out, ",\"consumer\":", view->process);
    json_out_number(out, ",\"received\":", snapshot->intake.received);
    json_out_number(out, ",\"committed\":", snapshot_committed(&snapshot->sink));
    append_state(out, snapshot);
    append_thresholds(out, &view->thresholds);
    append_collections(out, &view->collections);
    append_letters(out, &view->letters);
}
