#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>
#include <libpq-fe.h>

enum {
    NEVER_MS = 600000,
    DEADLINE_MS = 30000,
    MANY = 64, /* entries of a transaction */
    HELD = 8   /* those of submit_held(), and what fills a transaction unless a test says more */
};

#define TRANSACTIONS "SELECT count(DISTINCT xmin::text) FROM standpipe_records"
#define BLOCKED                                                                                    \
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND wait_event_type = " \
    "'Lock'"

static PGconn *other; /* another client, which holds the first repo until it is finished */

static void open_by(unsigned connections, uint64_t age_ms, size_t full_entries)
{
    struct sink_options options = harness_options(connections, true);
    options.batch_age_ms = age_ms;
    options.batch_entries = MANY;
    options.full_entries = full_entries;
    harness_open_with(&options);
    assert_true(harness_wait_state(SINK_READY));
}

static void open_with(uint64_t age_ms, size_t full_entries)
{
    open_by(2, age_ms, full_entries);
}

/* `count` records of the repo with that letter; the same letter is never given twice. */
static struct harness_batch *commits(char letter, int count)
{
    struct harness_batch *batch = harness_batch();
    char did[] = "did:plc:xxxxxxxxxxxxxxxxxxxxxxxx";
    memset(did + strlen("did:plc:"), letter, 24);
    for (int i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        harness_commit(batch, 1000, letter * 10 + i, did, 10 + i, key, "{\"n\":1}");
    }
    return batch;
}

/* A batch of the repo `a` whose transaction waits for a lock, until let_go(). */
static struct harness_batch *submit_held(void)
{
    struct harness_batch *batch = commits('a', HELD);
    other = PQconnectdb(sink_postgres_conninfo());
    PGresult *result = PQexec(other, "BEGIN; INSERT INTO repos (did) VALUES "
                                     "('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa')");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    harness_submit(batch);
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (strcmp(sink_postgres_query(BLOCKED), "1") != 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
    return batch;
}

static void let_go(void)
{
    PQfinish(other);
}

static void wait_done(const struct harness_batch *batch)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (batch->done == 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
    assert_int_equal(batch->failed, 0);
}

static void a_lone_batch_waits_for_no_company(void **state)
{
    (void)state;
    open_with(NEVER_MS, HELD);
    harness_run(commits('a', 1)); /* its own deadline is far below the age */
    harness_run(commits('b', 1));
    assert_string_equal(sink_postgres_query(TRANSACTIONS), "2");
}

static void batches_that_come_beside_a_transaction_share_the_next(void **state)
{
    (void)state;
    open_with(NEVER_MS, MANY);
    (void)submit_held();
    harness_submit(commits('b', 1));
    harness_submit(commits('c', 1));
    harness_submit(commits('d', 1));
    for (int i = 0; i < 20; i++) { /* a connection is free all the time */
        harness_turn();
    }
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "0");
    let_go();
    harness_wait();
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "11");
    assert_string_equal(sink_postgres_query(TRANSACTIONS), "2");
}

static void a_batch_that_is_old_enough_goes_beside_the_transaction(void **state)
{
    (void)state;
    open_with(50, HELD);
    struct harness_batch *held = submit_held();
    struct harness_batch *beside = commits('b', 1);
    harness_submit(beside);
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "0");
    wait_done(beside);
    assert_int_equal(held->done, 0);
    let_go();
    harness_wait();
}

static void an_age_of_zero_never_waits(void **state)
{
    (void)state;
    open_with(0, HELD);
    struct harness_batch *held = submit_held();
    struct harness_batch *beside = commits('b', 1);
    harness_submit(beside);
    wait_done(beside);
    assert_int_equal(held->done, 0);
    let_go();
    harness_wait();
}

static void what_fills_a_transaction_goes_beside_the_one_that_is_out(void **state)
{
    (void)state;
    open_with(NEVER_MS, HELD);
    struct harness_batch *held = submit_held();
    struct harness_batch *first = commits('b', HELD / 2);
    struct harness_batch *second = commits('c', HELD / 2);
    harness_submit(first);
    for (int i = 0; i < 20; i++) {
        harness_turn();
    }
    assert_int_equal(first->done, 0);
    harness_submit(second);
    wait_done(first);
    wait_done(second);
    assert_int_equal(held->done, 0);
    assert_string_equal(sink_postgres_query(TRANSACTIONS), "1");
    let_go();
    harness_wait();
}

/* What is close to its end is not held up by company that it may not have. */
static void an_entry_that_runs_alone_does_not_wait(void **state)
{
    (void)state;
    open_with(NEVER_MS, HELD);
    struct harness_batch *held = submit_held();
    struct harness_batch *alone = commits('b', 1);
    alone->batch.is_alone = true;
    harness_submit(alone);
    wait_done(alone);
    assert_int_equal(held->done, 0);
    let_go();
    harness_wait();
}

static void a_batch_that_waits_for_company_is_given_up_at_the_end(void **state)
{
    (void)state;
    open_with(NEVER_MS, HELD);
    (void)submit_held();
    struct harness_batch *waiting = commits('b', 1);
    harness_submit(waiting);
    harness_begin_close(DEADLINE_MS);
    assert_int_equal(waiting->failed, 1);
    let_go();
    harness_wait();
}

/* Each entry of a refused transaction is tried in one of its own: the next do not hold as many. */
static void after_a_refused_row_transactions_hold_less_for_a_while(void **state)
{
    (void)state;
    open_by(1, NEVER_MS, MANY);
    sink_postgres_query("ALTER TABLE standpipe_records ADD CHECK (rkey <> 'bad')");
    struct harness_batch *bad = harness_batch();
    harness_commit(bad, 1000, 1, "did:plc:zzzzzzzzzzzzzzzzzzzzzzzz", 1, "bad", "{\"n\":1}");
    harness_run(bad);
    assert_int_equal(bad->outcome.dead, 1);
    (void)submit_held();
    for (int i = 0; i < MANY / HELD; i++) {
        harness_submit(commits((char)('b' + i), HELD));
    }
    let_go();
    harness_wait();
    assert_string_equal(sink_postgres_query(TRANSACTIONS " WHERE did > 'did:plc:b'"), "4");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lone_batch_waits_for_no_company),
        TEST(batches_that_come_beside_a_transaction_share_the_next),
        TEST(a_batch_that_is_old_enough_goes_beside_the_transaction),
        TEST(an_age_of_zero_never_waits),
        TEST(what_fills_a_transaction_goes_beside_the_one_that_is_out),
        TEST(an_entry_that_runs_alone_does_not_wait),
        TEST(a_batch_that_waits_for_company_is_given_up_at_the_end),
        TEST(after_a_refused_row_transactions_hold_less_for_a_while),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
