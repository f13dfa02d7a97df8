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
#include "unit/sink/hand_tables.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define LIKE  "app.bsky.feed.like"

enum {
    RECORDS = 5200, /* more than are cleared at once */
    OPS = 100,
    DELETED_AT = 10000,
};

static void open_sink(bool clears)
{
    struct sink_options options = harness_options(2, true);
    options.tables = hand_tables();
    options.clears_repos = clears;
    options.purge_interval_ms = 20;
    harness_open_with(&options);
}

static int fresh(void **state)
{
    struct buffer sql = {0};
    (void)state;
    harness_reset();
    hand_begin();
    struct table *likes = hand_table("likes", LIKE);
    hand_column(likes, "subject", COLUMN_TEXT, "subject");
    hand_count(likes, "post_counts", "uri", "likes", "subject");
    (void)hand_tables();
    hand_sql(&sql);
    buffer_append_byte(&sql, '\0');
    sink_postgres_query(sql.data);
    buffer_deinit(&sql);
    return 0;
}

static void add_like(struct buffer *ops, int number)
{
    buffer_append_format(ops,
                         "%s{\"action\":\"create\",\"path\":\"" LIKE "/k%05d\",\"cid\":\"c%d\","
                         "\"record\":{\"subject\":\"at://s%d\"}}",
                         ops->size > 0 ? "," : "", number, number, number % 3);
}

/* Likes number `from` and on, each hundred a commit. */
static void run_likes(const char *did, int from, int count, int64_t second)
{
    for (int done = 0; done < count; done += OPS) {
        struct harness_batch *batch = harness_batch();
        struct buffer ops = {0};
        for (int i = 0; i < OPS && done + i < count; i++) {
            add_like(&ops, from + done + i);
        }
        buffer_append_byte(&ops, '\0');
        int64_t seq = second + done / OPS;
        harness_ops(batch, 1000, seq, did, seq, ops.data);
        harness_run(batch);
        buffer_deinit(&ops);
    }
}

static void run_account(const char *status, int64_t second)
{
    struct harness_batch *batch = harness_batch();
    harness_account(batch, 1000, second, DID, status, second);
    harness_run(batch);
}

#define SAME(sql, expected) assert_string_equal(sink_postgres_query(sql), expected)
#define CLEARING            "SELECT count(*) FROM repos WHERE clearing"
#define STORED              "SELECT count(*) FROM standpipe_records WHERE did = '" DID "'"
#define COUNTS                                                                                     \
    "SELECT string_agg(uri || '=' || likes, ' ' ORDER BY uri) FROM post_counts WHERE likes <> 0"
/* Of what the rows add up to. */
#define TRUE_COUNTS                                                                                \
    "SELECT string_agg(subject || '=' || n, ' ' ORDER BY subject) FROM (SELECT subject, count(*) " \
    "AS n"                                                                                         \
    " FROM standpipe_likes GROUP BY subject) AS c"

static void check_counts(void)
{
    char expected[256];
    (void)snprintf(expected, sizeof(expected), "%s", sink_postgres_query(TRUE_COUNTS));
    SAME(COUNTS, expected);
}

static void check_cleared(void)
{
    harness_wait_sql(CLEARING, "0");
    SAME(STORED, "1");
    SAME("SELECT count(*) FROM standpipe_likes WHERE did = '" DID "'", "1");
    SAME("SELECT count(*) FROM standpipe_likes WHERE did = '" OTHER "'", "10");
    SAME("SELECT rkey FROM records WHERE did = '" DID "'", "k00007");
    check_counts();
}

static void make_deleted(void)
{
    run_likes(DID, 0, RECORDS, 100);
    run_likes(OTHER, 0, 10, 100);
    run_account("deleted", DELETED_AT);
    run_account("active", DELETED_AT + 1);
    run_likes(DID, 7, 1, DELETED_AT + 2); /* a key that was there before */
}

static void a_large_repo_is_hidden_at_once_and_cleared_by_and_by(void **state)
{
    (void)state;
    open_sink(false);
    make_deleted();
    SAME(CLEARING, "1");
    SAME(STORED, "5200");
    SAME("SELECT rkey FROM records WHERE did = '" DID "'", "k00007");
    run_account("deleted", DELETED_AT); /* a replay */
    SAME(STORED, "5200");
    harness_close();
    open_sink(true); /* another process, say */
    check_cleared();
    harness_close();
}

static void clearing_goes_on_after_the_server_and_the_purger_were_killed(void **state)
{
    (void)state;
    open_sink(false);
    make_deleted();
    harness_close();
    open_sink(true);
    harness_wait_sql("SELECT count(*) < 5000 FROM standpipe_records", "t");
    harness_begin_close(0); /* whatever is out is given up */
    harness_close();
    SAME(CLEARING, "1");
    open_sink(true);
    harness_wait_sql("SELECT count(*) < 4000 FROM standpipe_records", "t");
    sink_postgres_kill();
    sink_postgres_restart();
    check_cleared();
    harness_close();
}

static void a_small_repo_is_cleared_with_its_deletion(void **state)
{
    (void)state;
    open_sink(false);
    run_likes(DID, 0, 300, 100);
    run_account("deleted", DELETED_AT);
    SAME(CLEARING, "0");
    SAME(STORED, "0");
    SAME("SELECT count(*) FROM standpipe_likes", "0");
    check_counts();
    harness_close();
}

static void a_replay_of_the_deletion_of_a_large_repo_that_came_back_clears_nothing(void **state)
{
    (void)state;
    open_sink(true);
    run_account("deleted", 50);
    run_account("active", 51);
    run_likes(DID, 0, RECORDS, 100);
    run_account("deleted", 50);
    SAME(CLEARING, "0");
    SAME(STORED, "5200");
    harness_close();
}

static void a_table_that_keeps_its_rows_does_not_hold_the_clearing(void **state)
{
    (void)state;
    open_sink(false);
    make_deleted();
    harness_close();
    sink_postgres_query("CREATE TABLE mine (uri text REFERENCES standpipe_likes);"
                        "INSERT INTO mine SELECT uri FROM standpipe_likes WHERE rkey = 'k03000'");
    harness_capture_log();
    open_sink(true);
    harness_wait_sql(CLEARING, "0");
    harness_close();
    assert_true(harness_count(harness_captured_log(), "keeps rows of a deleted repo") > 0);
    SAME(STORED, "1");
    SAME("SELECT count(*) > 0 FROM standpipe_likes WHERE rkey = 'k03000'", "t");
    check_counts();
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_repo_is_hidden_at_once_and_cleared_by_and_by),
        TEST(clearing_goes_on_after_the_server_and_the_purger_were_killed),
        TEST(a_small_repo_is_cleared_with_its_deletion),
        TEST(a_replay_of_the_deletion_of_a_large_repo_that_came_back_clears_nothing),
        TEST(a_table_that_keeps_its_rows_does_not_hold_the_clearing),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
