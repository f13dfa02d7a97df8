#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/migrations.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define LIVE  "SELECT string_agg(rkey || '=' || (record->>'n'), ' ' ORDER BY rkey) FROM records"
/* All there is, with what moves when a row is written. */
#define EVERYTHING                                                                                 \
    "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM (SELECT xmin::text || r::text AS t FROM "      \
    "repos r "                                                                                     \
    "UNION ALL SELECT xmin::text || s::text FROM standpipe_records s UNION ALL "                   \
    "SELECT xmin::text || d::text FROM standpipe_dead_letters d) AS rows"

static void a_commit_becomes_a_record_and_a_repo(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    harness_run(batch);
    assert_string_equal(sink_postgres_query(LIVE), "k=1");
    assert_int_equal(batch->outcome.written, 1);
    assert_string_equal(sink_postgres_query("SELECT rev FROM repos"), harness_tid(10));
    assert_string_equal(sink_postgres_query("SELECT status || active FROM repos"), "activetrue");
}

static void migrating_twice_changes_nothing(void **state)
{
    (void)state;
    struct buffer report = {0};
    struct error error;
    struct migrations_options options = {.conninfo = sink_postgres_conninfo(), .schema = "public"};
    assert_true(migrations_run(&options, &report, &error));
    assert_int_equal(report.size, 0);
    options.dry_run = true;
    options.schema = "else\"where";
    assert_true(migrations_run(&options, &report, &error));
    assert_true(report.size > 0);
    assert_string_equal(
        sink_postgres_query("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'else%'"), "0");
    options.dry_run = false;
    assert_true(migrations_run(&options, &report, &error));
    sink_postgres_query("INSERT INTO standpipe_migrations VALUES (999, 'later')");
    options.schema = "public";
    assert_false(migrations_run(&options, &report, &error));
    assert_int_equal(error.kind, ERROR_REFUSED);
    sink_postgres_query("DROP SCHEMA \"else\"\"where\" CASCADE");
    buffer_deinit(&report);
}

/* Each order of three commits of one key, each in a transaction of its own. */
static void the_highest_revision_wins_in_every_order(void **state)
{
    (void)state;
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const char *const records[3] = {"{\"n\":0}", NULL, "{\"n\":2}"};
    for (int o = 0; o < 6; o++) {
        sink_postgres_query("TRUNCATE repos, standpipe_records");
        for (int i = 0; i < 3; i++) {
            struct harness_batch *batch = harness_batch();
            int n = orders[o][i];
            harness_commit(batch, 1000, n + 1, DID, 10 + n, "k", records[n]);
            harness_run(batch);
        }
        assert_string_equal(sink_postgres_query(LIVE), "k=2");
    }
}

/* No honest server makes two commits of one rev; the end is the same however they come. `step` 0 and 1 create with
 * another CID each, 2 deletes. */
static void add_same_rev(struct harness_batch *batch, int step)
{
    static const char *const ops[] = {
        "{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"a\",\"record\":{\"n\":1}}",
        ("{\"action\":\"delete\",\"path\":\"app.test.thing/k\"},{\"action\":\"create\",\"path\":"
         "\"app.test.thing/k\",\"cid\":\"b\",\"record\":{\"n\":2}}"),
        "{\"action\":\"delete\",\"path\":\"app.test.thing/k\"}"};
    static const int64_t sequences[] = {5, 4, 6};
    harness_ops(batch, 1000, sequences[step], DID, 10, ops[step]);
    struct entry *entry = &batch->entries[batch->batch.count - 1];
    /* The commit's CID follows the rev in the harness; here it follows the sequence. */
    const char *at = memmem(entry->data.data, entry->data.size, "bafycommit1", 11);
    assert_non_null(at);
    ((char *)(uintptr_t)at)[10] = (char)('0' + sequences[step]);
}

/* Bit i of `cut`: a new batch after the ith. */
static void check_same_rev(const int order[3], unsigned cut)
{
    struct harness_batch *batch = harness_batch();
    sink_postgres_query("TRUNCATE repos, standpipe_records");
    for (unsigned i = 0; i < 3; i++) {
        add_same_rev(batch, order[i]);
        if (i == 2 || (cut & 1U << i) != 0) {
            harness_run(batch);
            batch = harness_batch();
        }
    }
    assert_string_equal(sink_postgres_query(LIVE), "k=2");
    assert_string_equal(sink_postgres_query("SELECT commit_cid FROM repos"), "bafycommit60");
}

static void of_two_commits_with_one_rev_the_same_wins_in_every_order_and_batch(void **state)
{
    (void)state;
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (int o = 0; o < 6; o++) {
        for (unsigned cut = 0; cut < 4; cut++) {
            check_same_rev(orders[o], cut);
        }
    }
}

static void a_delete_leaves_a_tombstone_that_a_late_create_respects(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 2, DID, 20, "k", NULL);
    harness_run(batch);
    batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    harness_run(batch);
    assert_int_equal(batch->outcome.unchanged, 1);
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "0");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_records"), "1");
}

static struct harness_batch *a_bit_of_everything(uint64_t epoch)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, epoch, 1, DID, 10, "k", "{\"n\":1}");
    harness_identity(batch, epoch, 2, DID, "a.test", 11);
    harness_identity(batch, epoch, 3, DID, "b.test", 12);
    harness_account(batch, epoch, 4, OTHER, "deleted", 13);
    harness_account(batch, epoch, 5, OTHER, "active", 14);
    harness_commit(batch, epoch, 6, OTHER, 15, "k", "{\"n\":2}");
    harness_sync(batch, epoch, 7, DID, 16);
    harness_account(batch, epoch, 8, DID, "takendown", 17);
    harness_account(batch, epoch, 9, DID, "active", 18);
    harness_commit(batch, epoch, 10, DID, 19, "k", NULL);
    return batch;
}

static void a_replay_changes_no_row_in_its_epoch_nor_in_a_new_one(void **state)
{
    (void)state;
    char before[64];
    harness_run(a_bit_of_everything(1000));
    (void)snprintf(before, sizeof(before), "%s", sink_postgres_query(EVERYTHING));
    harness_run(a_bit_of_everything(1000));
    assert_string_equal(sink_postgres_query(EVERYTHING), before);
    harness_run(a_bit_of_everything(2000));
    assert_string_equal(sink_postgres_query(EVERYTHING), before);
    assert_string_equal(sink_postgres_query("SELECT handle FROM repos WHERE did = '" DID "'"),
                        "b.test");
    assert_string_equal(sink_postgres_query(LIVE), "k=2");
}

/* commit 10, deletion 20, active 30, commit 40. */
static void run_step(int step)
{
    struct harness_batch *batch = harness_batch();
    if (step == 0) {
        harness_commit(batch, 1000, 1, DID, 10, "old", "{\"n\":1}");
    } else if (step == 1) {
        harness_account(batch, 1000, 2, DID, "deleted", 20);
    } else if (step == 2) {
        harness_account(batch, 1000, 3, DID, "active", 30);
    } else {
        harness_commit(batch, 1000, 4, DID, 40, "new", "{\"n\":2}");
    }
    harness_run(batch);
}

static void a_deletion_spares_what_came_later_in_every_order(void **state)
{
    (void)state;
    for (int order = 0; order < 256; order++) {
        int step[4] = {order & 3, (order >> 2) & 3, (order >> 4) & 3, (order >> 6) & 3};
        if (((1 << step[0]) | (1 << step[1]) | (1 << step[2]) | (1 << step[3])) != 15) {
            continue;
        }
        sink_postgres_query("TRUNCATE repos, standpipe_records");
        for (int i = 0; i < 4; i++) {
            run_step(step[i]);
        }
        assert_string_equal(sink_postgres_query(LIVE), "new=2");
        assert_string_equal(sink_postgres_query("SELECT rev FROM repos"), harness_tid(40));
        assert_string_equal(sink_postgres_query("SELECT recent_revs = ARRAY[rev] FROM repos"), "t");
    }
}

static void an_inactive_repo_is_hidden_and_comes_back(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    harness_account(batch, 1000, 2, DID, "takendown", 11);
    harness_run(batch);
    assert_string_equal(sink_postgres_query(LIVE), "");
    batch = harness_batch();
    harness_account(batch, 1000, 3, DID, "active", 12);
    harness_run(batch);
    assert_string_equal(sink_postgres_query(LIVE), "k=1");
}

static void a_poison_row_becomes_one_dead_letter_and_its_siblings_commit(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_records ADD CHECK (rkey <> 'bad')");
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "a", "{\"n\":1}");
    harness_ops(batch, 1000, 2, DID, 11,
                "{\"action\":\"create\",\"path\":\"app.test.thing/b\",\"cid\":\"c\",\"record\":{"
                "\"n\":2}},{\"action\":\"create\",\"path\":\"app.test.thing/"
                "bad\",\"cid\":\"c\",\"record\":{\"n\":3}},{\"action\":\"create\",\"path\":\"app."
                "test.thing/c\",\"cid\":\"c\",\"record\":{\"n\":4}}");
    harness_commit(batch, 1000, 3, OTHER, 12, "d", "{\"n\":5}");
    harness_run(batch);
    assert_string_equal(sink_postgres_query(LIVE), "a=1 b=2 c=4 d=5");
    assert_string_equal(sink_postgres_query("SELECT string_agg(seq || ' ' || op || ' ' || sqlstate "
                                            "|| ' ' || rkey, ',') FROM standpipe_dead_letters"),
                        "2 1 23514 bad");
    assert_int_equal(batch->outcome.written, 4);
    assert_int_equal(batch->outcome.dead, 1);
    assert_int_equal(batch->outcome.unchanged, 0);
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters"), "1");
}

static void a_killed_server_costs_nothing(void **state)
{
    (void)state;
    struct harness_batch *batches[20];
    for (int i = 0; i < 20; i++) {
        batches[i] = harness_batch();
        for (int n = 0; n < 50; n++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "k%d-%d", i, n);
            harness_commit(batches[i], 1000, i * 50 + n + 1, DID, 10 + i * 50 + n, key,
                           "{\"n\":1}");
        }
        harness_submit(batches[i]);
    }
    harness_turn();
    sink_postgres_kill();
    assert_true(harness_wait_state(SINK_AWAY));
    sink_postgres_restart();
    harness_wait();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(batches[i]->done, 1);
    }
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "1000");
}

static void a_dropped_table_is_a_wrong_set_up_until_it_is_back(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    assert_true(harness_wait_state(SINK_READY));
    sink_postgres_query("ALTER TABLE standpipe_records RENAME TO away");
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_MISCONFIGURED));
    sink_postgres_query("ALTER TABLE away RENAME TO standpipe_records");
    harness_wait();
    assert_true(harness_wait_state(SINK_READY));
    assert_string_equal(sink_postgres_query(LIVE), "k=1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup_open, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_becomes_a_record_and_a_repo),
        TEST(migrating_twice_changes_nothing),
        TEST(the_highest_revision_wins_in_every_order),
        TEST(of_two_commits_with_one_rev_the_same_wins_in_every_order_and_batch),
        TEST(a_delete_leaves_a_tombstone_that_a_late_create_respects),
        TEST(a_replay_changes_no_row_in_its_epoch_nor_in_a_new_one),
        TEST(a_deletion_spares_what_came_later_in_every_order),
        TEST(an_inactive_repo_is_hidden_and_comes_back),
        TEST(a_poison_row_becomes_one_dead_letter_and_its_siblings_commit),
        TEST(a_killed_server_costs_nothing),
        TEST(a_dropped_table_is_a_wrong_set_up_until_it_is_back),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
