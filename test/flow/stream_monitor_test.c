/* The monitor and the lease against a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include "stream/stream_lease.h"
#include "stream/stream_monitor.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    CONNECT_MS = 3000,
    REPLY_MS = 3000,
    REFUSED_WAIT_MS = 50,
    LEASE_MS = 300,
    CONSUMER_IDLE_MS = 200
};

struct rig {
    uv_loop_t loop;
    struct stream_monitor *monitor;
    struct stream_depth depth;
    unsigned looks, troubles;
    struct error trouble; /* the last one */
    uint64_t trimmed;
    struct stream_group group; /* the first other one */
    char group_name[32];
    char oldest_time[32];
    bool is_closed;
};

static void on_depth(void *owner, const struct stream_depth *depth)
{
    struct rig *rig = owner;
    rig->depth = *depth;
    if (depth->group_count > 0) {
        rig->group = depth->groups[0];
        (void)snprintf(rig->group_name, sizeof(rig->group_name), "%.*s",
                       SLICE_ARGS(rig->group.name));
    }
    (void)snprintf(rig->oldest_time, sizeof(rig->oldest_time), "%.*s",
                   SLICE_ARGS(depth->oldest_time));
    rig->trimmed += depth->trimmed;
    rig->looks++;
}

static void on_trouble(void *owner, const struct error *error)
{
    struct rig *rig = owner;
    rig->trouble = *error;
    rig->troubles++;
}

static void on_monitor_closed(void *owner)
{
    ((struct rig *)owner)->is_closed = true;
}

static void rig_open(struct rig *rig, uint64_t max_length, const char *const *groups, size_t count)
{
    static const struct stream_monitor_callbacks callbacks = {
        .on_depth = on_depth, .on_trouble = on_trouble, .on_closed = on_monitor_closed};
    struct stream_monitor_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = "monitor",
                  .connect_timeout_ms = CONNECT_MS,
                  .reply_timeout_ms = REPLY_MS,
                  .refused_wait_ms = REFUSED_WAIT_MS},
        .keys = {.key = "events", .group = "group", .dead_letter_key = "dead"},
        .max_length = max_length,
        .trim_groups = groups,
        .trim_group_count = count,
        .consumer_idle_ms = CONSUMER_IDLE_MS,
    };
    *rig = (struct rig){0};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->monitor = stream_monitor_open(&rig->loop, &options, &callbacks, rig);
}

static bool has_looked(void *data)
{
    return ((struct rig *)data)->looks > 0;
}

static void look(struct rig *rig)
{
    rig->looks = 0;
    stream_monitor_look(rig->monitor);
    stream_wait(&rig->loop, has_looked, rig);
}

static void look_twice(struct rig *rig)
{
    look(rig);
    look(rig); /* begins after the trims of the first have ended */
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->is_closed;
}

static void rig_close(struct rig *rig)
{
    stream_monitor_close(rig->monitor);
    stream_monitor_close(rig->monitor);
    stream_wait(&rig->loop, is_closed, rig);
    stream_finish(&rig->loop);
}

static void prepare(int entries)
{
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("XGROUP CREATE events group 0 MKSTREAM ENTRIESREAD 0"));
    for (int i = 1; i <= entries; i++) {
        freeReplyObject(stream_server_call("XADD events 7-%d type commit data {}", i));
    }
}

static void read_and_acknowledge(const char *group, int count, int acknowledged)
{
    freeReplyObject(
        stream_server_call("XREADGROUP GROUP %s c COUNT %d STREAMS events >", group, count));
    for (int i = 1; i <= acknowledged; i++) {
        freeReplyObject(stream_server_call("XACK events %s 7-%d", group, i));
    }
}

static bool has_trouble(void *data)
{
    return ((struct rig *)data)->troubles > 0;
}

static void what_redis_refuses_is_told_as_a_refusal_until_a_look_works(void **state)
{
    (void)state;
    struct rig rig;
    prepare(1);
    freeReplyObject(stream_server_call("CONFIG SET requirepass secret"));
    rig_open(&rig, 1000, NULL, 0);
    stream_wait(&rig.loop, has_trouble, &rig);
    assert_int_equal(rig.trouble.kind, ERROR_REFUSED);
    assert_non_null(strstr(rig.trouble.text, "password"));
    freeReplyObject(stream_server_call("AUTH secret"));
    freeReplyObject(stream_server_call("CONFIG SET requirepass %s", ""));
    look(&rig); /* tried again by itself */
    freeReplyObject(stream_server_call("ACL SETUSER default -evalsha"));
    rig.troubles = 0;
    stream_monitor_look(rig.monitor);
    stream_wait(&rig.loop, has_trouble, &rig);
    assert_int_equal(rig.trouble.kind, ERROR_REFUSED);
    assert_non_null(strstr(rig.trouble.text, "NOPERM"));
    freeReplyObject(stream_server_call("ACL SETUSER default +@all"));
    look(&rig);
    rig_close(&rig);
}

static void the_marks_follow_what_is_delivered_and_acknowledged(void **state)
{
    (void)state;
    struct rig rig;
    prepare(10);
    rig_open(&rig, 1000, NULL, 0);
    look(&rig);
    assert_int_equal(rig.depth.length, 10);
    assert_int_equal(rig.depth.pending, 0);
    assert_int_equal(rig.depth.undelivered, 10);
    assert_int_equal(rig.depth.backlog, 10);
    assert_true(rig.depth.is_lag_known);
    assert_true(rig.depth.has_committed);
    assert_int_equal(rig.depth.committed.sequence, 0);
    assert_int_equal(rig.depth.first.sequence, 1);
    assert_int_equal(rig.depth.last.sequence, 10);
    assert_true(rig.depth.used_memory > 0);
    assert_int_equal(rig.depth.max_memory, 0);
    read_and_acknowledge("group", 6, 2);
    look(&rig);
    assert_int_equal(rig.depth.pending, 4);
    assert_int_equal(rig.depth.undelivered, 4);
    assert_int_equal(rig.depth.committed.epoch, 7);
    assert_int_equal(rig.depth.committed.sequence, 2); /* right before the first pending */
    read_and_acknowledge("group", 10, 10);
    look(&rig);
    assert_int_equal(rig.depth.backlog, 0);
    assert_int_equal(position_compare(rig.depth.committed, rig.depth.last), 0);
    rig_close(&rig);
}

static void expect_oldest(struct rig *rig, const char *time)
{
    look(rig);
    assert_string_equal(rig->oldest_time, time);
}

static void the_time_is_told_of_the_event_that_waits_longest(void **state)
{
    (void)state;
    struct rig rig;
    prepare(0);
    rig_open(&rig, 1000, NULL, 0);
    expect_oldest(&rig, "");
    freeReplyObject(stream_server_call("XADD events 7-1 type commit data {} time first"));
    freeReplyObject(stream_server_call("XADD events 7-2 type commit data {} time second"));
    freeReplyObject(stream_server_call("XADD events 7-3 type commit data {}"));
    expect_oldest(&rig, "first");
    read_and_acknowledge("group", 1, 0);
    expect_oldest(&rig, "first");
    read_and_acknowledge("group", 1, 1);
    expect_oldest(&rig, "second");
    freeReplyObject(stream_server_call("XACK events group 7-2"));
    expect_oldest(&rig, ""); /* a foreign program appended it, without a time */
    rig_close(&rig);
}

static void a_stream_that_is_not_there_is_empty_and_has_no_mark(void **state)
{
    (void)state;
    struct rig rig;
    freeReplyObject(stream_server_call("FLUSHALL"));
    rig_open(&rig, 1000, NULL, 0);
    look(&rig);
    assert_int_equal(rig.depth.length, 0);
    assert_int_equal(rig.depth.backlog, 0);
    assert_true(rig.depth.is_lag_known); /* of nothing, for there is no group */
    assert_false(rig.depth.has_committed);
    rig_close(&rig);
}

static void a_lag_that_is_null_does_not_spoil_the_backlog(void **state)
{
    (void)state;
    struct rig rig;
    prepare(20);
    read_and_acknowledge("group", 5, 5);
    freeReplyObject(stream_server_call("XDEL events 7-10 7-12"));
    rig_open(&rig, 1000, NULL, 0);
    look(&rig);
    assert_false(rig.depth.is_lag_known);
    assert_int_equal(rig.depth.undelivered, 13);
    assert_int_equal(rig.depth.backlog, 13);
    rig_close(&rig);
}

static int64_t first_sequence(void)
{
    redisReply *reply = stream_server_call("XRANGE events - + COUNT 1");
    int64_t sequence = strtoll(reply->element[0]->element[0]->str + 2, NULL, 10);
    freeReplyObject(reply);
    return sequence;
}

static void trimming_spares_what_any_of_two_groups_has_not_acknowledged(void **state)
{
    (void)state;
    struct rig rig;
    prepare(2000);
    freeReplyObject(stream_server_call("XGROUP CREATE events other 0"));
    read_and_acknowledge("group", 2000, 2000);
    read_and_acknowledge("other", 900, 500);
    rig_open(&rig, 0, NULL, 0);
    look(&rig);
    assert_int_equal(rig.depth.committed.sequence, 500);
    look(&rig); /* begins after the trims of the first have ended */
    assert_true(rig.trimmed > 0);
    assert_true(first_sequence() <= 501);
    assert_int_equal(stream_server_number("XLEN events"), 2000 - (int64_t)rig.trimmed);
    rig_close(&rig);
}

static void trimming_keeps_the_replay_window_and_stops_there(void **state)
{
    (void)state;
    struct rig rig;
    prepare(3000);
    read_and_acknowledge("group", 3000, 3000);
    freeReplyObject(stream_server_call("HSET events:meta filled_from 7-0"));
    rig_open(&rig, 1000, NULL, 0);
    look_twice(&rig);
    assert_int_equal(stream_server_number("HEXISTS events:meta filled_from"), 0);
    assert_in_range(stream_server_number("XLEN events"), 1000, 1100); /* whole nodes only */
    rig_close(&rig);
}

/* PostgreSQL may come back with that mark and no later one; 7-904 to 7-906 were filtered, and are no entries. */
static void trimming_stops_at_the_mark_that_postgresql_has(void **state)
{
    (void)state;
    struct rig rig;
    prepare(2000);
    read_and_acknowledge("group", 2000, 2000);
    freeReplyObject(stream_server_call("XDEL events 7-904 7-905 7-906"));
    freeReplyObject(stream_server_call("HSET events:meta saved 7-905"));
    rig_open(&rig, 0, NULL, 0);
    look_twice(&rig);
    assert_in_range(first_sequence(), 700, 903);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1"));
    look_twice(&rig);
    assert_in_range(first_sequence(), 1800, 2000); /* a full Redis has to empty itself */
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 0"));
    rig_close(&rig);
}

static void only_the_wanted_groups_hold_trimming_back_and_ours_always_does(void **state)
{
    (void)state;
    static const char *const wanted[] = {"other"};
    struct rig rig;
    prepare(1000);
    freeReplyObject(stream_server_call("XGROUP CREATE events other 0"));
    freeReplyObject(stream_server_call("XGROUP CREATE events forgotten 0"));
    read_and_acknowledge("other", 1000, 1000);
    read_and_acknowledge("group", 1000, 300);
    rig_open(&rig, 0, wanted, 1);
    look(&rig);
    assert_int_equal(rig.depth.committed.sequence, 300);
    look(&rig);
    assert_in_range(rig.trimmed, 200, 300);
    rig_close(&rig);
    static const char *const missing[] = {"nobody"};
    rig_open(&rig, 0, missing, 1);
    look(&rig);
    assert_false(rig.depth.has_committed); /* a wanted group that is not there has read nothing */
    rig_close(&rig);
}

static void a_full_redis_gives_up_the_replay_window(void **state)
{
    (void)state;
    struct rig rig;
    prepare(2000);
    read_and_acknowledge("group", 2000, 2000);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1"));
    rig_open(&rig, 100000, NULL, 0);
    look_twice(&rig);
    assert_true(rig.trimmed > 1800);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 0"));
    rig_close(&rig);
}

static void the_other_groups_are_told_of_with_who_reads_them(void **state)
{
    (void)state;
    static const char *const missing[] = {"nobody"};
    struct rig rig;
    prepare(10);
    freeReplyObject(stream_server_call("XGROUP CREATE events other 0"));
    rig_open(&rig, 1000, NULL, 0);
    look(&rig);
    assert_int_equal(rig.depth.group_count, 1);
    assert_string_equal(rig.group_name, "other");
    assert_true(rig.group.is_behind);
    assert_int_equal(rig.group.idle_ms, -1); /* nobody ever read it */
    read_and_acknowledge("other", 10, 9);
    look(&rig);
    assert_true(rig.group.is_behind); /* one is pending */
    assert_in_range(rig.group.idle_ms, 0, 60000);
    freeReplyObject(stream_server_call("XACK events other 7-10"));
    look(&rig);
    assert_false(rig.group.is_behind);
    rig_close(&rig);
    rig_open(&rig, 1000, missing, 1); /* it holds trimming back as well */
    look(&rig);
    assert_int_equal(rig.depth.group_count, 1);
    assert_string_equal(rig.group_name, "nobody");
    assert_true(rig.group.is_behind);
    assert_int_equal(rig.group.idle_ms, -1);
    rig_close(&rig);
}

static void the_eviction_policy_is_told(void **state)
{
    (void)state;
    struct rig rig;
    prepare(1);
    rig_open(&rig, 1000, NULL, 0);
    look(&rig);
    assert_string_equal(rig.depth.eviction_policy, "noeviction");
    freeReplyObject(stream_server_call("CONFIG SET maxmemory-policy allkeys-lru"));
    look(&rig);
    assert_string_equal(rig.depth.eviction_policy, "allkeys-lru");
    freeReplyObject(stream_server_call("CONFIG SET maxmemory-policy noeviction"));
    rig_close(&rig);
}

static int64_t idle_of_first_consumer(void)
{
    redisReply *reply = stream_server_call("XINFO CONSUMERS events group");
    int64_t idle = reply->elements > 0 ? reply->element[0]->element[5]->integer : -1;
    freeReplyObject(reply);
    return idle;
}

static bool are_idle(void *data)
{
    (void)data;
    return idle_of_first_consumer() > CONSUMER_IDLE_MS;
}

static bool is_swept(void *data)
{
    (void)data;
    redisReply *reply = stream_server_call("XINFO CONSUMERS events group");
    bool is_one_left = reply->elements == 1;
    freeReplyObject(reply);
    return is_one_left;
}

/* As after a pod was renamed: what the old name had pending is claimed, then the name goes. */
static void consumers_that_are_idle_and_empty_go_and_those_with_entries_stay(void **state)
{
    (void)state;
    struct rig rig;
    prepare(2);
    freeReplyObject(stream_server_call("XGROUP CREATECONSUMER events group empty"));
    freeReplyObject(stream_server_call("XREADGROUP GROUP group holds COUNT 1 STREAMS events >"));
    rig_open(&rig, 1000, NULL, 0);
    stream_wait(&rig.loop, are_idle, NULL);
    look(&rig);
    stream_wait(&rig.loop, is_swept, NULL);
    assert_int_equal(stream_server_number("XGROUP DELCONSUMER events group holds"), 1);
    rig_close(&rig);
}

/* -- the lease -- */

struct holder {
    struct stream_lease *lease;
    unsigned acquired, lost;
    bool is_held, is_closed;
};

static void on_acquired(void *owner)
{
    struct holder *holder = owner;
    holder->is_held = true;
    holder->acquired++;
}

static void on_lost(void *owner)
{
    struct holder *holder = owner;
    holder->is_held = false;
    holder->lost++;
}

static void on_lease_closed(void *owner)
{
    ((struct holder *)owner)->is_closed = true;
}

static void holder_open(struct holder *holder, uv_loop_t *loop, uint64_t lease_ms)
{
    static const struct stream_lease_callbacks callbacks = {
        .on_acquired = on_acquired, .on_lost = on_lost, .on_closed = on_lease_closed};
    struct stream_lease_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = "lease",
                  .connect_timeout_ms = CONNECT_MS,
                  .reply_timeout_ms = REPLY_MS},
        .key = "events",
        .lease_ms = lease_ms,
    };
    *holder = (struct holder){0};
    holder->lease = stream_lease_open(loop, &options, &callbacks, holder);
}

static bool is_held(void *data)
{
    return ((struct holder *)data)->is_held;
}

static bool is_lost(void *data)
{
    return ((struct holder *)data)->lost > 0;
}

static bool is_lease_closed(void *data)
{
    return ((struct holder *)data)->is_closed;
}

static void close_lease(struct holder *holder, uv_loop_t *loop)
{
    stream_lease_close(holder->lease);
    stream_lease_close(holder->lease);
    stream_wait(loop, is_lease_closed, holder);
}

static void one_of_two_holds_the_lease_and_a_release_hands_it_over(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct holder first;
    struct holder second;
    freeReplyObject(stream_server_call("FLUSHALL"));
    assert_int_equal(uv_loop_init(&loop), 0);
    /* Longer than this test may take: only the release can hand it over. */
    holder_open(&first, &loop, 3000);
    stream_wait(&loop, is_held, &first);
    holder_open(&second, &loop, 3000);
    uint64_t before = uv_now(&loop);
    close_lease(&first, &loop);
    stream_wait(&loop, is_held, &second);
    assert_true(uv_now(&loop) - before < 2000);
    assert_int_equal(first.lost, 0);
    close_lease(&second, &loop);
    assert_int_equal(stream_server_number("EXISTS events:lease"), 0);
    stream_finish(&loop);
}

static void a_lease_is_renewed_for_as_long_as_it_is_wanted(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct holder holder;
    struct holder other;
    freeReplyObject(stream_server_call("FLUSHALL"));
    assert_int_equal(uv_loop_init(&loop), 0);
    holder_open(&holder, &loop, LEASE_MS);
    stream_wait(&loop, is_held, &holder);
    holder_open(&other, &loop, LEASE_MS);
    uint64_t until = uv_now(&loop) + 4ULL * LEASE_MS;
    while (uv_now(&loop) < until) {
        (void)uv_run(&loop, UV_RUN_ONCE);
        assert_false(other.is_held);
    }
    assert_int_equal(holder.lost, 0);
    close_lease(&holder, &loop);
    stream_wait(&loop, is_held, &other);
    close_lease(&other, &loop);
    stream_finish(&loop);
}

static void a_dead_holder_s_lease_runs_out(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct holder holder;
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("SET events:lease dead PX %d", LEASE_MS));
    assert_int_equal(uv_loop_init(&loop), 0);
    holder_open(&holder, &loop, LEASE_MS);
    stream_wait(&loop, is_held, &holder);
    close_lease(&holder, &loop);
    stream_finish(&loop);
}

static void a_holder_that_cannot_renew_knows_it_before_another_can_hold(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct holder holder;
    freeReplyObject(stream_server_call("FLUSHALL"));
    assert_int_equal(uv_loop_init(&loop), 0);
    holder_open(&holder, &loop, LEASE_MS);
    stream_wait(&loop, is_held, &holder);
    stream_server_freeze(true);
    stream_wait(&loop, is_lost, &holder);
    stream_server_freeze(false);
    /* The same for a lease that another took while we slept. */
    stream_wait(&loop, is_held, &holder);
    holder.lost = 0;
    freeReplyObject(stream_server_call("SET events:lease other PX 60000"));
    stream_wait(&loop, is_lost, &holder);
    close_lease(&holder, &loop);
    assert_string_equal(stream_server_text("GET events:lease"), "other"); /* not ours to release */
    stream_finish(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_marks_follow_what_is_delivered_and_acknowledged),
        cmocka_unit_test(the_time_is_told_of_the_event_that_waits_longest),
        cmocka_unit_test(what_redis_refuses_is_told_as_a_refusal_until_a_look_works),
        cmocka_unit_test(a_stream_that_is_not_there_is_empty_and_has_no_mark),
        cmocka_unit_test(a_lag_that_is_null_does_not_spoil_the_backlog),
        cmocka_unit_test(trimming_spares_what_any_of_two_groups_has_not_acknowledged),
        cmocka_unit_test(trimming_keeps_the_replay_window_and_stops_there),
        cmocka_unit_test(trimming_stops_at_the_mark_that_postgresql_has),
        cmocka_unit_test(only_the_wanted_groups_hold_trimming_back_and_ours_always_does),
        cmocka_unit_test(a_full_redis_gives_up_the_replay_window),
        cmocka_unit_test(the_other_groups_are_told_of_with_who_reads_them),
        cmocka_unit_test(the_eviction_policy_is_told),
        cmocka_unit_test(consumers_that_are_idle_and_empty_go_and_those_with_entries_stay),
        cmocka_unit_test(one_of_two_holds_the_lease_and_a_release_hands_it_over),
        cmocka_unit_test(a_lease_is_renewed_for_as_long_as_it_is_wanted),
        cmocka_unit_test(a_dead_holder_s_lease_runs_out),
        cmocka_unit_test(a_holder_that_cannot_renew_knows_it_before_another_can_hold),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
