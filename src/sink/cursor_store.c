#include "sink/cursor_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/pg_connection.h"

#include <uv.h>

enum {
    BACKOFF_BASE_MS = 100,
    BACKOFF_LIMIT_MS = 10000,
    STATEMENT_TIMEOUT_MS = 10000,
    CLOSE_SLACK_MS = 250,   /* of the drain: handles close, whoever waits for them has to end too */
    LOG_INTERVAL_MS = 60000 /* the sinks, which use the same server, are louder */
};

/* A row with a host of its own. */
struct mark {
    bool is_set;
    char *host;
    uint64_t epoch;
    int64_t queued;
    int64_t committed;
    int64_t expected;
    int64_t started_us;
    uint64_t tag;
};

enum cursor_work {
    CURSOR_NOTHING,
    CURSOR_LOAD,
    CURSOR_SAVE
};

struct cursor_store {
    struct cursor_store_callbacks callbacks;
    void *owner;
    struct pg_connection *connection;
    uv_timer_t timer; /* the wait before a retry; while closing, the end of it */
    unsigned open_handles;
    bool is_closing;
    bool is_shut;
    enum cursor_work running;
    struct pg_request request;
    struct backoff backoff;
    struct log_limit failed_limit;
    char *host; /* to load; NULL: none is asked for */
    struct mark saving;
    struct mark waiting;
    struct mark found;
    struct position newest;
    int64_t started_us;
    bool is_refused; /* the save that is out */
};

#define STARTED_US "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint"

static const uint32_t load_types[] = {25};
static const uint32_t save_types[] = {25, 20, 20, 20, 20, 20};
static const struct pg_statement cursor_statements[] = {
    {.name = "standpipe_cursor_newest",
     .sql = "SELECT epoch, queued, committed FROM standpipe_cursor WHERE host = $1"
            " ORDER BY epoch DESC LIMIT 1",
     .types = load_types,
     .count = 1},
    {.name = "standpipe_cursor_newest_of_all",
     .sql = "SELECT epoch, committed FROM standpipe_cursor"
            " ORDER BY epoch DESC, committed DESC LIMIT 1"},
    {.name = "standpipe_cursor_started", .sql = "SELECT " STARTED_US},
    /* Where row ($5) or server ($6) are not what is expected, nothing is written and nothing comes back. */
    {.name = "standpipe_cursor_save",
     .sql = "WITH found AS MATERIALIZED (SELECT WHERE ($6 = 0 OR $6 = " STARTED_US ")"
            " AND ($5 < 0 OR EXISTS (SELECT FROM standpipe_cursor"
            " WHERE host = $1 AND epoch = $2 AND committed >= $5))),"
            " saved AS (INSERT INTO standpipe_cursor AS c (host, epoch, queued, committed)"
            " SELECT $1, $2, $3, $4 FROM found"
            " ON CONFLICT (host, epoch) DO UPDATE SET queued = greatest(c.queued, excluded.queued),"
            " committed = greatest(c.committed, excluded.committed), updated_at = now()"
            " WHERE (excluded.queued > c.queued OR excluded.committed > c.committed)"
            " AND ($5 < 0 OR c.committed >= $5))"
            " SELECT 1 FROM found",
     .types = save_types,
     .count = 6},
};

enum cursor_query {
    QUERY_NEWEST,
    QUERY_NEWEST_OF_ALL,
    QUERY_STARTED,
    QUERY_SAVE
};

static void proceed(struct cursor_store *store);

static void mark_clear(struct mark *mark)
{
    free(mark->host);
    *mark = (struct mark){0};
}

static void mark_set(struct mark *mark, const struct cursor_row *row)
{
    mark_clear(mark);
    *mark = (struct mark){.is_set = true,
                          .host = memory_copy_string(row->host),
                          .epoch = row->epoch,
                          .queued = row->queued,
                          .committed = row->committed,
                          .expected = row->expected,
                          .started_us = row->started_us,
                          .tag = row->tag};
}

static struct cursor_row mark_row(const struct mark *mark)
{
    return (struct cursor_row){.host = mark->host,
                               .epoch = mark->epoch,
                               .queued = mark->queued,
                               .committed = mark->committed,
                               .expected = mark->expected,
                               .started_us = mark->started_us,
                               .tag = mark->tag};
}

static void shut(struct cursor_store *store);

static void on_timer(uv_timer_t *timer)
{
    struct cursor_store *store = timer->data;
    if (store->is_closing) {
        shut(store); /* the drain is over */
    } else {
        proceed(store);
    }
}

static void retry_later(struct cursor_store *store)
{
    if (store->is_closing) {
        return; /* the timer counts the drain; on_ready tries again */
    }
    int result = uv_timer_start(&store->timer, on_timer, backoff_next_ms(&store->backoff), 0);
    ASSERT(result == 0);
}

static void finish_load(struct cursor_store *store)
{
    struct cursor_found found = {.has_row = store->found.is_set,
                                 .row = mark_row(&store->found),
                                 .newest = store->newest,
                                 .started_us = store->started_us};
    free(store->host);
    store->host = NULL;
    if (store->callbacks.on_loaded != NULL) {
        store->callbacks.on_loaded(store->owner, &found);
    }
}

static void tell_refused(struct cursor_store *store)
{
    if (store->callbacks.on_refused != NULL) {
        store->callbacks.on_refused(store->owner);
    }
}

static void finish_save(struct cursor_store *store)
{
    struct mark saved = store->saving;
    struct cursor_row row = mark_row(&saved);
    store->saving = (struct mark){0};
    if (store->is_refused) {
        tell_refused(store);
    } else if (store->callbacks.on_saved != NULL) {
        store->callbacks.on_saved(store->owner, &row);
    }
    mark_clear(&saved);
}

static void on_result(struct pg_request *request, unsigned query, const struct pg_answer *answer)
{
    struct cursor_store *store = LIST_ENTRY(request, struct cursor_store, request);
    if (answer->rows == 0) {
        return;
    }
    if (store->running != CURSOR_LOAD) {
        store->is_refused = false;
        return;
    }
    if (query == QUERY_STARTED) {
        store->started_us = strtoll(pg_answer_text(answer, 0, 0), NULL, 10);
        return;
    }
    if (query == QUERY_NEWEST_OF_ALL) {
        store->newest.epoch = strtoull(pg_answer_text(answer, 0, 0), NULL, 10);
        store->newest.sequence = strtoll(pg_answer_text(answer, 0, 1), NULL, 10);
        return;
    }
    const struct cursor_row row = {
        .host = store->host,
        .epoch = strtoull(pg_answer_text(answer, 0, 0), NULL, 10),
        .queued = strtoll(pg_answer_text(answer, 0, 1), NULL, 10),
        .committed = strtoll(pg_answer_text(answer, 0, 2), NULL, 10),
    };
    mark_set(&store->found, &row);
}

static void log_failed(struct cursor_store *store, const struct pg_failure *failure)
{
    uint64_t suppressed = 0;
    if (log_limit_pass(&store->failed_limit, &suppressed)) {
        log_warning("postgres[cursor]", "marks are waiting",
                    LOG_TEXT("sqlstate", failure->sqlstate[0] != '\0' ? failure->sqlstate : "none"),
                    LOG_TEXT("why", failure->text), LOG_SUPPRESSED(suppressed));
    }
}

/* A lost connection comes back by itself. One that is read only since a failover, or has lost its
 * statements, stays so. */
static void handle_failure(struct cursor_store *store, const struct pg_failure *failure)
{
    bool is_useless =
        failure->class == SQLSTATE_STALE_PLAN || strcmp(failure->sqlstate, "25006") == 0;
    log_failed(store, failure);
    retry_later(store);
    if (is_useless && !failure->is_lost) {
        pg_connection_restart(store->connection, "the session is of no use");
    }
}

static void on_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct cursor_store *store = LIST_ENTRY(request, struct cursor_store, request);
    enum cursor_work work = store->running;
    store->running = CURSOR_NOTHING;
    if (store->is_shut) {
        return;
    }
    if (failure != NULL) {
        handle_failure(store, failure);
        return;
    }
    backoff_reset(&store->backoff);
    if (work == CURSOR_LOAD) {
        finish_load(store);
    } else {
        finish_save(store);
    }
    proceed(store);
}

static void send_load(struct cursor_store *store)
{
    const struct slice host = slice_from_string(store->host);
    mark_clear(&store->found);
    store->newest = (struct position){0};
    pg_connection_query(store->connection, &cursor_statements[QUERY_NEWEST], &host);
    pg_connection_query(store->connection, &cursor_statements[QUERY_NEWEST_OF_ALL], NULL);
    pg_connection_query(store->connection, &cursor_statements[QUERY_STARTED], NULL);
}

static void send_save(struct cursor_store *store)
{
    char bytes[5][PG_INT8_SIZE];
    const struct slice values[] = {
        slice_from_string(store->saving.host),     pg_int8((int64_t)store->saving.epoch, bytes[0]),
        pg_int8(store->saving.queued, bytes[1]),   pg_int8(store->saving.committed, bytes[2]),
        pg_int8(store->saving.expected, bytes[3]), pg_int8(store->saving.started_us, bytes[4]),
    };
    store->is_refused = true; /* until a row comes back */
    pg_connection_query(store->connection, &cursor_statements[QUERY_SAVE], values);
}

static enum cursor_work next_work(struct cursor_store *store)
{
    if (store->host != NULL && !store->is_closing) {
        return CURSOR_LOAD;
    }
    if (!store->saving.is_set && store->waiting.is_set) {
        store->saving = store->waiting;
        store->waiting = (struct mark){0};
    }
    return store->saving.is_set ? CURSOR_SAVE : CURSOR_NOTHING;
}

static void proceed(struct cursor_store *store)
{
    if (store->is_shut || store->running != CURSOR_NOTHING) {
        return;
    }
    enum cursor_work work = next_work(store);
    if (work == CURSOR_NOTHING) {
        if (store->is_closing) {
            shut(store);
        }
        return;
    }
    if (!pg_connection_is_ready(store->connection)) {
        return; /* on_ready goes on */
    }
    store->running = work;
    store->request = (struct pg_request){.on_result = on_result, .on_done = on_done};
    pg_connection_begin(store->connection, &store->request);
    if (work == CURSOR_LOAD) {
        send_load(store);
    } else {
        send_save(store);
    }
    pg_connection_end(store->connection);
}

void cursor_store_load(struct cursor_store *store, const char *host)
{
    free(store->host);
    store->host = memory_copy_string(host);
    proceed(store);
}

void cursor_store_save(struct cursor_store *store, const struct cursor_row *row)
{
    mark_set(&store->waiting, row);
    proceed(store);
}

/* --- life --- */

static void on_ready(void *owner)
{
    struct cursor_store *store = owner;
    bool is_waiting = uv_is_active((const uv_handle_t *)&store->timer) != 0;
    if (!store->is_closing && store->callbacks.on_connected != NULL) {
        store->callbacks.on_connected(store->owner);
    }
    if (store->is_closing || !is_waiting) {
        proceed(store); /* else the timer does */
    }
}

/* A try that did not connect; a request that was out has said so itself. */
static void on_lost(void *owner, const struct pg_failure *failure)
{
    struct cursor_store *store = owner;
    if (store->host != NULL || store->saving.is_set || store->waiting.is_set) {
        log_failed(store, failure);
    }
}

static void finish_closing(struct cursor_store *store)
{
    if (--store->open_handles > 0) {
        return;
    }
    struct cursor_store_callbacks callbacks = store->callbacks;
    void *owner = store->owner;
    mark_clear(&store->saving);
    mark_clear(&store->waiting);
    mark_clear(&store->found);
    free(store->host);
    free(store);
    if (callbacks.on_closed != NULL) {
        callbacks.on_closed(owner);
    }
}

static void on_connection_closed(void *owner)
{
    finish_closing(owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
    finish_closing(handle->data);
}

static void shut(struct cursor_store *store)
{
    if (store->is_shut) {
        return;
    }
    store->is_shut = true;
    pg_connection_close(store->connection);
    uv_close((uv_handle_t *)&store->timer, on_timer_closed);
}

void cursor_store_close(struct cursor_store *store, uint64_t drain_ms)
{
    if (store->is_closing) {
        return;
    }
    store->is_closing = true;
    uint64_t wait_ms = drain_ms > CLOSE_SLACK_MS ? drain_ms - CLOSE_SLACK_MS : 0;
    int result = uv_timer_start(&store->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
    proceed(store);
}

struct cursor_store *cursor_store_open(struct uv_loop_s *loop,
                                       const struct cursor_store_options *options,
                                       const struct cursor_store_callbacks *callbacks, void *owner)
{
    static const struct pg_connection_callbacks connection_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_connection_closed};
    struct cursor_store *store = memory_allocate(sizeof(*store));
    store->callbacks = *callbacks;
    store->owner = owner;
    store->open_handles = 2;
    store->failed_limit.interval_ms = LOG_INTERVAL_MS;
    store->backoff = (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    int result = uv_timer_init(loop, &store->timer);
    ASSERT(result == 0);
    store->timer.data = store;
    const struct pg_connection_options connection_options = {
        .conninfo = options->conninfo,
        .schema = options->schema,
        .name = "cursor",
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .prepared = options->prepared,
        .statements = cursor_statements,
        .statement_count = sizeof(cursor_statements) / sizeof(cursor_statements[0]),
    };
    store->connection = pg_connection_open(loop, &connection_options, &connection_callbacks, store);
    return store;
}
