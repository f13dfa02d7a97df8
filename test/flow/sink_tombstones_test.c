/* Tombstones go behind a horizon, and what they guarded against stays out (docs/delivery.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define HOST  "relay.test"

enum {
    EPOCH = 1000,
    MANY = 450 /* more than two pieces */
};

static void open_sink(uint64_t age_ms)
{
    struct sink_options options = harness_options(2, true);
    options.clears_repos = true;
    options.tombstone_age_ms = age_ms;
    options.purge_interval_ms = 20;
    harness_open_with(&options);
}

static void run_commit(uint64_t epoch, int64_t seq, const char *key, const char *record)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, epoch, seq, DID, 100 + seq, key, record);
    harness_run(batch);
}

/* Entries of the reference system have neither revision nor time. */
static void run_reference(int64_t seq, const char *op)
{
    struct harness_batch *batch = harness_batch();
    char data[200];
    (void)snprintf(data, sizeof(data), "{\"repo\":\"" DID "\",\"ops\":[%s]}", op);
    harness_entry(batch, EPOCH, seq, "commit", data, 0);
    batch->entries[0].rev = batch->entries[0].time = slice_of(NULL, 0);
    harness_run(batch);
}

static void set_mark(uint64_t epoch, int64_t committed)
{
    char sql[320];
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO standpipe_cursor (host, epoch, queued, committed) VALUES "
                   "('" HOST "', %llu, %lld, %lld) ON CONFLICT (host, epoch) DO UPDATE SET "
                   "queued = excluded.queued, committed = excluded.committed",
                   (unsigned long long)epoch, (long long)committed, (long long)committed);
    sink_postgres_query(sql);
}

#define SAME(sql, expected) assert_string_equal(sink_postgres_query(sql), expected)
#define TOMBSTONES          "SELECT count(*) FROM standpipe_records WHERE cid IS NULL"
#define LIVE                "SELECT coalesce(string_agg(rkey, ' ' ORDER BY rkey), '') FROM records"
#define HORIZON             "SELECT epoch || '-' || seq FROM standpipe_horizon"
#define NEXT                "SELECT next_epoch || '-' || next_seq FROM standpipe_horizon"

/* Notes the mark, then moves on from it: it becomes the horizon. */
static void raise_horizon(int64_t sequence)
{
    char next[64];
    (void)snprintf(next, sizeof(next), "%d-%lld", EPOCH, (long long)sequence);
    set_mark(EPOCH, sequence);
    harness_wait_sql(NEXT, next);
    set_mark(EPOCH, sequence + 1);
    harness_wait_sql(HORIZON, next);
}

static void a_create_from_below_the_horizon_stays_out_when_its_tombstone_is_gone(void **state)
{
    (void)state;
    open_sink(1);
    run_commit(EPOCH, 1, "gone", "{\"n\":1}");
    run_commit(EPOCH, 2, "stays", "{\"n\":1}");
    run_commit(EPOCH, 3, "gone", NULL);
    SAME(TOMBSTONES, "1");
    raise_horizon(10);
    harness_wait_sql(TOMBSTONES, "0");
    run_commit(EPOCH, 1, "gone", "{\"n\":1}"); /* once more, as a replay does */
    SAME(LIVE, "stays");
    run_commit(EPOCH, 2, "stays", "{\"n\":1}");
    run_commit(EPOCH, 3, "gone", NULL); /* a tombstone again, and it goes again */
    SAME(LIVE, "stays");
    harness_wait_sql(TOMBSTONES, "0");
    run_commit(EPOCH, 11, "gone", "{\"n\":2}"); /* made anew: that is above it */
    run_commit(EPOCH, 12, "stays", "{\"n\":2}");
    SAME(LIVE, "gone stays");
    SAME("SELECT string_agg(record->>'n', ' ') FROM records", "2 2");
    harness_close();
}

static void a_tombstone_above_the_committed_mark_stays(void **state)
{
    (void)state;
    open_sink(1);
    run_commit(EPOCH, 3, "below", NULL);
    run_commit(EPOCH, 6, "above", NULL);
    raise_horizon(5);
    harness_wait_sql(TOMBSTONES, "1");
    run_commit(EPOCH, 4, "above",
               "{\"n\":1}"); /* a batch that is as late as that is not acknowledged */
    SAME(LIVE, "");
    raise_horizon(7);
    harness_wait_sql(TOMBSTONES, "0");
    harness_close();
}

/* An epoch begins with a mark of its own while entries of the one before wait in the stream. */
static void a_mark_that_has_not_moved_proves_nothing(void **state)
{
    (void)state;
    open_sink(1);
    run_commit(EPOCH, 5, "late", NULL);
    set_mark(EPOCH + 1, 50);
    harness_wait_sql(NEXT, "1001-50");
    sink_postgres_query("UPDATE standpipe_horizon SET next_at = now() - interval '1 day'");
    harness_wait_sql(
        "SELECT count(*) FROM standpipe_horizon WHERE next_at > now() - interval '1 hour'",
        "1"); /* it was time, and the same mark was noted once more */
    SAME(HORIZON, "0-0");
    SAME(TOMBSTONES, "1");
    set_mark(EPOCH + 1, 51);
    harness_wait_sql(TOMBSTONES, "0");
    harness_close();
}

static void a_broken_frame_that_is_undecided_holds_the_horizon_below_itself(void **state)
{
    (void)state;
    open_sink(1);
    run_commit(EPOCH, 2, "early", NULL);
    run_commit(EPOCH, 6, "late", NULL);
    sink_postgres_query("INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, type) "
                        "VALUES ('" HOST "', 1000, 4, -1, 'no CBOR', 'frame'), "
                        "('" HOST "', 0, 1, -1, 'no CBOR', 'frame'), "
                        "('" HOST "', 1000, 1, -1, 'too many letters of one repo', 'summary')");
    set_mark(EPOCH, 10);
    harness_wait_sql(NEXT, "1000-10");
    set_mark(EPOCH, 11);
    harness_wait_sql(HORIZON, "1000-3");
    harness_wait_sql(TOMBSTONES, "1");
    run_commit(EPOCH, 5, "fresh", "{\"n\":1}"); /* it is good after all, and has a row to make */
    SAME(LIVE, "fresh");
    sink_postgres_query("DELETE FROM standpipe_dead_letters");
    set_mark(EPOCH, 12);
    harness_wait_sql(TOMBSTONES, "0");
    harness_close();
}

/* The letter is tried again by a sink that ignores the horizon: what was deleted since has its tombstone still. */
static void an_undecided_letter_keeps_the_tombstones_of_its_repo(void **state)
{
    (void)state;
    open_sink(1);
    sink_postgres_query(
        "INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, did, type) "
        "VALUES ('" HOST "', 1000, 1, 0, 'refused by PostgreSQL', '" DID "', 'commit'), ('" HOST
        "', 1000, 1, -1, 'too many letters of one repo', "
        "'" OTHER "', 'summary')");
    run_commit(EPOCH, 3, "gone", NULL);
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, EPOCH, 4, OTHER, 100, "gone", NULL);
    harness_run(batch);
    raise_horizon(10);
    harness_wait_sql("SELECT string_agg(did, ' ') FROM standpipe_records", DID);
    harness_close();
    struct sink_options options = harness_options(1, true);
    options.ignores_horizon = true;
    harness_open_with(&options);
    run_commit(EPOCH, 1, "gone", "{\"n\":1}");
    run_commit(EPOCH, 1, "stays", "{\"n\":1}");
    SAME(LIVE, "stays");
    sink_postgres_query("DELETE FROM standpipe_dead_letters");
    harness_close();
    open_sink(1); /* a sweep begins with it */
    harness_wait_sql(TOMBSTONES, "0");
    harness_close();
}

static void a_horizon_never_goes_back(void **state)
{
    (void)state;
    open_sink(1);
    raise_horizon(10);
    sink_postgres_query("INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, type) "
                        "VALUES ('" HOST "', 1000, 4, -1, 'no CBOR', 'frame')");
    set_mark(EPOCH, 20);
    harness_wait_sql(NEXT, "1000-20");
    set_mark(EPOCH, 21);
    harness_wait_sql(NEXT, "1000-21");
    SAME(HORIZON, "1000-10");
    harness_close();
}

static void tombstones_without_an_epoch_stay_and_their_creates_come_in(void **state)
{
    (void)state;
    open_sink(1);
    run_reference(1, "{\"action\":\"delete\",\"path\":\"app.test.thing/theirs\"}");
    raise_horizon(10);
    run_commit(EPOCH, 3, "ours", NULL);
    harness_wait_sql("SELECT string_agg(rkey, ' ') FROM standpipe_records", "theirs");
    run_reference(2, "{\"action\":\"create\",\"path\":\"app.test.thing/new\",\"cid\":\"c\","
                     "\"record\":{\"n\":1}}");
    SAME(LIVE, "new");
    harness_close();
}

static void many_go_piece_by_piece(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    open_sink(1);
    for (int i = 0; i < MANY; i++) {
        char did[40];
        char key[16];
        (void)snprintf(did, sizeof(did), "did:plc:%024d", MANY - i);
        (void)snprintf(key, sizeof(key), "k%d", i);
        harness_commit(batch, EPOCH, i + 1, did, 1000 + i, key, NULL);
    }
    harness_run(batch);
    raise_horizon(MANY - 1);
    harness_wait_sql(TOMBSTONES, "1");
    SAME("SELECT max(seq) FROM standpipe_records", "450");
    harness_close();
}

static void a_commit_of_more_deletes_than_a_piece_goes_whole(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    struct buffer ops = {0};
    open_sink(1);
    for (int i = 0; i < MANY; i++) {
        buffer_append_format(&ops, "%s{\"action\":\"delete\",\"path\":\"app.test.thing/k%d\"}",
                             i > 0 ? "," : "", i);
    }
    buffer_append_byte(&ops, '\0');
    harness_ops(batch, EPOCH, 3, DID, 100, ops.data);
    buffer_deinit(&ops);
    harness_run(batch);
    SAME(TOMBSTONES, "450");
    raise_horizon(10);
    harness_wait_sql(TOMBSTONES, "0");
    harness_close();
}

static void with_no_age_all_stay(void **state)
{
    (void)state;
    open_sink(0);
    run_commit(EPOCH, 3, "gone", NULL);
    set_mark(EPOCH, 10);
    for (int i = 0; i < 100; i++) {
        harness_turn();
    }
    SAME("SELECT next_at IS NULL FROM standpipe_horizon", "t");
    SAME(TOMBSTONES, "1");
    harness_close();
}

static void no_row_of_the_horizon_lets_everything_in_and_nothing_go(void **state)
{
    (void)state;
    open_sink(1);
    run_commit(EPOCH, 3, "gone", NULL);
    raise_horizon(2);
    sink_postgres_query("DELETE FROM standpipe_horizon");
    run_commit(EPOCH, 1, "new", "{\"n\":1}");
    SAME(LIVE, "new");
    SAME(TOMBSTONES, "1");
    harness_close();
}

#define TEST(name) cmocka_unit_test_setup(name, harness_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_create_from_below_the_horizon_stays_out_when_its_tombstone_is_gone),
        TEST(a_tombstone_above_the_committed_mark_stays),
        TEST(a_mark_that_has_not_moved_proves_nothing),
        TEST(a_broken_frame_that_is_undecided_holds_the_horizon_below_itself),
        TEST(an_undecided_letter_keeps_the_tombstones_of_its_repo),
        TEST(a_horizon_never_goes_back),
        TEST(tombstones_without_an_epoch_stay_and_their_creates_come_in),
        TEST(many_go_piece_by_piece),
        TEST(a_commit_of_more_deletes_than_a_piece_goes_whole),
        TEST(with_no_age_all_stay),
        TEST(no_row_of_the_horizon_lets_everything_in_and_nothing_go),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
