#include "http/event_feed.h"

#include <inttypes.h>
#include <stdlib.h>

#include <uv.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/panic.h"
#include "config/text.h"
#include "http/api.h"
#include "http/history.h"
#include "http/json_out.h"

enum {
    RETRY_MS = 2000,
};

struct event_stream {
    struct list node;
    struct event_feed *feed;
    struct response *response;
    unsigned interval;   /* ticks from event to event */
    unsigned until_next; /* ticks */
    unsigned silent;     /* ticks since anything was sent */
};

struct event_feed {
    struct event_feed_callbacks callbacks;
    void *owner;
    uv_timer_t timer;
    bool is_closing;
    struct list streams;
    unsigned stream_count;
    uint64_t skipped;
    int64_t run_ms; /* names this process in the ids of events */
    struct history history;
    struct buffer event; /* of this tick; empty until someone wants it */
};

/* --- events ------------------------------------------------------------------------------------ */

static void append_metrics(struct buffer *out, struct event_feed *feed,
                           const struct metrics_snapshot *snapshot)
{
    buffer_append_format(out, "id: %" PRId64 "-%" PRIu64 "\nevent: metrics\ndata: ", feed->run_ms,
                         feed->history.added);
    api_metrics(out, snapshot);
    buffer_append_string(out, "\n\n");
}

/* The number of the point that the client has seen; 0 where its event is not of this run. */
static uint64_t seen_by(const struct event_feed *feed, struct slice id)
{
    uint64_t run = 0;
    uint64_t number = 0;
    size_t dash = text_find(id, '-');
    bool is_ours = dash < id.size && text_parse_number(slice_of(id.data, dash), &run) &&
                   run == (uint64_t)feed->run_ms &&
                   text_parse_number(slice_skip(id, dash + 1), &number);
    return is_ours ? number : 0;
}

static void append_welcome(struct buffer *out, struct event_feed *feed, struct slice last_id)
{
    uint64_t after = seen_by(feed, last_id);
    buffer_append_format(out,
                         "retry: %d\n\nevent: history\ndata: {\"isWhole\":%s,\"points\":", RETRY_MS,
                         after == 0 ? "true" : "false");
    history_append(out, &feed->history, after);
    buffer_append_string(out, "}\n\n");
    append_metrics(out, feed, feed->callbacks.snapshot(feed->owner));
}

/* --- each second ------------------------------------------------------------------------------- */

static void send_event(struct event_stream *stream, const struct metrics_snapshot *snapshot)
{
    struct event_feed *feed = stream->feed;
    struct response *response = stream->response;
    if (feed->event.size == 0) {
        append_metrics(&feed->event, feed, snapshot);
    }
    stream->until_next = stream->interval;
    stream->silent = 0;
    buffer_append_slice(&response->body, buffer_slice(&feed->event));
    response->on_event(response);
}

static void send_heartbeat(struct event_stream *stream)
{
    stream->silent = 0;
    buffer_append_string(&stream->response->body, ": alive\n\n");
    stream->response->on_event(stream->response);
}

static void serve(struct event_stream *stream, const struct metrics_snapshot *snapshot)
{
    bool is_due = stream->until_next <= 1;
    stream->until_next -= !is_due;
    stream->silent++;
    if (stream->response->body.size > 0) { /* what is there is still being read */
        stream->feed->skipped += is_due;
    } else if (is_due) {
        send_event(stream, snapshot);
    } else if (stream->silent >= EVENT_HEARTBEAT) {
        send_heartbeat(stream);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct event_feed *feed = timer->data;
    const struct metrics_snapshot *snapshot = feed->callbacks.snapshot(feed->owner);
    history_add(&feed->history, snapshot);
    buffer_clear(&feed->event);
    LIST_FOREACH_SAFE (node, following, &feed->streams) {
        serve(LIST_ENTRY(node, struct event_stream, node), snapshot);
    }
}

/* --- streams ----------------------------------------------------------------------------------- */

static bool read_interval(const struct request *request, uint64_t *seconds)
{
    struct slice text;
    *seconds = 1;
    return !request_query_find(request->query, "interval", &text) ||
           (text_parse_number(text, seconds) && *seconds > 0 && *seconds <= EVENT_INTERVAL_MAX);
}

static void begin(struct response *response)
{
    response_begin(response, 200, CONTENT_EVENTS);
    response->header =
        "X-Accel-Buffering: no\r\n"; /* proxies that know it pass events on at once */
    response->is_endless = true;
}

void event_feed_join(struct event_feed *feed, const struct request *request,
                     struct response *response)
{
    uint64_t interval;
    if (!read_interval(request, &interval)) {
        response_fail(response, 400, "interval: a number of seconds from 1 to 60 is expected");
        return;
    }
    if (request->is_head) {
        begin(response);
        return;
    }
    if (feed->is_closing || feed->stream_count >= EVENT_STREAMS_MAX) {
        response_fail(response, 503, "too many streams are open");
        response->header = "Retry-After: 5\r\n";
        return;
    }
    struct event_stream *stream = memory_allocate(sizeof(*stream));
    *stream = (struct event_stream){.feed = feed,
                                    .response = response,
                                    .interval = (unsigned)interval,
                                    .until_next = (unsigned)interval};
    list_append(&feed->streams, &stream->node);
    feed->stream_count++;
    response->stream = stream;
    begin(response);
    append_welcome(&response->body, feed, request->last_event_id);
}

void event_feed_leave(struct response *response)
{
    struct event_stream *stream = response->stream;
    if (stream != NULL) {
        response->stream = NULL;
        stream->feed->stream_count--;
        list_remove(&stream->node);
        free(stream);
    }
}

void event_feed_end(struct event_feed *feed, const char *why)
{
    struct buffer text = {0};
    json_out_text(&text, "event: end\ndata: {\"reason\":", why);
    buffer_append_string(&text, "}\n\n");
    LIST_FOREACH_SAFE (node, following, &feed->streams) {
        struct response *response = LIST_ENTRY(node, struct event_stream, node)->response;
        response->on_last_event(response, &text);
    }
    buffer_deinit(&text);
}

/* --- life -------------------------------------------------------------------------------------- */

struct event_feed *event_feed_open(struct uv_loop_s *loop, uint64_t tick_ms,
                                   const struct event_feed_callbacks *callbacks, void *owner)
{
    struct event_feed *feed = memory_allocate(sizeof(*feed));
    feed->callbacks = *callbacks;
    feed->owner = owner;
    feed->run_ms = clock_wall_ms();
    feed->timer.data = feed;
    list_init(&feed->streams);
    ASSERT(uv_timer_init(loop, &feed->timer) == 0);
    ASSERT(uv_timer_start(&feed->timer, on_tick, tick_ms, tick_ms) == 0);
    return feed;
}

/* The connections have gone by now, and their streams with them: the server closes in the same turn. */
static void on_timer_closed(uv_handle_t *timer)
{
    struct event_feed *feed = timer->data;
    void (*on_closed)(void *) = feed->callbacks.on_closed;
    void *owner = feed->owner;
    ASSERT(list_is_empty(&feed->streams));
    buffer_deinit(&feed->event);
    free(feed);
    on_closed(owner);
}

void event_feed_close(struct event_feed *feed)
{
    if (!feed->is_closing) {
        feed->is_closing = true;
        event_feed_end(feed, "the process is stopping");
        uv_close((uv_handle_t *)&feed->timer, on_timer_closed);
    }
}

void event_feed_count(const struct event_feed *feed, struct snapshot_server *server)
{
    server->event_streams = feed->stream_count;
    server->skipped_events = feed->skipped;
}
