/* The reader against a real Redis: every entry to one consumer, none lost, whatever dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include "stream/stream_reader.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    CONNECT_MS = 3000,
    REPLY_MS = 3000,
    MIN_IDLE_MS = 120,
    SEQUENCES = 4096
};

struct rig {
    uv_loop_t *loop;
    struct stream_reader *reader;
    bool keeps_batches; /* until the test acknowledges */
    bool has_batch;
    struct stream_batch batch;
    unsigned batches, closed;
    uint64_t entries, acknowledged, late, deleted;
    enum reader_state state;
    unsigned states_seen; /* a bit each */
    uint32_t dead_entries;
    uint32_t max_deliveries; /* seen */
    bool saw_claimed;
    struct position last;
    size_t max_count;
    uint8_t *seen; /* how often each sequence was delivered; shared by readers */
};

static const struct stream_keys keys = {
    .key = "events", .group = "group", .dead_letter_key = "dead"};
static uint8_t seen[SEQUENCES];

static void acknowledge(struct rig *rig)
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
        if (entry->id.sequence >= 0 && entry->id.sequence < SEQUENCES) {
            rig->seen[entry->id.sequence]++;
        }
        if (entry->deliveries > rig->max_deliveries) {
            rig->max_deliveries = entry->deliveries;
        }
    }
    if (!rig->keeps_batches) {
        acknowledge(rig);
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

static void rig_open(struct rig *rig, uv_loop_t *loop, const char *consumer)
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
        .claim_min_idle_ms = MIN_IDLE_MS,
        .claims = true,
    };
    rig->loop = loop;
    rig->seen = seen;
    rig->closed = 0;
    rig->has_batch = false;
    rig->reader = stream_reader_open(loop, &options, &callbacks, rig);
}

static void prepare(uv_loop_t *loop)
{
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("XGROUP CREATE events group 0 MKSTREAM"));
    memset(seen, 0, sizeof(seen));
    assert_int_equal(uv_loop_init(loop), 0);
}

static void add_entries(int first, int last)
{
    for (int i = first; i <= last; i++) {
        freeReplyObject(stream_server_call(
            "XADD events 7-%d type commit data {} seq %d time 2026-01-01T00:00:00Z rev 3k", i, i));
    }
}

static bool has_batch(void *data)
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

static void wait_count(uv_loop_t *loop, const uint64_t *count, uint64_t wanted)
{
    struct count_wait wait = {count, wanted};
    stream_wait(loop, is_reached, &wait);
}

static void close_reader(struct rig *rig)
{
    stream_reader_close(rig->reader);
    stream_reader_close(rig->reader);
    stream_wait(rig->loop, is_closed, rig);
}

static int64_t pending(void)
{
    redisReply *reply = stream_server_call("XPENDING events group");
    int64_t count = reply->element[0]->integer;
    freeReplyObject(reply);
    return count;
}

static void assert_seen_once(int first, int last)
{
    uint8_t once[SEQUENCES];
    memset(once, 1, sizeof(once));
    assert_memory_equal(seen + first, once, (size_t)(last - first) + 1);
}

static void entries_come_in_batches_and_the_ledger_moves_with_xack(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true, .dead_entries = 1};
    prepare(&loop);
    add_entries(1, 25);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, has_batch, &rig);
    assert_int_equal(rig.batch.count, 10);
    assert_false(rig.batch.is_claimed);
    const struct entry *entry = &rig.batch.entries[0];
    assert_int_equal(entry->id.epoch, 7);
    assert_int_equal(entry->id.sequence, 1);
    assert_true(slice_equals(entry->type, SLICE("commit")));
    assert_true(slice_equals(entry->data, SLICE("{}")));
    assert_true(slice_equals(entry->sequence, SLICE("1")));
    assert_true(slice_equals(entry->time, SLICE("2026-01-01T00:00:00Z")));
    assert_true(slice_equals(entry->rev, SLICE("3k")));
    assert_int_equal(entry->deliveries, 0);
    acknowledge(&rig);
    wait_count(&loop, &rig.acknowledged, 10);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 9);
    assert_int_equal(stream_server_number("HGET events:ledger dead"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger ops_written"), 10);
    assert_int_equal(stream_server_number("HGET cluster:metrics totalEvents"), 10);
    assert_int_equal(stream_server_number("HGET cluster:metrics #commit"), 10);
    rig.keeps_batches = false;
    if (rig.has_batch) {
        acknowledge(&rig);
    }
    wait_count(&loop, &rig.acknowledged, 25);
    assert_seen_once(1, 25);
    assert_int_equal(pending(), 0);
    close_reader(&rig);
    redisReply *reply = stream_server_call("XINFO CONSUMERS events group");
    assert_int_equal(reply->elements, 0); /* nothing pending: the consumer is gone */
    freeReplyObject(reply);
    stream_finish(&loop);
}

static void what_is_pending_on_us_comes_first_after_a_crash(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    prepare(&loop);
    add_entries(1, 30);
    /* The earlier run read fifteen and died. */
    freeReplyObject(stream_server_call("XREADGROUP GROUP group a COUNT 15 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, has_batch, &rig);
    assert_true(rig.batch.is_claimed);
    assert_int_equal(rig.batch.count, 10);
    assert_int_equal(rig.batch.entries[0].id.sequence, 1);
    assert_true(rig.batch.entries[0].deliveries >= 1);
    rig.keeps_batches = false;
    acknowledge(&rig);
    wait_count(&loop, &rig.acknowledged, 30);
    assert_seen_once(1, 30);
    close_reader(&rig);
    stream_finish(&loop);
}

static void a_released_batch_stays_pending_and_its_consumer_is_kept(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    prepare(&loop);
    add_entries(1, 5);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, has_batch, &rig);
    stream_reader_release(rig.reader);
    close_reader(&rig);
    assert_int_equal(pending(), 5);
    rig.keeps_batches = false;
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 5);
    close_reader(&rig);
    stream_finish(&loop);
}

static void two_readers_share_the_stream_without_overlap(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig first = {0};
    struct rig second = {0};
    prepare(&loop);
    add_entries(1, 1000);
    rig_open(&first, &loop, "a");
    rig_open(&second, &loop, "b");
    while (first.acknowledged + second.acknowledged < 1000) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(first.entries > 0);
    assert_true(second.entries > 0);
    assert_seen_once(1, 1000);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 1000);
    close_reader(&first);
    close_reader(&second);
    stream_finish(&loop);
}

static void a_deleted_key_heals_with_its_group(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 10);
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 10);
    freeReplyObject(stream_server_call("DEL events"));
    add_entries(11, 20); /* no group any more */
    wait_count(&loop, &rig.acknowledged, 20);
    assert_seen_once(1, 20);
    close_reader(&rig);
    stream_finish(&loop);
}

static void entries_deleted_while_pending_are_counted_and_acknowledged(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 6);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group a COUNT 6 STREAMS events >"));
    freeReplyObject(stream_server_call("XDEL events 7-2 7-5"));
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.deleted, 2);
    wait_count(&loop, &rig.acknowledged, 4);
    assert_int_equal(pending(), 0);
    /* The same on another's list: XAUTOCLAIM names them (Redis 7) or leaves nil (6.2). */
    add_entries(7, 9);
    close_reader(&rig);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 3 STREAMS events >"));
    freeReplyObject(stream_server_call("XDEL events 7-8"));
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.deleted, 3);
    wait_count(&loop, &rig.acknowledged, 6);
    assert_int_equal(pending(), 0);
    close_reader(&rig);
    stream_finish(&loop);
}

static void a_dead_consumer_s_entries_are_taken_over_with_their_count(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 25);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 25 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 25);
    assert_seen_once(1, 25);
    assert_true(rig.saw_claimed);
    assert_int_equal(rig.max_deliveries, 1); /* delivered once before, to the dead one */
    close_reader(&rig);
    stream_finish(&loop);
}

static bool is_after(void *data)
{
    return uv_now(((uv_timer_t *)data)->loop) >= *(uint64_t *)((uv_timer_t *)data)->data;
}

static void a_live_consumer_keeps_its_batch_by_its_heartbeat(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig slow = {.keeps_batches = true};
    struct rig eager = {0};
    prepare(&loop);
    add_entries(1, 10);
    rig_open(&slow, &loop, "slow");
    stream_wait(&loop, has_batch, &slow);
    rig_open(&eager, &loop, "eager");
    /* The fact to wait for: the slow one held its batch for five times what makes it claimable. */
    uint64_t until = uv_now(&loop) + 5ULL * MIN_IDLE_MS;
    uv_timer_t clock = {.loop = &loop, .data = &until};
    stream_wait(&loop, is_after, &clock);
    assert_int_equal(eager.entries, 0);
    slow.keeps_batches = false;
    acknowledge(&slow);
    wait_count(&loop, &slow.acknowledged, 10);
    assert_seen_once(1, 10);
    assert_int_equal(slow.max_deliveries, 0);
    close_reader(&slow);
    close_reader(&eager);
    stream_finish(&loop);
}

static void a_batch_that_others_took_over_counts_once(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    prepare(&loop);
    add_entries(1, 4);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, has_batch, &rig);
    assert_int_equal(stream_server_number("XACK events group 7-1 7-2 7-3 7-4"), 4); /* by another */
    rig.keeps_batches = false;
    acknowledge(&rig);
    add_entries(5, 5);
    wait_count(&loop, &rig.acknowledged, 1);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 1);
    close_reader(&rig);
    stream_finish(&loop);
}

static int64_t committed(void)
{
    return stream_server_number("HGET events:ledger committed");
}

static bool is_refused(void *data)
{
    return ((struct rig *)data)->state == READER_REFUSED;
}

static bool is_ready_again(void *data)
{
    return ((struct rig *)data)->state == READER_READY;
}

/* Claims work all the while, several in the time of a read: they say nothing of it. */
static void a_read_that_redis_refuses_is_said_until_redis_allows_it(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    rig_open(&rig, &loop, "one");
    add_entries(1, 3);
    wait_count(&loop, &rig.acknowledged, 3);
    assert_int_equal(rig.states_seen, 0);
    freeReplyObject(stream_server_call("ACL SETUSER default -xreadgroup"));
    stream_wait(&loop, is_refused, &rig);
    rig.states_seen = 0;
    uint64_t ends = uv_hrtime() / 1000000 + 200;
    while (uv_hrtime() / 1000000 < ends) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(rig.states_seen, 0);
    freeReplyObject(stream_server_call("ACL SETUSER default +xreadgroup"));
    add_entries(4, 4);
    stream_wait(&loop, is_ready_again, &rig);
    wait_count(&loop, &rig.acknowledged, 4);
    close_reader(&rig);
    stream_finish(&loop);
}

static void a_reader_without_its_connection_says_so_until_it_is_back(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    rig_open(&rig, &loop, "one");
    add_entries(1, 3);
    wait_count(&loop, &rig.acknowledged, 3);
    freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
    add_entries(4, 4);
    wait_count(&loop, &rig.acknowledged, 4);
    assert_int_equal(rig.states_seen, 1U << READER_AWAY | 1U << READER_READY);
    assert_int_equal(rig.state, READER_READY);
    close_reader(&rig);
    stream_finish(&loop);
}

/* As the rewind script does it: what is pending is let go, the count rises, all is delivered again. */
static void set_group_back(void)
{
    freeReplyObject(stream_server_call("HINCRBY events:meta rewinds 1"));
    freeReplyObject(stream_server_call("XACK events group 7-1 7-2 7-3"));
    freeReplyObject(stream_server_call("XGROUP SETID events group 0"));
}

static void what_was_written_before_a_rewind_is_not_acknowledged_after_it(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig late = {.keeps_batches = true}, again = {.keeps_batches = true};
    prepare(&loop);
    add_entries(1, 3);
    rig_open(&late, &loop, "late");
    stream_wait(&loop, has_batch, &late);
    set_group_back();
    rig_open(&again, &loop, "again");
    stream_wait(&loop, has_batch, &again);
    acknowledge(&late);
    wait_count(&loop, &late.late, 1);
    assert_int_equal(late.acknowledged, 0);
    assert_int_equal(pending(), 3);
    acknowledge(&again);
    wait_count(&loop, &again.acknowledged, 3);
    close_reader(&again);
    late.keeps_batches = false; /* it has heard of it: the next is acknowledged at once */
    add_entries(4, 4);
    wait_count(&loop, &late.acknowledged, 1);
    assert_int_equal(pending(), 0);
    close_reader(&late);
    stream_finish(&loop);
}

static void what_is_read_before_the_rewind_is_heard_of_is_done_once_more(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 3);
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 3);
    set_group_back();
    wait_count(&loop, &rig.acknowledged, 6);
    assert_int_equal(rig.entries, 9);
    assert_int_equal(pending(), 0);
    close_reader(&rig);
    stream_finish(&loop);
}

static void run_for_entries(struct rig *rig, uint64_t entries, int64_t enough)
{
    uint64_t until = rig->entries + entries;
    while (rig->entries < until && committed() < enough) {
        (void)uv_run(rig->loop, UV_RUN_ONCE);
    }
}

static void connections_killed_in_the_middle_lose_no_entry_and_no_acknowledgement(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 500);
    rig_open(&rig, &loop, "a");
    while (committed() < 500) {
        run_for_entries(&rig, 40, 500);
        freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
    }
    /* At least once: where a reply was lost, its entries are delivered again. */
    assert_null(memchr(seen + 1, 0, 500));
    assert_int_equal(committed(), 500);
    assert_int_equal(pending(), 0);
    close_reader(&rig);
    stream_finish(&loop);
}

static void acknowledging_works_while_redis_is_full(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 20);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1"));
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 20);
    assert_int_equal(pending(), 0);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 20);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 0"));
    close_reader(&rig);
    stream_finish(&loop);
}

static void a_paused_reader_reads_and_claims_nothing_until_it_resumes(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    add_entries(1, 10);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 5 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    stream_reader_pause(rig.reader);
    uint64_t until = uv_now(&loop) + 2ULL * MIN_IDLE_MS;
    uv_timer_t clock = {.loop = &loop, .data = &until};
    stream_wait(&loop, is_after, &clock);
    assert_int_equal(rig.entries, 0);
    assert_int_equal(pending(), 5);
    stream_reader_resume(rig.reader);
    wait_count(&loop, &rig.acknowledged, 10);
    assert_seen_once(1, 10);
    close_reader(&rig);
    stream_finish(&loop);
}

static void foreign_and_reference_entries_come_through_by_their_field_names(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    prepare(&loop);
    freeReplyObject(stream_server_call("XADD events 7-1 type identity data {} seq 9"));
    freeReplyObject(stream_server_call("XADD events 7-2 hello world"));
    freeReplyObject(stream_server_call("XADD events 7-3 rev 3r later x data [] type sync"));
    freeReplyObject(stream_server_call("XADD events 8-18446744073709551615 a b"));
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, has_batch, &rig);
    assert_int_equal(rig.batch.count, 4);
    const struct entry *entries = rig.batch.entries;
    assert_true(slice_equals(entries[0].type, SLICE("identity")));
    assert_int_equal(entries[0].rev.size, 0);
    assert_int_equal(entries[1].type.size, 0);
    assert_true(slice_equals(entries[2].type, SLICE("sync")));
    assert_true(slice_equals(entries[2].rev, SLICE("3r")));
    assert_int_equal(entries[3].id.sequence, INT64_MAX);
    acknowledge(&rig);
    wait_count(&loop, &rig.acknowledged, 4); /* the ID that fits nowhere too */
    close_reader(&rig);
    stream_finish(&loop);
}

static void big_entries_make_batches_small(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    prepare(&loop);
    size_t size = 400 << 10;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    for (int i = 1; i <= 30; i++) {
        freeReplyObject(stream_server_call("XADD events 7-%d type commit data %s", i, text));
    }
    free(text);
    rig_open(&rig, &loop, "a");
    wait_count(&loop, &rig.acknowledged, 20);
    rig.max_count = 0;
    wait_count(&loop, &rig.acknowledged, 30);
    assert_true(rig.max_count <= 4);
    assert_seen_once(1, 30);
    close_reader(&rig);
    stream_finish(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_batches_and_the_ledger_moves_with_xack),
        cmocka_unit_test(what_is_pending_on_us_comes_first_after_a_crash),
        cmocka_unit_test(a_released_batch_stays_pending_and_its_consumer_is_kept),
        cmocka_unit_test(two_readers_share_the_stream_without_overlap),
        cmocka_unit_test(a_deleted_key_heals_with_its_group),
        cmocka_unit_test(entries_deleted_while_pending_are_counted_and_acknowledged),
        cmocka_unit_test(a_dead_consumer_s_entries_are_taken_over_with_their_count),
        cmocka_unit_test(a_live_consumer_keeps_its_batch_by_its_heartbeat),
        cmocka_unit_test(a_batch_that_others_took_over_counts_once),
        cmocka_unit_test(a_read_that_redis_refuses_is_said_until_redis_allows_it),
        cmocka_unit_test(a_reader_without_its_connection_says_so_until_it_is_back),
        cmocka_unit_test(what_was_written_before_a_rewind_is_not_acknowledged_after_it),
        cmocka_unit_test(what_is_read_before_the_rewind_is_heard_of_is_done_once_more),
        cmocka_unit_test(connections_killed_in_the_middle_lose_no_entry_and_no_acknowledgement),
        cmocka_unit_test(acknowledging_works_while_redis_is_full),
        cmocka_unit_test(a_paused_reader_reads_and_claims_nothing_until_it_resumes),
        cmocka_unit_test(foreign_and_reference_entries_come_through_by_their_field_names),
        cmocka_unit_test(big_entries_make_batches_small),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
