#include "sink/purger.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/batch.h"
#include "sink/pg_connection.h"
#include "sink/statements.h"
#include "sink/tombstones.h"

#include <uv.h>

enum {
    INTERVAL_MS = 5000, /* between looks where nothing is to be done, and after a failure */
    PAUSE_MIN_MS = 10,
    PAUSE_MAX_MS = 1000,
    OWN_QUERIES = 2, /* of a piece: lock, delete; then those of typed tables */
};

enum purger_phase {
    PURGER_WAITING, /* for the timer, or the connection */
    PURGER_FINDING,
    PURGER_CLEARING,
    PURGER_ENDING,
    PURGER_FORGETTING, /* tombstones: finding, or deleting */
    PURGER_CLOSED,
};

struct purger {
    struct purger_callbacks callbacks;
    void *owner;
    struct pg_connection *connection;
    const struct table_plan *plan;
    uv_timer_t timer;
    unsigned open_handles; /* connection and timer */
    enum purger_phase phase;
    uint64_t interval_ms;
    char *object;
    struct log_limit refused_limit;
    struct pg_request request;
    struct batch batch;
    struct statements_sent sent;
    struct pg_array keys; /* of the records to be deleted */
    bool *is_spared;      /* of each table: it refuses to give up rows of this piece */
    uint64_t begun_ms;    /* the piece */
    uint64_t records;     /* removed of this repo, by us */
    struct tombstones tombstones;
    /* Where the piece stands, and after it the place to go on from; empty: the start. */
    struct buffer did, collection, rkeys, last_rkey;
};

static const uint32_t find_types[] = {25, 25, 25};
static const uint32_t did_types[] = {25};
static const uint32_t delete_types[] = {25, 25, 1009};

/* Keys of one collection below the floor, after $2 and $3 where it is the repo $1; no keys: the repo is done. */
static const struct pg_statement find_piece = {
    .sql = "SELECT p.did, k.collection, k.rkeys FROM (SELECT did, floor, floor_time FROM repos"
           " WHERE clearing AND did >= $1 ORDER BY did LIMIT 1) AS p LEFT JOIN LATERAL ("
           "SELECT collection, string_agg(rkey, ' ' ORDER BY rkey) AS rkeys FROM ("
           "SELECT r.collection, r.rkey FROM standpipe_records AS r WHERE r.did = p.did"
           " AND (r.collection, r.rkey) > (CASE WHEN p.did = $1 THEN $2 ELSE '' END,"
           " CASE WHEN p.did = $1 THEN $3 ELSE '' END) AND " STATEMENT_BELOW_FLOOR
           " ORDER BY r.collection, r.rkey LIMIT 1000) AS s"
           " GROUP BY collection ORDER BY collection LIMIT 1) AS k ON true",
    .types = find_types,
    .count = 3};
_Static_assert(PURGER_PIECE == 1000, "find_piece says the same");

/* As every writer of the repo does first. What comes after it sees the repo as it is. */
static const struct pg_statement lock_repo = {
    .sql = "SELECT 1 FROM repos WHERE did = $1 AND clearing FOR UPDATE",
    .types = did_types,
    .count = 1};
static const struct pg_statement delete_records = {
    .sql = "DELETE FROM standpipe_records AS r USING repos AS p WHERE p.did = $1 AND p.clearing"
           " AND r.did = p.did AND r.collection = $2 AND r.rkey = ANY ($3)"
           " AND " STATEMENT_BELOW_FLOOR,
    .types = delete_types,
    .count = 3};
static const struct pg_statement end_repo = {
    .sql = "UPDATE repos AS p SET clearing = false, updated_at = now() WHERE did = $1 AND clearing"
           " AND NOT EXISTS (SELECT FROM standpipe_records AS r WHERE r.did = p.did"
           " AND " STATEMENT_BELOW_FLOOR ")",
    .types = did_types,
    .count = 1};

static void find(struct purger *purger);
static void clear(struct purger *purger);

static void set_text(struct buffer *buffer, const char *text)
{
    buffer_clear(buffer);
    buffer_append_string(buffer, text);
}

/* --- waiting --- */

static void wait_for(struct purger *purger, uint64_t wait_ms);

static void on_timer(uv_timer_t *timer)
{
    struct purger *purger = timer->data;
    if (purger->phase != PURGER_WAITING) {
        return;
    }
    if (pg_connection_is_ready(purger->connection)) {
        find(purger);
    } else {
        wait_for(purger, purger->interval_ms);
    }
}

static void wait_for(struct purger *purger, uint64_t wait_ms)
{
    purger->phase = PURGER_WAITING;
    int result = uv_timer_start(&purger->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

/* As long as the piece took belongs to others. */
static void pause_for_others(struct purger *purger)
{
    uint64_t took_ms = clock_monotonic_ms() - purger->begun_ms;
    took_ms = took_ms > PAUSE_MIN_MS ? took_ms : PAUSE_MIN_MS;
    wait_for(purger, took_ms < PAUSE_MAX_MS ? took_ms : PAUSE_MAX_MS);
}

static void begin_anew(struct purger *purger)
{
    buffer_clear(&purger->did);
    buffer_clear(&purger->collection);
    buffer_clear(&purger->last_rkey);
    purger->records = 0;
}

/* An outage is told by the writers. */
static void fail(struct purger *purger, const struct pg_failure *failure)
{
    uint64_t suppressed = 0;
    bool is_outage = failure->is_lost || failure->class == SQLSTATE_OUTAGE;
    if (!is_outage && log_limit_pass(&purger->refused_limit, &suppressed)) {
        log_warning(purger->object,
                    purger->phase == PURGER_FORGETTING ? "the forgetting of tombstones is held"
                                                       : "the clearing of a deleted repo is held",
                    LOG_SLICE("did", buffer_slice(&purger->did)),
                    LOG_TEXT("sqlstate", failure->sqlstate), LOG_TEXT("why", failure->text),
                    LOG_INT("suppressed", suppressed));
    }
    begin_anew(purger);
    tombstones_begin_anew(&purger->tombstones);
    wait_for(purger, purger->interval_ms);
}

/* True where nothing follows the request: we are closed, or it failed and is begun anew. */
static bool is_over(struct purger *purger, const struct pg_failure *failure)
{
    bool is_closed = purger->phase == PURGER_CLOSED;
    if (!is_closed && failure != NULL) {
        fail(purger, failure);
    }
    return is_closed || failure != NULL;
}

/* --- the end of a repo --- */

static void on_end_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    if (is_over(purger, failure)) {
        return;
    }
    log_info(purger->object, "a deleted repo is cleared",
             LOG_SLICE("did", buffer_slice(&purger->did)), LOG_INT("records", purger->records));
    /* The next one stands behind it; where this one has come back meanwhile it is found again from the start. */
    buffer_append_byte(&purger->did, '\x01');
    buffer_clear(&purger->collection);
    buffer_clear(&purger->last_rkey);
    purger->records = 0;
    pause_for_others(purger);
}

static void end(struct purger *purger)
{
    const struct slice did = buffer_slice(&purger->did);
    purger->phase = PURGER_ENDING;
    purger->request = (struct pg_request){.on_done = on_end_done};
    pg_connection_begin(purger->connection, &purger->request);
    pg_connection_query(purger->connection, &lock_repo, &did);
    pg_connection_query(purger->connection, &end_repo, &did);
    pg_connection_end(purger->connection);
}

/* --- a piece --- */

static size_t table_count(const struct purger *purger)
{
    return purger->plan != NULL ? purger->plan->tables->count : 0;
}

static void on_clear_result(struct pg_request *request, unsigned query,
                            const struct pg_answer *answer)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    uint64_t rows =
        answer->rows == 1 ? strtoull(pg_answer_text(answer, 0, 0), NULL, 10) : answer->affected;
    if (query == OWN_QUERIES - 1) {
        purger->records += answer->affected;
    }
    if (query < OWN_QUERIES || query - OWN_QUERIES >= purger->sent.count) {
        return;
    }
    const struct statement_sent *sent = &purger->sent.order[query - OWN_QUERIES];
    bool is_counts = sent->statement == STATEMENT_TABLE_COUNTS;
    const struct sink_rows written = {.written = (uint32_t)rows};
    purger->callbacks.on_rows(purger->owner, sent->table + (is_counts ? table_count(purger) : 0),
                              &written);
}

/* A table that refuses keeps its rows, as it does where a writer clears a repo (isolation.h). False where no table is
 * at fault. */
static bool spare_tables(struct purger *purger, const struct pg_failure *failure)
{
    bool is_news = false;
    bool is_ours =
        failure->query < OWN_QUERIES || failure->query - OWN_QUERIES >= purger->sent.count;
    bool is_row = failure->class == SQLSTATE_ROW || failure->class == SQLSTATE_DONE;
    if (!is_row || failure->is_lost || is_ours) {
        return false;
    }
    const struct statement_sent *sent = &purger->sent.order[failure->query - OWN_QUERIES];
    for (size_t i = 0; i < table_count(purger); i++) {
        bool is_it = sent->statement == STATEMENT_TABLE_COUNTS
                         ? table_plan_feeds(purger->plan, i, sent->table)
                         : i == sent->table;
        is_news = is_news || (is_it && !purger->is_spared[i]);
        purger->is_spared[i] = purger->is_spared[i] || is_it;
    }
    return is_news;
}

static void on_clear_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    uint64_t suppressed = 0;
    if (purger->phase == PURGER_CLOSED) {
        return;
    }
    if (failure == NULL) {
        pause_for_others(purger);
        return;
    }
    if (!spare_tables(purger, failure)) {
        fail(purger, failure);
        return;
    }
    if (log_limit_pass(&purger->refused_limit, &suppressed)) {
        log_warning(purger->object, "a table keeps rows of a deleted repo",
                    LOG_TEXT("sqlstate", failure->sqlstate), LOG_TEXT("why", failure->text),
                    LOG_INT("suppressed", suppressed));
    }
    clear(purger);
}

/* The keys are separated by blanks, which no record key has. */
static struct slice next_key(struct slice *rest)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] != ' ') {
        size++;
    }
    struct slice key = slice_of(rest->data, size);
    *rest = slice_skip(*rest, size < rest->size ? size + 1 : size);
    return key;
}

static void remove_rows(struct purger *purger, struct slice rkey)
{
    const struct table_key key = {.did = buffer_slice(&purger->did), .rkey = rkey};
    size_t count = 0;
    size_t first = purger->plan != NULL
                       ? table_plan_find(purger->plan, buffer_slice(&purger->collection), &count)
                       : 0;
    for (size_t i = first; i < first + count; i++) {
        if (!purger->is_spared[i]) {
            table_rows_remove(purger->batch.rows_of_tables, i, &key);
        }
    }
}

static void build(struct purger *purger)
{
    struct slice rest = buffer_slice(&purger->rkeys);
    batch_begin(&purger->batch);
    pg_array_begin(&purger->keys, PG_TEXT);
    while (rest.size > 0) {
        struct slice key = next_key(&rest);
        pg_array_append(&purger->keys, key);
        remove_rows(purger, key);
        buffer_clear(&purger->last_rkey);
        buffer_append_slice(&purger->last_rkey, key);
    }
}

static void clear(struct purger *purger)
{
    build(purger);
    const struct slice values[] = {buffer_slice(&purger->did), buffer_slice(&purger->collection),
                                   pg_array_finish(&purger->keys)};
    purger->phase = PURGER_CLEARING;
    purger->request = (struct pg_request){.on_result = on_clear_result, .on_done = on_clear_done};
    pg_connection_begin(purger->connection, &purger->request);
    pg_connection_query(purger->connection, &lock_repo, values);
    pg_connection_query(purger->connection, &delete_records, values);
    statements_send(purger->connection, &purger->batch, &purger->sent);
    pg_connection_end(purger->connection);
}

/* --- tombstones --- */

static void on_forget_result(struct pg_request *request, unsigned query,
                             const struct pg_answer *answer)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    if (query == 1) {
        purger->callbacks.on_forgotten(purger->owner, answer->affected);
    }
}

static void on_forget_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    if (!is_over(purger, failure)) {
        pause_for_others(purger);
    }
}

static void on_tombstones_result(struct pg_request *request, unsigned query,
                                 const struct pg_answer *answer)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    tombstones_take(&purger->tombstones, query, answer);
}

static void on_tombstones_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    if (is_over(purger, failure)) {
        return;
    }
    if (purger->tombstones.count == 0) {
        wait_for(purger, purger->tombstones.is_found ? PAUSE_MIN_MS : purger->interval_ms);
        return;
    }
    purger->request = (struct pg_request){.on_result = on_forget_result, .on_done = on_forget_done};
    pg_connection_begin(purger->connection, &purger->request);
    tombstones_send_delete(&purger->tombstones, purger->connection);
    pg_connection_end(purger->connection);
}

static void forget_tombstones(struct purger *purger)
{
    if (purger->tombstones.age_ms == 0) {
        wait_for(purger, purger->interval_ms);
        return;
    }
    purger->phase = PURGER_FORGETTING;
    purger->request =
        (struct pg_request){.on_result = on_tombstones_result, .on_done = on_tombstones_done};
    pg_connection_begin(purger->connection, &purger->request);
    tombstones_send_find(&purger->tombstones, purger->connection);
    pg_connection_end(purger->connection);
}

/* --- finding one --- */

static void on_found(struct pg_request *request, unsigned query, const struct pg_answer *answer)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    (void)query; /* the only one */
    buffer_clear(&purger->rkeys);
    if (answer->rows == 0) {
        begin_anew(purger);
        return;
    }
    set_text(&purger->did, pg_answer_text(answer, 0, 0));
    set_text(&purger->collection, pg_answer_text(answer, 0, 1));
    set_text(&purger->rkeys, pg_answer_text(answer, 0, 2));
}

static void on_find_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct purger *purger = LIST_ENTRY(request, struct purger, request);
    if (is_over(purger, failure)) {
        return;
    }
    if (purger->did.size == 0) {
        forget_tombstones(purger);
    } else if (purger->rkeys.size == 0) {
        end(purger);
    } else {
        memset(purger->is_spared, 0, table_count(purger) * sizeof(*purger->is_spared));
        clear(purger);
    }
}

static void find(struct purger *purger)
{
    const struct slice values[] = {buffer_slice(&purger->did), buffer_slice(&purger->collection),
                                   buffer_slice(&purger->last_rkey)};
    struct slice given[3];
    for (int i = 0; i < 3; i++) { /* without a value it would be null */
        given[i] = values[i].data != NULL ? values[i] : SLICE("");
    }
    purger->phase = PURGER_FINDING;
    purger->begun_ms = clock_monotonic_ms();
    purger->request = (struct pg_request){.on_result = on_found, .on_done = on_find_done};
    pg_connection_begin(purger->connection, &purger->request);
    pg_connection_query(purger->connection, &find_piece, given);
    pg_connection_end(purger->connection);
}

/* --- life --- */

static void on_ready(void *owner)
{
    struct purger *purger = owner;
    if (purger->phase == PURGER_WAITING) {
        wait_for(purger, 0);
    }
}

static void on_lost(void *owner, const struct pg_failure *failure)
{
    (void)owner; /* the writers say it, and a request that was out has failed */
    (void)failure;
}

static void finish_closing(struct purger *purger)
{
    if (--purger->open_handles > 0) {
        return;
    }
    struct purger_callbacks callbacks = purger->callbacks;
    void *owner = purger->owner;
    batch_deinit(&purger->batch);
    pg_array_deinit(&purger->keys);
    buffer_deinit(&purger->did);
    buffer_deinit(&purger->collection);
    buffer_deinit(&purger->rkeys);
    buffer_deinit(&purger->last_rkey);
    tombstones_deinit(&purger->tombstones);
    free(purger->is_spared);
    free(purger->object);
    free(purger);
    callbacks.on_closed(owner);
}

static void on_connection_closed(void *owner)
{
    finish_closing(owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
    finish_closing(handle->data);
}

void purger_close(struct purger *purger)
{
    if (purger->phase == PURGER_CLOSED) {
        return;
    }
    purger->phase = PURGER_CLOSED;
    pg_connection_close(purger->connection);
    uv_close((uv_handle_t *)&purger->timer, on_timer_closed);
}

static char *name_object(const char *name)
{
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", name);
    buffer_append_byte(&object, '\0');
    return object.data;
}

struct purger *purger_open(struct uv_loop_s *loop, const struct sink_options *options,
                           const struct table_plan *plan, const struct purger_callbacks *callbacks,
                           void *owner)
{
    static const struct pg_connection_callbacks connection_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_connection_closed};
    struct purger *purger = memory_allocate(sizeof(*purger));
    purger->callbacks = *callbacks;
    purger->owner = owner;
    purger->plan = plan;
    purger->open_handles = 2;
    purger->interval_ms =
        options->purge_interval_ms != 0 ? options->purge_interval_ms : INTERVAL_MS;
    purger->object = name_object(options->name);
    purger->is_spared = memory_allocate((table_count(purger) + 1) * sizeof(*purger->is_spared));
    batch_init(&purger->batch, plan);
    tombstones_init(&purger->tombstones, options->tombstone_age_ms);
    int result = uv_timer_init(loop, &purger->timer);
    ASSERT(result == 0);
    purger->timer.data = purger;
    const struct pg_connection_options connection_options = {
        .conninfo = options->conninfo,
        .schema = options->schema,
        .name = options->name,
        .statement_timeout_ms = options->statement_timeout_ms,
        .misconfigured_wait_ms = options->misconfigured_wait_ms,
        .prepared = options->prepared,
        .statements = plan != NULL ? plan->statements : NULL,
        .statement_count = plan != NULL ? plan->statement_count : 0,
    };
    purger->connection =
        pg_connection_open(loop, &connection_options, &connection_callbacks, purger);
    return purger;
}
