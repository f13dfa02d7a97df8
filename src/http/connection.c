#include "http/connection.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/panic.h"
#include "http/answer.h"
#include "http/event_feed.h"
#include "http/request.h"
#include "http/server_private.h"

enum {
    INPUT_BYTES = 16 * 1024,
    HEAD_KEPT = 4 * 1024,
    LINGER_MS = 1000, /* so that the last response is not lost to a reset (RFC 9112 part 9.6) */
    HANDLE_COUNT = 2,
};

enum connection_state {
    CONNECTION_READING,
    CONNECTION_ANSWERING,
    CONNECTION_WRITING,
    CONNECTION_STREAMING,
    CONNECTION_LINGERING,
    CONNECTION_CLOSING
};

struct connection {
    struct list node;
    struct server *server;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    unsigned open_handles;
    enum connection_state state;
    bool is_reading;     /* the socket */
    bool is_dispatching; /* inside the handler */
    bool has_ended;      /* the client sends no more */
    bool has_begun;      /* the deadline is that of a request's head, not of idleness */
    bool is_head;
    bool keep_alive;
    bool is_last_event; /* the stream ends with what is written now */
    struct request_parser *parser;
    struct response response;
    struct buffer head;
    size_t input_start, input_end;
    char input[INPUT_BYTES];
};

static void proceed(struct connection *connection);
static void on_deadline(uv_timer_t *timer);

struct connection *connection_at(struct list *node)
{
    return LIST_ENTRY(node, struct connection, node);
}

static uv_stream_t *stream_of(struct connection *connection)
{
    return (uv_stream_t *)&connection->tcp;
}

/* --- states ----------------------------------------------------------------------------------- */

static uint64_t deadline_ms(const struct connection *connection)
{
    const struct server_limits *limits = &connection->server->limits;
    switch (connection->state) {
    case CONNECTION_READING:
        return connection->has_begun ? limits->header_timeout_ms : limits->idle_timeout_ms;
    case CONNECTION_ANSWERING:
        return limits->answer_timeout_ms;
    case CONNECTION_WRITING:
        return limits->write_timeout_ms;
    case CONNECTION_STREAMING: /* has none */
    case CONNECTION_LINGERING:
    case CONNECTION_CLOSING:
        break;
    }
    return LINGER_MS;
}

static void arm_deadline(struct connection *connection)
{
    ASSERT(uv_timer_start(&connection->timer, on_deadline, deadline_ms(connection), 0) == 0);
}

static void enter_state(struct connection *connection, enum connection_state next)
{
    connection->state = next;
    if (next == CONNECTION_STREAMING) {
        ASSERT(uv_timer_stop(&connection->timer) == 0);
    } else if (next != CONNECTION_CLOSING) {
        arm_deadline(connection);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct server *server = connection->server;
    if (--connection->open_handles > 0) {
        return;
    }
    ASSERT(connection->state == CONNECTION_CLOSING && connection->response.answer == NULL &&
           connection->response.stream == NULL);
    request_parser_destroy(connection->parser);
    buffer_deinit(&connection->response.body);
    buffer_deinit(&connection->head);
    free(connection);
    server_connection_closed(server);
}

void connection_close(struct connection *connection)
{
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    enter_state(connection, CONNECTION_CLOSING);
    answer_abandon(&connection->response);
    event_feed_leave(&connection->response);
    list_remove(&connection->node);
    uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
    uv_close((uv_handle_t *)&connection->tcp, on_handle_closed);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void on_shut_down(uv_shutdown_t *shutdown, int status)
{
    struct connection *connection = shutdown->data;
    if (status != 0 || connection->has_ended) {
        connection_close(connection);
    }
}

static void linger(struct connection *connection)
{
    enter_state(connection, CONNECTION_LINGERING);
    connection->shutdown.data = connection;
    if (uv_shutdown(&connection->shutdown, stream_of(connection), on_shut_down) != 0) {
        connection_close(connection);
        return;
    }
    proceed(connection);
}

static void go_on_after_write(struct connection *connection)
{
    if (connection->response.stream != NULL && !connection->is_last_event) {
        buffer_clear(&connection->response.body);
        enter_state(connection, CONNECTION_STREAMING);
        proceed(connection);
        return;
    }
    event_feed_leave(&connection->response);
    response_reset(&connection->response);
    buffer_clear(&connection->head);
    buffer_shrink(&connection->head, HEAD_KEPT);
    if (!connection->keep_alive) {
        linger(connection);
        return;
    }
    connection->has_begun = false;
    connection->is_head = false; /* of the request that is over */
    enter_state(connection, CONNECTION_READING);
    proceed(connection);
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *connection = write->data;
    struct server *server = connection->server;
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    pace_begin(&server->pace);
    if (status != 0) {
        connection_close(connection);
    } else {
        go_on_after_write(connection);
    }
    pace_end(&server->pace);
}

static void count_response(struct connection *connection)
{
    unsigned status_class = (unsigned)connection->response.status / 100;
    ASSERT(status_class >= 1 && status_class <= HTTP_STATUS_CLASSES);
    connection->server->counters.responses[status_class - 1]++;
}

static void send_response(struct connection *connection)
{
    struct response *response = &connection->response;
    count_response(connection);
    connection->keep_alive = connection->keep_alive && !response->is_endless;
    response_append_head(&connection->head, response, connection->keep_alive);
    uv_buf_t parts[] = {
        uv_buf_init(connection->head.data, (unsigned)connection->head.size),
        uv_buf_init(response->body.data, (unsigned)response->body.size),
    };
    unsigned count = connection->is_head || response->body.size == 0 ? 1 : 2;
    enter_state(connection, CONNECTION_WRITING);
    connection->write.data = connection;
    if (uv_write(&connection->write, stream_of(connection), parts, count, on_written) != 0) {
        connection_close(connection);
    }
}

static void send_problem(struct connection *connection, int status, const char *problem)
{
    connection->keep_alive = false;
    response_fail(&connection->response, status, problem);
    if (status == 405) {
        connection->response.header = "Allow: GET, HEAD\r\n";
    }
    send_response(connection);
}

static void write_event(struct connection *connection)
{
    struct buffer *body = &connection->response.body;
    uv_buf_t part = uv_buf_init(body->data, (unsigned)body->size);
    enter_state(connection, CONNECTION_WRITING);
    if (uv_write(&connection->write, stream_of(connection), &part, 1, on_written) != 0) {
        connection_close(connection);
    }
}

/* A client that still reads the event before gets none. */
static void on_event(struct response *response)
{
    struct connection *connection = LIST_ENTRY(response, struct connection, response);
    if (connection->state == CONNECTION_STREAMING) {
        write_event(connection);
    }
}

/* Likewise. But what the kernel has taken is written, though libuv says so only in its next turn: its timers run last
 * since 1.45, and the event before may be of this turn. */
static void on_last_event(struct response *response, const struct buffer *text)
{
    struct connection *connection = LIST_ENTRY(response, struct connection, response);
    if (connection->state == CONNECTION_STREAMING) {
        connection->is_last_event = true;
        buffer_append_slice(&response->body, buffer_slice(text));
        write_event(connection);
        return;
    }
    if (connection->state == CONNECTION_WRITING) {
        /* refuses where something is queued */
        uv_buf_t part = uv_buf_init(text->data, (unsigned)text->size);
        (void)uv_try_write(stream_of(connection), &part, 1);
    }
    connection_close(connection);
}

static void on_answered(struct response *response)
{
    struct connection *connection = LIST_ENTRY(response, struct connection, response);
    if (!connection->is_dispatching) {
        send_response(connection);
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static void give_up(struct connection *connection)
{
    if (connection->state == CONNECTION_ANSWERING) {
        answer_abandon(&connection->response);
        send_problem(connection, 504, "no answer in time");
    } else if (connection->state == CONNECTION_READING &&
               request_parser_is_inside(connection->parser)) {
        send_problem(connection, 408, "the request did not come in time");
    } else {
        connection_close(connection);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    struct server *server = connection->server;
    pace_begin(&server->pace);
    give_up(connection);
    pace_end(&server->pace);
}

static void dispatch(struct connection *connection, const struct request *request)
{
    struct server *server = connection->server;
    connection->keep_alive = request->keep_alive;
    connection->is_head = request->is_head;
    enter_state(connection, CONNECTION_ANSWERING);
    connection->is_dispatching = true;
    server->callbacks.handle(server->owner, request, &connection->response);
    connection->is_dispatching = false;
    if (connection->response.answer == NULL) {
        send_response(connection);
    }
}

/* The head's deadline runs from its first byte and is never moved by the next ones. */
static void note_first_byte(struct connection *connection)
{
    if (!connection->has_begun) {
        connection->has_begun = true;
        arm_deadline(connection);
    }
}

static void parse_input(struct connection *connection)
{
    struct request request;
    struct request_fault fault;
    struct slice bytes = slice_of(connection->input + connection->input_start,
                                  connection->input_end - connection->input_start);
    size_t used = 0;
    note_first_byte(connection);
    enum parse_result result =
        request_parser_feed(connection->parser, bytes, &used, &request, &fault);
    connection->input_start += used;
    switch (result) {
    case PARSE_DONE:
        dispatch(connection, &request);
        break;
    case PARSE_BAD:
        send_problem(connection, fault.status, fault.problem);
        break;
    case PARSE_NEED_MORE:
        break;
    }
}

static void alloc_input(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct connection *connection = handle->data;
    (void)suggested;
    *buffer = uv_buf_init(connection->input + connection->input_end,
                          (unsigned)(INPUT_BYTES - connection->input_end));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    struct server *server = connection->server;
    (void)buffer;
    pace_begin(&server->pace);
    if (size < 0 && size != UV_EOF) {
        connection_close(connection);
    } else {
        connection->has_ended = size == UV_EOF;
        connection->input_end += size > 0 ? (size_t)size : 0;
        proceed(connection);
    }
    pace_end(&server->pace);
}

/* What is left moves to the front, so that room is at the end. */
static void compact_input(struct connection *connection)
{
    size_t left = connection->input_end - connection->input_start;
    if (connection->input_start > 0) {
        memmove(connection->input, connection->input + connection->input_start, left);
        connection->input_start = 0;
        connection->input_end = left;
    }
}

/* Reads on while there is room, also while an answer is on its way: a reset is then noticed. */
static void update_reading(struct connection *connection)
{
    bool wanted = !connection->has_ended && connection->input_end < INPUT_BYTES;
    if (wanted == connection->is_reading) {
        return;
    }
    connection->is_reading = wanted;
    if (!wanted) {
        ASSERT(uv_read_stop(stream_of(connection)) == 0);
    } else if (uv_read_start(stream_of(connection), alloc_input, on_read) != 0) {
        connection_close(connection);
    }
}

static void proceed_reading(struct connection *connection)
{
    if (connection->input_start < connection->input_end) {
        if (!server_may_work(connection->server)) {
            return; /* connection_resume() follows */
        }
        parse_input(connection);
    }
    if (connection->state == CONNECTION_READING && connection->has_ended) {
        connection_close(connection);
    }
}

/* Callbacks note what happened; here it is decided what comes next. */
static void proceed(struct connection *connection)
{
    if (connection->state == CONNECTION_READING) {
        proceed_reading(connection);
    } else if (connection->response.stream != NULL && connection->has_ended) {
        connection_close(connection); /* nobody listens any more */
    } else if (connection->state == CONNECTION_LINGERING) {
        connection->input_start = connection->input_end;
        if (connection->has_ended) {
            connection_close(connection);
        }
    }
    if (connection->state != CONNECTION_CLOSING) {
        compact_input(connection);
        update_reading(connection);
    }
}

void connection_resume(struct connection *connection)
{
    if (connection->state == CONNECTION_READING) {
        proceed(connection);
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static void refuse(struct connection *connection)
{
    connection->response.header = "Retry-After: 1\r\n";
    send_problem(connection, 503, "too many connections");
}

/* Holds nothing for those who are too many even to be refused one by one. What a client has sent is read first: closing over
 * it would be a reset, which may overtake the response (RFC 9112 part 9.6). */
static void turn_away(struct connection *connection)
{
    uv_os_fd_t fd = -1;
    ASSERT(uv_fileno((const uv_handle_t *)&connection->tcp, &fd) == 0);
    (void)recv(fd, connection->input, sizeof(connection->input), MSG_DONTWAIT);
    refuse(connection);
    connection_close(connection);
}

static void welcome_client(struct connection *connection, enum connection_welcome welcome)
{
    switch (welcome) {
    case CONNECTION_SERVE:
        connection->has_begun = true; /* the first head has to come at once */
        enter_state(connection, CONNECTION_READING);
        proceed(connection);
        break;
    case CONNECTION_REFUSE:
        refuse(connection);
        break;
    case CONNECTION_TURN_AWAY:
        turn_away(connection);
        break;
    }
}

void connection_open(struct server *server, enum connection_welcome welcome)
{
    struct connection *connection = memory_allocate(sizeof(*connection));
    uv_loop_t *loop = server->listener.loop;
    connection->server = server;
    connection->open_handles = HANDLE_COUNT;
    connection->parser = request_parser_create();
    connection->response.on_answered = on_answered;
    connection->response.on_event = on_event;
    connection->response.on_last_event = on_last_event;
    connection->tcp.data = connection;
    connection->timer.data = connection;
    list_append(&server->connections, &connection->node);
    ASSERT(uv_tcp_init(loop, &connection->tcp) == 0);
    ASSERT(uv_timer_init(loop, &connection->timer) == 0);
    if (uv_accept((uv_stream_t *)&server->listener, stream_of(connection)) != 0) {
        connection_close(connection);
        return;
    }
    (void)uv_tcp_nodelay(&connection->tcp, 1); /* else it is a little slower */
    welcome_client(connection, welcome);
}
