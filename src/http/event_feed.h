/*
 * Event feed: server-sent events for dashboards. Each second the figures of now become one event, built once
 * for all who listen; nobody listens: only a point of the history is kept.
 *
 *   timer --1 s--> snapshot --> history
 *                         \--> id, event: metrics, data: {as /api/metrics} --> each stream that has room
 *   join --> retry, event: history (what was missed since Last-Event-ID), event: metrics
 *   close --> event: end
 *
 * Bounds: EVENT_STREAMS_MAX streams, one event outstanding each. Who still reads the event before gets no new
 * one; whoever takes longer than the server's write timeout is closed by the connection. A stream whose events
 * are further apart gets a comment meanwhile, so that nothing on the way takes it for dead.
 * Ownership: heap; freed right after `on_closed`. A stream belongs to the response that it feeds.
 * Threading: the loop's thread only. Source: HTML standard, "Server-sent events".
 */
#ifndef HTTP_EVENT_FEED_H
#define HTTP_EVENT_FEED_H

#include <stdbool.h>

#include "base/error.h"
#include "http/request.h"
#include "http/response.h"
#include "http/snapshot.h"

struct uv_loop_s;
struct event_feed;

enum {
    EVENT_STREAMS_MAX = 32,
    EVENT_INTERVAL_MAX = 60, /* seconds */
    EVENT_HEARTBEAT = 10,    /* seconds without an event */
};

struct event_feed_callbacks {
    /* The figures of now; good until the next call. */
    const struct metrics_snapshot *(*snapshot)(void *owner);
    /* Once, last, after event_feed_close(). */
    void (*on_closed)(void *owner);
};

/* A tick is `tick_ms`, one second but for tests; what is said in seconds is counted in ticks. */
struct event_feed *event_feed_open(struct uv_loop_s *loop, uint64_t tick_ms,
                                   const struct event_feed_callbacks *callbacks, void *owner);
/* Begins `response` as a stream; `interval` in the query is the seconds between two events, 1 without.
 * Where there are too many, or the interval is none, the response says so. */
void event_feed_join(struct event_feed *feed, const struct request *request,
                     struct response *response);
/* The response's stream is over. Nothing to do where it has none. */
void event_feed_leave(struct response *response);
/* Tells all who listen why, and that this was the last event. */
void event_feed_end(struct event_feed *feed, const char *why);
/* Ends all streams, then itself. Safe twice. */
void event_feed_close(struct event_feed *feed);
/* Fills what the feed counts. */
void event_feed_count(const struct event_feed *feed, struct snapshot_server *server);

#endif
