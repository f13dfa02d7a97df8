/* What Redis may say or do to the writer and the reader, at each of their commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/stream_faults.h"
#include "flow/stream_server.h"
#include "stream/stream_reader.h"
#include "stream/stream_writer.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    EPOCH = 7,
    ORIGIN = 100,
    EVENTS = 24,
    LAST = ORIGIN + EVENTS,
    GIVEN = 8, /* to a consumer that died */
    CLOSE_MS = 3000,
    MIN_IDLE_MS = 60,
    BEAT_MS = 25 /* a little over a third of it */
};

/* ---- the writer: events, a bad frame, a filtered one ---- */

static struct {
    struct stream_writer *writer;
    int64_t offered, queued;
    bool is_begun, is_frame_offered, is_closed, is_drained;
} w;

static void writer_on_found(void *owner, const struct stream_found *found)
{
    (void)owner;
    const struct stream_origin origin = {
        .host = "relay",
        .queued = found->has_meta ? found->queued : (struct position){EPOCH, ORIGIN}};
    stream_writer_begin(w.writer, &origin);
    w.is_begun = true;
}

static void writer_on_appended(void *owner, struct position queued, uint32_t entries)
{
    (void)owner;
    (void)entries;
    w.queued = queued.sequence;
}

static void writer_on_room(void *owner)
{
    (void)owner;
}

/* Nobody else writes: to find something else there would be a mistake about our own. */
static void writer_on_fenced(void *owner, const struct error *error)
{
    (void)owner;
    fail_msg("fenced: %s", error->text);
}

static void writer_on_paused(void *owner, const struct error *error)
{
    (void)owner;
    (void)error;
}

static void writer_on_closed(void *owner, bool drained)
{
    (void)owner;
    w.is_closed = true;
    w.is_drained = drained;
}

static void writer_open(void)
{
    static const struct stream_writer_callbacks callbacks = {.on_found = writer_on_found,
                                                             .on_appended = writer_on_appended,
                                                             .on_room = writer_on_room,
                                                             .on_fenced = writer_on_fenced,
                                                             .on_paused = writer_on_paused,
                                                             .on_closed = writer_on_closed};
    const struct stream_writer_options options = {.redis = faults_redis("writer"),
                                                  .keys = faults_keys,
                                                  .max_pending_entries = 1000,
                                                  .max_pending_bytes = 1 << 20};
    memset(&w, 0, sizeof(w));
    w.offered = ORIGIN;
    w.writer = stream_writer_open(&faults_loop, &options, &callbacks, NULL);
}

static void writer_offer(int count)
{
    for (int i = 0; i < count; i++) {
        const struct stream_event event = {.type = SLICE("commit"),
                                           .data = SLICE("{}"),
                                           .time = SLICE("2026-01-01T00:00:00Z"),
                                           .rev = SLICE("3k"),
                                           .sequence = ++w.offered};
        assert_true(stream_writer_append(w.writer, &event));
    }
}

static bool is_all_queued(void *data)
{
    (void)data;
    return w.queued == w.offered;
}

static void writer_work(void)
{
    static const struct stream_dead_frame frame = {
        .frame = SLICE("\xff"), .reason = "cbor", .text = "why"};
    stream_wait(&faults_loop, faults_is_true, &w.is_begun);
    for (int part = 0; part < 3; part++) {
        writer_offer(EVENTS / 3);
        if (part == 1) {
            assert_true(stream_writer_append_dead(w.writer, &frame));
            stream_writer_count(w.writer, STREAM_COUNT_FILTERED, 0);
        }
        stream_wait(&faults_loop, is_all_queued, NULL);
    }
}

static void writer_close(void)
{
    stream_writer_close(w.writer, CLOSE_MS);
    stream_wait(&faults_loop, faults_is_true, &w.is_closed);
}

static void writer_check(void)
{
    assert_true(w.is_drained);
    redisReply *reply = stream_server_call("XRANGE events - +");
    assert_int_equal(reply->elements, EVENTS);
    for (int i = 0; i < EVENTS; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%d-%d", EPOCH, ORIGIN + 1 + i);
        assert_string_equal(reply->element[i]->element[0]->str, id);
    }
    freeReplyObject(reply);
    assert_int_equal(stream_server_number("XLEN dead"), 1);
    assert_int_equal(stream_server_number("HGET events:meta queued"), LAST);
    assert_int_equal(stream_server_number("HGET events:ledger appended"), EVENTS);
    assert_int_equal(stream_server_number("HGET events:ledger dead_frames"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger filtered"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger received"), EVENTS + 2);
}

/* ---- the reader: creates the group, takes over a dead consumer's, reads, keeps, acknowledges, leaves ---- */

static struct {
    struct stream_reader *reader;
    bool has_batch, is_closed;
    struct stream_batch batch;
    uint64_t acknowledged;
    uint8_t seen[EVENTS];
    uint32_t most_deliveries;
} r;

static void reader_on_batch(void *owner, const struct stream_batch *batch)
{
    (void)owner;
    assert_false(r.has_batch);
    r.has_batch = true;
    r.batch = *batch;
    for (size_t i = 0; i < batch->count; i++) {
        r.seen[batch->entries[i].id.sequence - ORIGIN - 1]++;
        if (batch->entries[i].deliveries > r.most_deliveries) {
            r.most_deliveries = batch->entries[i].deliveries;
        }
    }
}

static void reader_on_acknowledged(void *owner, uint32_t acknowledged)
{
    (void)owner;
    r.acknowledged += acknowledged;
}

static void reader_on_late(void *owner)
{
    (void)owner;
    fail_msg("%s", "nobody set the group back");
}

static void reader_on_state(void *owner, enum reader_state state)
{
    (void)owner;
    (void)state; /* any: that is what the faults are for */
}

static void reader_on_deleted(void *owner, uint32_t count)
{
    (void)owner;
    fail_msg("%u entries were deleted", count);
}

static void reader_on_closed(void *owner)
{
    (void)owner;
    r.is_closed = true;
}

static void reader_open(void)
{
    static const struct stream_reader_callbacks callbacks = {.on_batch = reader_on_batch,
                                                             .on_acknowledged =
                                                                 reader_on_acknowledged,
                                                             .on_late = reader_on_late,
                                                             .on_deleted = reader_on_deleted,
                                                             .on_state = reader_on_state,
                                                             .on_closed = reader_on_closed};
    const struct stream_reader_options options = {.redis = faults_redis("reader"),
                                                  .keys = faults_keys,
                                                  .consumer = "alive",
                                                  .batch_size = 10,
                                                  .block_ms = 20,
                                                  .batch_bytes = 1 << 20,
                                                  .claim_interval_ms = 20,
                                                  .claim_min_idle_ms = MIN_IDLE_MS,
                                                  .claims = true};
    faults_add_entries(EVENTS, "dead", GIVEN, 0);
    memset(&r, 0, sizeof(r));
    r.reader = stream_reader_open(&faults_loop, &options, &callbacks, NULL);
}

/* The first one is kept until its heartbeat has beaten. */
static void hold_and_acknowledge(void)
{
    if (r.acknowledged == 0) {
        faults_run_for(BEAT_MS);
    }
    const struct stream_verdict verdict = {.written = (uint32_t)r.batch.count};
    r.has_batch = false;
    stream_reader_acknowledge(r.reader, &verdict);
}

static bool has_batch_or_end(void *data)
{
    (void)data;
    return r.has_batch || stream_server_number("HGET events:ledger committed") == EVENTS;
}

static void reader_work(void)
{
    for (;;) {
        stream_wait(&faults_loop, has_batch_or_end, NULL);
        if (!r.has_batch) {
            return;
        }
        hold_and_acknowledge();
    }
}

static void reader_close(void)
{
    stream_reader_close(r.reader);
    while (!r.is_closed) {
        if (r.has_batch) {
            hold_and_acknowledge();
        }
        (void)uv_run(&faults_loop, UV_RUN_ONCE);
    }
}

static void reader_check(void)
{
    for (int i = 0; i < EVENTS; i++) {
        assert_true(r.seen[i] > 0);
    }
    assert_int_equal(faults_pending(), 0);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), EVENTS);
    assert_int_equal(stream_server_number("HGET events:ledger ops_written"), EVENTS);
    assert_true(r.most_deliveries < 10); /* workers.max_deliveries: nothing looks like poison */
}

/* ---- tests ---- */

static const struct scenario writing = {writer_open, writer_work, writer_close, writer_check,
                                        false};
static const struct scenario reading = {reader_open, reader_work, reader_close, reader_check,
                                        false};

static void a_fault_at_any_step_of_the_writer_neither_loses_nor_doubles_an_event(void **state)
{
    (void)state;
    faults_check_every_step(&writing, 8);
}

static void a_fault_at_any_step_of_the_reader_neither_loses_an_entry_nor_counts_it_twice(
    void **state)
{
    (void)state;
    faults_check_every_step(&reading, 12);
}

static void the_writer_asks_a_redis_that_refuses_everything_with_patience(void **state)
{
    (void)state;
    faults_check_patience(&writing);
}

static void the_reader_asks_a_redis_that_refuses_everything_with_patience(void **state)
{
    (void)state;
    faults_check_patience(&reading);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FAULTS_TEST(a_fault_at_any_step_of_the_writer_neither_loses_nor_doubles_an_event),
        FAULTS_TEST(a_fault_at_any_step_of_the_reader_neither_loses_an_entry_nor_counts_it_twice),
        FAULTS_TEST(the_writer_asks_a_redis_that_refuses_everything_with_patience),
        FAULTS_TEST(the_reader_asks_a_redis_that_refuses_everything_with_patience),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, faults_start, faults_stop);
}
