#include "sink/pg_pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"

#include <libpq-fe.h>

/* --- breaking --- */

static void on_timer(uv_timer_t *timer)
{
    struct pg_pipeline *pipeline = timer->data;
    struct pg_failure failure = pipeline->failure;
    if (!pipeline->is_broken) {
        pg_failure_set(&failure, "no answer in time");
        failure.class = SQLSTATE_SLOW; /* many statements, each within its own timeout, may be */
    }
    pipeline->callbacks.on_broken(pipeline->owner, &failure);
}

static void set_timer(struct pg_pipeline *pipeline, uint64_t wait_ms)
{
    int result = uv_timer_start(&pipeline->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

/* For a failure that is found where no callback may run: told from the timer. */
static void break_soon(struct pg_pipeline *pipeline)
{
    if (pipeline->is_broken) {
        return;
    }
    pg_failure_of_connection(&pipeline->failure, pipeline->native, "the connection is broken");
    pipeline->is_broken = true;
    set_timer(pipeline, 0);
}

/* What the server said before it left (57P01) is a better reason than its leaving. */
static void break_now(struct pg_pipeline *pipeline)
{
    struct pg_failure failure = pipeline->failure;
    if (failure.text[0] == '\0') {
        pg_failure_of_connection(&failure, pipeline->native, "the connection ended");
    }
    failure.is_lost = true;
    pipeline->callbacks.on_broken(pipeline->owner, &failure);
}

static void arm_deadline(struct pg_pipeline *pipeline)
{
    if (pipeline->is_broken) {
        return;
    }
    if (list_is_empty(&pipeline->requests)) {
        (void)uv_timer_stop(&pipeline->timer); /* cannot fail */
        return;
    }
    const struct pg_request *first = LIST_ENTRY(pipeline->requests.next, struct pg_request, node);
    uint64_t now_ms = clock_monotonic_ms();
    set_timer(pipeline, first->deadline_ms > now_ms ? first->deadline_ms - now_ms : 0);
}

void pg_pipeline_fail_requests(struct pg_pipeline *pipeline, const struct pg_failure *failure)
{
    struct list lost;
    list_init(&lost);
    pipeline->begun = NULL;
    for (struct list *node; (node = list_take_first(&pipeline->requests)) != NULL;) {
        list_append(&lost, node);
    }
    for (struct list *node; (node = list_take_first(&lost)) != NULL;) {
        struct pg_request *request = LIST_ENTRY(node, struct pg_request, node);
        struct pg_failure mine = request->has_failed ? request->failure : *failure;
        mine.is_lost = true;
        if (request->on_done != NULL) {
            request->on_done(request, &mine);
        }
    }
}

/* --- answers --- */

static void flush(struct pg_pipeline *pipeline)
{
    if (pipeline->is_broken) {
        return;
    }
    int left = PQflush(pipeline->native);
    int events = left > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE;
    if (left < 0 || pg_watcher_start(&pipeline->watcher, PQsocket(pipeline->native), events) != 0) {
        break_soon(pipeline);
    }
}

static void take_failure(struct pg_request *request, const PGresult *native)
{
    if (request->has_failed) {
        return; /* the first one is the cause */
    }
    pg_failure_of_result(&request->failure, native);
    /* The preamble's is no query of the owner's: past all of them. */
    request->failure.query = request->answered - request->preambles;
    request->has_failed = true;
}

static void give_answer(struct pg_request *request, const PGresult *native)
{
    bool is_preamble = request->answered < request->preambles;
    if (request->on_result == NULL || request->has_failed || is_preamble) {
        return;
    }
    /* PQcmdTuples takes no const and changes nothing. */
    const char *affected = PQcmdTuples((PGresult *)(uintptr_t)native);
    const struct pg_answer answer = {
        .affected = strtoull(affected, NULL, 10),
        .rows = (unsigned)PQntuples(native),
        .native = native,
    };
    request->on_result(request, request->answered - request->preambles, &answer);
}

const char *pg_answer_text(const struct pg_answer *answer, unsigned row, unsigned column)
{
    return PQgetvalue(answer->native, (int)row, (int)column);
}

static void finish_request(struct pg_pipeline *pipeline, struct pg_request *request)
{
    list_remove(&request->node);
    arm_deadline(pipeline);
    if (request->on_done != NULL) {
        request->on_done(request, request->has_failed ? &request->failure : NULL);
    }
}

/* One answer of the server goes to the first request. */
static void take_result(struct pg_pipeline *pipeline, PGresult *native)
{
    struct pg_request *request = LIST_ENTRY(pipeline->requests.next, struct pg_request, node);
    ExecStatusType status = native != NULL ? PQresultStatus(native) : PGRES_EMPTY_QUERY;
    if (native == NULL) {
        request->answered++; /* the end of one query's answers */
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        give_answer(request, native);
    } else if (status == PGRES_PIPELINE_SYNC) {
        PQclear(native);
        finish_request(pipeline, request);
        return;
    } else if (status != PGRES_PIPELINE_ABORTED) {
        take_failure(request, native);
    }
    PQclear(native);
}

/* More ends than queries: libpq is spinning on a dead connection. */
static bool is_spinning(const struct pg_pipeline *pipeline)
{
    const struct pg_request *request = LIST_ENTRY(pipeline->requests.next, struct pg_request, node);
    return request->answered > request->sent + 1;
}

/* False where the connection is over, and told. PQisBusy comes first: it reads what the server says
 * unasked, which would pile up in an idle connection. */
static bool drain(struct pg_pipeline *pipeline)
{
    unsigned generation = pipeline->generation;
    while (PQisBusy(pipeline->native) == 0 && !list_is_empty(&pipeline->requests)) {
        take_result(pipeline, PQgetResult(pipeline->native));
        if (pipeline->generation != generation) {
            return false;
        }
        if (!list_is_empty(&pipeline->requests) &&
            (is_spinning(pipeline) || PQstatus(pipeline->native) == CONNECTION_BAD)) {
            break_now(pipeline);
            return false;
        }
    }
    return true;
}

static void on_event(void *owner, int status, int events)
{
    struct pg_pipeline *pipeline = owner;
    bool is_readable = status < 0 || (events & UV_READABLE) != 0;
    bool is_over = is_readable && PQconsumeInput(pipeline->native) == 0;
    if (!drain(pipeline)) {
        return;
    }
    if (is_over) {
        break_now(pipeline);
    } else {
        flush(pipeline);
    }
}

/* A notice may be a RAISE of the user's, with record content: its text is treated like that of an error.
 * An error that no query asked for comes here too: it is the server's goodbye. */
static void on_notice(void *context, const PGresult *native)
{
    struct pg_pipeline *pipeline = context;
    struct pg_failure notice;
    pg_failure_of_result(&notice, native);
    const char *severity = PQresultErrorField(native, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != NULL && strcmp(severity, "FATAL") == 0) {
        pipeline->failure = notice;
    }
    log_debug(pipeline->options.object, "notice", LOG_TEXT("sqlstate", notice.sqlstate),
              LOG_TEXT("text", notice.text));
}

/* --- sending --- */

static void send_query(struct pg_pipeline *pipeline, const struct pg_statement *statement,
                       const struct slice *values)
{
    const char *data[PG_PARAMETERS_MAX];
    int sizes[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX];
    ASSERT(statement->count <= PG_PARAMETERS_MAX);
    for (unsigned i = 0; i < statement->count; i++) {
        data[i] = values[i].data;
        sizes[i] = (int)values[i].size;
        formats[i] = 1;
    }
    int count = (int)statement->count;
    bool is_prepared = pipeline->options.prepared && statement->name != NULL;
    int sent = is_prepared ? PQsendQueryPrepared(pipeline->native, statement->name, count, data,
                                                 sizes, formats, 0)
                           : PQsendQueryParams(pipeline->native, statement->sql, count,
                                               statement->types, data, sizes, formats, 0);
    if (sent == 0) {
        break_soon(pipeline);
    }
}

struct slice pg_int8(int64_t number, char bytes[PG_INT8_SIZE])
{
    for (int i = 0; i < PG_INT8_SIZE; i++) {
        bytes[i] = (char)((uint64_t)number >> (56 - 8 * i));
    }
    return slice_of(bytes, PG_INT8_SIZE);
}

void pg_pipeline_query(struct pg_pipeline *pipeline, const struct pg_statement *statement,
                       const struct slice *values)
{
    ASSERT(pipeline->begun != NULL);
    pipeline->begun->sent++;
    send_query(pipeline, statement, values);
}

void pg_pipeline_prepare(struct pg_pipeline *pipeline, const struct pg_statement *statement)
{
    ASSERT(pipeline->begun != NULL);
    pipeline->begun->sent++;
    if (PQsendPrepare(pipeline->native, statement->name, statement->sql, (int)statement->count,
                      statement->types) == 0) {
        break_soon(pipeline);
    }
}

void pg_pipeline_begin(struct pg_pipeline *pipeline, struct pg_request *request)
{
    ASSERT(pipeline->begun == NULL && pipeline->native != NULL);
    request->sent = 0;
    request->answered = 0;
    request->preambles = 0;
    request->has_failed = false;
    list_append(&pipeline->requests, &request->node);
    pipeline->begun = request;
    if (pipeline->options.preamble != NULL) {
        request->preambles = 1;
        pg_pipeline_query(pipeline, pipeline->options.preamble, pipeline->options.preamble_values);
    }
}

void pg_pipeline_end(struct pg_pipeline *pipeline)
{
    ASSERT(pipeline->begun != NULL);
    pipeline->begun->deadline_ms = clock_monotonic_ms() + pipeline->options.deadline_ms;
    pipeline->begun = NULL;
    if (PQpipelineSync(pipeline->native) == 0) {
        break_soon(pipeline);
    }
    flush(pipeline);
    arm_deadline(pipeline);
}

/* --- life --- */

void pg_pipeline_init(struct pg_pipeline *pipeline, struct uv_loop_s *loop,
                      const struct pg_pipeline_options *options)
{
    pipeline->options = *options;
    pipeline->watcher = (struct pg_watcher){.loop = loop, .on_event = on_event, .owner = pipeline};
    list_init(&pipeline->requests);
    int result = uv_timer_init(loop, &pipeline->timer);
    ASSERT(result == 0);
    pipeline->timer.data = pipeline;
}

bool pg_pipeline_attach(struct pg_pipeline *pipeline, struct pg_conn *native)
{
    ASSERT(pipeline->native == NULL && list_is_empty(&pipeline->requests));
    pipeline->native = native;
    /* PQerrorMessage gathers what the server said of queries: with their code alone it quotes no record. */
    (void)PQsetErrorVerbosity(native, PQERRORS_SQLSTATE);   /* returns the old one */
    (void)PQsetNoticeReceiver(native, on_notice, pipeline); /* likewise */
    return PQsetnonblocking(native, 1) == 0 && PQenterPipelineMode(native) == 1;
}

void pg_pipeline_detach(struct pg_pipeline *pipeline)
{
    pg_watcher_stop(&pipeline->watcher);
    (void)uv_timer_stop(&pipeline->timer); /* cannot fail */
    if (pipeline->native != NULL) {
        PQfinish(pipeline->native);
    }
    pipeline->native = NULL;
    pipeline->generation++;
    pipeline->is_broken = false;
    pipeline->failure = (struct pg_failure){0};
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct pg_pipeline *pipeline = handle->data;
    pipeline->callbacks.on_closed(pipeline->owner);
}

void pg_pipeline_close(struct pg_pipeline *pipeline)
{
    pg_pipeline_detach(pipeline);
    uv_close((uv_handle_t *)&pipeline->timer, on_timer_closed);
}
