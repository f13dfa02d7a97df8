#include "stream/reader_heartbeat.h"

#include <stdio.h>

#include "base/log.h"
#include "base/panic.h"
#include "stream/batch_size.h"
#include "stream/redis_reply.h"

enum {
    HEARTBEATS_PER_IDLE = 3, /* so that one may be lost before anyone claims */
    HEARTBEAT_MIN_MS = 20
};

static void on_reply(void *owner, struct redisReply *reply)
{
    const struct reader_heartbeat *heartbeat = owner;
    int64_t ours = reply_number(reply);
    if (reply != NULL && !reply_is_error(reply) && ours < (int64_t)heartbeat->count) {
        log_debug(heartbeat->object, "others took over part of the batch",
                  LOG_INT("batch", heartbeat->count), LOG_INT("ours", ours));
    }
}

static void on_beat(uv_timer_t *timer)
{
    struct reader_heartbeat *heartbeat = timer->data;
    if (heartbeat->call.is_sent || !redis_is_ready(heartbeat->redis)) {
        return;
    }
    const struct slice key = slice_from_string(heartbeat->names->key);
    script_call_begin(&heartbeat->call, SCRIPT_HEARTBEAT, &key, 1, 5);
    script_call_argument(&heartbeat->call, slice_from_string(heartbeat->names->group));
    script_call_argument(&heartbeat->call, slice_from_string(heartbeat->names->consumer));
    script_call_argument(&heartbeat->call, slice_from_string(heartbeat->first_id));
    script_call_argument(&heartbeat->call, slice_from_string(heartbeat->last_id));
    script_call_number(&heartbeat->call, BATCH_ENTRIES_MAX);
    script_call_send(&heartbeat->call, heartbeat->redis, on_reply, heartbeat);
}

void reader_heartbeat_init(struct reader_heartbeat *heartbeat, struct uv_loop_s *loop,
                           const struct reader_names *names, const char *object)
{
    *heartbeat = (struct reader_heartbeat){.names = names, .object = object};
    ASSERT(uv_timer_init(loop, &heartbeat->timer) == 0);
    heartbeat->timer.data = heartbeat;
}

void reader_heartbeat_start(struct reader_heartbeat *heartbeat, struct redis *redis,
                            const struct reader_entries *entries, uint64_t claim_idle_ms)
{
    ASSERT(entries->count > 0);
    uint64_t period = claim_idle_ms / HEARTBEATS_PER_IDLE;
    if (period < HEARTBEAT_MIN_MS) {
        period = HEARTBEAT_MIN_MS;
    }
    struct slice first = entries->ids[0];
    struct slice last = entries->ids[entries->count - 1];
    (void)snprintf(heartbeat->first_id, READER_ID_SIZE, "%.*s", SLICE_ARGS(first));
    (void)snprintf(heartbeat->last_id, READER_ID_SIZE, "%.*s", SLICE_ARGS(last));
    heartbeat->redis = redis;
    heartbeat->count = entries->count;
    ASSERT(uv_timer_start(&heartbeat->timer, on_beat, period, period) == 0);
}

void reader_heartbeat_stop(struct reader_heartbeat *heartbeat)
{
    heartbeat->count = 0;
    (void)uv_timer_stop(&heartbeat->timer);
}

void reader_heartbeat_close(struct reader_heartbeat *heartbeat, uv_close_cb on_closed, void *owner)
{
    reader_heartbeat_stop(heartbeat);
    heartbeat->timer.data = owner;
    uv_close((uv_handle_t *)&heartbeat->timer, on_closed);
}

void reader_heartbeat_deinit(struct reader_heartbeat *heartbeat)
{
    script_call_deinit(&heartbeat->call);
}
