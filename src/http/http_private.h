/*
 * HTTP, private: what handlers may use. Only http.c and routes.c read this.
 */
#ifndef HTTP_HTTP_PRIVATE_H
#define HTTP_HTTP_PRIVATE_H

#include "base/list.h"
#include "http/event_feed.h"
#include "http/http.h"
#include "http/page.h"
#include "http/server.h"
#include "http/token.h"

struct http {
    struct uv_loop_s *loop;
    struct server *server; /* NULL: nobody is served, since a move to nowhere */
    struct server_limits limits;
    struct snapshot_server past; /* what servers counted that are closed */
    struct event_feed *feed;
    unsigned open_parts; /* servers and feed, until each is closed */
    struct http_callbacks callbacks;
    void *owner;
    struct token token;
    struct page page;
    struct list answers; /* that are still to come */
    uint64_t heartbeat_timeout_ms;
    bool is_closing;
    struct metrics_snapshot snapshot; /* of the request that is handled; large, so kept */
};

/* The figures of now; good until the next call. */
const struct metrics_snapshot *http_snapshot(struct http *http);

#endif
