/* The reader and a Redis that refuses, is full, cuts connections or sets the group back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_reader_rig.h"
#include "flow/stream_server.h"
#include <hiredis/hiredis.h>
#include <uv.h>

static int64_t committed(void)
{
    return stream_server_number("HGET events:ledger committed");
}

static bool is_refused(void *data)
{
    return ((struct rig *)data)->state == READER_REFUSED;
}

static bool is_ready_again(void *data)
{
    return ((struct rig *)data)->state == READER_READY;
}

/* Claims work all the while, several in the time of a read: they say nothing of it. */
static void a_read_that_redis_refuses_is_said_until_redis_allows_it(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_open(&rig, &loop, "one");
    rig_add_entries(1, 3);
    rig_wait_count(&loop, &rig.acknowledged, 3);
    assert_int_equal(rig.states_seen, 0);
    freeReplyObject(stream_server_call("ACL SETUSER default -xreadgroup"));
    stream_wait(&loop, is_refused, &rig);
    rig.states_seen = 0;
    uint64_t ends = uv_hrtime() / 1000000 + 200;
    while (uv_hrtime() / 1000000 < ends) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(rig.states_seen, 0);
    freeReplyObject(stream_server_call("ACL SETUSER default +xreadgroup"));
    rig_add_entries(4, 4);
    stream_wait(&loop, is_ready_again, &rig);
    rig_wait_count(&loop, &rig.acknowledged, 4);
    rig_close(&rig);
    stream_finish(&loop);
}

static void a_reader_without_its_connection_says_so_until_it_is_back(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_open(&rig, &loop, "one");
    rig_add_entries(1, 3);
    rig_wait_count(&loop, &rig.acknowledged, 3);
    freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
    rig_add_entries(4, 4);
    rig_wait_count(&loop, &rig.acknowledged, 4);
    assert_int_equal(rig.states_seen, 1U << READER_AWAY | 1U << READER_READY);
    assert_int_equal(rig.state, READER_READY);
    rig_close(&rig);
    stream_finish(&loop);
}

/* As the rewind script does it: what is pending is let go, the count rises, all is delivered again. */
static void set_group_back(void)
{
    freeReplyObject(stream_server_call("HINCRBY events:meta rewinds 1"));
    freeReplyObject(stream_server_call("XACK events group 7-1 7-2 7-3"));
    freeReplyObject(stream_server_call("XGROUP SETID events group 0"));
}

static void what_was_written_before_a_rewind_is_not_acknowledged_after_it(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig late = {.keeps_batches = true}, again = {.keeps_batches = true};
    rig_prepare(&loop);
    rig_add_entries(1, 3);
    rig_open(&late, &loop, "late");
    stream_wait(&loop, rig_has_batch, &late);
    set_group_back();
    rig_open(&again, &loop, "again");
    stream_wait(&loop, rig_has_batch, &again);
    rig_acknowledge(&late);
    rig_wait_count(&loop, &late.late, 1);
    assert_int_equal(late.acknowledged, 0);
    assert_int_equal(rig_pending(), 3);
    rig_acknowledge(&again);
    rig_wait_count(&loop, &again.acknowledged, 3);
    rig_close(&again);
    late.keeps_batches = false; /* it has heard of it: the next is acknowledged at once */
    rig_add_entries(4, 4);
    rig_wait_count(&loop, &late.acknowledged, 1);
    assert_int_equal(rig_pending(), 0);
    rig_close(&late);
    stream_finish(&loop);
}

static void what_is_read_before_the_rewind_is_heard_of_is_done_once_more(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 3);
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 3);
    set_group_back();
    rig_wait_count(&loop, &rig.acknowledged, 6);
    assert_int_equal(rig.entries, 9);
    assert_int_equal(rig_pending(), 0);
    rig_close(&rig);
    stream_finish(&loop);
}

static void run_for_entries(struct rig *rig, uint64_t entries, int64_t enough)
{
    uint64_t until = rig->entries + entries;
    while (rig->entries < until && committed() < enough) {
        (void)uv_run(rig->loop, UV_RUN_ONCE);
    }
}

static void connections_killed_in_the_middle_lose_no_entry_and_no_acknowledgement(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 500);
    rig_open(&rig, &loop, "a");
    while (committed() < 500) {
        run_for_entries(&rig, 40, 500);
        freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
    }
    /* At least once: where a reply was lost, its entries are delivered again. */
    assert_null(memchr(rig_seen + 1, 0, 500));
    assert_int_equal(committed(), 500);
    assert_int_equal(rig_pending(), 0);
    rig_close(&rig);
    stream_finish(&loop);
}

static void acknowledging_works_while_redis_is_full(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct rig rig = {0};
    rig_prepare(&loop);
    rig_add_entries(1, 20);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1"));
    rig_open(&rig, &loop, "a");
    rig_wait_count(&loop, &rig.acknowledged, 20);
    assert_int_equal(rig_pending(), 0);
    assert_int_equal(stream_server_number("HGET events:ledger committed"), 20);
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 0"));
    rig_close(&rig);
    stream_finish(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_that_redis_refuses_is_said_until_redis_allows_it),
        cmocka_unit_test(a_reader_without_its_connection_says_so_until_it_is_back),
        cmocka_unit_test(what_was_written_before_a_rewind_is_not_acknowledged_after_it),
        cmocka_unit_test(what_is_read_before_the_rewind_is_heard_of_is_done_once_more),
        cmocka_unit_test(connections_killed_in_the_middle_lose_no_entry_and_no_acknowledgement),
        cmocka_unit_test(acknowledging_works_while_redis_is_full),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
