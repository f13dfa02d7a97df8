/* The reader against a real Redis: every entry to one consumer, none lost, whoever dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_reader_rig.h"
#include "flow/stream_server.h"
#include <hiredis/hiredis.h>
#include <uv.h>

static void entries_come_in_batches_and_the_ledger_moves_with_xack(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true, .dead_entries = 1};
    rig_prepare(&loop);
    rig_add_entries(1, 25);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, rig_has_batch, &rig);
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
    rig_acknowledge(&rig);
    rig_wait_count(&loop, &rig.acknowledged, 10);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 9);
    assert_int_equal(stream_server_number("HGET events:ledger dead"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger ops_written"), 10);
    assert_int_equal(stream_server_number("HGET cluster:metrics totalEvents"), 10);
    assert_int_equal(stream_server_number("HGET cluster:metrics #commit"), 10);
    rig.keeps_batches = false;
    if (rig.has_batch) {
        rig_acknowledge(&rig);
    }
    rig_wait_count(&loop, &rig.acknowledged, 25);
    rig_assert_seen_once(1, 25);
    assert_int_equal(rig_pending(), 0);
    rig_close(&rig);
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
    rig_prepare(&loop);
    rig_add_entries(1, 30);
    /* The earlier run read fifteen and died. */
    freeReplyObject(stream_server_call("XREADGROUP GROUP group a COUNT 15 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, rig_has_batch, &rig);
    assert_true(rig.batch.is_claimed);
    assert_int_equal(rig.batch.count, 10);
    assert_int_equal(rig.batch.entries[0].id.sequence, 1);
    assert_true(rig.batch.entries[0].deliveries >= 1);
    rig.keeps_batches = false;
    rig_acknowledge(&rig);
    rig_wait_count(&loop, &rig.acknowledged, 30);
    rig_assert_seen_once(1, 30);
    rig_close(&rig);
    stream_finish(&loop);
}

static void a_released_batch_stays_pending_and_its_consumer_is_kept(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    rig_prepare(&loop);
    rig_add_entries(1, 5);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, rig_has_batch, &rig);
    stream_reader_release(rig.reader);
    rig_close(&rig);
    assert_int_equal(rig_pending(), 5);
    rig.keeps_batches = false;
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 5);
    rig_close(&rig);
    stream_finish(&loop);
}

static void two_readers_share_the_stream_without_overlap(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig first = {0};
    struct rig second = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 1000);
    rig_open(&first, &loop, "a");
    rig_open(&second, &loop, "b");
    while (first.acknowledged + second.acknowledged < 1000) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_true(first.entries > 0);
    assert_true(second.entries > 0);
    rig_assert_seen_once(1, 1000);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 1000);
    rig_close(&first);
    rig_close(&second);
    stream_finish(&loop);
}

static void a_deleted_key_heals_with_its_group(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 10);
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 10);
    freeReplyObject(stream_server_call("DEL events"));
    rig_add_entries(11, 20); /* no group any more */
    rig_wait_count(&loop, &rig.acknowledged, 20);
    rig_assert_seen_once(1, 20);
    rig_close(&rig);
    stream_finish(&loop);
}

static void entries_deleted_while_pending_are_counted_and_acknowledged(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 6);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group a COUNT 6 STREAMS events >"));
    freeReplyObject(stream_server_call("XDEL events 7-2 7-5"));
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.deleted, 2);
    rig_wait_count(&loop, &rig.acknowledged, 4);
    assert_int_equal(rig_pending(), 0);
    /* The same on another's list: XAUTOCLAIM names them (Redis 7) or leaves nil (6.2). */
    rig_close(&rig);
    rig_add_entries(7, 9);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 3 STREAMS events >"));
    freeReplyObject(stream_server_call("XDEL events 7-8"));
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.deleted, 3);
    rig_wait_count(&loop, &rig.acknowledged, 6);
    assert_int_equal(rig_pending(), 0);
    rig_close(&rig);
    stream_finish(&loop);
}

static void a_dead_consumer_s_entries_are_taken_over_with_their_count(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 25);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 25 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 25);
    rig_assert_seen_once(1, 25);
    assert_true(rig.saw_claimed);
    assert_int_equal(rig.max_deliveries, 1); /* delivered once before, to the dead one */
    rig_close(&rig);
    stream_finish(&loop);
}

static bool is_after(void *data)
{
    return uv_now(((uv_timer_t *)data)->loop) >= *(uint64_t *)((uv_timer_t *)data)->data;
}

static void run_for(uv_loop_t *loop, uint64_t ms)
{
    uint64_t until = uv_now(loop) + ms;
    uv_timer_t clock = {.loop = loop, .data = &until};
    stream_wait(loop, is_after, &clock);
}

static void a_live_consumer_keeps_its_batch_by_its_heartbeat(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig slow = {.keeps_batches = true};
    struct rig eager = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 10);
    rig_open(&slow, &loop, "slow");
    stream_wait(&loop, rig_has_batch, &slow);
    rig_open(&eager, &loop, "eager");
    /* The fact to wait for: the slow one held its batch for five times what makes it claimable. */
    run_for(&loop, 5ULL * RIG_MIN_IDLE_MS);
    assert_int_equal(eager.entries, 0);
    slow.keeps_batches = false;
    rig_acknowledge(&slow);
    rig_wait_count(&loop, &slow.acknowledged, 10);
    rig_assert_seen_once(1, 10);
    assert_int_equal(slow.max_deliveries, 0);
    rig_close(&slow);
    rig_close(&eager);
    stream_finish(&loop);
}

static void a_batch_that_others_took_over_counts_once(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    rig_prepare(&loop);
    rig_add_entries(1, 4);
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, rig_has_batch, &rig);
    assert_int_equal(stream_server_number("XACK events group 7-1 7-2 7-3 7-4"), 4); /* by another */
    rig.keeps_batches = false;
    rig_acknowledge(&rig);
    rig_add_entries(5, 5);
    rig_wait_count(&loop, &rig.acknowledged, 1);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 1);
    rig_close(&rig);
    stream_finish(&loop);
}

static void a_paused_reader_reads_and_claims_nothing_until_it_resumes(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 10);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group dead COUNT 5 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    stream_reader_pause(rig.reader);
    run_for(&loop, 2ULL * RIG_MIN_IDLE_MS);
    assert_int_equal(rig.entries, 0);
    assert_int_equal(rig_pending(), 5);
    stream_reader_resume(rig.reader);
    rig_wait_count(&loop, &rig.acknowledged, 10);
    rig_assert_seen_once(1, 10);
    rig_close(&rig);
    stream_finish(&loop);
}

static bool has_group(void *data)
{
    (void)data;
    return stream_server_number("EXISTS events") == 1; /* nobody else makes it */
}

/* While it was paused its last read has ended and a sweep has become due, which is its first step afterwards. */
static void a_sweep_that_finds_no_key_makes_the_group_again(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_open(&rig, &loop, "a");
    rig_add_entries(1, 3);
    rig_wait_count(&loop, &rig.acknowledged, 3);
    stream_reader_pause(rig.reader);
    run_for(&loop, 2ULL * RIG_MIN_IDLE_MS);
    freeReplyObject(stream_server_call("FLUSHALL"));
    stream_reader_resume(rig.reader);
    stream_wait(&loop, has_group, &rig);
    rig_add_entries(4, 6);
    rig_wait_count(&loop, &rig.acknowledged, 6);
    rig_close(&rig);
    stream_finish(&loop);
}

/* It asks for what is new again and again, so that it is heard of all the time. */
static bool is_all_acknowledged(void *data)
{
    freeReplyObject(stream_server_call("XREADGROUP GROUP group lively COUNT 1 STREAMS events >"));
    return ((struct rig *)data)->acknowledged == 5;
}

static void what_a_living_consumer_never_acknowledges_is_taken_over_too(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 5);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group lively COUNT 5 STREAMS events >"));
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, is_all_acknowledged, &rig);
    rig_assert_seen_once(1, 5);
    assert_true(rig.saw_claimed);
    rig_close(&rig);
    stream_finish(&loop);
}

static void foreign_and_reference_entries_come_through_by_their_field_names(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {.keeps_batches = true};
    rig_prepare(&loop);
    freeReplyObject(stream_server_call("XADD events 7-1 type identity data {} seq 9"));
    freeReplyObject(stream_server_call("XADD events 7-2 hello world"));
    freeReplyObject(stream_server_call("XADD events 7-3 rev 3r later x data [] type sync"));
    freeReplyObject(stream_server_call("XADD events 8-18446744073709551615 a b"));
    rig_open(&rig, &loop, "a");
    stream_wait(&loop, rig_has_batch, &rig);
    assert_int_equal(rig.batch.count, 4);
    const struct entry *entries = rig.batch.entries;
    assert_true(slice_equals(entries[0].type, SLICE("identity")));
    assert_int_equal(entries[0].rev.size, 0);
    assert_int_equal(entries[1].type.size, 0);
    assert_true(slice_equals(entries[2].type, SLICE("sync")));
    assert_true(slice_equals(entries[2].rev, SLICE("3r")));
    assert_int_equal(entries[3].id.sequence, INT64_MAX);
    rig_acknowledge(&rig);
    rig_wait_count(&loop, &rig.acknowledged, 4); /* the ID that fits nowhere too */
    rig_close(&rig);
    stream_finish(&loop);
}

static void big_entries_make_batches_small(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
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
    rig_wait_count(&loop, &rig.acknowledged, 20);
    rig.max_count = 0;
    rig_wait_count(&loop, &rig.acknowledged, 30);
    assert_true(rig.max_count <= 4);
    rig_assert_seen_once(1, 30);
    rig_close(&rig);
    stream_finish(&loop);
}

static void a_reader_that_is_behind_takes_more_at_a_time_until_it_is_not(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 10 + 20 + 40 + 40 + 5);
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 115);
    assert_int_equal(rig.batches, 5);
    assert_int_equal(rig.max_count, 40);
    rig.max_count = 0;
    rig_add_entries(116, 140);
    rig_wait_count(&loop, &rig.acknowledged, 140);
    assert_true(rig.max_count <= 20); /* from ten on again */
    rig_assert_seen_once(1, 140);
    rig_close(&rig);
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
        cmocka_unit_test(a_paused_reader_reads_and_claims_nothing_until_it_resumes),
        cmocka_unit_test(a_sweep_that_finds_no_key_makes_the_group_again),
        cmocka_unit_test(what_a_living_consumer_never_acknowledges_is_taken_over_too),
        cmocka_unit_test(foreign_and_reference_entries_come_through_by_their_field_names),
        cmocka_unit_test(big_entries_make_batches_small),
        cmocka_unit_test(a_reader_that_is_behind_takes_more_at_a_time_until_it_is_not),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
