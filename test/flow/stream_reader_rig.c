#include "flow/stream_reader_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    CONNECT_MS = 3000,
    REPLY_MS = 3000
};

static const struct stream_keys keys = {
    .key = "events", .group = "group", .dead_letter_key = "dead"};
uint8_t rig_seen[RIG_SEQUENCES];

void rig_acknowledge(struct rig *rig)
{
    struct stream_verdict verdict = {.written = (uint32_t)rig->batch.count,
                                     .commits = (uint32_t)rig->batch.count,
                                     .dead_entries = rig->dead_entries};
    rig->has_batch = false;
    stream_reader_acknowledge(rig->reader, &verdict);
}

static void on_batch(void *owner, const struct stream_batch *batch)
{
    struct rig *rig = owner;
    assert_false(rig->has_batch);
    rig->has_batch = true;
    rig->batch = *batch;
    rig->batches++;
    rig->entries += batch->count;
    rig->saw_claimed = rig->saw_claimed || batch->is_claimed;
    rig->max_count = batch->count > rig->max_count ? batch->count : rig->max_count;
    for (size_t i = 0; i < batch->count; i++) {
        const struct entry *entry = &batch->entries[i];
        rig->last = entry->id;
        if (entry->id.sequence >= 0 && entry->id.sequence < RIG_SEQUENCES) {
            rig->seen[entry->id.sequence]++;
        }
        if (entry->deliveries > rig->max_deliveries) {
            rig->max_deliveries = entry->deliveries;
        }
    }
    if (!rig->keeps_batches) {
        rig_acknowledge(rig);
    }
}

static void on_acknowledged(void *owner, uint32_t acknowledged)
{
    struct rig *rig = owner;
    rig->acknowledged += acknowledged;
}

static void on_late(void *owner)
{
    ((struct rig *)owner)->late++;
}

static void on_state(void *owner, enum reader_state state)
{
    struct rig *rig = owner;
    rig->state = state;
    rig->states_seen |= 1U << state;
}

static void on_deleted(void *owner, uint32_t count)
{
    ((struct rig *)owner)->deleted += count;
}

static void on_closed(void *owner)
{
    ((struct rig *)owner)->closed++;
}

void rig_open(struct rig *rig, uv_loop_t *loop, const char *consumer)
{
    static const struct stream_reader_callbacks callbacks = {
        .on_batch = on_batch,
        .on_acknowledged = on_acknowledged,
        .on_late = on_late,
        .on_deleted = on_deleted,
        .on_state = on_state,
        .on_closed = on_closed,
    };
    struct stream_reader_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = consumer,
                  .connect_timeout_ms = CONNECT_MS,
                  .reply_timeout_ms = REPLY_MS},
        .keys = keys,
        .consumer = consumer,
        .batch_size = 10,
        .block_ms = 20,
        .batch_bytes = 1 << 20,
        .claim_interval_ms = 20,
        .claim_min_idle_ms = RIG_MIN_IDLE_MS,
        .claims = true,
    };
    rig->loop = loop;
    rig->seen = rig_seen;
    rig->closed = 0;
    rig->has_batch = false;
    rig->reader = stream_reader_open(loop, &options, &callbacks, rig);
}

void rig_prepare(uv_loop_t *loop)
{
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("XGROUP CREATE events group 0 MKSTREAM"));
    memset(rig_seen, 0, sizeof(rig_seen));
    assert_int_equal(uv_loop_init(loop), 0);
}

void rig_add_entries(int first, int last)
{
    for (int i = first; i <= last; i++) {
        freeReplyObject(stream_server_call(
            "XADD events 7-%d type commit data {} seq %d time 2026-01-01T00:00:00Z rev 3k", i, i));
    }
}

bool rig_has_batch(void *data)
{
    return ((struct rig *)data)->has_batch;
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->closed == 1;
}

struct count_wait {
    const uint64_t *count;
    uint64_t wanted;
};

static bool is_reached(void *data)
{
    struct count_wait *wait = data;
    return *wait->count >= wait->wanted;
}

void rig_wait_count(uv_loop_t *loop, const uint64_t *count, uint64_t wanted)
{
    struct count_wait wait = {count, wanted};
    stream_wait(loop, is_reached, &wait);
}

void rig_close(struct rig *rig)
{
    stream_reader_close(rig->reader);
    stream_reader_close(rig->reader);
    stream_wait(rig->loop, is_closed, rig);
}

int64_t rig_pending(void)
{
    redisReply *reply = stream_server_call("XPENDING events group");
    int64_t count = reply->element[0]->integer;
    freeReplyObject(reply);
    return count;
}

void rig_assert_seen_once(int first, int last)
{
    uint8_t once[RIG_SEQUENCES];
    memset(once, 1, sizeof(once));
    assert_memory_equal(rig_seen + first, once, (size_t)(last - first) + 1);
}
