#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"

enum {
    RUNS = 12 /* from the sixth on a plan is generic */
};

/* A backend tells its counts when it ends, a little after the sink has closed. */
static void wait_for(const char *sql)
{
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    while (strcmp(sink_postgres_query(sql), "t") != 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        (void)usleep(10000); /* between two looks at a fact, with a deadline */
    }
}

/* What built the indexes has scanned the tables too, and tells so as late as it likes. */
static int fresh(void **state)
{
    (void)state;
    harness_reset();
    wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
             "pid <> pg_backend_pid()");
    sink_postgres_query("SELECT pg_stat_reset()");
    return 0;
}

static void check_scans(bool prepared)
{
    harness_open(1, prepared);
    for (int i = 0; i < RUNS; i++) {
        struct harness_batch *batch = harness_batch();
        harness_commit(batch, 1000, i * 10 + 1, DID, 1000 + i, "k", "{\"n\":1}");
        harness_identity(batch, 1000, i * 10 + 2, DID, "a.test", 1000 + i);
        harness_sync(batch, 1000, i * 10 + 3, DID, 1000 + i);
        harness_account(batch, 1000, i * 10 + 4, OTHER, "deleted", 10 + i);
        harness_run(batch);
    }
    harness_close();
    wait_for("SELECT count(*) = 2 AND bool_and(idx_scan >= 12) FROM pg_stat_user_tables WHERE "
             "relname IN ('repos', 'standpipe_records')");
    assert_string_equal(sink_postgres_query("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE "
                                            "relname IN ('repos', 'standpipe_records')"),
                        "0");
}

static void a_table_that_was_never_analyzed_is_not_read_whole(void **state)
{
    (void)state;
    check_scans(true);
}

static void a_table_that_was_never_analyzed_is_not_read_whole_behind_a_pooler(void **state)
{
    (void)state;
    check_scans(false);
}

static void a_commit_moves_no_index_entry_of_its_repo_and_a_replay_writes_nothing(void **state)
{
    (void)state;
    struct harness_batch *batch = NULL;
    harness_open(1, true);
    for (int i = 0; i < RUNS; i++) {
        batch = harness_batch();
        harness_commit(batch, 1000, i + 1, DID, 1000 + i, "k", "{\"n\":1}");
        harness_run(batch);
    }
    for (int i = 0; i < RUNS; i++) {
        harness_run(batch);
        assert_int_equal(batch->outcome.unchanged, 1);
    }
    harness_close();
    wait_for("SELECT n_tup_upd >= 11 FROM pg_stat_user_tables WHERE relname = 'repos'");
    assert_string_equal(sink_postgres_query("SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM "
                                            "pg_stat_user_tables WHERE relname = 'repos'"),
                        "11 11");
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_table_that_was_never_analyzed_is_not_read_whole),
        TEST(a_table_that_was_never_analyzed_is_not_read_whole_behind_a_pooler),
        TEST(a_commit_moves_no_index_entry_of_its_repo_and_a_replay_writes_nothing),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
