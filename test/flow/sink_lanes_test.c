/* Who waits for a lane, for how long, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/lanes.h"

#include <cmocka.h>
#include <libpq-fe.h>
#include <uv.h>

enum {
    NEVER_MS = 600000,
    PATIENCE_US = 2000000, /* by default */
    LAST_MS = 20,          /* of a long wait */
    DEADLINE_MS = 30000,
    COUNT = 8, /* records of a batch */
    DID_SIZE = 33
};

#define DID     "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define BLOCKED "SELECT count(*) FROM pg_locks WHERE NOT granted"
#define RECORDS "SELECT count(*) FROM records"

static PGconn *other;       /* another client, which holds the repo DID until it is finished */
static struct lanes *lanes; /* NULL: of the one sink alone */
static char same[DID_SIZE], elsewhere[DID_SIZE];
static char behind[DID_SIZE]; /* of a lane that comes after that of DID */

/* A repo whose lane is that of DID, or is not. */
static void find_did(char *did, bool is_same)
{
    memcpy(did, DID, DID_SIZE);
    for (unsigned i = 1;
         (lanes_of(slice_from_string(did)) == lanes_of(slice_from_string(DID))) != is_same ||
         strcmp(did, DID) == 0;
         i++) {
        did[DID_SIZE - 2] = (char)('a' + i % 26);
        did[DID_SIZE - 3] = (char)('a' + i / 26 % 26);
    }
}

static int start(void **state)
{
    (void)state;
    find_did(same, true);
    find_did(elsewhere, false);
    memcpy(behind, DID, DID_SIZE);
    while (lanes_of(slice_from_string(behind)) <= lanes_of(slice_from_string(DID))) {
        behind[DID_SIZE - 2]++;
        assert_true(behind[DID_SIZE - 2] <= 'z');
    }
    return sink_postgres_start(false) ? 0 : -1;
}

static int fresh(void **state)
{
    (void)state;
    harness_reset();
    lanes = NULL;
    other = NULL;
    return 0;
}

static void let_go(void)
{
    PQfinish(other);
    other = NULL;
}

static int over(void **state)
{
    (void)state;
    clock_test_thaw();
    if (other != NULL) {
        let_go();
    }
    harness_close();
    lanes_destroy(lanes);
    return 0;
}

/* A transaction that is held up is so for the whole test. */
static struct sink_options options_with(unsigned connections, uint64_t patience_ms)
{
    struct sink_options options = harness_options(connections, true);
    options.lane_patience_ms = patience_ms;
    options.statement_timeout_ms = NEVER_MS;
    options.lanes = lanes;
    return options;
}

static void open_one(uint64_t patience_ms)
{
    const struct sink_options options = options_with(2, patience_ms);
    harness_open_with(&options);
    assert_true(harness_wait_state(SINK_READY));
}

/* Two sinks that share the lanes, each with a connection. */
static void open_two(uint64_t patience_ms)
{
    lanes = lanes_create();
    struct sink_options options = options_with(1, patience_ms);
    harness_open_with(&options);
    options.name = "beside";
    harness_open_beside(&options);
}

/* COUNT records of `did`, from the sequence on, which is in their keys as well. */
static void add_commits(struct harness_batch *batch, const char *did, int64_t sequence)
{
    for (int64_t i = sequence; i < sequence + COUNT; i++) {
        char key[24];
        (void)snprintf(key, sizeof(key), "k%lld", (long long)i);
        harness_commit(batch, 1000, i, did, i, key, "{\"n\":1}");
    }
}

static struct harness_batch *commits(const char *did, int64_t sequence)
{
    struct harness_batch *batch = harness_batch();
    add_commits(batch, did, sequence);
    return batch;
}

/* The transaction with the records of DID has its lane, and waits for another client until let_go(). */
static void hold(struct harness_batch *batch)
{
    other = PQconnectdb(sink_postgres_conninfo());
    PGresult *result = PQexec(other, "BEGIN; INSERT INTO repos (did) VALUES ('" DID "')");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    harness_submit(batch);
    harness_wait_sql(BLOCKED, "1");
}

static struct harness_batch *submit_held(void)
{
    struct harness_batch *batch = commits(DID, 100);
    hold(batch);
    return batch;
}

/* By the machine's time, also where that of the program stands still. */
static void wait_done(const struct harness_batch *batch)
{
    uint64_t deadline_ns = uv_hrtime() + (uint64_t)DEADLINE_MS * 1000000;
    while (batch->done == 0) {
        assert_true(uv_hrtime() < deadline_ns);
        harness_turn();
    }
}

/* Nothing is lost, and nothing was written twice. */
static void assert_written_once(const struct harness_batch *batch)
{
    assert_int_equal(batch->done, 1);
    assert_int_equal(batch->failed, 0);
    assert_int_equal(batch->outcome.written, COUNT);
    assert_int_equal(batch->outcome.unchanged + batch->outcome.skipped + batch->outcome.dead, 0);
}

/* The other connection of the sink is idle from here on; until now it may have been on its way. */
static void run_beside(void)
{
    struct harness_batch *batch = commits(elsewhere, 900);
    harness_submit(batch);
    wait_done(batch);
    assert_written_once(batch);
}

/* A connection was idle for want of a lane, and so many parts did without. */
static void assert_waited(unsigned bypasses)
{
    assert_true(harness_lanes().waited_us > 0);
    assert_int_equal(harness_lanes().bypasses, bypasses);
}

static void stay_in_the_sink(const struct harness_batch *batch)
{
    for (int i = 0; i < 20; i++) { /* a connection is free all the time */
        harness_turn();
    }
    assert_int_equal(batch->done, 0);
    assert_string_equal(sink_postgres_query(BLOCKED), "1"); /* the first is */
}

static void a_part_waits_for_its_lane_and_not_in_postgres(void **state)
{
    (void)state;
    open_one(NEVER_MS);
    struct harness_batch *held = submit_held();
    run_beside();
    struct harness_batch *second = commits(DID, 200);
    struct harness_batch *third = commits(elsewhere, 300);
    harness_submit(second);
    stay_in_the_sink(second);
    harness_submit(third); /* which goes on, past what waits */
    wait_done(third);
    assert_int_equal(held->done + second->done, 0);
    let_go();
    wait_done(held);
    wait_done(second);
    assert_written_once(held);
    assert_written_once(second);
    assert_written_once(third);
    assert_waited(0);
    assert_string_equal(sink_postgres_query(RECORDS), "32");
}

static void a_part_goes_without_the_lane_of_a_transaction_that_is_held_up(void **state)
{
    (void)state;
    open_one(0);
    struct harness_batch *held = submit_held();
    run_beside();
    struct harness_batch *second = commits(same, 200);
    uint64_t since_us = clock_monotonic_us();
    harness_submit(second);
    wait_done(second);
    assert_true(clock_monotonic_us() - since_us >= PATIENCE_US);
    assert_int_equal(held->done, 0);
    assert_waited(1);
    assert_string_equal(sink_postgres_query(RECORDS), "16");
    assert_string_equal(sink_postgres_query(BLOCKED), "1");
    let_go();
    wait_done(held);
    assert_written_once(held);
    assert_written_once(second);
    assert_string_equal(sink_postgres_query(RECORDS), "24");
}

/* Else each that comes would put off those before it. */
static void the_oldest_part_waits_no_longer_because_others_come(void **state)
{
    (void)state;
    open_one(NEVER_MS);
    struct harness_batch *held = submit_held();
    run_beside();
    struct harness_batch *second = commits(same, 200);
    struct harness_batch *third = commits(same, 300);
    clock_test_freeze(clock_wall_us());
    harness_submit(second);
    clock_test_advance_ms(NEVER_MS - LAST_MS);
    harness_submit(third);
    clock_test_advance_ms(LAST_MS);
    wait_done(second);
    wait_done(third); /* it is of the same group */
    clock_test_thaw();
    assert_int_equal(held->done, 0);
    assert_waited(2);
    assert_int_equal(harness_lanes().waited_us, (uint64_t)NEVER_MS * 1000);
    let_go();
    wait_done(held);
    assert_written_once(held);
    assert_written_once(second);
    assert_written_once(third);
    assert_string_equal(sink_postgres_query(RECORDS), "32");
}

static void a_sink_waits_for_the_lane_of_another_until_that_has_committed(void **state)
{
    (void)state;
    open_two(NEVER_MS);
    struct harness_batch *before = commits(elsewhere, 300);
    harness_submit_beside(before);
    wait_done(before); /* the second is idle from here on */
    struct harness_batch *held = submit_held();
    struct harness_batch *second = commits(DID, 200);
    harness_submit_beside(second);
    stay_in_the_sink(second);
    let_go();
    wait_done(held);
    wait_done(second);
    assert_written_once(before);
    assert_written_once(held);
    assert_written_once(second);
    assert_waited(0);
    assert_string_equal(sink_postgres_query(RECORDS), "24");
}

static void a_transaction_leaves_a_lane_whose_part_it_has_no_room_for_to_others(void **state)
{
    (void)state;
    lanes = lanes_create();
    struct sink_options options = options_with(1, NEVER_MS);
    options.batch_entries = COUNT;
    harness_open_with(&options);
    options.name = "beside";
    harness_open_beside(&options);
    struct harness_batch *before = commits(elsewhere, 300);
    harness_submit_beside(before);
    wait_done(before); /* the second is idle from here on */
    struct harness_batch *both = harness_batch();
    add_commits(both, DID, 100);
    add_commits(both, behind, 200);
    hold(both);
    struct harness_batch *second = commits(behind, 400);
    harness_submit_beside(second);
    wait_done(second);
    assert_int_equal(both->done, 0);
    let_go();
    wait_done(both);
    assert_int_equal(both->outcome.written, COUNT + COUNT);
    assert_written_once(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_part_waits_for_its_lane_and_not_in_postgres),
        TEST(a_part_goes_without_the_lane_of_a_transaction_that_is_held_up),
        TEST(the_oldest_part_waits_no_longer_because_others_come),
        TEST(a_sink_waits_for_the_lane_of_another_until_that_has_committed),
        TEST(a_transaction_leaves_a_lane_whose_part_it_has_no_room_for_to_others),
    };
    return cmocka_run_group_tests(tests, start, sink_postgres_teardown);
}
