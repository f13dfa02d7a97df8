/* What Redis may say or do to the monitor and the lease, at each of their commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/stream_faults.h"
#include "flow/stream_server.h"
#include "stream/stream_lease.h"
#include "stream/stream_monitor.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    EPOCH = 7,
    ORIGIN = 100,
    CONSUMER_IDLE_MS = 3600000,
    LEASE_MS = 60,
    RENEWED_MS = LEASE_MS + 25
};

/* ---- the monitor: marks, and trimming below what is pending ---- */

enum {
    MONITORED = 400,
    FIRST_PENDING = 350,
    KEPT = 100
};

static struct {
    struct stream_monitor *monitor;
    struct stream_depth depth;
    uint64_t trimmed;
    bool is_closed;
} m;

static void monitor_on_depth(void *owner, const struct stream_depth *depth)
{
    (void)owner;
    m.depth = *depth;
    m.trimmed += depth->trimmed;
    assert_int_equal(depth->committed.sequence, ORIGIN + FIRST_PENDING - 1);
    assert_int_equal(depth->backlog, MONITORED - FIRST_PENDING + 1);
}

static void monitor_on_closed(void *owner)
{
    (void)owner;
    m.is_closed = true;
}

static void monitor_open(void)
{
    static const struct stream_monitor_callbacks callbacks = {.on_depth = monitor_on_depth,
                                                              .on_closed = monitor_on_closed};
    const struct stream_monitor_options options = {.redis = faults_redis("monitor"),
                                                   .keys = faults_keys,
                                                   .interval_ms = 25,
                                                   .max_length = KEPT,
                                                   .consumer_idle_ms = CONSUMER_IDLE_MS};
    faults_add_entries(MONITORED, "c", MONITORED, FIRST_PENDING - 1);
    memset(&m, 0, sizeof(m));
    m.monitor = stream_monitor_open(&faults_loop, &options, &callbacks, NULL);
}

static bool is_trimmed_and_seen(void *data)
{
    (void)data;
    uint64_t length = (uint64_t)stream_server_number("XLEN events");
    return length < 2ULL * KEPT && m.depth.length == length && m.depth.max_memory > 0;
}

static void monitor_work(void)
{
    stream_wait(&faults_loop, is_trimmed_and_seen, NULL);
}

static void monitor_close(void)
{
    stream_monitor_close(m.monitor);
    stream_wait(&faults_loop, faults_is_true, &m.is_closed);
}

static void monitor_check(void)
{
    assert_int_equal(faults_pending(), MONITORED - FIRST_PENDING + 1);
    redisReply *reply = stream_server_call("XRANGE events %d-%d +", EPOCH, ORIGIN + FIRST_PENDING);
    assert_int_equal(reply->elements, MONITORED - FIRST_PENDING + 1);
    freeReplyObject(reply);
    assert_true(stream_server_number("XLEN events") >= KEPT);
    assert_true(m.trimmed <= MONITORED - KEPT);
}

/* ---- the lease: taken, renewed, released ---- */

static struct {
    struct stream_lease *lease;
    bool is_held, is_closed;
} l;

static void lease_on_acquired(void *owner)
{
    (void)owner;
    assert_false(l.is_held);
    l.is_held = true;
}

static void lease_on_lost(void *owner)
{
    (void)owner;
    assert_true(l.is_held);
    l.is_held = false;
}

static void lease_on_closed(void *owner)
{
    (void)owner;
    l.is_closed = true;
}

static void lease_open(void)
{
    static const struct stream_lease_callbacks callbacks = {
        .on_acquired = lease_on_acquired, .on_lost = lease_on_lost, .on_closed = lease_on_closed};
    const struct stream_lease_options options = {
        .redis = faults_redis("lease"), .key = "events", .lease_ms = LEASE_MS};
    memset(&l, 0, sizeof(l));
    l.lease = stream_lease_open(&faults_loop, &options, &callbacks, NULL);
}

static void lease_work(void)
{
    stream_wait(&faults_loop, faults_is_true, &l.is_held);
    faults_run_for(RENEWED_MS);
    stream_wait(&faults_loop, faults_is_true, &l.is_held);
}

static void lease_close(void)
{
    stream_lease_close(l.lease);
    stream_wait(&faults_loop, faults_is_true, &l.is_closed);
}

static bool is_lease_free(void *data)
{
    (void)data;
    return stream_server_number("EXISTS events:lease") == 0;
}

/* Released, or it runs out where the release was lost. */
static void lease_check(void)
{
    assert_true(stream_server_number("PTTL events:lease") <= LEASE_MS);
    while (!is_lease_free(NULL)) {
        (void)usleep(1000);
    }
}

/* ---- tests ---- */

static const struct scenario monitoring = {monitor_open, monitor_work, monitor_close, monitor_check,
                                           false};
static const struct scenario leading = {lease_open, lease_work, lease_close, lease_check, false};

static void a_fault_at_any_step_of_the_monitor_moves_no_mark_and_trims_nothing_unread(void **state)
{
    (void)state;
    faults_check_every_step(&monitoring, 7);
}

static void a_fault_at_any_step_of_the_lease_leaves_it_to_be_taken(void **state)
{
    (void)state;
    faults_check_every_step(&leading, 6);
}

static void the_monitor_asks_a_redis_that_refuses_everything_with_patience(void **state)
{
    (void)state;
    faults_check_patience(&monitoring);
}

static void the_lease_asks_a_redis_that_refuses_everything_with_patience(void **state)
{
    (void)state;
    faults_check_patience(&leading);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FAULTS_TEST(a_fault_at_any_step_of_the_monitor_moves_no_mark_and_trims_nothing_unread),
        FAULTS_TEST(a_fault_at_any_step_of_the_lease_leaves_it_to_be_taken),
        FAULTS_TEST(the_monitor_asks_a_redis_that_refuses_everything_with_patience),
        FAULTS_TEST(the_lease_asks_a_redis_that_refuses_everything_with_patience),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, faults_start, faults_stop);
}
