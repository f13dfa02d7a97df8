#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define OP(key, record)                                                                            \
    "{\"action\":\"create\",\"path\":\"app.test.thing/" key "\",\"cid\":\"c\",\"record\":" record  \
    "}"

static int fresh_four(void **state)
{
    (void)state;
    harness_reset();
    harness_open(4, true);
    return 0;
}

static int fresh_unprepared(void **state)
{
    (void)state;
    harness_reset();
    harness_open(1, false);
    return 0;
}

static void nothing_is_relied_upon_behind_a_pooler(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "1");
    assert_int_equal(batch->outcome.written, 1);
}

static void a_nul_is_replaced_in_jsonb_and_kept_in_bytes(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, 1, DID, 10,
                "{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":{"
                "\"t\":\"a\\u0000b\\\\u0000\"},\"cbor\":\"AAEC\",\"invalid\":\"U+0000\"}");
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT record->>'t' FROM records"), "a\xef\xbf\xbd"
                                                                                 "b\\u0000");
    assert_string_equal(sink_postgres_query("SELECT record_cbor::text || invalid FROM records"),
                        "\\x000102U+0000");
}

static void strange_numbers_and_large_records_are_kept(void **state)
{
    (void)state;
    struct buffer large = {0};
    struct harness_batch *batch = harness_batch();
    buffer_append_string(&large, "{\"n\":\"");
    memset(buffer_reserve(&large, 900000), 'x', 900000);
    large.size += 900000;
    buffer_append(&large, "\"}", 3);
    harness_commit(batch, 1000, 1, DID, 10, "large", large.data);
    harness_commit(batch, 1000, 2, DID, 11, "float", "{\"n\":1e400}");
    harness_commit(batch, 1000, 3, DID, 12, "int", "{\"n\":18446744073709551615}");
    harness_run(batch);
    assert_int_equal(batch->outcome.written, 3);
    assert_string_equal(sink_postgres_query("SELECT length(record->>'n') FROM records WHERE rkey = "
                                            "'large'"),
                        "900000");
    assert_string_equal(sink_postgres_query("SELECT record->>'n' FROM records WHERE rkey = 'int'"),
                        "18446744073709551615");
    buffer_deinit(&large);
}

static void add_deep(struct harness_batch *batch, int64_t seq, const char *key, int depth)
{
    struct buffer deep = {0};
    for (int i = 0; i < depth; i++) {
        buffer_append_byte(&deep, '[');
    }
    for (int i = 0; i < depth; i++) {
        buffer_append_byte(&deep, ']');
    }
    buffer_append_byte(&deep, '\0');
    harness_commit(batch, 1000, seq, DID, 10 + seq, key, deep.data);
    buffer_deinit(&deep);
}

/* With max_stack_depth as the server has it by default (2 MB), PostgreSQL 15 stops between 4,096 and
 * 200,000 arrays. */
static void nesting_is_kept_up_to_the_limit_of_postgresql(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    add_deep(batch, 1, "a", 2000);
    add_deep(batch, 2, "b", 4096);
    add_deep(batch, 3, "c", 200000);
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT string_agg(rkey, ' ') FROM records"), "a b");
    assert_string_equal(sink_postgres_query("SELECT sqlstate || ' ' || rkey FROM "
                                            "standpipe_dead_letters"),
                        "54001 c");
    assert_int_equal(batch->outcome.dead_entries, 1);
}

static void run_desynchronizing_step(int step)
{
    struct harness_batch *batch = harness_batch();
    if (step == 0) {
        harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    } else if (step == 1) {
        harness_sync(batch, 1000, 2, DID, 10);
    } else {
        harness_commit(batch, 1000, 3, DID, 20, "k", "{\"n\":2}");
    }
    harness_run(batch);
}

static void a_sync_whose_commit_came_leaves_the_repo_synchronized_in_every_order(void **state)
{
    (void)state;
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        sink_postgres_query("TRUNCATE repos, standpipe_records");
        for (int i = 0; i < 3; i++) {
            run_desynchronizing_step(orders[o][i]);
        }
        assert_string_equal(sink_postgres_query("SELECT desynchronized FROM repos"), "f");
    }
}

static void a_missing_block_leaves_the_row_and_marks_the_repo(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    harness_ops(
        batch, 1000, 2, DID, 20,
        "{\"action\":\"update\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":null,"
        "\"invalid\":\"missing block\"}," OP(
            "other",
            "{\"n\":2}") ","
                         "{\"action\":\"create\",\"path\":\"nonsense\",\"cid\":\"c\",\"record\":{},"
                         "\"invalid\":\"bad path\"}");
    harness_run(batch);
    assert_string_equal(
        sink_postgres_query("SELECT string_agg(rkey || (record->>'n'), ' ' ORDER BY "
                            "rkey) FROM records"),
        "k1 other2");
    assert_string_equal(sink_postgres_query("SELECT desynchronized FROM repos"), "t");
    assert_string_equal(sink_postgres_query("SELECT string_agg(reason, ',' ORDER BY op) FROM "
                                            "standpipe_dead_letters"),
                        "missing block,bad path");
    batch = harness_batch(); /* the same commit comes whole */
    harness_ops(batch, 2000, 2, DID, 20, OP("k", "{\"n\":3}") "," OP("other", "{\"n\":2}"));
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT desynchronized FROM repos"), "f");
}

static void the_reference_system_loses_to_any_rev(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    for (int i = 0; i < 2; i++) {
        harness_entry(batch, 900 + (uint64_t)i, 0, "commit",
                      i == 0 ? "{\"repo\":\"" DID "\",\"ops\":[" OP("k", "{\"n\":1}") "]}"
                             : "{\"repo\":\"" DID "\",\"ops\":[" OP("k", "{\"n\":2}") "]}",
                      0);
        batch->entries[i].rev = batch->entries[i].time = slice_of(NULL, 0);
        batch->entries[i].sequence = i == 0 ? SLICE("7") : SLICE("8");
    }
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT record->>'n' FROM records"), "2");
    struct harness_batch *ours = harness_batch();
    harness_commit(ours, 1000, 1, DID, 10, "k", "{\"n\":3}");
    harness_run(ours);
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT record->>'n' FROM records"), "3");
    assert_int_equal(batch->outcome.unchanged, 2);
}

/* Their entries say no status, and no time but that of their arrival, here a minute after the event. */
static struct harness_batch *account_of_theirs(bool is_active, uint64_t second)
{
    const uint64_t start_ms = UINT64_C(1767225600000); /* of the harness: 2026-01-01 */
    struct harness_batch *batch = harness_batch();
    harness_entry(batch, start_ms + (second + 60) * 1000, 0, "account",
                  is_active ? "{\"did\":\"" DID "\",\"active\":true}"
                            : "{\"did\":\"" DID "\",\"active\":false}",
                  0);
    batch->entries[0].time = batch->entries[0].sequence = slice_of(NULL, 0);
    return batch;
}

static void an_account_event_of_the_reference_system_loses_to_any_of_ours(void **state)
{
    (void)state;
    harness_run(account_of_theirs(true, 10));
    struct harness_batch *theirs = account_of_theirs(false, 20);
    harness_run(theirs);
    assert_string_equal(sink_postgres_query("SELECT status FROM repos"), "inactive");
    harness_run(account_of_theirs(true, 10));
    assert_string_equal(sink_postgres_query("SELECT status FROM repos"), "inactive");
    struct harness_batch *ours = harness_batch();
    harness_account(ours, 1000, 2, DID, "takendown", 20);
    harness_run(ours);
    assert_string_equal(sink_postgres_query("SELECT status FROM repos"), "takendown");
    harness_run(theirs);
    assert_string_equal(sink_postgres_query("SELECT status FROM repos"), "takendown");
}

static void an_entry_that_is_none_of_ours_becomes_a_dead_letter(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_entry(batch, 1000, 1, "commit", "{\"repo\":", 10);
    harness_entry(batch, 1000, 2, "nonsense", "\xff\xfe", 10);
    harness_run(batch);
    assert_int_equal(batch->outcome.dead_entries, 2);
    assert_string_equal(sink_postgres_query("SELECT string_agg(coalesce(data, frame::text), ' ' "
                                            "ORDER BY seq) FROM standpipe_dead_letters"),
                        "{\"repo\": \\xfffe");
}

/* Twenty-four batches with every commit in two of them, in opposite orders, on four connections. */
static void four_connections_end_where_one_would(void **state)
{
    enum {
        BATCHES = 24,
        COMMITS = 200
    };
    (void)state;
    struct harness_batch *batches[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        batches[i] = harness_batch();
    }
    for (int n = 0; n < COMMITS * 4; n++) {
        char key[8];
        char record[32];
        int rev = n % 2 == 0 ? n : COMMITS * 4 - n;
        (void)snprintf(key, sizeof(key), "k%d", rev % 7);
        (void)snprintf(record, sizeof(record), "{\"n\":%d}", rev);
        const char *content = rev % 11 == 0 ? NULL : record;
        const char *did = rev % 2 == 0 ? DID : OTHER;
        harness_commit(batches[n % BATCHES], 1000, rev + 1, did, rev, key, content);
        harness_commit(batches[(BATCHES * 2 - n % BATCHES) % BATCHES], 1000, rev + 1, did, rev, key,
                       content);
    }
    for (int i = 0; i < BATCHES; i++) {
        batches[i]->batch.bytes = (size_t)60 << 20; /* one a transaction */
        harness_submit(batches[i]);
    }
    harness_wait();
    /* The sequential fold: of each repo and key the highest rev. */
    assert_string_equal(
        sink_postgres_query(
            "WITH revs AS (SELECT CASE WHEN n % 2 = 0 THEN n ELSE 800 - n END AS rev FROM "
            "generate_series(0, 799) AS n), fold AS (SELECT DISTINCT ON (rev % 2, rev % 7) rev, "
            "'k' || rev % 7 AS rkey, CASE WHEN rev % 2 = 0 THEN '" DID "' ELSE '" OTHER
            "' END AS did FROM revs ORDER BY rev % 2, rev % 7, rev DESC), live AS (SELECT did, "
            "rkey, "
            "rev FROM fold WHERE rev % 11 <> 0), ours AS (SELECT did, rkey, (record->>'n')::int AS "
            "rev FROM records) SELECT (SELECT count(*) FROM live) || ' ' || (SELECT count(*) FROM "
            "(SELECT * FROM live EXCEPT SELECT * FROM ours) d) || ' ' || (SELECT count(*) FROM "
            "ours)"),
        sink_postgres_query("SELECT count(*) || ' 0 ' || count(*) FROM records"));
    assert_string_equal(
        sink_postgres_query("SELECT deadlocks FROM pg_stat_database WHERE datname = "
                            "'postgres'"),
        "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_relied_upon_behind_a_pooler, fresh_unprepared,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(a_nul_is_replaced_in_jsonb_and_kept_in_bytes,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(strange_numbers_and_large_records_are_kept,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(nesting_is_kept_up_to_the_limit_of_postgresql,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(
            a_sync_whose_commit_came_leaves_the_repo_synchronized_in_every_order,
            harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(a_missing_block_leaves_the_row_and_marks_the_repo,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(the_reference_system_loses_to_any_rev, harness_setup_open,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(
            an_account_event_of_the_reference_system_loses_to_any_of_ours, harness_setup_open,
            harness_teardown),
        cmocka_unit_test_setup_teardown(an_entry_that_is_none_of_ours_becomes_a_dead_letter,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(four_connections_end_where_one_would, fresh_four,
                                        harness_teardown),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
