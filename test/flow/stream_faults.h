/*
 * Faults at every step of a part: afterwards all is as if nothing had happened.
 *
 * A scenario does a part's whole job through the proxy. It is run once for each of its commands, which meets the
 * fault, until a run ends before the fault's turn comes: then every step has met it.
 * Threading: the test's thread. Programs that use it take an argument: only the tests whose name matches it.
 */
#ifndef FLOW_STREAM_FAULTS_H
#define FLOW_STREAM_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "flow/stream_proxy.h"
#include "stream/stream_writer.h"
#include <uv.h>

/* Each fails the test where something is not as it should be. */
struct scenario {
    void (*open)(void);
    void (*work)(void); /* runs the loop until the job is done */
    void (*close)(void);
    void (*check)(void); /* without a fault in the way */
    bool
        waits_long; /* what only a human can mend keeps it waiting for 30 seconds: without those faults */
};

/* Of the run that is on. */
extern uv_loop_t faults_loop;
extern const struct stream_keys faults_keys;
struct redis_options faults_redis(const char *name);
void faults_run_for(uint64_t milliseconds);
/* For stream_wait(): `data` is a bool. */
bool faults_is_true(void *data);
int64_t faults_pending(void);

/* Entries 7-101 and on in the stream, read by the group for `consumer` as far as `given`, `acknowledged` of those. */
void faults_add_entries(int count, const char *consumer, int given, int acknowledged);
/* Each fault once at each step, of which there have to be `least`, and a few of them several times in a row. */
void faults_check_every_step(const struct scenario *scenario, unsigned least);
/* Redis that refuses everything for a while is not asked in a hot loop, and the log stays short. */
void faults_check_patience(const struct scenario *scenario);

/* Group fixtures, and the teardown of each test. */
int faults_start(void **state);
int faults_stop(void **state);
int faults_over(void **state);
#define FAULTS_TEST(name) cmocka_unit_test_teardown(name, faults_over)

#endif
