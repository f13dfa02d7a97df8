/*
 * What an account's state hides from readers, whatever of it is still stored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define SEEN "SELECT coalesce(string_agg(did || rkey, ' ' ORDER BY did, rkey), '') FROM records"

static int fresh(void **state)
{
    (void)state;
    harness_reset();
    sink_postgres_query(
        "INSERT INTO repos (did, floor, floor_time) VALUES ('a', '3d', '2026-01-02'), ('b', NULL, "
        "NULL); INSERT INTO standpipe_records (did, collection, rkey, cid, rev, seq, event_time, "
        "indexed_at) SELECT d, 'c', k, 'x', rev, 1, at::timestamptz, now() FROM unnest(ARRAY['a', "
        "'b']) AS d, (VALUES ('1', '3c', NULL), ('2', '3d', NULL), ('3', '', '2026-01-01'), ('4', "
        "'', '2026-01-03'), ('5', '', NULL)) AS x (k, rev, at)");
    return 0;
}

static void rows_below_the_floor_are_hidden_while_they_are_cleared(void **state)
{
    (void)state;
    assert_string_equal(sink_postgres_query(SEEN), "a1 a2 a3 a4 a5 b1 b2 b3 b4 b5");
    sink_postgres_query("UPDATE repos SET clearing = true");
    assert_string_equal(sink_postgres_query(SEEN), "a2 a4 b1 b2 b3 b4 b5");
}

static void an_inactive_account_hides_all_its_rows(void **state)
{
    (void)state;
    sink_postgres_query("UPDATE repos SET active = false, clearing = true WHERE did = 'a'");
    assert_string_equal(sink_postgres_query(SEEN), "b1 b2 b3 b4 b5");
    sink_postgres_query("UPDATE repos SET active = true, clearing = false WHERE did = 'a'");
    assert_string_equal(sink_postgres_query(SEEN), "a1 a2 a3 a4 a5 b1 b2 b3 b4 b5");
}

/* Of many repos a reader looks at the few that hide something. */
static void a_reader_finds_hidden_repos_by_their_index(void **state)
{
    (void)state;
    sink_postgres_query(
        "INSERT INTO repos (did) SELECT 'r' || n FROM generate_series(1, 20000) AS n; INSERT INTO "
        "standpipe_records (did, collection, rkey, cid, rev, seq, indexed_at) SELECT 'r' || n, "
        "'c', 'k', 'x', '3e', 1, now() FROM generate_series(1, 20000) AS n; ANALYZE repos; ANALYZE "
        "standpipe_records");
    const char *plan = sink_postgres_query("EXPLAIN (FORMAT JSON) SELECT count(*) FROM records");
    if (strstr(plan, "repos_hidden") == NULL) {
        fail_msg("%s", plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_below_the_floor_are_hidden_while_they_are_cleared, fresh),
        cmocka_unit_test_setup(an_inactive_account_hides_all_its_rows, fresh),
        cmocka_unit_test_setup(a_reader_finds_hidden_repos_by_their_index, fresh),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
