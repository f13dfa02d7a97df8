#include "stream/stream_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "stream/batch_size.h"
#include "stream/reader_claim.h"
#include "stream/reader_commands.h"
#include "stream/reader_entries.h"
#include "stream/reader_heartbeat.h"
#include "stream/reader_trouble.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"
#include <uv.h>

enum {
    OBJECT_SIZE = 96
};

/* Where the batch is; the state of reading follows from it and from what is due. */
enum batch_place {
    BATCH_NONE,
    BATCH_HELD, /* read; paused, or its delivery counts are asked for */
    BATCH_OUT,  /* with the owner */
    BATCH_DONE, /* its XACK waits for the one before */
};

struct stream_reader {
    struct redis *redis; /* NULL once closed */
    struct stream_keys keys;
    char *consumer, *ledger_key, *meta_key;
    struct reader_names names; /* of the above */
    struct buffer command;     /* the one that is being formatted */
    char object[OBJECT_SIZE];
    struct stream_reader_options options; /* its strings are not used */
    struct stream_reader_callbacks callbacks;
    void *owner;

    enum batch_place place;
    struct redisReply *reply; /* under the entries */
    struct reader_entries entries;
    bool is_claimed;
    int64_t rewinds;                      /* of the group, as last heard */
    int64_t batch_rewinds;                /* as it was when the batch was read, or before */
    struct stream_verdict verdict;        /* on a batch that is done */
    struct script_call acknowledge, side; /* side: group, leave */
    struct reader_heartbeat heartbeat;

    struct reader_trouble trouble; /* what Redis refuses, and until when nothing is sent */
    struct reader_claim claim;
    unsigned open_timers;
    struct batch_size size;
    size_t asked;          /* the last read of what is new, for so many */
    bool is_busy;          /* a read, claim, group or leave is in flight */
    bool is_acknowledging; /* `acknowledge` has an XACK, due or in flight */
    bool owns_pending;     /* our own pending entries are to be read first */
    bool reads_own;        /* what is in flight is a read of those */
    bool group_due;
    bool is_paused, is_closing, is_released, has_left, is_finished;
};

static void proceed(struct stream_reader *reader);

/* -- retrying -- */

/* A refused step may be made again, or a sweep is due. */
static void on_turn(void *owner)
{
    proceed(owner);
}

static void on_trouble(void *owner, enum reader_state worst)
{
    const struct stream_reader *reader = owner;
    reader->callbacks.on_state(reader->owner, worst);
}

/* True where the reply is an error and the step is to be made again. The group of a key that was
 * deleted, evicted or flushed comes back from its first entry on. */
static bool is_refused(struct stream_reader *reader, enum reader_step step,
                       const struct redisReply *reply)
{
    if (!reply_is_error(reply)) {
        reader_trouble_clear(&reader->trouble, step);
        return false;
    }
    reader->group_due = reader->group_due || reply_has_error(reply, "NOGROUP");
    reader_trouble_note(&reader->trouble, step, reply);
    return true;
}

/* -- the batch -- */

static void drop_batch(struct stream_reader *reader)
{
    if (reader->reply != NULL) {
        redis_free_reply(reader->reply);
        reader->reply = NULL;
    }
    reader->entries.count = 0;
    reader->place = BATCH_NONE;
    reader_heartbeat_stop(&reader->heartbeat);
}

static void deliver(struct stream_reader *reader)
{
    struct stream_batch batch = {
        .entries = reader->entries.items,
        .count = reader->entries.count,
        .bytes = reader->entries.bytes,
        .is_claimed = reader->is_claimed,
        .reply = reader->reply,
    };
    reader->place = BATCH_OUT;
    reader->callbacks.on_batch(reader->owner, &batch);
}

/* -- deleted entries -- */

static void tell_deleted(struct stream_reader *reader, size_t count)
{
    if (count > 0) {
        log_warning(reader->object, "entries were deleted before they were read",
                    LOG_INT("count", count));
        reader->callbacks.on_deleted(reader->owner, (uint32_t)count);
    }
}

static void on_deleted_acknowledged(void *owner, struct redisReply *reply)
{
    if (reply != NULL && !reply_is_error(reply)) {
        tell_deleted(owner, (size_t)reply_number(reply));
    }
}

/* They would come back as nil for ever. Where the reply is lost, they come back once more. */
static void acknowledge_deleted(struct stream_reader *reader)
{
    size_t count = reader->entries.deleted_count;
    if (count == 0) {
        return;
    }
    reader_format_forget(&reader->command, &reader->names, &reader->entries);
    if (!redis_send_formatted(reader->redis, buffer_slice(&reader->command),
                              on_deleted_acknowledged, reader)) {
        log_debug(reader->object, "deleted entries wait for the connection",
                  LOG_INT("count", count));
    }
}

/* -- taking entries -- */

/* Also while it closes: what its last read brings would wait until another process may claim it. */
static void hold_or_deliver(struct stream_reader *reader)
{
    if (!reader->is_paused && !reader->is_released) {
        deliver(reader);
    } else if (reader->is_closing) {
        drop_batch(reader); /* stays pending on us: the next run begins with it */
    }
}

static void on_deliveries(void *owner, struct redisReply *reply)
{
    struct stream_reader *reader = owner;
    reader->is_busy = false;
    if (reply == NULL) {
        drop_batch(reader);
        proceed(reader);
        return;
    }
    if (reply_is_array(reply)) {
        reader_entries_note_deliveries(&reader->entries, reply);
    }
    hold_or_deliver(reader);
    proceed(reader);
}

/* Sends the formatted command; nothing else is sent until its reply. */
static bool send_command(struct stream_reader *reader, redis_reply_callback *on_reply)
{
    reader->is_busy =
        redis_send_formatted(reader->redis, buffer_slice(&reader->command), on_reply, reader);
    return reader->is_busy;
}

static bool ask_deliveries(struct stream_reader *reader)
{
    reader_format_deliveries(&reader->command, &reader->names,
                             slice_from_string(reader->heartbeat.first_id),
                             slice_from_string(reader->heartbeat.last_id));
    return send_command(reader, on_deliveries);
}

/* Takes over the reply that `list` of entries lies in. */
static void take_entries(struct stream_reader *reader, struct redisReply *reply,
                         const struct redisReply *list, bool is_claimed)
{
    reader->reply = redis_keep_reply(reply);
    reader_entries_parse(&reader->entries, list);
    acknowledge_deleted(reader);
    reader->owns_pending = reader->owns_pending || reader->entries.lost > 0;
    if (reader->entries.count == 0) {
        drop_batch(reader);
        return;
    }
    reader->place = BATCH_HELD;
    reader->is_claimed = is_claimed;
    reader->batch_rewinds = reader->rewinds;
    batch_size_note(&reader->size, reader->entries.bytes, reader->entries.count);
    reader_heartbeat_start(&reader->heartbeat, reader->redis, &reader->entries,
                           reader->options.claim_min_idle_ms);
    if (!is_claimed) {
        hold_or_deliver(reader); /* fresh: never delivered before */
    } else if (!ask_deliveries(reader)) {
        drop_batch(reader);
    }
}

/* -- reading -- */

static void on_read_reply(void *owner, struct redisReply *reply)
{
    struct stream_reader *reader = owner;
    bool was_own = reader->reads_own;
    reader->is_busy = false;
    if (reply != NULL && !is_refused(reader, READER_STEP_READ, reply)) {
        const struct redisReply *list = reply_element(reply_element(reply, 0), 1);
        if (was_own) {
            reader->owns_pending = reply_count(list) > 0;
        } else {
            batch_size_note_read(&reader->size, reader->asked, reply_count(list));
        }
        if (reply_count(list) > 0) {
            take_entries(reader, reply, list, was_own);
        }
    }
    proceed(reader);
}

static void send_read(struct stream_reader *reader)
{
    reader->reads_own = reader->owns_pending;
    if (reader->reads_own) {
        reader_format_read_own(&reader->command, &reader->names, batch_size_ask(&reader->size));
    } else {
        reader->asked = batch_size_ask_new(&reader->size);
        reader_format_read_new(&reader->command, &reader->names, reader->asked,
                               reader->options.block_ms);
    }
    (void)send_command(reader, on_read_reply);
}

/* -- claiming -- */

static void on_claim_reply(void *owner, struct redisReply *reply)
{
    struct stream_reader *reader = owner;
    /* A look that is refused says nothing: XAUTOCLAIM does. */
    bool is_look = reader_claim_is_look(&reader->claim);
    reader->is_busy = false;
    if (reply != NULL && (is_look || !is_refused(reader, READER_STEP_CLAIM, reply))) {
        size_t deleted = 0;
        const struct redisReply *list = reader_claim_take(&reader->claim, reply, &deleted);
        if (list != NULL) {
            take_entries(reader, reply, list, true);
        }
        tell_deleted(reader, deleted);
    }
    proceed(reader);
}

static void send_claim(struct stream_reader *reader)
{
    reader_claim_format(&reader->claim, &reader->command, &reader->names,
                        batch_size_ask(&reader->size));
    (void)send_command(reader, on_claim_reply);
}

/* -- the group -- */

static void on_group_reply(void *owner, struct redisReply *reply)
{
    struct stream_reader *reader = owner;
    reader->is_busy = false;
    bool is_settled = reply != NULL && !is_refused(reader, READER_STEP_GROUP, reply);
    if (is_settled) {
        reader->rewinds = reply_number(reply_element(reply, 1));
    }
    if (is_settled && reply_number(reply_element(reply, 0)) == 1) {
        log_info(reader->object, "created the consumer group",
                 LOG_TEXT("group", reader->keys.group));
    }
    reader->group_due = !is_settled;
    proceed(reader);
}

static void send_group(struct stream_reader *reader)
{
    const struct slice keys[] = {slice_from_string(reader->keys.key),
                                 slice_from_string(reader->meta_key)};
    script_call_begin(&reader->side, SCRIPT_GROUP, keys, 2, 1);
    script_call_argument(&reader->side, slice_from_string(reader->keys.group));
    reader->is_busy = script_call_send(&reader->side, reader->redis, on_group_reply, reader);
}

/* -- acknowledging -- */

static void tell_late(struct stream_reader *reader)
{
    log_info(reader->object,
             "the group was set back while the batch was written: nothing of it is acknowledged",
             LOG_INT("rewinds", reader->rewinds));
    reader->owns_pending = true; /* what was read after that and is still ours is done again */
    reader->callbacks.on_late(reader->owner);
}

static void on_acknowledge_reply(void *owner, struct redisReply *reply)
{
    struct stream_reader *reader = owner;
    if (!reader->is_acknowledging || reply == NULL) {
        proceed(reader); /* a lost one goes out again: XACK twice takes nothing the second time */
        return;
    }
    if (is_refused(reader, READER_STEP_ACKNOWLEDGE, reply)) {
        return;
    }
    reader->is_acknowledging = false;
    int64_t taken = reply_number(reply_element(reply, 0));
    reader->rewinds = reply_number(reply_element(reply, 1));
    if (taken < 0) {
        tell_late(reader);
    } else {
        reader->callbacks.on_acknowledged(reader->owner, (uint32_t)taken);
    }
    proceed(reader);
}

/* From here on nobody needs the batch: the call has its IDs. */
static void begin_acknowledging(struct stream_reader *reader)
{
    reader_format_acknowledge(&reader->acknowledge, &reader->names, &reader->entries,
                              reader->batch_rewinds, &reader->verdict);
    reader->is_acknowledging = true;
    drop_batch(reader);
}

void stream_reader_acknowledge(struct stream_reader *reader, const struct stream_verdict *verdict)
{
    ASSERT(reader->place == BATCH_OUT);
    reader->verdict = *verdict;
    reader->place = BATCH_DONE;
    proceed(reader);
}

void stream_reader_release(struct stream_reader *reader)
{
    reader->is_released = true;
    reader->is_acknowledging = false;
    drop_batch(reader);
    proceed(reader);
}

/* -- closing -- */

static void destroy(struct stream_reader *reader)
{
    struct stream_reader_callbacks callbacks = reader->callbacks;
    void *owner = reader->owner;
    ASSERT(reader->reply == NULL);
    script_call_deinit(&reader->acknowledge);
    reader_heartbeat_deinit(&reader->heartbeat);
    script_call_deinit(&reader->side);
    reader_entries_deinit(&reader->entries);
    reader_claim_deinit(&reader->claim);
    buffer_deinit(&reader->command);
    free(reader->consumer);
    free(reader->ledger_key);
    free(reader->meta_key);
    free(reader);
    callbacks.on_closed(owner);
}

static void on_part_closed(struct stream_reader *reader)
{
    if (reader->redis == NULL && reader->open_timers == 0) {
        destroy(reader);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream_reader *reader = handle->data;
    reader->open_timers--;
    on_part_closed(reader);
}

static void finish(struct stream_reader *reader)
{
    if (reader->is_finished) {
        return;
    }
    reader->is_finished = true;
    drop_batch(reader);
    redis_close(reader->redis);
    reader_trouble_close(&reader->trouble, on_timer_closed, reader);
    reader_claim_close(&reader->claim, on_timer_closed, reader);
    reader_heartbeat_close(&reader->heartbeat, on_timer_closed, reader);
}

static void on_leave_reply(void *owner, struct redisReply *reply)
{
    (void)reply; /* kept where something is pending or Redis is away: both are fine */
    struct stream_reader *reader = owner;
    reader->is_busy = false;
    finish(reader);
}

static void leave(struct stream_reader *reader)
{
    const struct slice key = slice_from_string(reader->keys.key);
    script_call_begin(&reader->side, SCRIPT_LEAVE, &key, 1, 2);
    script_call_argument(&reader->side, slice_from_string(reader->keys.group));
    script_call_argument(&reader->side, slice_from_string(reader->consumer));
    reader->is_busy = script_call_send(&reader->side, reader->redis, on_leave_reply, reader);
    if (!reader->is_busy) {
        finish(reader);
    }
}

void stream_reader_close(struct stream_reader *reader)
{
    if (reader->is_closing) {
        return;
    }
    reader->is_closing = true;
    if (reader->place == BATCH_HELD && !reader->is_busy) {
        drop_batch(reader);
    }
    proceed(reader);
}

/* -- the decision -- */

/* What is new may be asked for right behind an XACK: Redis takes them in order, and the batch after this one costs no
 * round trip of its own. All else waits until it is done, above all our own pending entries, which it takes away. */
static bool may_read(const struct stream_reader *reader)
{
    bool is_new = !reader->group_due && !reader->owns_pending && !reader->claim.is_due;
    bool is_stopped = reader->is_closing || reader->is_paused || reader->is_released;
    return !is_stopped && (!reader->is_acknowledging || (is_new && reader->acknowledge.is_sent));
}

static void read_next(struct stream_reader *reader)
{
    if (reader->group_due) {
        send_group(reader);
    } else if (reader->owns_pending || !reader->claim.is_due) {
        send_read(reader);
    } else {
        send_claim(reader);
    }
}

static void proceed(struct stream_reader *reader)
{
    if (reader->is_finished) {
        return;
    }
    if (reader->place == BATCH_DONE && !reader->is_acknowledging && !reader->acknowledge.is_sent) {
        begin_acknowledging(reader);
    }
    bool can_send = redis_is_ready(reader->redis) && !reader->is_busy &&
                    !reader_trouble_waits(&reader->trouble);
    if (reader->is_acknowledging && can_send && !reader->acknowledge.is_sent) {
        script_call_send(&reader->acknowledge, reader->redis, on_acknowledge_reply, reader);
    }
    if (reader->place != BATCH_NONE || reader->is_busy) {
        return;
    }
    if (reader->is_closing && !reader->is_acknowledging) {
        leave(reader);
    } else if (can_send && may_read(reader)) {
        read_next(reader);
    }
}

void stream_reader_pause(struct stream_reader *reader)
{
    reader->is_paused = true;
}

void stream_reader_resume(struct stream_reader *reader)
{
    reader->is_paused = false;
    if (reader->place == BATCH_HELD && !reader->is_busy) {
        hold_or_deliver(reader);
    }
    proceed(reader);
}

/* -- the connection -- */

static void on_ready(void *owner)
{
    struct stream_reader *reader = owner;
    /* A reply may have been lost after Redis noted its entries as ours. */
    reader->owns_pending = true;
    reader->group_due = true; /* whoever comes first creates it; no read has to fail for that */
    reader_trouble_stop_waiting(&reader->trouble);
    reader_trouble_clear(&reader->trouble, READER_STEP_CONNECT);
    proceed(reader);
}

static void on_lost(void *owner, const struct error *error)
{
    struct stream_reader *reader = owner;
    reader_trouble_note_lost(&reader->trouble, error);
    proceed(reader);
}

static void on_redis_closed(void *owner)
{
    struct stream_reader *reader = owner;
    reader->redis = NULL;
    on_part_closed(reader);
}

struct stream_reader *stream_reader_open(struct uv_loop_s *loop,
                                         const struct stream_reader_options *options,
                                         const struct stream_reader_callbacks *callbacks,
                                         void *owner)
{
    static const struct redis_callbacks redis_callbacks = {
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_closed = on_redis_closed,
    };
    struct stream_reader *reader = memory_allocate(sizeof(*reader));
    reader->options = *options;
    reader->keys = options->keys;
    reader->consumer = memory_copy_string(options->consumer);
    reader->ledger_key = stream_key_derive(options->keys.key, ":ledger");
    reader->meta_key = stream_key_derive(options->keys.key, ":meta");
    reader->names = (struct reader_names){.key = options->keys.key,
                                          .group = options->keys.group,
                                          .consumer = reader->consumer,
                                          .ledger_key = reader->ledger_key,
                                          .meta_key = reader->meta_key};
    (void)snprintf(reader->object, sizeof(reader->object), "stream_reader[%s]", options->consumer);
    reader->callbacks = *callbacks;
    reader->owner = owner;
    reader->size = batch_size_of(options->batch_size, options->batch_bytes);
    reader->trouble = (struct reader_trouble){
        .object = reader->object, .on_retry = on_turn, .on_change = on_trouble, .owner = reader};
    reader_trouble_init(&reader->trouble, loop);
    reader->open_timers++;
    reader_claim_init(&reader->claim, loop, options->claim_min_idle_ms, on_turn, reader);
    reader->open_timers++;
    reader_heartbeat_init(&reader->heartbeat, loop, &reader->names, reader->object);
    reader->open_timers++;
    if (options->claims) {
        reader_claim_start(&reader->claim, options->claim_interval_ms);
    }
    reader->redis = redis_open(loop, &options->redis, &redis_callbacks, reader);
    return reader;
}
