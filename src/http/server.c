#include "http/server.h"

#include <stdlib.h>

#include "base/panic.h"
#include "http/address.h"
#include "http/connection.h"
#include "http/server_private.h"

enum {
    BACKLOG = 128,
    /* Connections over the cap that are told so; more than that are just closed. */
    REFUSED_MAX = 32,
};

static void finish_if_closed(struct server *server)
{
    if (!server->is_closing || server->is_listener_open || server->connection_count > 0) {
        return;
    }
    void (*on_closed)(void *) = server->callbacks.on_closed;
    void *owner = server->owner;
    free(server);
    if (on_closed != NULL) { /* NULL: it never was open */
        on_closed(owner);
    }
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->is_listener_open = false;
    finish_if_closed(server);
}

void server_connection_closed(struct server *server)
{
    server->connection_count--;
    finish_if_closed(server);
}

static void warn_of_accept(struct server *server, int status)
{
    uint64_t suppressed = 0;
    if (log_limit_pass(&server->accept_log, &suppressed)) {
        log_warning("http", "cannot accept", LOG_TEXT("reason", uv_strerror(status)),
                    LOG_SUPPRESSED(suppressed));
    }
}

static void warn_of_cap(struct server *server)
{
    uint64_t suppressed = 0;
    server->counters.refused++;
    if (log_limit_pass(&server->cap_log, &suppressed)) {
        log_warning("http", "too many connections",
                    LOG_INT("limit", server->limits.max_connections), LOG_SUPPRESSED(suppressed));
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    if (status != 0) {
        warn_of_accept(server, status);
        return;
    }
    unsigned limit = server->limits.max_connections;
    enum connection_welcome welcome = CONNECTION_SERVE;
    if (server->connection_count >= limit) {
        welcome =
            server->connection_count < limit + REFUSED_MAX ? CONNECTION_REFUSE : CONNECTION_DROP;
        warn_of_cap(server);
    }
    server->connection_count++;
    connection_open(server, welcome);
}

struct server *server_open(struct uv_loop_s *loop, const char *listen,
                           const struct server_limits *limits,
                           const struct server_callbacks *callbacks, void *owner,
                           struct error *error)
{
    int fd = address_bind(listen, error);
    if (fd < 0) {
        return NULL;
    }
    struct server *server = memory_allocate(sizeof(*server));
    server->limits = *limits;
    server->callbacks = *callbacks;
    server->owner = owner;
    server->is_listener_open = true;
    server->port = address_port(fd);
    list_init(&server->connections);
    server->listener.data = server;
    /* A bound TCP socket and a loop that runs: neither call has a reason left to refuse. */
    ASSERT(uv_tcp_init(loop, &server->listener) == 0);
    ASSERT(uv_tcp_open(&server->listener, fd) == 0);
    int code = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    if (code != 0) {
        error_set(error, ERROR_USAGE, "http.listen: cannot listen on `%s`: %s", listen,
                  uv_strerror(code));
        server->callbacks.on_closed = NULL;
        server_close(server);
        return NULL;
    }
    return server;
}

void server_close(struct server *server)
{
    if (server->is_closing) {
        return;
    }
    server->is_closing = true;
    LIST_FOREACH_SAFE (node, following, &server->connections) {
        connection_close(connection_at(node));
    }
    uv_close((uv_handle_t *)&server->listener, on_listener_closed);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

struct snapshot_server server_counters(const struct server *server)
{
    struct snapshot_server counters = server->counters;
    counters.connections = server->connection_count;
    return counters;
}
