/* Setting the group back, against a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include "stream/stream_monitor.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    ENTRIES = 12000, /* over two steps of the recount */
    WAIT_MS = 20000
};

struct rig {
    uv_loop_t loop;
    struct stream_monitor *monitor;
    struct stream_depth depth;
    struct stream_rewound rewound;
    unsigned looks, rewinds;
    bool is_closed;
};

static void on_depth(void *owner, const struct stream_depth *depth)
{
    struct rig *rig = owner;
    rig->depth = *depth;
    rig->looks++;
}

static void on_rewound(void *owner, const struct stream_rewound *rewound)
{
    struct rig *rig = owner;
    rig->rewound = *rewound;
    rig->rewinds++;
}

static void on_closed(void *owner)
{
    ((struct rig *)owner)->is_closed = true;
}

static bool has_looked(void *data)
{
    return ((struct rig *)data)->looks > 0;
}

static bool has_rewound(void *data)
{
    return ((struct rig *)data)->rewinds > 0;
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->is_closed;
}

static void look(struct rig *rig)
{
    rig->looks = 0;
    stream_monitor_look(rig->monitor);
    stream_wait(&rig->loop, has_looked, rig);
}

static bool rewind_to(struct rig *rig, uint64_t rewinds, struct position target)
{
    rig->rewinds = 0;
    stream_monitor_rewind(rig->monitor, &(struct stream_rewind){rewinds, target, true, 1});
    stream_wait(&rig->loop, has_rewound, rig);
    return rig->rewound.is_done;
}

static void rig_open(struct rig *rig)
{
    static const struct stream_monitor_callbacks callbacks = {
        .on_depth = on_depth, .on_rewound = on_rewound, .on_closed = on_closed};
    struct stream_monitor_options options = {
        .redis = {.url = stream_server_url(),
                  .client_name = "monitor",
                  .connect_timeout_ms = WAIT_MS,
                  .reply_timeout_ms = WAIT_MS},
        .keys = {.key = "events", .group = "group", .dead_letter_key = "dead"},
        .max_length = 100000,
    };
    *rig = (struct rig){0};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->monitor = stream_monitor_open(&rig->loop, &options, &callbacks, rig);
}

static void rig_close(struct rig *rig)
{
    stream_monitor_close(rig->monitor);
    stream_wait(&rig->loop, is_closed, rig);
    stream_finish(&rig->loop);
}

static void call(const char *command)
{
    redisReply *reply = stream_server_call(command);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

/* All delivered, the last ten pending, the rest acknowledged. */
static void prepare(void)
{
    call("FLUSHALL");
    call("XGROUP CREATE events group 0 MKSTREAM");
    for (int i = 1; i <= ENTRIES; i++) {
        freeReplyObject(stream_server_call("XADD events 7-%d type commit data {}", i));
    }
    freeReplyObject(
        stream_server_call("XREADGROUP GROUP group c COUNT %d STREAMS events >", ENTRIES));
    for (int i = 1; i <= ENTRIES - 10; i++) {
        freeReplyObject(stream_server_call("XACK events group 7-%d", i));
    }
    call("HSET events:meta host relay.test epoch 7 queued 12000 saved 7-11000");
    call("HSET events:ledger appended 12000 committed 11990");
}

/* Until the recount is over, which a look goes on with. */
static void wait_counted(struct rig *rig)
{
    redisReply *reply = NULL;
    long long is_counting = 1;
    for (int i = 0; i < 100 && is_counting == 1; i++) {
        look(rig);
        reply = stream_server_call("HEXISTS events:meta again_to");
        is_counting = reply->integer;
        freeReplyObject(reply);
    }
    assert_int_equal(is_counting, 0);
    look(rig);
}

static void what_is_above_the_mark_is_delivered_again_and_counted_back(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    rig_open(&rig);
    look(&rig);
    assert_int_equal(rig.depth.saved.sequence, 11000);
    assert_true(rewind_to(&rig, 0, (struct position){7, 500}));
    assert_false(rig.rewound.is_short);
    assert_int_equal(rig.rewound.delivered.sequence, ENTRIES);
    wait_counted(&rig);
    assert_int_equal(rig.depth.saved.sequence, 500);
    assert_int_equal(rig.depth.committed.sequence, 500);
    assert_int_equal(rig.depth.pending, 0);
    assert_int_equal(rig.depth.undelivered, ENTRIES - 500);
    assert_int_equal(rig.depth.ledger.committed, 500);
    assert_int_equal(rig.depth.refetch.epoch, 0);
    rig_close(&rig);
}

static void only_the_first_that_has_noticed_sets_it_back(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 500}));
    assert_false(rewind_to(&rig, 0, (struct position){7, 500}));
    wait_counted(&rig);
    assert_int_equal(rig.depth.ledger.committed, 500);
    rig_close(&rig);
}

static void a_late_acknowledgement_of_what_was_lost_takes_nothing(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 11980}));
    redisReply *late = stream_server_call("XACK events group 7-11995");
    assert_int_equal(late->integer, 0);
    freeReplyObject(late);
    redisReply *again = stream_server_call("XREADGROUP GROUP group d COUNT 100 STREAMS events >");
    assert_int_equal(again->element[0]->element[1]->elements, 20);
    freeReplyObject(again);
    rig_close(&rig);
}

static void a_stream_that_does_not_reach_back_says_so_until_a_new_epoch_begins(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    call("XTRIM events MINID 7-6001");
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 500}));
    assert_true(rig.rewound.is_short);
    wait_counted(&rig);
    assert_int_equal(rig.depth.refetch.sequence, 500);
    assert_int_equal(rig.depth.undelivered, 6000);
    assert_int_equal(rig.depth.ledger.committed, 11990 - 5990);
    rig_close(&rig);
}

/* Emptied, and filled again from the mark: nothing at or below it is there, and nothing above it is missing. */
static void a_stream_that_was_filled_again_from_the_mark_is_not_short(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    call("XTRIM events MINID 7-6001");
    call("HSET events:meta filled_from 7-6000");
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 6000}));
    assert_false(rig.rewound.is_short);
    wait_counted(&rig);
    assert_int_equal(rig.depth.refetch.epoch, 0);
    assert_true(rewind_to(&rig, 1, (struct position){7, 5999}));
    assert_true(rig.rewound.is_short);
    rig_close(&rig);
}

/* As after FLUSHALL: the counts begin anew, and minus zero is no number to Redis. */
static void a_rewind_without_a_count_to_take_back_ends(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    call("HDEL events:ledger committed");
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 11000}));
    wait_counted(&rig);
    assert_int_equal(rig.depth.ledger.committed, 0);
    rig_close(&rig);
}

static void a_mark_that_was_confirmed_before_the_rewind_is_not_told_after_it(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 500}));
    stream_monitor_note_saved(rig.monitor, (struct position){7, 11500}, 0);
    look(&rig);
    look(&rig);
    assert_int_equal(rig.depth.saved.sequence, 500);
    stream_monitor_note_saved(rig.monitor, (struct position){7, 600}, 1);
    look(&rig);
    look(&rig);
    assert_int_equal(rig.depth.saved.sequence, 600);
    rig_close(&rig);
}

static void frames_among_the_dead_letters_are_read_once_more(void **state)
{
    (void)state;
    struct rig rig;
    prepare();
    call("XADD dead 3-1 type frame data {}");
    call("XGROUP CREATE dead standpipe-courier $");
    rig_open(&rig);
    look(&rig);
    assert_true(rewind_to(&rig, 0, (struct position){7, 500}));
    redisReply *again =
        stream_server_call("XREADGROUP GROUP standpipe-courier c COUNT 5 STREAMS dead >");
    assert_int_equal(again->element[0]->element[1]->elements, 1);
    freeReplyObject(again);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_above_the_mark_is_delivered_again_and_counted_back),
        cmocka_unit_test(only_the_first_that_has_noticed_sets_it_back),
        cmocka_unit_test(a_late_acknowledgement_of_what_was_lost_takes_nothing),
        cmocka_unit_test(a_stream_that_does_not_reach_back_says_so_until_a_new_epoch_begins),
        cmocka_unit_test(a_stream_that_was_filled_again_from_the_mark_is_not_short),
        cmocka_unit_test(a_rewind_without_a_count_to_take_back_ends),
        cmocka_unit_test(a_mark_that_was_confirmed_before_the_rewind_is_not_told_after_it),
        cmocka_unit_test(frames_among_the_dead_letters_are_read_once_more),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
