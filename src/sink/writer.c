#include "sink/writer.h"

#include <stdlib.h>
#include <string.h>

#include "atproto/utf8.h"
#include "base/backoff.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/statements.h"

#include <uv.h>

enum {
    BACKOFF_BASE_MS = 100,
    BACKOFF_LIMIT_MS = 10000,
    MISCONFIGURED_WAIT_MS = 30000
};

enum writer_phase {
    WRITER_IDLE,
    WRITER_RUNNING, /* a transaction is out */
    WRITER_HELD,    /* the timer or the connection starts the next try */
    WRITER_CLOSED,
};

/* How one entry is run alone: where in the batches, and what is known of its ops. */
struct isolation {
    bool is_on;
    struct list *batch; /* node */
    size_t outcome;     /* index of the batch */
    size_t entry;
    struct batch_verdict *verdicts;
    size_t verdict_count, verdict_capacity;
    int *trials; /* ops to run alone */
    size_t trial_count, trial_capacity;
    size_t trial;
    bool is_trying; /* trials[trial] is being run */
    bool has_tried;
    uint64_t written; /* by the trials */
    struct sink_outcome entry_outcome;
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
    bool prepared;
    uint64_t misconfigured_wait_ms;
    char *object;
    struct buffer settings; /* for sessions that are not ours to keep, terminated; else empty */
    struct backoff backoff;
    struct list batches;
    struct sink_outcome *outcomes; /* of each batch */
    size_t outcome_count, outcome_capacity;
    struct batch batch;
    struct pg_request request;
    struct statements_sent sent;
    uint64_t written; /* rows, by the command tag */
    struct isolation isolation;
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

static void set_state(struct writer *writer, enum sink_state state,
                      const struct pg_failure *failure)
{
    struct error error;
    if (failure != NULL) {
        error_set(&error, state == SINK_MISCONFIGURED ? ERROR_REFUSED : ERROR_UNREACHABLE,
                  "postgres: %s%s%s", failure->sqlstate, failure->sqlstate[0] != '\0' ? ": " : "",
                  failure->text);
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

bool writer_has_batches(const struct writer *writer)
{
    return !list_is_empty(&writer->batches);
}

/* --- the end of batches --- */

static void move_written(struct sink_outcome *outcome, uint64_t *written)
{
    uint32_t moved = *written < outcome->unchanged ? (uint32_t)*written : outcome->unchanged;
    outcome->written += moved;
    outcome->unchanged -= moved;
    *written -= moved;
}

static void finish_batches(struct writer *writer, const struct error *error)
{
    static const struct sink_outcome nothing = {0};
    size_t index = 0;
    writer->isolation.is_on = false;
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

/* --- one entry after the other --- */

static const struct entry *isolated_entry(const struct isolation *isolation)
{
    return &LIST_ENTRY(isolation->batch, struct sink_batch, node)->entries[isolation->entry];
}

/* Leaves out batches without entries; false past the last entry. */
static bool find_entry(struct writer *writer)
{
    struct isolation *isolation = &writer->isolation;
    while (isolation->batch != &writer->batches &&
           isolation->entry == LIST_ENTRY(isolation->batch, struct sink_batch, node)->count) {
        isolation->batch = isolation->batch->next;
        isolation->outcome++;
        isolation->entry = 0;
    }
    return isolation->batch != &writer->batches;
}

static void begin_entry(struct isolation *isolation)
{
    isolation->verdict_count = 0;
    isolation->trial_count = 0;
    isolation->is_trying = false;
    isolation->has_tried = false;
    isolation->written = 0;
}

static void isolate(struct writer *writer)
{
    struct isolation *isolation = &writer->isolation;
    isolation->is_on = true;
    isolation->batch = writer->batches.next;
    isolation->outcome = 0;
    isolation->entry = 0;
    begin_entry(isolation);
    for (size_t i = 0; i < writer->outcome_count; i++) {
        writer->outcomes[i] = (struct sink_outcome){0};
    }
}

static void add_outcome(struct sink_outcome *to, const struct sink_outcome *from)
{
    to->written += from->written;
    to->unchanged += from->unchanged;
    to->skipped += from->skipped;
    to->dead += from->dead;
    to->dead_entries += from->dead_entries;
    to->commits += from->commits;
    to->identities += from->identities;
    to->accounts += from->accounts;
    to->syncs += from->syncs;
    if (from->newest_event_us > to->newest_event_us) {
        to->newest_event_us = from->newest_event_us;
    }
    if (from->oldest_event_us != 0 &&
        (to->oldest_event_us == 0 || from->oldest_event_us < to->oldest_event_us)) {
        to->oldest_event_us = from->oldest_event_us;
    }
}

static void next_trial(struct isolation *isolation)
{
    isolation->trial++;
    isolation->is_trying = isolation->trial < isolation->trial_count;
}

static void isolated_done(struct writer *writer)
{
    struct isolation *isolation = &writer->isolation;
    isolation->written += writer->written;
    if (isolation->is_trying) {
        next_trial(isolation);
    } else {
        move_written(&isolation->entry_outcome, &isolation->written);
        add_outcome(&writer->outcomes[isolation->outcome], &isolation->entry_outcome);
        isolation->entry++;
        begin_entry(isolation);
    }
    if (find_entry(writer)) {
        run(writer);
    } else {
        become_idle(writer);
    }
}

static void add_verdict(struct writer *writer, int op, const struct pg_failure *failure)
{
    struct isolation *isolation = &writer->isolation;
    if (isolation->verdict_count == isolation->verdict_capacity) {
        isolation->verdict_capacity = isolation->verdict_capacity * 2 + 8;
        isolation->verdicts = memory_resize(isolation->verdicts, isolation->verdict_capacity *
                                                                     sizeof(*isolation->verdicts));
    }
    struct batch_verdict *verdict = &isolation->verdicts[isolation->verdict_count++];
    *verdict = (struct batch_verdict){.op = op, .is_skipped = failure->class == SQLSTATE_DONE};
    memcpy(verdict->sqlstate, failure->sqlstate, sizeof(verdict->sqlstate));
    size_t length = strnlen(failure->text, sizeof(verdict->detail) - 1);
    memcpy(verdict->detail, failure->text, length); /* zeroed before */
    while (length > 0 && !utf8_is_valid(slice_of(verdict->detail, length))) {
        verdict->detail[--length] = '\0'; /* a character was cut */
    }
    const struct entry *entry = isolated_entry(isolation);
    log_warning(writer->object, "refused", LOG_INT("epoch", entry->id.epoch),
                LOG_INT("sequence", entry->id.sequence), LOG_INT("op", op),
                LOG_TEXT("sqlstate", failure->sqlstate), LOG_TEXT("why", failure->text));
}

static void begin_trials(struct writer *writer)
{
    struct isolation *isolation = &writer->isolation;
    isolation->trial_count = 0;
    for (int op; (op = batch_winner_op(&writer->batch, isolation->trial_count)) >= 0;) {
        if (isolation->trial_count == isolation->trial_capacity) {
            isolation->trial_capacity = isolation->trial_capacity * 2 + 16;
            isolation->trials = memory_resize(isolation->trials, isolation->trial_capacity *
                                                                     sizeof(*isolation->trials));
        }
        isolation->trials[isolation->trial_count++] = op;
    }
    isolation->trial = 0;
    isolation->has_tried = true;
    isolation->is_trying = isolation->trial_count > 1;
}

static bool has_verdict_on_entry(const struct isolation *isolation)
{
    for (size_t i = 0; i < isolation->verdict_count; i++) {
        if (isolation->verdicts[i].op == BATCH_OP_ENTRY) {
            return true;
        }
    }
    return false;
}

/* Some op of the entry was refused, nobody knows which. */
static void find_guilty_op(struct writer *writer, const struct pg_failure *failure)
{
    begin_trials(writer);
    if (!writer->isolation.is_trying) {
        add_verdict(writer, writer->isolation.trials[0], failure);
    }
}

/* False where there is nobody left to blame: the dead letter itself was refused. */
static bool isolated_refused(struct writer *writer, const struct pg_failure *failure)
{
    struct isolation *isolation = &writer->isolation;
    bool is_record = failure->query < writer->sent.count &&
                     writer->sent.order[failure->query] == STATEMENT_RECORDS;
    if (has_verdict_on_entry(isolation)) {
        return false;
    }
    if (isolation->is_trying) {
        add_verdict(writer, isolation->trials[isolation->trial], failure);
        next_trial(isolation);
    } else if (is_record && !isolation->has_tried) {
        find_guilty_op(writer, failure);
    } else {
        add_verdict(writer, BATCH_OP_ENTRY, failure);
    }
    run(writer);
    return true;
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

static void hold_for_outage(struct writer *writer, const struct pg_failure *failure)
{
    uint64_t wait_ms = backoff_next_ms(&writer->backoff);
    log_warning(writer->object, "batch held", LOG_TEXT("sqlstate", failure->sqlstate),
                LOG_TEXT("why", failure->text), LOG_INT("retry_ms", wait_ms));
    hold(writer, wait_ms);
    set_state(writer, SINK_AWAY, failure);
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

static void handle_row_error(struct writer *writer, const struct pg_failure *failure)
{
    if (writer->isolation.is_on) {
        if (!isolated_refused(writer, failure)) {
            hold_for_outage(writer, failure);
        }
        return;
    }
    isolate(writer);
    if (find_entry(writer)) {
        run(writer);
    }
}

/* Smaller transactions next time. */
static void handle_timeout(struct writer *writer, const struct pg_failure *failure)
{
    if (!writer->isolation.is_on) {
        isolate(writer);
        (void)find_entry(writer); /* something ran too long, so there is one */
    }
    hold_for_outage(writer, failure);
}

static void handle_failure(struct writer *writer, const struct pg_failure *failure)
{
    /* A connection that went is an outage, whatever was said before. */
    switch (failure->is_lost ? SQLSTATE_OUTAGE : failure->class) {
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

static void on_result(struct pg_request *request, unsigned query, const struct pg_result *result)
{
    struct writer *writer = LIST_ENTRY(request, struct writer, request);
    if (query < writer->sent.count && writer->sent.order[query] == STATEMENT_RECORDS) {
        writer->written = result->affected;
    }
}

static void on_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct writer *writer = LIST_ENTRY(request, struct writer, request);
    if (writer->phase == WRITER_CLOSED) {
        return;
    }
    if (failure != NULL) {
        handle_failure(writer, failure);
    } else if (writer->isolation.is_on) {
        isolated_done(writer);
    } else {
        for (size_t i = 0; i < writer->outcome_count; i++) {
            move_written(&writer->outcomes[i], &writer->written);
        }
        become_idle(writer);
    }
}

static void build_whole(struct writer *writer)
{
    size_t index = 0;
    batch_begin(&writer->batch);
    LIST_FOREACH (node, &writer->batches) {
        const struct sink_batch *batch = LIST_ENTRY(node, struct sink_batch, node);
        struct sink_outcome *outcome = &writer->outcomes[index++];
        *outcome = (struct sink_outcome){0};
        for (size_t i = 0; i < batch->count; i++) {
            batch_add(&writer->batch, &batch->entries[i], outcome);
        }
    }
    batch_build(&writer->batch);
}

static void build_isolated(struct writer *writer)
{
    struct isolation *isolation = &writer->isolation;
    int only_op = isolation->is_trying ? isolation->trials[isolation->trial] : BATCH_OP_ENTRY;
    isolation->entry_outcome = (struct sink_outcome){0};
    batch_begin_one(&writer->batch, isolation->verdicts, isolation->verdict_count, only_op);
    batch_add(&writer->batch, isolated_entry(isolation), &isolation->entry_outcome);
    batch_build(&writer->batch);
}

static void run(struct writer *writer)
{
    if (!pg_connection_is_ready(writer->connection)) {
        enter_phase(writer, WRITER_HELD);
        return; /* on_ready goes on */
    }
    if (writer->isolation.is_on) {
        build_isolated(writer);
    } else {
        build_whole(writer);
    }
    writer->written = 0;
    enter_phase(writer, WRITER_RUNNING);
    writer->request = (struct pg_request){.on_result = on_result, .on_done = on_done};
    pg_connection_begin(writer->connection, &writer->request);
    statements_send(writer->connection, &writer->batch, writer->settings.data, &writer->sent);
    pg_connection_end(writer->connection);
}

void writer_give(struct writer *writer, struct list *batches)
{
    ASSERT(writer_is_idle(writer) && list_is_empty(&writer->batches));
    writer->outcome_count = 0;
    for (struct list *node; (node = list_take_first(batches)) != NULL; writer->outcome_count++) {
        list_append(&writer->batches, node);
    }
    if (writer->outcome_count > writer->outcome_capacity) {
        writer->outcome_capacity = writer->outcome_count;
        writer->outcomes =
            memory_resize(writer->outcomes, writer->outcome_capacity * sizeof(*writer->outcomes));
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
    batch_deinit(&writer->batch);
    buffer_deinit(&writer->settings);
    free(writer->isolation.verdicts);
    free(writer->isolation.trials);
    free(writer->outcomes);
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

static void append_setting(struct writer *writer, const char *name, const char *value)
{
    bool is_first = writer->settings.size == 0;
    buffer_append_format(&writer->settings, "%sset_config('%s', ", is_first ? "SELECT " : ", ",
                         name);
    buffer_append_byte(&writer->settings, '\'');
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\'') {
            buffer_append_byte(&writer->settings, '\'');
        }
        buffer_append_byte(&writer->settings, *c);
    }
    buffer_append_string(&writer->settings, "', true)");
}

/* Behind a transaction pooler a session setting may be another client's the next moment: then each
 * transaction sets its own. */
static void build_settings(struct writer *writer, const struct sink_options *options)
{
    struct buffer path = {0};
    buffer_append_byte(&path, '"');
    for (const char *c = options->schema; *c != '\0'; c++) {
        if (*c == '"') {
            buffer_append_byte(&path, '"');
        }
        buffer_append_byte(&path, *c);
    }
    buffer_append(&path, "\"", 2); /* with its end */
    append_setting(writer, "synchronous_commit", "on");
    append_setting(writer, "search_path", path.data);
    append_setting(writer, "jit", "off");
    struct buffer timeout = {0};
    buffer_append_int64(&timeout, (int64_t)options->statement_timeout_ms);
    buffer_append_byte(&timeout, '\0');
    append_setting(writer, "statement_timeout", timeout.data);
    append_setting(writer, "lock_timeout", timeout.data);
    buffer_append_byte(&writer->settings, '\0');
    buffer_deinit(&timeout);
    buffer_deinit(&path);
}

struct writer *writer_open(struct uv_loop_s *loop, const struct sink_options *options,
                           const struct writer_callbacks *callbacks, void *owner)
{
    struct writer *writer = memory_allocate(sizeof(*writer));
    writer->callbacks = *callbacks;
    writer->owner = owner;
    writer->prepared = options->prepared;
    writer->open_handles = 2;
    writer->backoff = (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    writer->misconfigured_wait_ms = options->misconfigured_wait_ms != 0
                                        ? options->misconfigured_wait_ms
                                        : MISCONFIGURED_WAIT_MS;
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", options->name);
    buffer_append_byte(&object, '\0');
    writer->object = object.data;
    list_init(&writer->batches);
    int result = uv_timer_init(loop, &writer->timer);
    ASSERT(result == 0);
    writer->timer.data = writer;
    if (!options->prepared) {
        build_settings(writer, options);
    }
    const struct pg_connection_options connection_options = {
        .conninfo = options->conninfo,
        .schema = options->schema,
        .name = options->name,
        .statement_timeout_ms = options->statement_timeout_ms,
        .misconfigured_wait_ms = writer->misconfigured_wait_ms,
        .prepared = options->prepared,
        .statements = statements,
        .statement_count = STATEMENT_COUNT,
    };
    static const struct pg_connection_callbacks connection_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_connection_closed};
    writer->connection =
        pg_connection_open(loop, &connection_options, &connection_callbacks, writer);
    return writer;
}
