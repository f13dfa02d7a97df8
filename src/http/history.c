#include "http/history.h"

#include <inttypes.h>

#include "http/json_out.h"

enum {
    US_PER_MS = 1000
};

void history_add(struct history *history, const struct metrics_snapshot *snapshot)
{
    const struct snapshot_stream *stream = &snapshot->stream;
    struct history_point *point = &history->points[history->added % HISTORY_POINTS];
    uint64_t behind_us;
    bool is_behind_known = snapshot_behind_us(snapshot, &behind_us);
    history->added++;
    *point = (struct history_point){
        .time_us = snapshot->now_us,
        .received = snapshot->intake.received,
        .backlog = stream->is_known ? stream->pending + stream->undelivered : UINT64_MAX,
        .committed = snapshot_committed(&snapshot->sink),
        .lag_us = is_behind_known ? behind_us : UINT64_MAX,
    };
}

static void append_point(struct buffer *out, const struct history_point *point)
{
    buffer_append_format(out, "[%" PRId64 ",%" PRIu64 ",%" PRIu64, point->time_us / US_PER_MS,
                         point->received, point->committed);
    json_out_known(out, ",", point->backlog != UINT64_MAX, point->backlog);
    json_out_known_seconds(out, ",", point->lag_us != UINT64_MAX, point->lag_us);
    buffer_append_byte(out, ']');
}

void history_append(struct buffer *out, const struct history *history, uint64_t after)
{
    uint64_t gone = history->added > HISTORY_POINTS ? history->added - HISTORY_POINTS : 0;
    uint64_t first = after > gone && after <= history->added ? after : gone;
    buffer_append_byte(out, '[');
    for (uint64_t i = first; i < history->added; i++) {
        if (i > first) {
            buffer_append_byte(out, ',');
        }
        append_point(out, &history->points[i % HISTORY_POINTS]);
    }
    buffer_append_byte(out, ']');
}
