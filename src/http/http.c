#include "http/http.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "http/answer.h"
#include "http/http_private.h"
#include "http/routes.h"

enum {
    MAX_CONNECTIONS = 128,
    HEADER_TIMEOUT_MS = 5000,
    IDLE_TIMEOUT_MS = 60000,
    ANSWER_TIMEOUT_MS = 10000,
    WRITE_TIMEOUT_MS = 30000,
    EVENT_INTERVAL_MS = 1000,
    HEARTBEAT_TIMEOUT_MS = 15000,
};

/* Those of the process: a server that is closed takes nothing with it. */
static struct snapshot_server count_all(const struct http *http)
{
    struct snapshot_server sum = http->past;
    if (http->server == NULL) {
        return sum;
    }
    struct snapshot_server now = server_counters(http->server);
    sum.connections = now.connections;
    sum.refused += now.refused;
    sum.busy_us += now.busy_us;
    for (unsigned i = 0; i < HTTP_STATUS_CLASSES; i++) {
        sum.responses[i] += now.responses[i];
    }
    return sum;
}

const struct metrics_snapshot *http_snapshot(struct http *http)
{
    struct metrics_snapshot *snapshot = &http->snapshot;
    memset(snapshot, 0, sizeof(*snapshot));
    http->callbacks.fill(http->owner, snapshot);
    ASSERT(snapshot->worker_count <= SNAPSHOT_WORKERS_MAX);
    ASSERT(snapshot->sink.table_count <= SNAPSHOT_TABLES_MAX);
    snapshot->now_us = clock_wall_us();
    snapshot->server = count_all(http);
    event_feed_count(http->feed, &snapshot->server);
    process_usage_read(&snapshot->process);
    return snapshot;
}

static void end_streams(struct http *http)
{
    if (http->token.secret.size > 0) { /* who listens has to show it anew */
        event_feed_end(http->feed, "the token was read again");
    }
}

/* A token that was changed in its file lets in whoever has it, without a signal: `standpipe reload --wait` among
 * them, which could not ask for the reload otherwise. */
static bool has_token_changed(struct http *http)
{
    struct error error;
    switch (token_look_again(&http->token, &error)) {
    case TOKEN_SAME:
        return false;
    case TOKEN_CHANGED:
        log_info("http", "the token has changed in its file",
                 LOG_TEXT("token_file", http->token.path.data));
        end_streams(http);
        return true;
    case TOKEN_BAD:
        log_warning("http", "the token's file has changed, the old token stays",
                    LOG_TEXT("why", error.text));
        return false;
    }
    return false;
}

static bool is_admitted(struct http *http, const struct request *request)
{
    return token_admits(&http->token, request->authorization) ||
           (has_token_changed(http) && token_admits(&http->token, request->authorization));
}

static void handle(void *owner, const struct request *request, struct response *response)
{
    struct http *http = owner;
    const struct route *route = routes_find(request->path);
    if (route == NULL) {
        response_fail(response, 404, "no such path");
    } else if (!request->is_get && !request->is_head) {
        response_fail(response, 405, "GET and HEAD only");
        response->header = "Allow: GET, HEAD\r\n";
    } else if (!route->is_open && !is_admitted(http, request)) {
        response_fail(response, 401, "a token is expected: Authorization: Bearer <token>");
        response->header = "WWW-Authenticate: Bearer realm=\"standpipe\"\r\n";
    } else {
        route->handle(http, request, response);
    }
}

static const struct metrics_snapshot *feed_snapshot(void *owner)
{
    return http_snapshot(owner);
}

static void destroy(struct http *http)
{
    answer_forget_all(&http->answers);
    token_deinit(&http->token);
    page_deinit(&http->page);
    free(http);
}

static void on_part_closed(void *owner)
{
    struct http *http = owner;
    if (--http->open_parts > 0) {
        return;
    }
    void (*on_closed)(void *) = http->callbacks.on_closed;
    void *http_owner = http->owner;
    destroy(http);
    on_closed(http_owner);
}

static uint64_t or_default(uint64_t value, uint64_t standard)
{
    return value != 0 ? value : standard;
}

static struct server_limits limits_of(const struct http_options *options)
{
    return (struct server_limits){
        .max_connections = (unsigned)or_default(options->max_connections, MAX_CONNECTIONS),
        .header_timeout_ms = or_default(options->header_timeout_ms, HEADER_TIMEOUT_MS),
        .idle_timeout_ms = or_default(options->idle_timeout_ms, IDLE_TIMEOUT_MS),
        .answer_timeout_ms = or_default(options->answer_timeout_ms, ANSWER_TIMEOUT_MS),
        .write_timeout_ms = or_default(options->write_timeout_ms, WRITE_TIMEOUT_MS),
    };
}

static struct server *open_server(struct http *http, const char *listen, struct error *error)
{
    static const struct server_callbacks callbacks = {.handle = handle,
                                                      .on_closed = on_part_closed};
    const struct server_place place = {.listen = listen, .beside = http->server};
    struct server *server = server_open(http->loop, &place, &http->limits, &callbacks, http, error);
    http->open_parts += server != NULL;
    return server;
}

static void log_listening(const struct http *http, const char *listen)
{
    log_info("http", "listening", LOG_TEXT("address", listen),
             LOG_TEXT("token", http->token.secret.size > 0 ? "required" : "none"));
}

struct http *http_open(struct uv_loop_s *loop, const struct http_options *options,
                       const struct http_callbacks *callbacks, void *owner, struct error *error)
{
    static const struct event_feed_callbacks feed_callbacks = {.snapshot = feed_snapshot,
                                                               .on_closed = on_part_closed};
    struct http *http = memory_allocate(sizeof(*http));
    http->loop = loop;
    http->limits = limits_of(options);
    http->callbacks = *callbacks;
    http->owner = owner;
    http->heartbeat_timeout_ms = or_default(options->heartbeat_timeout_ms, HEARTBEAT_TIMEOUT_MS);
    list_init(&http->answers);
    page_init(&http->page);
    if (token_load(&http->token, options->token_file, error)) {
        http->server = open_server(http, options->listen, error);
    }
    if (http->server == NULL) {
        destroy(http);
        return NULL;
    }
    http->feed = event_feed_open(loop, or_default(options->event_interval_ms, EVENT_INTERVAL_MS),
                                 &feed_callbacks, http);
    http->open_parts++;
    log_listening(http, options->listen);
    return http;
}

/* The streams first: they end with their connections, and nobody could be told any more. */
static void leave_server(struct http *http, const char *why)
{
    struct server *server = http->server;
    if (server == NULL) {
        return;
    }
    event_feed_end(http->feed, why);
    http->past = count_all(http);
    http->past.connections = 0;
    http->server = NULL;
    server_close(server);
}

static void stop_serving(struct http *http)
{
    leave_server(http, "pages are no longer served");
    log_info("http", "listening no more", LOG_TEXT("why", "http.listen is empty"));
}

bool http_move(struct http *http, const char *listen, const char *token_file, struct error *error)
{
    struct token token = {0};
    if (listen[0] == '\0') {
        stop_serving(http);
        return true;
    }
    struct server *server = NULL;
    if (token_load(&token, token_file, error)) {
        server = open_server(http, listen, error);
    }
    if (server == NULL) {
        token_deinit(&token);
        return false;
    }
    leave_server(http, "the address has changed");
    http->server = server;
    token_deinit(&http->token);
    http->token = token;
    log_listening(http, listen);
    return true;
}

bool http_reload_token(struct http *http, const char *token_file, struct error *error)
{
    if (http->server == NULL) {
        return true;
    }
    if (!token_load(&http->token, token_file, error)) {
        return false;
    }
    end_streams(http);
    return true;
}

void http_close(struct http *http)
{
    if (!http->is_closing) {
        http->is_closing = true;
        event_feed_close(http->feed);
        if (http->server != NULL) {
            server_close(http->server);
        }
    }
}

uint16_t http_port(const struct http *http)
{
    return server_port(http->server);
}
