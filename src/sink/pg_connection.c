#include "sink/pg_connection.h"

#include <stdlib.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/pg_connector.h"
#include "sink/pg_session.h"

enum {
    DEADLINE_MARGIN_MS = 5000,
    BACKOFF_BASE_MS = 100,
    BACKOFF_LIMIT_MS = 10000,
    MISCONFIGURED_WAIT_MS = 30000,
};

enum pg_state {
    PG_WAITING, /* the timer starts the next try */
    PG_CONNECTING,
    PG_SETTING_UP,
    PG_READY,
    PG_CLOSED, /* closing or closed: only close callbacks follow */
};

struct pg_connection {
    struct pg_connection_callbacks callbacks;
    void *owner;
    char *object; /* the log's */
    char *name;
    uint64_t misconfigured_wait_ms;
    enum pg_state state;
    struct pg_connector connector;
    struct pg_pipeline pipeline;
    struct pg_session session;
    struct pg_request setup;
    uv_timer_t timer;
    struct backoff backoff;
    unsigned open_parts; /* connector, pipeline, timer */
};

static void enter_state(struct pg_connection *connection, enum pg_state next)
{
    static const char *const names[] = {
        [PG_WAITING] = "waiting", [PG_CONNECTING] = "connecting", [PG_SETTING_UP] = "setting up",
        [PG_READY] = "ready",     [PG_CLOSED] = "closed",
    };
    log_debug(connection->object, "state", LOG_TEXT("from", names[connection->state]),
              LOG_TEXT("to", names[next]));
    connection->state = next;
}

/* --- losing and coming back --- */

static void on_timer(uv_timer_t *timer)
{
    struct pg_connection *connection = timer->data;
    enter_state(connection, PG_CONNECTING);
    pg_connector_start(&connection->connector);
}

static void wait(struct pg_connection *connection, uint64_t wait_ms)
{
    enter_state(connection, PG_WAITING);
    int result = uv_timer_start(&connection->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

/* The one exit of a try and of a connection. */
static void lose(struct pg_connection *connection, const struct pg_failure *why)
{
    struct pg_failure failure = *why; /* what it points to may go now */
    bool is_wrong = failure.class == SQLSTATE_MISCONFIGURED;
    failure.is_lost = true;
    pg_pipeline_detach(&connection->pipeline);
    uint64_t wait_ms =
        is_wrong ? connection->misconfigured_wait_ms : backoff_next_ms(&connection->backoff);
    log_debug(connection->object, "not connected", LOG_TEXT("why", failure.text),
              LOG_TEXT("sqlstate", failure.sqlstate), LOG_INT("retry_ms", wait_ms));
    wait(connection, wait_ms);
    pg_pipeline_fail_requests(&connection->pipeline, &failure);
    if (connection->state != PG_CLOSED && connection->callbacks.on_lost != NULL) {
        connection->callbacks.on_lost(connection->owner, &failure);
    }
}

/* A host whose session cannot be set up is like one that cannot be reached: the next may be fine. */
static void lose_setup(struct pg_connection *connection, const struct pg_failure *failure)
{
    struct pg_failure why = *failure;
    pg_pipeline_detach(&connection->pipeline);
    if (pg_connector_next(&connection->connector)) {
        enter_state(connection, PG_CONNECTING);
        connection->setup.on_done = NULL;
        pg_pipeline_fail_requests(&connection->pipeline, &why);
        return;
    }
    lose(connection, &why);
}

static void on_failed(void *owner, const struct pg_failure *failure)
{
    lose(owner, failure);
}

static void on_broken(void *owner, const struct pg_failure *failure)
{
    struct pg_connection *connection = owner;
    if (connection->state == PG_SETTING_UP) {
        lose_setup(connection, failure);
    } else {
        lose(connection, failure);
    }
}

/* --- setting up --- */

static void on_setup_result(struct pg_request *request, unsigned query,
                            const struct pg_answer *answer)
{
    const struct pg_connection *connection = LIST_ENTRY(request, struct pg_connection, setup);
    if (!pg_session_verify(&connection->session, query, answer, &request->failure)) {
        request->has_failed = true;
    }
}

static void on_setup_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct pg_connection *connection = LIST_ENTRY(request, struct pg_connection, setup);
    if (connection->state != PG_SETTING_UP) {
        return; /* lost: told already */
    }
    if (failure != NULL) {
        lose_setup(connection, failure);
        return;
    }
    backoff_reset(&connection->backoff);
    enter_state(connection, PG_READY);
    if (connection->callbacks.on_ready != NULL) {
        connection->callbacks.on_ready(connection->owner);
    }
}

static void on_connected(void *owner, struct pg_conn *native)
{
    struct pg_connection *connection = owner;
    enter_state(connection, PG_SETTING_UP);
    if (!pg_pipeline_attach(&connection->pipeline, native)) {
        struct pg_failure failure;
        pg_failure_set(&failure, "libpq has no pipeline mode for this server");
        lose_setup(connection, &failure);
        return;
    }
    connection->setup = (struct pg_request){.on_result = on_setup_result, .on_done = on_setup_done};
    pg_pipeline_begin(&connection->pipeline, &connection->setup);
    pg_session_send(&connection->session, &connection->pipeline);
    pg_pipeline_end(&connection->pipeline);
}

/* --- requests --- */

bool pg_connection_is_ready(const struct pg_connection *connection)
{
    return connection->state == PG_READY && !connection->pipeline.is_broken;
}

void pg_connection_begin(struct pg_connection *connection, struct pg_request *request)
{
    ASSERT(connection->state == PG_READY);
    pg_pipeline_begin(&connection->pipeline, request);
}

void pg_connection_query(struct pg_connection *connection, const struct pg_statement *statement,
                         const struct slice *values)
{
    pg_pipeline_query(&connection->pipeline, statement, values);
}

void pg_connection_end(struct pg_connection *connection)
{
    pg_pipeline_end(&connection->pipeline);
}

/* --- life --- */

static char *name_object(const char *name)
{
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", name);
    buffer_append_byte(&object, '\0');
    return object.data;
}

/* The last close callback comes here; whoever called it touches nothing after. */
static void on_part_closed(void *owner)
{
    struct pg_connection *connection = owner;
    if (--connection->open_parts > 0) {
        return;
    }
    void (*on_closed)(void *) = connection->callbacks.on_closed;
    void *connection_owner = connection->owner;
    pg_session_deinit(&connection->session);
    free(connection->object);
    free(connection->name);
    free(connection);
    if (on_closed != NULL) {
        on_closed(connection_owner);
    }
}

static void init_session(struct pg_connection *connection,
                         const struct pg_connection_options *options)
{
    const struct pg_session_options session_options = {
        .schema = options->schema,
        .statement_timeout_ms = options->statement_timeout_ms,
        .prepared = options->prepared,
        .statements = options->statements,
        .statement_count = options->statement_count,
    };
    pg_session_init(&connection->session, &session_options);
}

static void init_parts(struct pg_connection *connection, struct uv_loop_s *loop,
                       const struct pg_connection_options *options)
{
    const struct pg_pipeline_options pipeline_options = {
        .object = connection->object,
        .prepared = options->prepared,
        .deadline_ms = options->statement_timeout_ms + DEADLINE_MARGIN_MS,
        .preamble = pg_session_preamble(&connection->session),
        .preamble_values = connection->session.values,
    };
    pg_pipeline_init(&connection->pipeline, loop, &pipeline_options);
    connection->pipeline.callbacks =
        (struct pg_pipeline_callbacks){.on_broken = on_broken, .on_closed = on_part_closed};
    connection->pipeline.owner = connection;
    pg_connector_init(&connection->connector, loop, options->conninfo, connection->name);
    connection->connector.callbacks = (struct pg_connector_callbacks){
        .on_connected = on_connected, .on_failed = on_failed, .on_closed = on_part_closed};
    connection->connector.owner = connection;
    int result = uv_timer_init(loop, &connection->timer);
    ASSERT(result == 0);
    connection->timer.data = connection;
    connection->open_parts = 3;
}

struct pg_connection *pg_connection_open(struct uv_loop_s *loop,
                                         const struct pg_connection_options *options,
                                         const struct pg_connection_callbacks *callbacks,
                                         void *owner)
{
    struct pg_connection *connection = memory_allocate(sizeof(*connection));
    connection->callbacks = *callbacks;
    connection->owner = owner;
    connection->name = memory_copy_string(options->name);
    connection->object = name_object(options->name);
    connection->misconfigured_wait_ms = options->misconfigured_wait_ms != 0
                                            ? options->misconfigured_wait_ms
                                            : MISCONFIGURED_WAIT_MS;
    connection->backoff =
        (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    init_session(connection, options);
    init_parts(connection, loop, options);
    wait(connection, 0);
    return connection;
}

void pg_connection_restart(struct pg_connection *connection, const char *why)
{
    if (connection->state == PG_CLOSED) {
        return;
    }
    struct pg_failure failure;
    log_debug(connection->object, "restarting the session", LOG_TEXT("why", why));
    pg_failure_set(&failure, why);
    pg_connector_stop(&connection->connector);
    pg_pipeline_detach(&connection->pipeline);
    wait(connection, 0);
    pg_pipeline_fail_requests(&connection->pipeline, &failure);
}

void pg_connection_set_timeout(struct pg_connection *connection, uint64_t statement_timeout_ms)
{
    pg_session_set_timeout(&connection->session, statement_timeout_ms);
    connection->pipeline.options.deadline_ms = statement_timeout_ms + DEADLINE_MARGIN_MS;
    pg_connection_restart(connection, "another timeout");
}

static void on_timer_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

void pg_connection_close(struct pg_connection *connection)
{
    if (connection->state == PG_CLOSED) {
        return;
    }
    struct pg_failure failure;
    enter_state(connection, PG_CLOSED);
    pg_failure_set(&failure, "closed");
    pg_connector_close(&connection->connector);
    pg_pipeline_close(&connection->pipeline);
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
    pg_pipeline_fail_requests(&connection->pipeline, &failure);
}
