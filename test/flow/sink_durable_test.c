#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define DID "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"

enum {
    ROUNDS = 4,
    BATCHES = 200,
    COMMITS = 1 /* little WAL: what is not flushed is still in the buffers of the server */
};

static int start(void **state)
{
    (void)state;
    return sink_postgres_start(true) ? 0 : -1;
}

static void submit(struct harness_batch **batches, int round)
{
    for (int b = 0; b < BATCHES; b++) {
        batches[b] = harness_batch();
        for (int n = 0; n < COMMITS; n++) {
            char key[32];
            int seq = (round * BATCHES + b) * COMMITS + n + 1;
            (void)snprintf(key, sizeof(key), "r%d-b%d-n%d", round, b, n);
            harness_commit(batches[b], 1000, seq, DID, 10 + seq, key, "{\"n\":1}");
        }
        batches[b]->batch.bytes = (size_t)60 << 20; /* one a transaction */
        harness_submit(batches[b]);
    }
}

static int count_done(struct harness_batch *const *batches)
{
    int done = 0;
    for (int b = 0; b < BATCHES; b++) {
        done += batches[b]->done;
    }
    return done;
}

/* Runs batches until `enough` of them are done, kills the server and closes the sink, so that nothing is
 * run again. Says which were confirmed; how many. */
static int run_until_killed(int round, int enough, bool confirmed[BATCHES])
{
    struct harness_batch *batches[BATCHES];
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    int count = 0;
    harness_open(2, round % 2 == 0);
    submit(batches, round);
    while (count_done(batches) < enough) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
    sink_postgres_kill();
    harness_begin_close(0);
    harness_wait();
    for (int b = 0; b < BATCHES; b++) {
        confirmed[b] = batches[b]->failed == 0;
        count += confirmed[b];
    }
    harness_close();
    return count;
}

/* The role commits asynchronously if it is let. */
static void every_batch_that_was_confirmed_survives_a_kill(void **state)
{
    (void)state;
    harness_reset();
    sink_postgres_query("ALTER ROLE standpipe SET synchronous_commit = off");
    for (int round = 0; round < ROUNDS; round++) {
        bool confirmed[BATCHES];
        int enough = 30 + 40 * round;
        int count = run_until_killed(round, enough, confirmed);
        assert_true(count >= enough && count < BATCHES);
        sink_postgres_restart();
        for (int b = 0; b < BATCHES; b++) {
            char sql[128];
            (void)snprintf(sql, sizeof(sql),
                           "SELECT count(*) FROM records WHERE rkey LIKE 'r%d-b%d-n%%'", round, b);
            int found = (int)strtol(sink_postgres_query(sql), NULL, 10);
            assert_true(found == COMMITS || (!confirmed[b] && found == 0));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_that_was_confirmed_survives_a_kill)};
    return cmocka_run_group_tests(tests, start, sink_postgres_teardown);
}
