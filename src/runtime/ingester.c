#include "runtime/ingester.h"

#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "ingest/subscription.h"
#include "runtime/ingester_private.h"
#include "stream/stream_lease.h"
#include "stream/stream_writer.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    REPLY_TIMEOUT_MS = 15000,
    WRITER_ENTRIES = 4096,
    WRITER_BYTES = 8 * 1024 * 1024,
    STOP_DRAIN_MS = 10000,
};

static bool wants_writer(const struct ingester *ingester)
{
    return ingester->has_lease && ingester->state != INGESTER_STOPPED &&
           ingester->state != INGESTER_RESETTING && ingester->state != INGESTER_DRAINING;
}

/* In STANDBY there is no writer: one that lived through the loss of the lease goes first. */
static bool keeps_writer(const struct ingester *ingester)
{
    return wants_writer(ingester) && ingester->state != INGESTER_STANDBY;
}

/* ---- subscription ----------------------------------------------------------------------------- */

static int64_t subscription_on_cursor(void *owner)
{
    struct ingester *ingester = owner;
    bool has_moved = ingester->intake.sequence.last > ingester->origin.queued.sequence;
    bool asks_live = ingester->origin.cursor == ORIGIN_LIVE && !has_moved;
    intake_connected(&ingester->intake, asks_live);
    return asks_live ? ORIGIN_LIVE : ingester->intake.sequence.last;
}

static void stop_for_operator(struct ingester *ingester)
{
    log_error(ingester->intake.object, "ingestion stopped, an operator has to decide",
              LOG_TEXT("why", ingester->intake.error.text),
              LOG_INT("last_sequence", ingester->intake.sequence.last));
    ingester->drain_until_ms = clock_monotonic_ms() + STOP_DRAIN_MS;
    ingester_enter_state(ingester, INGESTER_STOPPED);
    ingester_proceed(ingester);
}

/* The writer is closed and opened anew, which finds the position and begins the new epoch. */
static void accept_reset(struct ingester *ingester)
{
    int64_t lowest = sequence_lowest(&ingester->intake.sequence);
    log_error(
        ingester->intake.object, "the relay's sequence starts anew, as the configuration allows",
        LOG_INT("last_sequence", ingester->intake.sequence.last), LOG_INT("sequence", lowest));
    ingester->is_reset = true;
    ingester->reset_why = NULL;
    ingester->reset_sequence = lowest > 0 ? lowest - 1 : 0;
    ingester->drain_until_ms = clock_monotonic_ms() + STOP_DRAIN_MS;
    ingester_enter_state(ingester, INGESTER_RESETTING);
    ingester_proceed(ingester);
}

static void subscription_on_frame(void *owner, struct slice frame, bool is_binary)
{
    struct ingester *ingester = owner;
    if (ingester->state != INGESTER_INGESTING) {
        return;
    }
    switch (intake_take(&ingester->intake, frame, is_binary)) {
    case INTAKE_GO_ON:
        return;
    case INTAKE_FULL:
        if (pressure_raise(&ingester->pressure, PRESSURE_WRITER)) {
            subscription_pause(ingester->subscription);
        }
        return;
    case INTAKE_RECONNECT:
        subscription_reconnect(ingester->subscription, ingester->intake.error.text);
        return;
    case INTAKE_RESET:
        accept_reset(ingester);
        return;
    case INTAKE_STOP:
        stop_for_operator(ingester);
        return;
    }
}

static void subscription_on_closed(void *owner)
{
    struct ingester *ingester = owner;
    ingester->subscription = NULL;
    ingester->is_subscription_closing = false;
    ingester_proceed(ingester);
}

static void open_subscription(struct ingester *ingester)
{
    static const struct subscription_callbacks callbacks = {
        .cursor = subscription_on_cursor,
        .on_frame = subscription_on_frame,
        .on_closed = subscription_on_closed,
    };
    const struct config_relay *relay = &ingester->config->relay;
    struct subscription_options options = {
        .url = relay->url,
        .host = ingester->marks->host,
        .user_agent = "standpipe",
        .ca_file = relay->ca_file,
        .tls_verify = relay->tls_verify,
        .max_frame_bytes = relay->max_frame_bytes,
        .idle_timeout_ms = relay->idle_timeout_ms,
    };
    ingester->subscription = subscription_open(ingester->loop, &options, &callbacks, ingester);
    if (pressure_is_raised(&ingester->pressure)) {
        subscription_pause(ingester->subscription);
    }
}

static void close_subscription(struct ingester *ingester)
{
    if (ingester->is_subscription_closing) {
        return;
    }
    struct subscription_counters counters = subscription_counters(ingester->subscription);
    ingester->connects += counters.connects;
    ingester->failures += counters.failures;
    ingester->bytes += counters.bytes;
    ingester->is_subscription_closing = true;
    subscription_close(ingester->subscription);
}

void ingester_lower_pressure(struct ingester *ingester, enum pressure_reason reason)
{
    if (pressure_lower(&ingester->pressure, reason) && ingester->subscription != NULL &&
        !ingester->is_subscription_closing) {
        subscription_resume(ingester->subscription);
    }
}

void ingester_raise_pressure(struct ingester *ingester, enum pressure_reason reason)
{
    if (pressure_raise(&ingester->pressure, reason) && ingester->subscription != NULL &&
        !ingester->is_subscription_closing) {
        subscription_pause(ingester->subscription);
    }
}

/* ---- writer ----------------------------------------------------------------------------------- */

static void writer_on_found(void *owner, const struct stream_found *found)
{
    struct ingester *ingester = owner;
    const struct config_relay *relay = &ingester->config->relay;
    if (!keeps_writer(ingester) || ingester->is_writer_closing) {
        return;
    }
    ingester->facts = (struct origin_facts){
        .host = ingester->marks->host,
        .start = *ingester->has_started ? CURSOR_SAVED : relay->cursor,
        .start_sequence = relay->cursor_sequence,
        .last = found->last,
        .has_meta = found->has_meta,
        .is_meta_host = slice_equals(found->host, slice_from_string(ingester->marks->host)),
        .queued = found->queued,
        .is_reset = ingester->is_reset,
        .reset_sequence = ingester->reset_sequence,
        .reset_why = ingester->reset_why,
    };
    ingester->remembered = found->saved;
    ingester->remembered_started_us = found->postgres_started_us;
    ingester->remembered_rewinds = found->rewinds;
    ingester_enter_state(ingester, INGESTER_LOADING);
    cursor_store_load(ingester->cursor_store, ingester->marks->host);
}

static void begin(struct ingester *ingester, int64_t saved)
{
    struct stream_origin origin = {.host = ingester->marks->host,
                                   .queued = ingester->origin.queued,
                                   .postgres_started_us = ingester->loaded_started_us};
    marks_begin(ingester->marks, ingester->origin.queued, saved);
    ingester->has_entries = ingester->facts.last.epoch == ingester->origin.queued.epoch;
    ingester->surely_has_entries = false;
    ingester->surely_queued = (struct position){0};
    intake_begin(&ingester->intake, ingester->writer, ingester->origin.queued.sequence);
    stream_writer_begin(ingester->writer, &origin);
    ingester_enter_state(ingester, INGESTER_INGESTING);
    ingester_proceed(ingester);
}

static void log_origin(const struct ingester *ingester)
{
    const struct origin *origin = &ingester->origin;
    log_write(origin->is_alarming ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, ingester->intake.object,
              origin->why,
              (const struct log_field[]){LOG_INT("epoch", origin->queued.epoch),
                                         LOG_INT("sequence", origin->queued.sequence),
                                         LOG_INT("cursor", origin->cursor),
                                         LOG_BOOL("new_epoch", origin->is_new_epoch)},
              4);
}

void ingester_on_cursor_loaded(struct ingester *ingester, const struct cursor_found *found)
{
    if (ingester->state != INGESTER_LOADING || ingester->is_writer_closing) {
        return;
    }
    bool is_another = ingester->remembered_started_us != 0 &&
                      ingester->remembered_started_us != found->started_us;
    ingester->is_held = is_another || position_compare(found->newest, ingester->remembered) < 0;
    if (ingester->is_held) {
        return; /* it may lack rows: the watch sets the group back first, and we look anew */
    }
    ingester->loaded_started_us = found->started_us;
    struct origin_facts *facts = &ingester->facts;
    facts->has_saved = found->has_row;
    if (found->has_row) {
        facts->saved = (struct position){found->row.epoch, found->row.committed};
    }
    facts->highest_epoch = found->newest.epoch;
    facts->now_ms = (uint64_t)clock_wall_ms();
    ingester->origin = origin_decide(facts);
    log_origin(ingester);
    if (ingester->origin.is_impossible) {
        error_set(&ingester->intake.error, ERROR_REFUSED, "%s", ingester->origin.why);
        stop_for_operator(ingester);
        return;
    }
    if (found->has_row && found->row.epoch == ingester->origin.queued.epoch) {
        begin(ingester, found->row.committed);
        return;
    }
    /* The first mark is in PostgreSQL before the first append. */
    ingester_enter_state(ingester, INGESTER_SAVING);
    struct cursor_row row = {
        .host = ingester->marks->host,
        .epoch = ingester->origin.queued.epoch,
        .queued = ingester->origin.queued.sequence,
        .committed = ingester->origin.first_mark,
        .expected = CURSOR_NO_EXPECTATION,
        .started_us = found->started_us,
        .tag = ingester->marks->rewinds,
    };
    cursor_store_save(ingester->cursor_store, &row);
}

void ingester_on_cursor_saved(struct ingester *ingester, const struct cursor_row *row)
{
    if (ingester->state == INGESTER_SAVING && !ingester->is_writer_closing &&
        row->epoch == ingester->origin.queued.epoch) {
        begin(ingester, row->committed);
    }
}

/* Where it was the first mark of an epoch: PostgreSQL is another than the one that we decided by. */
void ingester_on_cursor_refused(struct ingester *ingester)
{
    if (ingester->state == INGESTER_SAVING && !ingester->is_writer_closing) {
        ingester_find_anew(ingester);
    }
}

static void writer_on_appended(void *owner, struct position queued, uint32_t entries)
{
    struct ingester *ingester = owner;
    ingester->has_entries = ingester->has_entries || entries > 0;
    if (ingester->state == INGESTER_INGESTING) {
        /* Only now: a begin that was fenced has to be made again from the same cursor. */
        *ingester->has_started = true;
        ingester->is_reset = false;
    }
    marks_note_queued(ingester->marks, queued);
}

static void writer_on_room(void *owner)
{
    ingester_lower_pressure(owner, PRESSURE_WRITER);
}

static void writer_on_fenced(void *owner, const struct error *error)
{
    struct ingester *ingester = owner;
    log_warning(ingester->intake.object,
                "the stream is not what it was, finding the position again",
                LOG_TEXT("why", error->text));
    (void)pressure_lower(&ingester->pressure, PRESSURE_WRITER);
    if (keeps_writer(ingester)) {
        ingester_enter_state(ingester, INGESTER_FINDING);
    }
    ingester_proceed(ingester);
}

/* A flapping Redis is told of once in ten seconds, with the number of times that were left out. */
static void writer_on_paused(void *owner, const struct error *error)
{
    struct ingester *ingester = owner;
    uint64_t suppressed;
    if (error == NULL) {
        ingester_lower_pressure(ingester, PRESSURE_REDIS);
        if (ingester->is_pause_told) {
            log_info("stream", "Redis takes writes again",
                     LOG_INT("queued", ingester->marks->queued.sequence));
        }
        ingester->is_pause_told = false;
        return;
    }
    ingester_raise_pressure(ingester, PRESSURE_REDIS);
    if (log_limit_pass(&ingester->pause_limit, &suppressed)) {
        ingester->is_pause_told = true;
        log_warning("stream", "Redis takes no writes, reading the relay is paused",
                    LOG_TEXT("why", error->text), LOG_SUPPRESSED(suppressed));
    }
}

static void writer_on_closed(void *owner, bool drained)
{
    struct ingester *ingester = owner;
    if (!drained) {
        log_warning("stream", "pending events were given up, the relay has them",
                    LOG_INT("queued", ingester->marks->queued.sequence));
    }
    ingester->writer = NULL;
    ingester->is_writer_closing = false;
    if (ingester->state == INGESTER_RESETTING) {
        ingester_enter_state(ingester, INGESTER_STANDBY);
    }
    ingester_proceed(ingester);
}

static void open_writer(struct ingester *ingester)
{
    static const struct stream_writer_callbacks callbacks = {
        .on_found = writer_on_found,
        .on_appended = writer_on_appended,
        .on_room = writer_on_room,
        .on_fenced = writer_on_fenced,
        .on_paused = writer_on_paused,
        .on_closed = writer_on_closed,
    };
    const struct config *config = ingester->config;
    struct stream_writer_options options = {
        .redis = {.url = config->redis.url,
                  .client_name = ingester->writer_name,
                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                  .reply_timeout_ms = REPLY_TIMEOUT_MS},
        .keys = {.key = config->stream.key,
                 .group = config->stream.group,
                 .dead_letter_key = config->stream.dead_letter_key},
        .max_pending_entries = WRITER_ENTRIES,
        .max_pending_bytes = WRITER_BYTES,
    };
    pressure_clear(&ingester->pressure);
    ingester_enter_state(ingester, INGESTER_FINDING);
    ingester->writer = stream_writer_open(ingester->loop, &options, &callbacks, ingester);
}

static void close_writer(struct ingester *ingester)
{
    if (ingester->is_writer_closing) {
        return;
    }
    ingester->is_writer_closing = true;
    uint64_t now = clock_monotonic_ms();
    stream_writer_close(ingester->writer,
                        ingester->drain_until_ms > now ? ingester->drain_until_ms - now : 0);
}

/* ---- lease ------------------------------------------------------------------------------------ */

static void lease_on_acquired(void *owner)
{
    struct ingester *ingester = owner;
    log_info("lease", "acquired, this process ingests", LOG_TEXT("process", ingester->lease_name));
    ingester->has_lease = true;
    ingester_proceed(ingester);
}

static void lease_on_lost(void *owner)
{
    struct ingester *ingester = owner;
    log_info("lease", "lost, this process stands by", LOG_TEXT("process", ingester->lease_name));
    ingester->has_lease = false;
    if (ingester->state != INGESTER_DRAINING && ingester->state != INGESTER_STOPPED &&
        ingester->state != INGESTER_RESETTING) {
        ingester_enter_state(ingester, INGESTER_STANDBY);
    }
    ingester_proceed(ingester);
}

/* What is counted must not go back when the next ingester begins at 0. */
static void add_to_totals(const struct ingester *ingester)
{
    struct relay_totals *totals = ingester->totals;
    totals->connects += ingester->connects;
    totals->bytes += ingester->bytes;
    totals->paused_us += pressure_paused_us(&ingester->pressure);
}

static void lease_on_closed(void *owner)
{
    struct ingester *ingester = owner;
    struct ingester_callbacks callbacks = ingester->callbacks;
    void *ingester_owner = ingester->owner;
    add_to_totals(ingester);
    intake_deinit(&ingester->intake);
    free(ingester);
    callbacks.on_closed(ingester_owner);
}

/* ---- the one function that decides ------------------------------------------------------------ */

void ingester_proceed(struct ingester *ingester)
{
    bool wants_subscription = wants_writer(ingester) && ingester->state == INGESTER_INGESTING;
    if (ingester->subscription != NULL) {
        if (!wants_subscription) {
            close_subscription(ingester);
        }
        return; /* its on_closed proceeds */
    }
    if (wants_subscription && !ingester->is_writer_closing) {
        open_subscription(ingester);
        return;
    }
    if (ingester->writer != NULL) {
        if (!keeps_writer(ingester)) {
            close_writer(ingester);
        }
        return; /* its callbacks proceed */
    }
    if (wants_writer(ingester)) {
        open_writer(ingester);
    } else if (ingester->state == INGESTER_DRAINING && ingester->lease != NULL) {
        struct stream_lease *lease = ingester->lease;
        ingester->lease = NULL;
        stream_lease_close(lease);
    }
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static void open_lease(struct ingester *ingester)
{
    static const struct stream_lease_callbacks callbacks = {
        .on_acquired = lease_on_acquired,
        .on_lost = lease_on_lost,
        .on_closed = lease_on_closed,
    };
    const struct config *config = ingester->config;
    struct stream_lease_options options = {
        .redis = {.url = config->redis.url,
                  .client_name = ingester->lease_name,
                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                  .reply_timeout_ms = config->ingest.lease_ms},
        .key = config->stream.key,
        .lease_ms = config->ingest.lease_ms,
    };
    ingester->lease = stream_lease_open(ingester->loop, &options, &callbacks, ingester);
}

struct ingester *ingester_open(struct uv_loop_s *loop, const struct ingester_options *options,
                               const struct ingester_callbacks *callbacks, void *owner)
{
    struct ingester *ingester = memory_allocate(sizeof(*ingester));
    ingester->loop = loop;
    ingester->config = options->config;
    ingester->callbacks = *callbacks;
    ingester->owner = owner;
    ingester->cursor_store = options->cursor_store;
    ingester->counters = options->counters;
    ingester->totals = options->totals;
    ingester->marks = options->marks;
    ingester->has_started = options->has_started;
    (void)snprintf(ingester->writer_name, INGESTER_NAME_SIZE, "%s-writer", options->process_name);
    (void)snprintf(ingester->lease_name, INGESTER_NAME_SIZE, "%s-lease", options->process_name);
    intake_init(&ingester->intake, options->config, ingester->marks->host, options->counters,
                options->totals);
    open_lease(ingester);
    return ingester;
}

void ingester_close(struct ingester *ingester, uint64_t drain_ms)
{
    uint64_t until = clock_monotonic_ms() + drain_ms;
    if (ingester->state == INGESTER_DRAINING) {
        return;
    }
    ingester->drain_until_ms = until;
    ingester_enter_state(ingester, INGESTER_DRAINING);
    ingester_proceed(ingester);
}
