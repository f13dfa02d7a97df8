/* The committed mark while entries are delivered and acknowledged all the time: never above what is acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "flow/stream_server.h"
#include "stream/stream_monitor.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    BATCH = 5,
    LOOKS = 1000,
    WAIT_MS = 20000
};

struct rig {
    uv_loop_t loop;
    struct stream_monitor *monitor;
    unsigned looks, wrong;
    bool is_closed;
};

static atomic_bool is_over;
static atomic_llong acknowledged; /* up to here; raised before the command is sent */

static void on_depth(void *owner, const struct stream_depth *depth)
{
    struct rig *rig = owner;
    rig->wrong += depth->has_committed && depth->committed.sequence > atomic_load(&acknowledged);
    rig->looks++;
}

static void on_closed(void *owner)
{
    ((struct rig *)owner)->is_closed = true;
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->is_closed;
}

static void discard(redisReply *reply)
{
    assert_non_null(reply);
    freeReplyObject(reply);
}

/* Entries of epoch 7: a batch is added, delivered, and acknowledged one by one. */
static void *work(void *argument)
{
    (void)argument;
    redisContext *redis = redisConnectUnix(stream_server_socket());
    for (long long next = 1; !atomic_load(&is_over); next += BATCH) {
        for (long long i = next; i < next + BATCH; i++) {
            discard(redisCommand(redis, "XADD events 7-%lld type commit data {}", i));
        }
        discard(redisCommand(redis, "XREADGROUP GROUP group c COUNT %d STREAMS events >", BATCH));
        for (long long i = next; i < next + BATCH; i++) {
            atomic_store(&acknowledged, i);
            discard(redisCommand(redis, "XACK events group 7-%lld", i));
        }
    }
    redisFree(redis);
    return NULL;
}

/* What one must not do: what is pending first, and then what was delivered. */
static bool is_wrong_in_two_steps(redisContext *redis)
{
    redisReply *pending = redisCommand(redis, "XPENDING events group");
    redisReply *groups = redisCommand(redis, "XINFO GROUPS events");
    assert_non_null(pending);
    assert_non_null(groups);
    const char *delivered = groups->element[0]->element[7]->str;
    bool is_wrong = pending->element[0]->integer == 0 &&
                    strtoll(delivered + 2, NULL, 10) > atomic_load(&acknowledged);
    freeReplyObject(pending);
    freeReplyObject(groups);
    return is_wrong;
}

static void a_mark_is_never_above_what_is_acknowledged(void **state)
{
    (void)state;
    static const struct stream_monitor_callbacks callbacks = {.on_depth = on_depth,
                                                              .on_closed = on_closed};
    const struct stream_monitor_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = "monitor",
                  .connect_timeout_ms = WAIT_MS,
                  .reply_timeout_ms = WAIT_MS},
        .keys = {.key = "events", .group = "group", .dead_letter_key = "dead"},
        .max_length = 1000000,
    };
    struct rig rig = {0};
    pthread_t worker;
    discard(stream_server_call("XGROUP CREATE events group 0 MKSTREAM"));
    assert_int_equal(uv_loop_init(&rig.loop), 0);
    rig.monitor = stream_monitor_open(&rig.loop, &options, &callbacks, &rig);
    redisContext *redis = redisConnectUnix(stream_server_socket());
    assert_int_equal(pthread_create(&worker, NULL, work, NULL), 0);

    unsigned wrong_in_two_steps = 0;
    uint64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    while ((rig.looks < LOOKS || wrong_in_two_steps == 0) && clock_monotonic_ms() < deadline_ms) {
        stream_monitor_look(rig.monitor);
        (void)uv_run(&rig.loop, UV_RUN_ONCE);
        wrong_in_two_steps += is_wrong_in_two_steps(redis);
    }
    atomic_store(&is_over, true);
    assert_int_equal(pthread_join(worker, NULL), 0);
    redisFree(redis);
    stream_monitor_close(rig.monitor);
    stream_wait(&rig.loop, is_closed, &rig);
    stream_finish(&rig.loop);

    print_message("%u looks, %u wrong; in two steps %u wrong\n", rig.looks, rig.wrong,
                  wrong_in_two_steps);
    assert_true(wrong_in_two_steps > 0); /* or this would show nothing */
    assert_true(rig.looks >= LOOKS);
    assert_int_equal(rig.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_never_above_what_is_acknowledged),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
