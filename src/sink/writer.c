#include "sink/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/isolation.h"
#include "sink/transaction.h"

#include <uv.h>

enum {
    BACKOFF_BASE_MS = 100,
    BACKOFF_LIMIT_MS = 10000,
    MISCONFIGURED_WAIT_MS = 30000,
    PATIENCE_STEP = 4,
    PATIENCE_LIMIT = 256 /* two hours of 30 s */
};

enum writer_phase {
    WRITER_IDLE,
    WRITER_RUNNING, /* a transaction is out */
    WRITER_HELD,    /* the timer or the connection starts the next try */
    WRITER_CLOSED,
};

struct writer {
    struct writer_callbacks callbacks;
    void *owner;
    struct pg_connection *connection;
    uv_timer_t timer;
    unsigned open_handles; /* connection and timer */
    enum writer_phase phase;
    enum sink_state state;
    bool is_draining;
    bool has_prepared_again;
    uint64_t statement_timeout_ms;
    unsigned patience; /* how many times as long the entry that runs alone may take */
    uint64_t misconfigured_wait_ms;
    char *object;
    struct log_limit held_limit;
    struct backoff backoff;
    struct list batches;
    struct sink_outcome *outcomes; /* of each batch */
    size_t outcome_count, outcome_capacity;
    struct transaction transaction;
    struct isolation isolation;
    struct pg_statement *statements;
    unsigned statement_count;
};

static void run(struct writer *writer);

static void enter_phase(struct writer *writer, enum writer_phase next)
{
    static const char *const names[] = {
        [WRITER_IDLE] = "idle",
        [WRITER_RUNNING] = "running",
        [WRITER_HELD] = "held",
        [WRITER_CLOSED] = "closed",
    };
    log_debug(writer->object, "writer", LOG_TEXT("from", names[writer->phase]),
              LOG_TEXT("to", names[next]));
    writer->phase = next;
}

/* What was never made, or by an older standpipe. */
static bool is_migrations(const struct pg_failure *failure)
{
    static const char *const codes[] = {"42P01", "42703", "42883", "3F000"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(failure->sqlstate, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void set_state(struct writer *writer, enum sink_state state,
                      const struct pg_failure *failure)
{
    struct error error;
    if (failure != NULL) {
        error_set(&error, state == SINK_MISCONFIGURED ? ERROR_REFUSED : ERROR_UNREACHABLE,
                  "postgres: %s%s%s%s", failure->sqlstate, failure->sqlstate[0] != '\0' ? ": " : "",
                  failure->text, is_migrations(failure) ? ": run `standpipe migrate`" : "");
    }
    writer->state = state;
    writer->callbacks.on_state(writer->owner, writer, failure != NULL ? &error : NULL);
}

enum sink_state writer_state(const struct writer *writer)
{
    return writer->state;
}

bool writer_is_idle(const struct writer *writer)
{
    return writer->phase == WRITER_IDLE && pg_connection_is_ready(writer->connection);
}

bool writer_is_running(const struct writer *writer)
{
    return writer->phase == WRITER_RUNNING;
}

bool writer_has_batches(const struct writer *writer)
{
    return !list_is_empty(&writer->batches);
}

/* --- the end of batches --- */

static void finish_batches(struct writer *writer, const struct error *error)
{
    static const struct sink_outcome nothing = {0};
    size_t index = 0;
    isolation_end(&writer->isolation);
    writer->callbacks.on_yield(writer->owner, writer);
    for (struct list *node; (node = list_take_first(&writer->batches)) != NULL; index++) {
        struct sink_batch *batch = LIST_ENTRY(node, struct sink_batch, node);
        batch->on_done(batch, error == NULL ? &writer->outcomes[index] : &nothing, error);
    }
}

static void become_idle(struct writer *writer)
{
    backoff_reset(&writer->backoff);
    writer->has_prepared_again = false;
    finish_batches(writer, NULL);
    if (writer->phase == WRITER_CLOSED) {
        return; /* a callback has closed it */
    }
    enter_phase(writer, WRITER_IDLE);
    if (writer->is_draining) {
        writer_close(writer);
        return;
    }
    if (writer->state != SINK_READY) {
        set_state(writer, SINK_READY, NULL);
    }
    if (writer_is_idle(writer)) {
        writer->callbacks.on_idle(writer->owner, writer);
    }
}

/* --- failures --- */

static void on_timer(uv_timer_t *timer)
{
    struct writer *writer = timer->data;
    if (writer->phase == WRITER_HELD) {
        run(writer);
    }
}

static void hold(struct writer *writer, uint64_t wait_ms)
{
    enter_phase(writer, WRITER_HELD);
    int result = uv_timer_start(&writer->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

static void log_held(struct writer *writer, const struct pg_failure *failure, uint64_t wait_ms)
{
    uint64_t suppressed = 0;
    if (log_limit_pass(&writer->held_limit, &suppressed)) {
        log_warning(writer->object, "batch held", LOG_TEXT("sqlstate", failure->sqlstate),
                    LOG_TEXT("why", failure->text), LOG_INT("retry_ms", wait_ms),
                    LOG_SUPPRESSED(suppressed));
    }
}

static void hold_for_outage(struct writer *writer, const struct pg_failure *failure)
{
    uint64_t wait_ms = backoff_next_ms(&writer->backoff);
    log_held(writer, failure, wait_ms);
    hold(writer, wait_ms);
    set_state(writer, SINK_AWAY, failure);
    /* An old primary stays read only: the hosts are asked anew which one may be written to. */
    if (writer->phase == WRITER_HELD && strcmp(failure->sqlstate, "25006") == 0) {
        pg_connection_restart(writer->connection, "the server is read only");
    }
}

static void hold_for_set_up(struct writer *writer, const struct pg_failure *failure)
{
    hold(writer, writer->misconfigured_wait_ms);
    set_state(writer, SINK_MISCONFIGURED, failure);
    if (writer->phase == WRITER_HELD) {
        pg_connection_restart(writer->connection, "the set-up is wrong");
    }
}

static void hold_for_prepare(struct writer *writer, const struct pg_failure *failure)
{
    if (writer->has_prepared_again) {
        hold_for_set_up(writer, failure);
        return;
    }
    writer->has_prepared_again = true;
    enter_phase(writer, WRITER_HELD); /* until the connection is ready */
    pg_connection_restart(writer->connection, "prepared statements are stale");
}

/* Whose row was refused, or what ran too long, is found entry by entry. */
static void isolate(struct writer *writer)
{
    if (!isolation_begin(&writer->isolation, &writer->batches, writer->outcomes)) {
        isolation_end(
            &writer->isolation); /* nothing but empty batches: the whole is as small as it gets */
    }
}

/* No letter will do: that is nobody's row any more. Nothing is given up, and the operator is told. */
static void hold_for_letters(struct writer *writer, const struct pg_failure *failure)
{
    struct pg_failure why = *failure;
    (void)snprintf(why.text, sizeof(why.text), /* what is too long is cut */
                   "standpipe_dead_letters refuses even a bare letter (%.150s): drop the "
                   "constraint or trigger that does it",
                   failure->text);
    why.class = SQLSTATE_MISCONFIGURED;
    hold_for_set_up(writer, &why);
}

static void handle_row_error(struct writer *writer, const struct pg_failure *failure)
{
    struct transaction *transaction = &writer->transaction;
    if (!writer->isolation.is_on) {
        isolate(writer);
    } else if (!isolation_refuse(&writer->isolation, failure, &transaction->batch,
                                 transaction_failed_in(transaction, failure))) {
        hold_for_letters(writer, failure);
        return;
    }
    run(writer);
}

static void set_patience(struct writer *writer, unsigned patience)
{
    if (writer->patience != patience) {
        writer->patience = patience;
        log_info(writer->object, "statement timeout",
                 LOG_INT("timeout_ms", writer->statement_timeout_ms * patience));
        pg_connection_set_timeout(writer->connection, writer->statement_timeout_ms * patience);
    }
}

/* Smaller transactions next time; what is as small as it gets (the deletion of a large account) is given more
 * time. A server that says nothing at all may as well be dead, which is not to be found out in hours. */
static void handle_timeout(struct writer *writer, const struct pg_failure *failure)
{
    unsigned limit = failure->is_lost ? PATIENCE_STEP : PATIENCE_LIMIT;
    bool is_smallest = writer->isolation.is_on;
    if (!is_smallest) {
        isolate(writer);
    }
    hold_for_outage(writer, failure);
    if (is_smallest && writer->phase == WRITER_HELD && writer->patience < limit) {
        set_patience(writer, writer->patience * PATIENCE_STEP);
    }
}

/* A connection that went is an outage, whatever was said before; but where nothing came in time, the
 * transaction may be what is too long. */
static enum sqlstate_class class_of(const struct pg_failure *failure)
{
    bool is_outage = failure->is_lost && failure->class != SQLSTATE_SLOW;
    return is_outage ? SQLSTATE_OUTAGE : failure->class;
}

static void handle_failure(struct writer *writer, const struct pg_failure *failure)
{
    writer->callbacks.on_yield(writer->owner, writer);
    writer->callbacks.on_error(writer->owner, failure->sqlstate);
    switch (class_of(failure)) {
    case SQLSTATE_DONE:
    case SQLSTATE_ROW:
        handle_row_error(writer, failure);
        return;
    case SQLSTATE_SLOW:
        handle_timeout(writer, failure);
        return;
    case SQLSTATE_OUTAGE:
        hold_for_outage(writer, failure);
        return;
    case SQLSTATE_STALE_PLAN:
        hold_for_prepare(writer, failure);
        return;
    case SQLSTATE_MISCONFIGURED:
        hold_for_set_up(writer, failure);
        return;
    }
}

/* --- running --- */

static void on_done(struct transaction *transaction, const struct pg_failure *failure)
{
    struct writer *writer = LIST_ENTRY(transaction, struct writer, transaction);
    if (writer->phase == WRITER_CLOSED) {
        return;
    }
    if (failure != NULL) {
        handle_failure(writer, failure);
        return;
    }
    set_patience(writer, 1);
    transaction_keep_rows(transaction);
    if (!isolation_is_trying(&writer->isolation)) {
        transaction_report_rows(transaction, writer->callbacks.on_rows, writer->owner);
    }
    if (!writer->isolation.is_on) {
        for (size_t i = 0; i < writer->outcome_count; i++) {
            outcome_move_written(&writer->outcomes[i], &transaction->written);
        }
        writer->outcomes[0].transaction_us = transaction_age_us(transaction);
    } else if (isolation_accept(&writer->isolation, transaction->written, writer->outcomes)) {
        run(writer);
        return;
    }
    become_idle(writer);
}

static void run(struct writer *writer)
{
    if (!pg_connection_is_ready(writer->connection)) {
        enter_phase(writer, WRITER_HELD);
        return; /* on_ready goes on */
    }
    if (writer->isolation.is_on) {
        transaction_build_isolated(&writer->transaction, &writer->isolation);
    } else {
        transaction_build_whole(&writer->transaction, &writer->batches, writer->outcomes);
    }
    enter_phase(writer, WRITER_RUNNING);
    transaction_run(&writer->transaction, writer->connection);
}

void writer_give(struct writer *writer, struct list *batches)
{
    ASSERT(writer_is_idle(writer) && list_is_empty(&writer->batches));
    writer->outcome_count = 0;
    transaction_forget_rows(&writer->transaction);
    for (struct list *node; (node = list_take_first(batches)) != NULL; writer->outcome_count++) {
        list_append(&writer->batches, node);
    }
    if (writer->outcome_count > writer->outcome_capacity) {
        writer->outcome_capacity = writer->outcome_count;
        writer->outcomes =
            memory_resize(writer->outcomes, writer->outcome_capacity * sizeof(*writer->outcomes));
    }
    if (LIST_ENTRY(list_first(&writer->batches), struct sink_batch, node)->is_alone) {
        isolate(writer);
    }
    run(writer);
}

/* --- the connection --- */

static void on_ready(void *owner)
{
    struct writer *writer = owner;
    bool is_waiting = uv_is_active((const uv_handle_t *)&writer->timer) != 0;
    if (writer->phase == WRITER_HELD && !is_waiting) {
        run(writer);
    } else if (writer->phase == WRITER_IDLE) {
        set_state(writer, SINK_READY, NULL);
        if (writer_is_idle(writer)) {
            writer->callbacks.on_idle(writer->owner, writer);
        }
    }
}

static void on_lost(void *owner, const struct pg_failure *failure)
{
    struct writer *writer = owner;
    if (writer->phase != WRITER_RUNNING) { /* else the transaction has failed too, and counts */
        writer->callbacks.on_error(writer->owner, failure->sqlstate);
    }
    set_state(writer, failure->class == SQLSTATE_MISCONFIGURED ? SINK_MISCONFIGURED : SINK_AWAY,
              failure);
}

static void finish_closing(struct writer *writer)
{
    if (--writer->open_handles > 0) {
        return;
    }
    struct writer_callbacks callbacks = writer->callbacks;
    void *owner = writer->owner;
    ASSERT(list_is_empty(&writer->batches));
    transaction_deinit(&writer->transaction);
    isolation_deinit(&writer->isolation);
    free(writer->outcomes);
    free(writer->statements);
    free(writer->object);
    callbacks.on_closed(owner, writer);
    free(writer);
}

static void on_connection_closed(void *owner)
{
    finish_closing(owner);
}

static void on_timer_closed(uv_handle_t *handle)
{
    finish_closing(handle->data);
}

void writer_close(struct writer *writer)
{
    struct error error;
    if (writer->phase == WRITER_CLOSED) {
        return;
    }
    enter_phase(writer, WRITER_CLOSED);
    pg_connection_close(writer->connection);
    uv_close((uv_handle_t *)&writer->timer, on_timer_closed);
    error_set(&error, ERROR_CLOSED, "postgres: the sink was closed before the commit");
    finish_batches(writer, &error);
}

void writer_drain(struct writer *writer)
{
    writer->is_draining = true;
    if (writer->phase == WRITER_IDLE) {
        writer_close(writer);
    }
}

/* Ours, then those of typed tables. */
static void join_statements(struct writer *writer, const struct table_plan *plan)
{
    writer->statement_count = STATEMENT_COUNT + (plan != NULL ? plan->statement_count : 0);
    writer->statements = memory_allocate(writer->statement_count * sizeof(*writer->statements));
    memcpy(writer->statements, statements, STATEMENT_COUNT * sizeof(*statements));
    if (plan != NULL) {
        memcpy(writer->statements + STATEMENT_COUNT, plan->statements,
               plan->statement_count * sizeof(*statements));
    }
}

struct writer *writer_open(struct uv_loop_s *loop, const struct sink_options *options,
                           const struct table_plan *plan, const struct writer_callbacks *callbacks,
                           void *owner)
{
    struct writer *writer = memory_allocate(sizeof(*writer));
    writer->callbacks = *callbacks;
    writer->owner = owner;
    writer->open_handles = 2;
    writer->statement_timeout_ms = options->statement_timeout_ms;
    writer->patience = 1;
    writer->backoff = (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    writer->misconfigured_wait_ms = options->misconfigured_wait_ms != 0
                                        ? options->misconfigured_wait_ms
                                        : MISCONFIGURED_WAIT_MS;
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", options->name);
    buffer_append_byte(&object, '\0');
    writer->object = object.data;
    writer->isolation.object = writer->object;
    join_statements(writer, plan);
    transaction_init(&writer->transaction, plan);
    writer->transaction.on_done = on_done;
    writer->transaction.batch.keeps_no_letters = options->keeps_no_letters;
    writer->transaction.batch.ignores_horizon = options->ignores_horizon;
    list_init(&writer->batches);
    int result = uv_timer_init(loop, &writer->timer);
    ASSERT(result == 0);
    writer->timer.data = writer;
    const struct pg_connection_options connection_options = {
        .conninfo = options->conninfo,
        .schema = options->schema,
        .name = options->name,
        .statement_timeout_ms = options->statement_timeout_ms,
        .misconfigured_wait_ms = writer->misconfigured_wait_ms,
        .prepared = options->prepared,
        .statements = writer->statements,
        .statement_count = writer->statement_count,
    };
    static const struct pg_connection_callbacks connection_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_connection_closed};
    writer->connection =
        pg_connection_open(loop, &connection_options, &connection_callbacks, writer);
    return writer;
}
