/*
 * Each class of the contract's table of SQLSTATEs, and each way to lose the connection, at each statement of the
 * session's set-up and of a transaction that has all of them, and at its COMMIT: afterwards all is as if nothing had
 * happened. A run is made for each step until one ends before the fault's turn comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/fault_proxy.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "flow/sink_proxy.h"
#include "unit/sink/hand_tables.h"

#define A "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define B "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define C "did:plc:cccccccccccccccccccccccc"
#define D "did:plc:dddddddddddddddddddddddd"
/* All that a batch leaves behind but its times, as one text. */
#define STATE                                                                                      \
    "SELECT concat_ws(E'\\n', (SELECT string_agg(concat_ws(' ', did, rkey, cid, rev, seq, "        \
    "record), "                                                                                    \
    "', ' ORDER BY did, rkey) FROM standpipe_records), (SELECT string_agg(concat_ws(' ', did, "    \
    "handle, active, status, rev, floor, sync_rev, desynchronized, identity_seq, account_seq), "   \
    "', ' ORDER BY did) FROM repos), (SELECT string_agg(concat_ws(' ', uri, cid, rev, n), ', ' "   \
    "ORDER BY uri) FROM standpipe_things), (SELECT string_agg(concat_ws(' ', did, things), ', ' "  \
    "ORDER BY did) FROM thing_counts WHERE things <> 0), (SELECT string_agg(concat_ws(' ', id, "   \
    "number), ', ' ORDER BY id) FROM own_things), (SELECT string_agg(concat_ws(' ', seq, op, "     \
    "reason, "                                                                                     \
    "sqlstate), ', ' ORDER BY seq, op) FROM standpipe_dead_letters))"

enum {
    STEPS_MAX = 40,
    STATEMENTS_LEAST =
        20, /* set-up, its Sync, nine statements and seven of typed tables, COMMIT, another Sync */
    MISCONFIGURED_MS = 20,
    LINES_MAX = 6, /* of the log, that one fault may cost */
    IN_A_ROW =
        2, /* the second one would meet an entry alone, where the first was taken for a row error */
    STATE_SIZE = 4096
};

/* One of each meaning first; then the other codes that the contract names. */
static const struct sink_fault faults[] = {
    {"22P02", NULL, SINK_FAULT_RAISE},
    {"23505", NULL, SINK_FAULT_RAISE},
    {"40001", NULL, SINK_FAULT_RAISE},
    {"57014", NULL, SINK_FAULT_RAISE},
    {"25006", NULL, SINK_FAULT_RAISE},
    {"42P01", NULL, SINK_FAULT_RAISE},
    {"0A000", "cached plan must not change result type", SINK_FAULT_RAISE},
    {"terminated", NULL, SINK_FAULT_TERMINATE},
    {"cut before", NULL, SINK_FAULT_CUT_BEFORE},
    {"cut after", NULL, SINK_FAULT_CUT_AFTER},
    {"23503", NULL, SINK_FAULT_RAISE},
    {"22021", NULL, SINK_FAULT_RAISE},
    {"22P05", NULL, SINK_FAULT_RAISE},
    {"23502", NULL, SINK_FAULT_RAISE},
    {"23514", NULL, SINK_FAULT_RAISE},
    {"21000", NULL, SINK_FAULT_RAISE},
    {"54000", NULL, SINK_FAULT_RAISE},
    {"08006", NULL, SINK_FAULT_RAISE},
    {"40P01", NULL, SINK_FAULT_RAISE},
    {"53100", NULL, SINK_FAULT_RAISE},
    {"53200", NULL, SINK_FAULT_RAISE},
    {"53300", NULL, SINK_FAULT_RAISE},
    {"55P03", NULL, SINK_FAULT_RAISE},
    {"57P01", NULL, SINK_FAULT_RAISE},
    {"57P02", NULL, SINK_FAULT_RAISE},
    {"57P03", NULL, SINK_FAULT_RAISE},
    {"42501", NULL, SINK_FAULT_RAISE},
    {"28P01", NULL, SINK_FAULT_RAISE},
    {"3D000", NULL, SINK_FAULT_RAISE},
    {"0A000", NULL, SINK_FAULT_RAISE},
    {"26000", NULL, SINK_FAULT_RAISE},
    {"YY000", NULL, SINK_FAULT_RAISE}, /* nobody foresaw it */
};

enum {
    FAULT_COUNT = sizeof(faults) / sizeof(faults[0]),
    MEANINGS = 10
};

static char expected[STATE_SIZE];

/* Needs every statement: repos, identities, accounts, floors, both clears, owed, records, dead letters; of the typed
 * tables and their counts what clears, what removes and what inserts. */
static struct harness_batch *everything(void)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, A, 10, "k1", "{\"n\":1}");
    harness_commit(batch, 1000, 2, A, 11, "k2", "{\"n\":2}");
    harness_commit(batch, 1000, 3, A, 12, "k1", NULL);
    harness_identity(batch, 1000, 4, B, "b.test", 13);
    harness_commit(batch, 1000, 5, C, 14, "k3", "{\"n\":3}");
    harness_account(batch, 1000, 6, C, "deleted", 15);
    harness_sync(batch, 1000, 7, D, 16);
    harness_ops(batch, 1000, 8, A, 17,
                "{\"action\":\"create\",\"path\":\"bad\",\"cid\":\"c\","
                "\"record\":{}}");
    return batch;
}

/* One of ours that is counted, and one of the user's own. */
static void describe(void)
{
    hand_begin();
    struct table *things = hand_table("things", "app.test.thing");
    hand_column(things, "n", COLUMN_INTEGER, "n");
    hand_count(things, "thing_counts", "did", "things", "did");
    struct table *own = hand_users_table("own_things", "app.test.thing");
    hand_source(own, "id", COLUMN_URI);
    hand_column(own, "number", COLUMN_INTEGER, "n");
    (void)hand_tables();
}

static void make_typed_tables(void)
{
    struct buffer sql = {0};
    hand_sql(&sql);
    buffer_append_byte(&sql, '\0');
    sink_postgres_query(sql.data);
    buffer_deinit(&sql);
}

/* Made anew once; a run empties what a batch fills. The journal tells what was written twice. */
static void make_schema(void)
{
    harness_reset();
    describe();
    make_typed_tables();
    sink_postgres_query(
        "CREATE TABLE journal (did text, rkey text, rev text, cid text); CREATE FUNCTION "
        "public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.journal "
        "VALUES (NEW.did, NEW.rkey, NEW.rev, NEW.cid); RETURN NULL; END $$; CREATE TRIGGER note "
        "AFTER INSERT OR UPDATE ON standpipe_records FOR EACH ROW EXECUTE FUNCTION public.note()");
}

static void run_batch(bool prepared, struct harness_batch **batch)
{
    struct sink_options options = harness_options(1, prepared);
    options.conninfo = sink_proxy_conninfo();
    options.misconfigured_wait_ms = MISCONFIGURED_MS;
    options.tables = hand_tables();
    sink_postgres_query("TRUNCATE standpipe_records, repos, standpipe_dead_letters, "
                        "standpipe_things, thing_counts, own_things, journal CASCADE");
    harness_open_with(&options);
    *batch = everything();
    harness_submit(*batch);
    harness_wait();
}

static void check_outcome(const struct harness_batch *batch, const struct sink_fault *fault,
                          unsigned step)
{
    const struct sink_outcome *outcome = &batch->outcome;
    const char *state = sink_postgres_query(STATE);
    if (strcmp(state, expected) != 0) {
        fail_msg("%s at step %u:\n%s\nis not\n%s", fault->sqlstate, step, state, expected);
    }
    assert_int_equal(batch->done, 1);
    assert_int_equal(batch->failed, 0);
    assert_int_equal(outcome->dead, 1);
    assert_int_equal(outcome->skipped, 0);
    assert_int_equal(outcome->written + outcome->unchanged + outcome->dead, 5);
    assert_string_equal(sink_postgres_query("SELECT count(*) - count(DISTINCT j::text) FROM "
                                            "journal AS j"),
                        "0");
}

static void check_log(const char *log, const struct sink_fault *fault, unsigned step)
{
    unsigned lines = harness_count(log, "\n");
    if (lines > LINES_MAX) {
        fail_msg("%s at step %u: %u lines of log:\n%s", fault->sqlstate, step, lines, log);
    }
}

/* False: the batch was done before the fault's turn came. */
static bool run_once(bool prepared, const struct sink_fault *fault, unsigned step, unsigned times)
{
    struct harness_batch *batch = NULL;
    harness_capture_log();
    fault_proxy_arm(fault, step, times);
    run_batch(prepared, &batch);
    bool is_hit = fault_proxy_hits() > 0;
    fault_proxy_disarm();
    check_log(harness_captured_log(), fault, step);
    check_outcome(batch, fault, step);
    harness_close();
    return is_hit;
}

static void check_every_step(bool prepared, const struct sink_fault *fault, unsigned times)
{
    unsigned step = 1;
    while (step < STEPS_MAX && run_once(prepared, fault, step, times)) {
        step++;
    }
    if (step < STATEMENTS_LEAST) {
        fail_msg("%s met only %u steps", fault->sqlstate, step - 1);
    }
}

/* A row error that comes again is one of the row that is alone by then, and makes a letter, as it should. */
static bool may_repeat(const struct sink_fault *fault)
{
    static const char *const of_rows[] = {"21", "22", "23", "54"};
    for (size_t i = 0; i < sizeof(of_rows) / sizeof(of_rows[0]); i++) {
        if (strncmp(fault->sqlstate, of_rows[i], 2) == 0) {
            return false;
        }
    }
    return true;
}

static void each_sqlstate_of_the_contract_at_any_statement_changes_nothing_in_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        bool is_repeated = i >= MEANINGS && may_repeat(&faults[i]);
        check_every_step(true, &faults[i], is_repeated ? IN_A_ROW : 1);
    }
}

static void each_meaning_at_any_statement_behind_a_pooler_changes_nothing_in_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEANINGS; i++) {
        check_every_step(false, &faults[i], 1);
    }
}

static void outages_that_come_again_and_again_change_nothing_in_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEANINGS; i++) {
        if (may_repeat(&faults[i])) {
            check_every_step(true, &faults[i], IN_A_ROW);
        }
    }
}

static int start(void **state)
{
    struct harness_batch *batch = NULL;
    (void)state;
    if (!sink_postgres_start(false)) {
        return -1;
    }
    sink_proxy_start();
    make_schema();
    fault_proxy_disarm();
    run_batch(true, &batch);
    harness_close();
    (void)snprintf(expected, sizeof(expected), "%s", sink_postgres_query(STATE));
    return 0;
}

static int stop(void **state)
{
    (void)state;
    sink_proxy_stop();
    sink_postgres_stop();
    return 0;
}

static int over(void **state)
{
    (void)state;
    harness_release_log();
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, over)

/* With an argument: only the tests whose name matches it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(each_sqlstate_of_the_contract_at_any_statement_changes_nothing_in_the_end),
        TEST(each_meaning_at_any_statement_behind_a_pooler_changes_nothing_in_the_end),
        TEST(outages_that_come_again_and_again_change_nothing_in_the_end),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, start, stop);
}
