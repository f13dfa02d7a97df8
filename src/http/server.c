#include "http/server.h"

#include <stdlib.h>

#include "base/panic.h"
#include "http/address.h"
#include "http/connection.h"
#include "http/server_private.h"

enum {
    BACKLOG = 128,
    /* Connections over the cap that have time to read so; more than that are told and closed. */
    REFUSED_MAX = 32,
    HANDLE_COUNT = 2,
    PACE_WAIT_MS = 20,
};

static void finish_if_closed(struct server *server)
{
    if (!server->is_closing || server->open_handles > 0 || server->connection_count > 0) {
        return;
    }
    void (*on_closed)(void *) = server->callbacks.on_closed;
    void *owner = server->owner;
    free(server);
    if (on_closed != NULL) { /* NULL: it never was open */
        on_closed(owner);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->open_handles--;
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

static void accept_one(struct server *server)
{
    unsigned limit = server->limits.max_connections;
    enum connection_welcome welcome = CONNECTION_SERVE;
    if (server->connection_count >= limit) {
        welcome = server->connection_count < limit + REFUSED_MAX ? CONNECTION_REFUSE
                                                                 : CONNECTION_TURN_AWAY;
        warn_of_cap(server);
    }
    server->connection_count++;
    pace_begin(&server->pace);
    connection_open(server, welcome);
    pace_end(&server->pace);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;
    if (status != 0) {
        warn_of_accept(server, status);
    } else if (server_may_work(server)) {
        accept_one(server);
    } else {
        server->is_accept_waiting = true;
    }
}

/* --- pace -------------------------------------------------------------------------------------- */

static void on_pace_over(uv_timer_t *timer);

static void wait_for_pace(struct server *server)
{
    if (!server->is_closing && !uv_is_active((uv_handle_t *)&server->pace_timer)) {
        ASSERT(uv_timer_start(&server->pace_timer, on_pace_over, PACE_WAIT_MS, 0) == 0);
    }
}

/* Those that waited longest first; how many have to go on waiting. */
static unsigned resume_connections(struct server *server)
{
    unsigned left = server->connection_count;
    pace_begin(&server->pace);
    for (; left > 0 && !pace_is_over(&server->pace); left--) {
        struct list *node = list_take_first(&server->connections);
        if (node == NULL) {
            break;
        }
        list_append(&server->connections, node);
        connection_resume(connection_at(node));
        pace_end(&server->pace); /* so that the next one sees what this one took */
        pace_begin(&server->pace);
    }
    pace_end(&server->pace);
    return left;
}

/* Who is left is waited for, whatever the pace is by then: it was looked at before, and time has passed since. */
static void on_pace_over(uv_timer_t *timer)
{
    struct server *server = timer->data;
    if (server->is_accept_waiting && !pace_is_over(&server->pace)) {
        server->is_accept_waiting =
            false; /* first: those who are in already must not keep it out */
        accept_one(server);
    }
    if (resume_connections(server) > 0 || server->is_accept_waiting) {
        wait_for_pace(server);
    }
}

bool server_may_work(struct server *server)
{
    if (!pace_is_over(&server->pace)) {
        return true;
    }
    wait_for_pace(server);
    return false;
}

/* --- life -------------------------------------------------------------------------------------- */

static int socket_of(const struct server *server)
{
    uv_os_fd_t fd = -1;
    if (server != NULL) {
        ASSERT(uv_fileno((const uv_handle_t *)&server->listener, &fd) == 0);
    }
    return fd;
}

/* A port that both have is shared only while there are two. */
static int bind_beside(const struct server_place *place, struct error *error)
{
    int beside = socket_of(place->beside);
    int fd = address_bind(place->listen, beside, error);
    if (fd < 0 && beside >= 0) {
        address_keep(beside);
    }
    return fd;
}

static bool start_listening(struct server *server, const struct server_place *place,
                            struct error *error)
{
    int code = uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    if (code != 0) {
        error_set(error, ERROR_USAGE, "http.listen: cannot listen on `%s`: %s", place->listen,
                  uv_strerror(code));
    }
    address_keep(socket_of(server));
    if (place->beside != NULL) {
        address_keep(socket_of(place->beside));
    }
    return code == 0;
}

struct server *server_open(struct uv_loop_s *loop, const struct server_place *place,
                           const struct server_limits *limits,
                           const struct server_callbacks *callbacks, void *owner,
                           struct error *error)
{
    int fd = bind_beside(place, error);
    if (fd < 0) {
        return NULL;
    }
    struct server *server = memory_allocate(sizeof(*server));
    server->limits = *limits;
    server->callbacks = *callbacks;
    server->owner = owner;
    server->open_handles = HANDLE_COUNT;
    server->pace_timer.data = server;
    server->port = address_port(fd);
    list_init(&server->connections);
    server->listener.data = server;
    /* A bound TCP socket and a loop that runs: neither call has a reason left to refuse. */
    ASSERT(uv_tcp_init(loop, &server->listener) == 0);
    ASSERT(uv_timer_init(loop, &server->pace_timer) == 0);
    ASSERT(uv_tcp_open(&server->listener, fd) == 0);
    if (!start_listening(server, place, error)) {
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
    uv_close((uv_handle_t *)&server->listener, on_handle_closed);
    uv_close((uv_handle_t *)&server->pace_timer, on_handle_closed);
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

struct snapshot_server server_counters(const struct server *server)
{
    struct snapshot_server counters = server->counters;
    counters.connections = server->connection_count;
    counters.busy_us = server->pace.busy_us;
    return counters;
}
