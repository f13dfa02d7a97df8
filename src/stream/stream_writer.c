#include "stream/stream_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/panic.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"
#include "stream/writer_queue.h"
#include <uv.h>

enum {
    RETRY_BASE_MS = 50,
    RETRY_LIMIT_MS = 1000,
    FENCE_LIMIT_MS = 5000,
    COUNT_FLUSH_MS = 1000,
    BEGIN_KEYS = 3,
    BEGIN_ARGUMENTS = 10
};

enum writer_state {
    WRITER_FINDING,   /* the find script is due, in flight, or waits for Redis */
    WRITER_FOUND,     /* on_found was called; the owner decides */
    WRITER_BEGINNING, /* the begin script; events are taken already */
    WRITER_APPENDING,
    WRITER_CLOSED
};

static const char *const state_names[] = {
    [WRITER_FINDING] = "finding",     [WRITER_FOUND] = "found",   [WRITER_BEGINNING] = "beginning",
    [WRITER_APPENDING] = "appending", [WRITER_CLOSED] = "closed",
};

struct stream_writer {
    enum writer_state state;
    struct redis *redis; /* NULL once closed */
    struct stream_keys keys;
    char *meta_key, *ledger_key, *frames_key;
    struct stream_writer_callbacks callbacks;
    void *owner;

    struct script_call call; /* the one script in flight */
    uv_timer_t retry;        /* while it runs, nothing is sent */
    uv_timer_t flush;        /* counts that no event carries */
    uv_timer_t drain;        /* how long close waits */
    unsigned open_timers;
    struct backoff backoff, fences;
    bool is_paused, is_closing, is_drained;
    bool is_dropped; /* by the last fence: pending events went without being stored */

    int64_t postgres_started_us; /* of the origin */
    /* What the last find saw, as text: the begin script compares with it. */
    struct buffer found_last, found_host, found_epoch, found_queued;
    /* Where we are: what the append script compares with. */
    struct buffer host, last_id;
    struct position queued; /* stored */
    int64_t taken;          /* the newest sequence handed to us */
    char begin_token[WRITER_TOKEN_SIZE];

    struct writer_queue queue; /* events that are not known to be stored */
};

static void proceed(struct stream_writer *writer);

static void enter_state(struct stream_writer *writer, enum writer_state next)
{
    log_debug("stream_writer", "state", LOG_TEXT("from", state_names[writer->state]),
              LOG_TEXT("to", state_names[next]));
    writer->state = next;
}

/* -- pausing -- */

static void on_retry(uv_timer_t *timer)
{
    proceed(timer->data);
}

static void wait_and_retry(struct stream_writer *writer, uint64_t milliseconds)
{
    if (writer->state != WRITER_CLOSED) {
        ASSERT(uv_timer_start(&writer->retry, on_retry, milliseconds, 0) == 0);
    }
}

static void pause_writing(struct stream_writer *writer, const struct error *error)
{
    if (writer->is_paused) {
        return;
    }
    writer->is_paused = true;
    log_warning("stream_writer", "appending waits for Redis", LOG_TEXT("error", error->text),
                LOG_INT("pending", writer->queue.entries));
    writer->callbacks.on_paused(writer->owner, error);
}

static void resume_writing(struct stream_writer *writer)
{
    backoff_reset(&writer->backoff);
    if (!writer->is_paused) {
        return;
    }
    writer->is_paused = false;
    log_info("stream_writer", "appending goes on", LOG_INT("pending", writer->queue.entries));
    writer->callbacks.on_paused(writer->owner, NULL);
}

/* A script came back with an error: nothing was written, the same call is made again later. */
static void retry_later(struct stream_writer *writer, const struct redisReply *reply)
{
    struct error error;
    reply_error(reply, &error);
    wait_and_retry(writer, backoff_next_ms(&writer->backoff));
    pause_writing(writer, &error);
}

/* -- finding -- */

static void keep_text(struct buffer *buffer, const struct redisReply *reply)
{
    buffer_clear(buffer);
    buffer_append_slice(buffer, reply_text(reply));
}

static void tell_found(struct stream_writer *writer, const struct redisReply *reply)
{
    keep_text(&writer->found_last, reply_element(reply, 0));
    keep_text(&writer->found_host, reply_element(reply, 1));
    keep_text(&writer->found_epoch, reply_element(reply, 2));
    keep_text(&writer->found_queued, reply_element(reply, 3));
    struct stream_found found = {.host = buffer_slice(&writer->found_host)};
    bool has_last = position_parse(buffer_slice(&writer->found_last), &found.last);
    if (!position_parse(reply_text(reply_element(reply, 4)), &found.saved)) {
        found.saved = (struct position){0};
    }
    found.postgres_started_us = reply_number(reply_element(reply, 5));
    found.rewinds = (uint64_t)reply_number(reply_element(reply, 6));
    found.has_entries_id = has_last && (found.last.epoch != 0 || found.last.sequence != 0);
    found.queued.epoch = (uint64_t)reply_number(reply_element(reply, 2));
    found.queued.sequence = reply_number(reply_element(reply, 3));
    found.has_meta =
        found.host.size > 0 && found.queued.epoch > 0 && !reply_is_nil(reply_element(reply, 3));
    enter_state(writer, WRITER_FOUND);
    writer->callbacks.on_found(writer->owner, &found);
}

static void on_find_reply(void *owner, struct redisReply *reply)
{
    struct stream_writer *writer = owner;
    if (writer->state != WRITER_FINDING || reply == NULL) {
        return;
    }
    if (!reply_is_array(reply)) {
        retry_later(writer, reply);
        return;
    }
    resume_writing(writer);
    if (writer->state == WRITER_FINDING) { /* the owner may have closed in between */
        tell_found(writer, reply);
    }
    proceed(writer);
}

static void send_find(struct stream_writer *writer)
{
    const struct slice keys[] = {slice_from_string(writer->keys.key),
                                 slice_from_string(writer->meta_key)};
    script_call_begin(&writer->call, SCRIPT_FIND, keys, 2, 0);
    script_call_send(&writer->call, writer->redis, on_find_reply, writer);
}

/* Somebody else is at the stream, or it is not what it was. The relay still has what we drop. */
static void fence(struct stream_writer *writer, const char *why, const struct redisReply *found)
{
    struct error error;
    error_set(&error, ERROR_REFUSED,
              "%s (stream at %.*s, meta %.*s %.*s-%.*s; expected %.*s, %.*s %llu-%lld)", why,
              SLICE_ARGS(reply_text(reply_element(found, 1))),
              SLICE_ARGS(reply_text(reply_element(found, 2))),
              SLICE_ARGS(reply_text(reply_element(found, 3))),
              SLICE_ARGS(reply_text(reply_element(found, 4))),
              SLICE_ARGS(buffer_slice(&writer->last_id)), SLICE_ARGS(buffer_slice(&writer->host)),
              (unsigned long long)writer->queued.epoch, (long long)writer->queued.sequence);
    log_warning("stream_writer", "fenced", LOG_TEXT("error", error.text),
                LOG_INT("dropped", writer->queue.entries));
    writer->is_dropped = writer->is_dropped || writer->queue.entries > 0;
    writer_queue_clear(&writer->queue);
    enter_state(writer, WRITER_FINDING);
    wait_and_retry(writer, backoff_next_ms(&writer->fences));
    writer->callbacks.on_fenced(writer->owner, &error);
}

/* -- beginning -- */

static void on_begin_reply(void *owner, struct redisReply *reply)
{
    struct stream_writer *writer = owner;
    if (writer->state != WRITER_BEGINNING || reply == NULL) {
        return; /* after a loss the same call goes out again; its token tells whether it was done */
    }
    if (!reply_is_array(reply)) {
        retry_later(writer, reply);
        return;
    }
    resume_writing(writer);
    if (writer->state != WRITER_BEGINNING) {
        return;
    }
    int64_t verdict = reply_number(reply_element(reply, 0));
    if (verdict == 1) {
        enter_state(writer, WRITER_APPENDING);
        proceed(writer);
    } else if (verdict == 0) {
        fence(writer, "the stream changed while we began", NULL);
    } else {
        char why[200];
        struct slice text = reply_text(reply_element(reply, 1));
        size_t size = text.size < sizeof(why) - 1 ? text.size : sizeof(why) - 1;
        memcpy(why, text.data, size);
        why[size] = '\0';
        fence(writer, why, NULL);
    }
}

static void send_begin(struct stream_writer *writer)
{
    const struct slice keys[] = {slice_from_string(writer->keys.key),
                                 slice_from_string(writer->meta_key),
                                 slice_from_string(writer->ledger_key)};
    script_call_begin(&writer->call, SCRIPT_BEGIN, keys, BEGIN_KEYS, BEGIN_ARGUMENTS);
    script_call_argument(&writer->call, slice_from_string(writer->begin_token));
    script_call_argument(&writer->call, buffer_slice(&writer->found_last));
    script_call_argument(&writer->call, buffer_slice(&writer->found_host));
    script_call_argument(&writer->call, buffer_slice(&writer->found_epoch));
    script_call_argument(&writer->call, buffer_slice(&writer->found_queued));
    script_call_argument(&writer->call, buffer_slice(&writer->host));
    script_call_number(&writer->call, (int64_t)writer->queued.epoch);
    script_call_number(&writer->call, writer->queued.sequence);
    script_call_argument(&writer->call, slice_from_string(writer->keys.group));
    script_call_number(&writer->call, writer->postgres_started_us);
    script_call_send(&writer->call, writer->redis, on_begin_reply, writer);
}

void stream_writer_begin(struct stream_writer *writer, const struct stream_origin *origin)
{
    if (writer->state != WRITER_FOUND) {
        return; /* fenced or closed meanwhile: on_found comes again */
    }
    buffer_clear(&writer->host);
    buffer_append_string(&writer->host, origin->host);
    writer->queued = origin->queued;
    writer->postgres_started_us = origin->postgres_started_us;
    writer->taken = origin->queued.sequence;
    /* A key that is not there yet is made with its group; its last ID is then 0-0. */
    buffer_clear(&writer->last_id);
    buffer_append_slice(&writer->last_id, writer->found_last.size > 0
                                              ? buffer_slice(&writer->found_last)
                                              : SLICE("0-0"));
    struct writer_batch *named = writer_batch_create(0);
    memcpy(writer->begin_token, named->token, sizeof(writer->begin_token));
    writer_batch_destroy(named);
    writer->is_dropped = false;
    enter_state(writer, WRITER_BEGINNING);
    proceed(writer);
}

/* -- appending -- */

static void finish_batch(struct stream_writer *writer)
{
    const struct writer_batch *batch = writer->queue.sending;
    writer->queued.sequence = batch->queued;
    if (batch->event_count > 0) {
        struct position last = {.epoch = writer->queued.epoch, .sequence = batch->last_sequence};
        buffer_clear(&writer->last_id);
        position_append(&writer->last_id, last);
    }
    uint32_t entries = batch->event_count;
    writer_queue_done(&writer->queue);
    backoff_reset(&writer->fences);
    writer->callbacks.on_appended(writer->owner, writer->queued, entries);
}

static void on_append_reply(void *owner, struct redisReply *reply)
{
    struct stream_writer *writer = owner;
    if (writer->state != WRITER_APPENDING || reply == NULL) {
        return; /* unknown outcome: sent again after the reconnect, counted once by its token */
    }
    if (!reply_is_array(reply)) {
        retry_later(writer, reply);
        return;
    }
    resume_writing(writer);
    if (writer->state != WRITER_APPENDING) {
        return;
    }
    if (reply_number(reply_element(reply, 0)) != 1) {
        fence(writer, "somebody else wrote to the stream, or it was emptied", reply);
        return;
    }
    finish_batch(writer);
    if (!writer->is_closing && writer_queue_take_room(&writer->queue)) {
        writer->callbacks.on_room(writer->owner);
    }
    proceed(writer);
}

static void send_batch(struct stream_writer *writer)
{
    const struct slice keys[WRITER_BATCH_KEYS] = {
        slice_from_string(writer->keys.key),   slice_from_string(writer->meta_key),
        slice_from_string(writer->ledger_key), slice_from_string(writer->keys.dead_letter_key),
        slice_from_string(writer->frames_key), SLICE(STREAM_METRICS_KEY),
    };
    struct writer_expected expected = {
        .last_id = buffer_slice(&writer->last_id),
        .host = buffer_slice(&writer->host),
        .epoch = writer->queued.epoch,
        .queued = writer->queued.sequence,
    };
    writer_batch_format(writer_queue_send(&writer->queue), &writer->call, keys, &expected);
    script_call_send(&writer->call, writer->redis, on_append_reply, writer);
}

/* Counts alone wait for company, for a second at most. */
static void on_flush(uv_timer_t *timer)
{
    proceed(timer->data);
}

static void append_next(struct stream_writer *writer)
{
    bool waits = writer_queue_has_only_counts(&writer->queue) && !writer->is_closing &&
                 uv_is_active((uv_handle_t *)&writer->flush);
    if (!waits && !writer_queue_is_empty(&writer->queue)) {
        send_batch(writer);
    }
}

/* -- closing -- */

static void destroy(struct stream_writer *writer)
{
    struct stream_writer_callbacks callbacks = writer->callbacks;
    void *owner = writer->owner;
    bool is_drained = writer->is_drained;
    writer_queue_clear(&writer->queue);
    script_call_deinit(&writer->call);
    struct buffer *const buffers[] = {&writer->found_last,  &writer->found_host,
                                      &writer->found_epoch, &writer->found_queued,
                                      &writer->host,        &writer->last_id};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        buffer_deinit(buffers[i]);
    }
    free(writer->meta_key);
    free(writer->ledger_key);
    free(writer->frames_key);
    free(writer);
    callbacks.on_closed(owner, is_drained);
}

static void on_part_closed(struct stream_writer *writer)
{
    if (writer->redis == NULL && writer->open_timers == 0) {
        destroy(writer);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream_writer *writer = handle->data;
    writer->open_timers--;
    on_part_closed(writer);
}

static void finish(struct stream_writer *writer)
{
    if (writer->state == WRITER_CLOSED) {
        return;
    }
    writer->is_drained = writer_queue_is_empty(&writer->queue) && !writer->is_dropped;
    enter_state(writer, WRITER_CLOSED);
    redis_close(writer->redis);
    uv_close((uv_handle_t *)&writer->retry, on_timer_closed);
    uv_close((uv_handle_t *)&writer->flush, on_timer_closed);
    uv_close((uv_handle_t *)&writer->drain, on_timer_closed);
}

static void on_drain_over(uv_timer_t *timer)
{
    finish(timer->data);
}

void stream_writer_close(struct stream_writer *writer, uint64_t drain_ms)
{
    if (writer->state == WRITER_CLOSED) {
        return;
    }
    bool is_shorter = !writer->is_closing || uv_timer_get_due_in(&writer->drain) > drain_ms;
    writer->is_closing = true;
    if (is_shorter) {
        ASSERT(uv_timer_start(&writer->drain, on_drain_over, drain_ms, 0) == 0);
    }
    proceed(writer);
}

/* -- the decision -- */

static void proceed(struct stream_writer *writer)
{
    if (writer->state == WRITER_CLOSED) {
        return;
    }
    if (writer->is_closing && writer_queue_is_empty(&writer->queue) && !writer->call.is_sent) {
        finish(writer);
        return;
    }
    bool must_wait = writer->call.is_sent || uv_is_active((uv_handle_t *)&writer->retry);
    if (must_wait || !redis_is_ready(writer->redis)) {
        return;
    }
    switch (writer->state) {
    case WRITER_FINDING:
        send_find(writer);
        return;
    case WRITER_BEGINNING:
        send_begin(writer);
        return;
    case WRITER_APPENDING:
        append_next(writer);
        return;
    case WRITER_FOUND:
    case WRITER_CLOSED:
        return;
    }
}

/* -- the owner's calls -- */

static bool settle_append(struct stream_writer *writer)
{
    proceed(writer);
    if (writer_queue_is_full(&writer->queue)) {
        writer->queue.is_room_due = true;
        return false;
    }
    return true;
}

static bool takes_events(const struct stream_writer *writer)
{
    return (writer->state == WRITER_BEGINNING || writer->state == WRITER_APPENDING) &&
           !writer->is_closing;
}

bool stream_writer_append(struct stream_writer *writer, const struct stream_event *event)
{
    if (!takes_events(writer)) {
        return false; /* fenced: the relay has it, and reading stops */
    }
    if (event->sequence <= writer->taken) {
        /* By our own mark and not by what the stream says: a true duplicate. */
        stream_writer_count(writer, STREAM_COUNT_DUPLICATE, 0);
        return !writer_queue_is_full(&writer->queue);
    }
    struct writer_batch *batch = writer_queue_open_batch(&writer->queue, writer->taken);
    size_t before = writer_batch_bytes(batch);
    writer_batch_add_event(batch, event);
    writer->taken = batch->queued;
    writer_queue_note(&writer->queue, writer_batch_bytes(batch) - before);
    return settle_append(writer);
}

bool stream_writer_append_dead(struct stream_writer *writer, const struct stream_dead_frame *frame)
{
    if (!takes_events(writer)) {
        return false;
    }
    struct position before = {.epoch = writer->queued.epoch, .sequence = writer->taken};
    struct writer_batch *batch = writer_queue_open_batch(&writer->queue, writer->taken);
    size_t bytes = writer_batch_bytes(batch);
    writer_batch_add_frame(batch, frame, before);
    writer_queue_note_frame(&writer->queue, writer_batch_bytes(batch) - bytes);
    return settle_append(writer);
}

void stream_writer_count(struct stream_writer *writer, enum stream_count what, int64_t sequence)
{
    if (!takes_events(writer)) {
        return;
    }
    struct writer_batch *batch = writer_queue_open_batch(&writer->queue, writer->taken);
    batch->counts[what]++;
    if (sequence > batch->queued) {
        batch->queued = sequence;
        writer->taken = sequence;
    }
    if (!uv_is_active((uv_handle_t *)&writer->flush)) {
        ASSERT(uv_timer_start(&writer->flush, on_flush, COUNT_FLUSH_MS, 0) == 0);
    }
}

size_t stream_writer_pending(const struct stream_writer *writer)
{
    return writer->queue.entries;
}

size_t stream_writer_pending_frames(const struct stream_writer *writer)
{
    return writer->queue.frames;
}

/* -- the connection's calls -- */

static void on_ready(void *owner)
{
    struct stream_writer *writer = owner;
    bool has_script = writer->state == WRITER_FINDING || writer->state == WRITER_BEGINNING;
    if (!has_script && writer_queue_is_empty(&writer->queue)) {
        resume_writing(writer); /* nothing is sent now that could tell */
    }
    proceed(writer);
}

static void on_lost(void *owner, const struct error *error)
{
    struct stream_writer *writer = owner;
    if (writer->state != WRITER_CLOSED) {
        pause_writing(writer, error);
        proceed(writer);
    }
}

static void on_redis_closed(void *owner)
{
    struct stream_writer *writer = owner;
    writer->redis = NULL;
    on_part_closed(writer);
}

static void init_timer(struct stream_writer *writer, struct uv_loop_s *loop, uv_timer_t *timer)
{
    ASSERT(uv_timer_init(loop, timer) == 0);
    timer->data = writer;
    writer->open_timers++;
}

struct stream_writer *stream_writer_open(struct uv_loop_s *loop,
                                         const struct stream_writer_options *options,
                                         const struct stream_writer_callbacks *callbacks,
                                         void *owner)
{
    static const struct redis_callbacks redis_callbacks = {
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_closed = on_redis_closed,
    };
    struct stream_writer *writer = memory_allocate(sizeof(*writer));
    writer->keys = options->keys;
    writer->meta_key = stream_key_derive(options->keys.key, ":meta");
    writer->ledger_key = stream_key_derive(options->keys.key, ":ledger");
    writer->frames_key = stream_key_derive(options->keys.key, ":dead-frames");
    writer->callbacks = *callbacks;
    writer->owner = owner;
    writer->backoff = (struct backoff){.base_ms = RETRY_BASE_MS, .limit_ms = RETRY_LIMIT_MS};
    writer->fences = (struct backoff){.base_ms = RETRY_BASE_MS, .limit_ms = FENCE_LIMIT_MS};
    writer_queue_init(&writer->queue, options->max_pending_entries, options->max_pending_bytes);
    init_timer(writer, loop, &writer->retry);
    init_timer(writer, loop, &writer->flush);
    init_timer(writer, loop, &writer->drain);
    writer->redis = redis_open(loop, &options->redis, &redis_callbacks, writer);
    return writer;
}
