/* The writer against a real Redis: nothing twice, nothing missing, whatever happens to the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/panic.h"
#include "flow/stream_server.h"
#include "stream/stream_writer.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    EPOCH = 1700000000000LL,
    CONNECT_MS = 3000,
    REPLY_MS = 700,
    TEXT_SIZE = 128
};

struct rig {
    uv_loop_t loop;
    struct stream_writer *writer;
    struct stream_found found;
    char found_host[TEXT_SIZE];
    unsigned founds, fences, pauses, resumes, rooms, appends;
    uint64_t entries;
    struct position queued;
    struct error error;
    bool begins_itself, is_closed, is_drained;
    struct stream_origin origin;
};

static const struct stream_keys keys = {
    .key = "events", .group = "group", .dead_letter_key = "dead"};

static void on_found(void *owner, const struct stream_found *found)
{
    struct rig *rig = owner;
    rig->found = *found;
    (void)snprintf(rig->found_host, sizeof(rig->found_host), "%.*s", SLICE_ARGS(found->host));
    rig->founds++;
    if (rig->begins_itself) {
        if (found->has_meta) {
            rig->origin.queued = found->queued;
        }
        stream_writer_begin(rig->writer, &rig->origin);
    }
}

static void on_appended(void *owner, struct position queued, uint32_t entries)
{
    struct rig *rig = owner;
    rig->queued = queued;
    rig->entries += entries;
    rig->appends++;
}

static void on_room(void *owner)
{
    struct rig *rig = owner;
    rig->rooms++;
}

static void on_fenced(void *owner, const struct error *error)
{
    struct rig *rig = owner;
    rig->error = *error;
    rig->fences++;
}

static void on_paused(void *owner, const struct error *error)
{
    struct rig *rig = owner;
    if (error == NULL) {
        rig->resumes++;
        return;
    }
    rig->error = *error;
    rig->pauses++;
}

static void on_closed(void *owner, bool drained)
{
    struct rig *rig = owner;
    rig->is_closed = true;
    rig->is_drained = drained;
}

static const struct stream_writer_callbacks callbacks = {
    .on_found = on_found,
    .on_appended = on_appended,
    .on_room = on_room,
    .on_fenced = on_fenced,
    .on_paused = on_paused,
    .on_closed = on_closed,
};

static struct stream_writer *open_writer(uv_loop_t *loop, struct rig *owner, const char *name)
{
    struct stream_writer_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = name,
                  .connect_timeout_ms = CONNECT_MS,
                  .reply_timeout_ms = REPLY_MS},
        .keys = keys,
        .max_pending_entries = 1000,
        .max_pending_bytes = 8 << 20,
    };
    return stream_writer_open(loop, &options, &callbacks, owner);
}

static void rig_prepare(struct rig *rig)
{
    *rig = (struct rig){.begins_itself = true, .origin = {.host = "relay", .queued = {EPOCH, 100}}};
    freeReplyObject(stream_server_call("FLUSHALL"));
    assert_int_equal(uv_loop_init(&rig->loop), 0);
}

static void rig_open(struct rig *rig)
{
    rig_prepare(rig);
    rig->writer = open_writer(&rig->loop, rig, "writer");
}

static bool append(struct rig *rig, int64_t sequence)
{
    const struct stream_event event = {
        .type = SLICE("commit"),
        .data = SLICE("{\"repo\":\"did:plc:a\",\"ops\":[]}"),
        .time = SLICE("2026-01-01T00:00:00Z"),
        .rev = SLICE("3kabc"),
        .sequence = sequence,
    };
    return stream_writer_append(rig->writer, &event);
}

static bool has_found(void *data)
{
    return ((struct rig *)data)->founds > 0;
}

struct queued_wait {
    struct rig *rig;
    int64_t sequence;
};

static bool is_queued(void *data)
{
    struct queued_wait *wait = data;
    return wait->rig->queued.sequence >= wait->sequence;
}

static void wait_queued(struct rig *rig, int64_t sequence)
{
    struct queued_wait wait = {.rig = rig, .sequence = sequence};
    stream_wait(&rig->loop, is_queued, &wait);
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->is_closed;
}

static bool is_fenced(void *data)
{
    return ((struct rig *)data)->fences > 0;
}

static bool is_paused(void *data)
{
    return ((struct rig *)data)->pauses > 0;
}

static void rig_close(struct rig *rig)
{
    stream_writer_close(rig->writer, 5000);
    stream_wait(&rig->loop, is_closed, rig);
    stream_finish(&rig->loop);
}

/* Every sequence from `first` to `last` stands in the stream once and in order. */
static void assert_stream_holds(int64_t first, int64_t last)
{
    redisReply *reply = stream_server_call("XRANGE events - +");
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_int_equal(reply->elements, last - first + 1);
    for (size_t i = 0; i < reply->elements; i++) {
        char id[TEXT_SIZE];
        (void)snprintf(id, sizeof(id), "%lld-%lld", (long long)EPOCH,
                       (long long)first + (long long)i);
        assert_string_equal(reply->element[i]->element[0]->str, id);
    }
    freeReplyObject(reply);
}

static void a_fresh_stream_is_found_empty_and_takes_events_in_the_contract_s_form(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    assert_false(rig.found.has_entries_id);
    assert_false(rig.found.has_meta);
    assert_true(append(&rig, 101));
    assert_true(append(&rig, 103));
    wait_queued(&rig, 103);
    redisReply *reply = stream_server_call("XRANGE events - +");
    assert_int_equal(reply->elements, 2);
    assert_string_equal(reply->element[0]->element[0]->str, "1700000000000-101");
    redisReply *fields = reply->element[1]->element[1];
    static const char *const names[] = {"type", "data", "seq", "time", "rev"};
    assert_int_equal(fields->elements, 10);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(fields->element[2 * i]->str, names[i]);
    }
    assert_string_equal(fields->element[5]->str, "103");
    freeReplyObject(reply);
    assert_string_equal(stream_server_text("HGET events:meta host"), "relay");
    assert_string_equal(stream_server_text("HGET events:meta epoch"), "1700000000000");
    assert_string_equal(stream_server_text("HGET events:meta queued"), "103");
    assert_string_equal(stream_server_text("HGET events:meta filled_from"), "1700000000000-100");
    assert_int_equal(stream_server_number("HGET events:ledger received"), 2);
    assert_int_equal(stream_server_number("HGET events:ledger appended"), 2);
    reply = stream_server_call("XINFO GROUPS events");
    assert_int_equal(reply->elements, 1);
    freeReplyObject(reply);
    rig_close(&rig);
    assert_true(rig.is_drained);
}

static void a_second_run_finds_what_the_first_left(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    assert_true(append(&rig, 105));
    stream_writer_count(rig.writer, STREAM_COUNT_FILTERED, 108);
    rig_close(&rig);
    assert_true(rig.is_drained);
    assert_int_equal(rig.queued.sequence, 108);

    struct rig second = {.origin = rig.origin};
    assert_int_equal(uv_loop_init(&second.loop), 0);
    second.writer = open_writer(&second.loop, &second, "writer");
    stream_wait(&second.loop, has_found, &second);
    assert_true(second.found.has_entries_id);
    assert_int_equal(second.found.last.epoch, EPOCH);
    assert_int_equal(second.found.last.sequence, 105);
    assert_true(second.found.has_meta);
    assert_string_equal(second.found_host, "relay");
    assert_int_equal(second.found.queued.sequence, 108);
    rig_close(&second);
}

/* Appends up to `last`, keeping to what the writer says about room, and runs the loop in between. */
static void append_through(struct rig *rig, int64_t first, int64_t last, unsigned every,
                           void (*disturb)(void))
{
    for (int64_t sequence = first; sequence <= last; sequence++) {
        if (disturb != NULL && (sequence - first) % every == every / 2) {
            disturb();
        }
        if (!append(rig, sequence)) {
            wait_queued(rig, sequence);
        }
        (void)uv_run(&rig->loop, UV_RUN_NOWAIT);
    }
    wait_queued(rig, last);
}

static void kill_connections(void)
{
    freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
}

static void connections_that_are_killed_in_the_middle_lose_nothing_and_double_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 2100, 100, kill_connections);
    assert_stream_holds(101, 2100);
    assert_int_equal(stream_server_number("HGET events:ledger appended"), 2000);
    assert_int_equal(stream_server_number("HGET events:ledger received"), 2000);
    assert_int_equal(rig.fences, 0);
    assert_true(rig.pauses > 0);
    rig_close(&rig);
}

static void scripts_that_redis_forgot_are_loaded_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    for (int64_t first = 101; first < 600; first += 50) {
        append_through(&rig, first, first + 49, 1, NULL);
        /* Once a call: twice is an error, and waits. */
        freeReplyObject(stream_server_call("SCRIPT FLUSH"));
    }
    assert_stream_holds(101, 600);
    assert_int_equal(rig.pauses, 0);
    rig_close(&rig);
}

static bool has_found_again(void *data)
{
    return ((struct rig *)data)->founds > 1;
}

/* Without the comparison the next batch succeeds on an empty stream, the refill before it is then refused as
 * if it were duplicates, and the stream has a hole. */
static void a_flushed_redis_is_noticed_and_refilled_without_a_hole(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 150, 1, NULL);
    freeReplyObject(stream_server_call("FLUSHALL"));
    (void)append(&rig, 151);
    stream_wait(&rig.loop, is_fenced, &rig);
    assert_int_equal(stream_server_number("XLEN events"), 0);
    assert_int_equal(stream_writer_pending(rig.writer), 0);
    stream_wait(&rig.loop, has_found_again, &rig);
    assert_false(rig.found.has_entries_id);
    rig.queued.sequence = 0;
    append_through(&rig, 101, 151, 1, NULL); /* the refill, from the mark that PostgreSQL had */
    assert_stream_holds(101, 151);
    rig_close(&rig);
}

static void another_producer_s_entry_is_fenced_and_never_taken_for_a_duplicate(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 110, 1, NULL);
    freeReplyObject(stream_server_call("XADD events * type commit data {} seq 1"));
    rig.begins_itself = false;
    (void)append(&rig, 111);
    stream_wait(&rig.loop, has_found_again, &rig);
    assert_int_equal(rig.fences, 1);
    assert_int_equal(rig.error.kind, ERROR_REFUSED);
    assert_true(rig.found.last.epoch > EPOCH);
    assert_int_equal(rig.found.queued.sequence, 110);
    assert_int_equal(stream_server_number("XLEN events"), 11);
    /* Our old epoch would run backwards: refused, found again. */
    stream_writer_begin(rig.writer, &(struct stream_origin){"relay", rig.found.queued, 1});
    rig.fences = 0;
    stream_wait(&rig.loop, is_fenced, &rig);
    /* A new epoch above the stranger's ID goes on. */
    rig.founds = 1;
    stream_wait(&rig.loop, has_found_again, &rig);
    struct stream_origin next = {"relay", {rig.found.last.epoch + 1, 110}, 1};
    rig.queued.sequence = 0;
    stream_writer_begin(rig.writer, &next);
    assert_true(append(&rig, 111));
    wait_queued(&rig, 111);
    assert_int_equal(stream_server_number("XLEN events"), 12);
    rig_close(&rig);
}

/* One step of a relay connection that goes on after what it last knew to be stored. */
static void append_next(struct rig *rig, int64_t *next)
{
    if (stream_writer_pending(rig->writer) == 0) {
        *next = rig->origin.queued.sequence + 1;
    }
    if (rig->queued.sequence >= *next) {
        *next = rig->queued.sequence + 1;
    }
    if (*next <= 300 && append(rig, *next)) {
        (*next)++;
    }
}

static void two_writers_at_once_put_no_entry_twice(void **state)
{
    (void)state;
    struct rig first;
    rig_prepare(&first);
    struct rig second = {.begins_itself = true, .origin = first.origin};
    first.writer = open_writer(&first.loop, &first, "first");
    second.writer = open_writer(&first.loop, &second, "second");
    stream_wait(&first.loop, has_found, &first);
    stream_wait(&first.loop, has_found, &second);
    int64_t first_next = 101;
    int64_t second_next = 101;
    while (first.queued.sequence < 300 && second.queued.sequence < 300) {
        append_next(&first, &first_next);
        append_next(&second, &second_next);
        (void)uv_run(&first.loop, UV_RUN_ONCE);
    }
    assert_stream_holds(101, 300);
    assert_true(first.fences + second.fences > 0);
    assert_int_equal(stream_server_number("HGET events:ledger appended"), 200);
    stream_writer_close(second.writer, 0);
    stream_wait(&first.loop, is_closed, &second);
    rig_close(&first);
}

static void a_full_redis_pauses_appending_while_xack_and_xtrim_go_on(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 110, 1, NULL);
    freeReplyObject(stream_server_call("XREADGROUP GROUP group c COUNT 10 STREAMS events >"));
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1"));
    assert_true(append(&rig, 111));
    stream_wait(&rig.loop, is_paused, &rig);
    assert_int_equal(rig.error.kind, ERROR_UNREACHABLE);
    assert_non_null(strstr(rig.error.text, "maxmemory"));
    assert_int_equal(stream_writer_pending(rig.writer), 1);
    assert_int_equal(stream_server_number("XACK events group 1700000000000-101"), 1);
    assert_int_equal(stream_server_number("XTRIM events MINID 1700000000000-102"), 1);
    assert_int_equal(stream_server_number("XLEN events"), 9);
    assert_string_equal(stream_server_text("HGET events:meta queued"), "110");
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 0"));
    wait_queued(&rig, 111);
    assert_int_equal(rig.resumes, rig.pauses);
    assert_int_equal(rig.fences, 0);
    assert_stream_holds(102, 111);
    rig_close(&rig);
}

static void a_bad_frame_becomes_one_dead_letter_however_often_it_comes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    const struct stream_dead_frame frame = {.sequence = 0,
                                            .frame = SLICE("\xff\x00"
                                                           "frame"),
                                            .reason = "bad_cbor",
                                            .text = "byte 0"};
    assert_true(append(&rig, 101));
    assert_true(stream_writer_append_dead(rig.writer, &frame));
    assert_true(append(&rig, 102));
    assert_int_equal(stream_writer_pending(rig.writer), 3);
    assert_int_equal(stream_writer_pending_frames(rig.writer), 1);
    wait_queued(&rig, 102);
    assert_int_equal(stream_writer_pending_frames(rig.writer), 0);
    assert_true(stream_writer_append_dead(rig.writer, &frame)); /* a replay */
    assert_true(append(&rig, 103));
    wait_queued(&rig, 103);
    redisReply *reply = stream_server_call("XRANGE dead - +");
    assert_int_equal(reply->elements, 1);
    redisReply *fields = reply->element[0]->element[1];
    static const char *const expected[] = {"type",       "frame",  "data",   "{}",
                                           "seq",        "",       "origId", "1700000000000-101",
                                           "deliveries", "0",      "reason", "bad_cbor",
                                           "error",      "byte 0", "frame",  "/wBmcmFtZQ",
                                           "time"};
    assert_int_equal(fields->elements, 18);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_string_equal(fields->element[i]->str, expected[i]);
    }
    freeReplyObject(reply);
    assert_int_equal(stream_server_number("HGET events:ledger dead_frames"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger duplicate"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger received"), 5);
    rig_close(&rig);
}

static void counts_without_events_reach_the_ledger_and_move_the_mark(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    stream_writer_count(rig.writer, STREAM_COUNT_FILTERED, 120);
    stream_writer_count(rig.writer, STREAM_COUNT_IGNORED, 121);
    stream_writer_count(rig.writer, STREAM_COUNT_DUPLICATE, 0);
    wait_queued(&rig, 121);
    assert_int_equal(rig.entries, 0);
    assert_string_equal(stream_server_text("HGET events:meta queued"), "121");
    assert_int_equal(stream_server_number("HGET events:ledger filtered"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger ignored"), 1);
    assert_int_equal(stream_server_number("HGET events:ledger duplicate"), 1);
    rig_close(&rig);
}

static bool has_room(void *data)
{
    return ((struct rig *)data)->rooms > 0;
}

static void a_full_writer_says_so_and_tells_of_room_at_half(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    stream_server_freeze(true);
    int64_t sequence = 101;
    while (append(&rig, sequence)) {
        sequence++;
    }
    assert_int_equal(sequence, 1100);
    assert_int_equal(stream_writer_pending(rig.writer), 1000);
    stream_server_freeze(false);
    stream_wait(&rig.loop, has_room, &rig);
    wait_queued(&rig, 1100);
    assert_stream_holds(101, 1100);
    rig_close(&rig);
}

static void a_frozen_redis_is_left_at_the_reply_timeout_and_taken_up_again(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 110, 1, NULL);
    stream_server_freeze(true);
    assert_true(append(&rig, 111));
    stream_wait(&rig.loop, is_paused, &rig);
    stream_server_freeze(false);
    /* The frozen server had the batch in its socket: its outcome was unknown, and counts once. */
    wait_queued(&rig, 111);
    assert_stream_holds(101, 111);
    assert_int_equal(stream_server_number("HGET events:ledger appended"), 11);
    rig_close(&rig);
}

static void a_redis_that_was_killed_comes_back_empty_and_is_fenced(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    append_through(&rig, 101, 110, 1, NULL);
    stream_server_kill();
    assert_true(append(&rig, 111));
    stream_wait(&rig.loop, is_paused, &rig);
    stream_server_start();
    stream_wait(&rig.loop, is_fenced, &rig);
    stream_wait(&rig.loop, has_found_again, &rig);
    rig.queued.sequence = 0;
    append_through(&rig, 101, 111, 1, NULL);
    assert_stream_holds(101, 111);
    rig_close(&rig);
}

static void closing_with_redis_away_ends_in_time_and_says_what_was_not_drained(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig);
    stream_wait(&rig.loop, has_found, &rig);
    stream_server_freeze(true);
    assert_true(append(&rig, 101));
    stream_writer_close(rig.writer, 5000);
    stream_writer_close(rig.writer, 20);
    stream_wait(&rig.loop, is_closed, &rig);
    assert_false(rig.is_drained);
    stream_server_freeze(false);
    stream_finish(&rig.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_stream_is_found_empty_and_takes_events_in_the_contract_s_form),
        cmocka_unit_test(a_second_run_finds_what_the_first_left),
        cmocka_unit_test(connections_that_are_killed_in_the_middle_lose_nothing_and_double_nothing),
        cmocka_unit_test(scripts_that_redis_forgot_are_loaded_again),
        cmocka_unit_test(a_flushed_redis_is_noticed_and_refilled_without_a_hole),
        cmocka_unit_test(another_producer_s_entry_is_fenced_and_never_taken_for_a_duplicate),
        cmocka_unit_test(two_writers_at_once_put_no_entry_twice),
        cmocka_unit_test(a_full_redis_pauses_appending_while_xack_and_xtrim_go_on),
        cmocka_unit_test(a_bad_frame_becomes_one_dead_letter_however_often_it_comes),
        cmocka_unit_test(counts_without_events_reach_the_ledger_and_move_the_mark),
        cmocka_unit_test(a_full_writer_says_so_and_tells_of_room_at_half),
        cmocka_unit_test(a_frozen_redis_is_left_at_the_reply_timeout_and_taken_up_again),
        cmocka_unit_test(a_redis_that_was_killed_comes_back_empty_and_is_fenced),
        cmocka_unit_test(closing_with_redis_away_ends_in_time_and_says_what_was_not_drained),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
