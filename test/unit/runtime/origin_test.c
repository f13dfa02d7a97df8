#include "runtime/origin.h"
#include "unit/test.h"

enum {
    NOW = 1000000
};

/* A stream that ends at (500, 70), its meta mark at 72, PostgreSQL at 60. */
static struct origin_facts running(void)
{
    return (struct origin_facts){
        .host = "relay.test",
        .start = CURSOR_SAVED,
        .last = {500, 70},
        .has_meta = true,
        .is_meta_host = true,
        .queued = {500, 72},
        .has_saved = true,
        .saved = {500, 60},
        .highest_epoch = 500,
        .now_ms = NOW,
    };
}

static void a_restart_goes_on_at_the_queued_mark_of_the_stream(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.queued.epoch, 500);
    assert_int_equal(origin.queued.sequence, 72);
    assert_int_equal(origin.cursor, 72);
    assert_false(origin.is_new_epoch);
}

static void a_stream_that_lost_its_last_second_is_refilled_from_its_own_last_entry(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.saved.sequence = 90; /* PostgreSQL is ahead of Redis */
    assert_int_equal(origin_decide(&facts).cursor, 72);
}

static void a_wiped_redis_goes_on_at_the_committed_mark_in_the_same_epoch(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.has_meta = false;
    facts.last = (struct position){0, 0};
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.queued.epoch, 500);
    assert_int_equal(origin.cursor, 60);
    assert_false(origin.is_new_epoch);
}

static void a_deleted_stream_with_its_meta_left_is_refilled_from_the_committed_mark(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.last = (struct position){0, 0};
    assert_int_equal(origin_decide(&facts).cursor, 60);
}

static void nothing_known_starts_live_in_a_new_epoch(void **state)
{
    (void)state;
    struct origin_facts facts = {.host = "relay.test", .start = CURSOR_SAVED, .now_ms = NOW};
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.cursor, ORIGIN_LIVE);
    assert_int_equal(origin.queued.epoch, NOW);
    assert_int_equal(origin.queued.sequence, 0);
    assert_true(origin.is_new_epoch);
}

static void another_relay_opens_an_epoch_above_all_that_are_known(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.is_meta_host = false;
    facts.has_saved = false;
    facts.highest_epoch = NOW + 7; /* a clock that was ahead */
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.queued.epoch, NOW + 8);
    assert_int_equal(origin.cursor, ORIGIN_LIVE);
}

static void a_relay_we_come_back_to_is_asked_from_its_own_mark(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.is_meta_host = false;
    facts.saved = (struct position){300, 40};
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_new_epoch);
    assert_int_equal(origin.cursor, 40);
}

static void a_foreign_producer_is_an_alarm_and_a_new_epoch_not_a_row_of_duplicates(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.last = (struct position){NOW + 3, 0}; /* XADD * */
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_alarming);
    assert_true(origin.is_new_epoch);
    assert_int_equal(origin.queued.epoch, NOW + 4);
    assert_int_equal(origin.cursor, 72);
}

static void the_oldest_event_on_an_empty_stream_keeps_the_epoch(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.has_meta = false;
    facts.last = (struct position){0, 0};
    facts.start = CURSOR_OLDEST;
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.cursor, 0);
    assert_int_equal(origin.queued.epoch, 500);
    assert_int_equal(origin.queued.sequence, 0);
}

static void a_replay_below_the_streams_last_entry_needs_a_new_epoch(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.start = CURSOR_SEQUENCE;
    facts.start_sequence = 10;
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_new_epoch);
    assert_int_equal(origin.queued.sequence, 10);
    assert_int_equal(origin.cursor, 10);
}

static void a_sequence_ahead_of_the_stream_keeps_the_epoch(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.start = CURSOR_SEQUENCE;
    facts.start_sequence = 1000;
    struct origin origin = origin_decide(&facts);
    assert_false(origin.is_new_epoch);
    assert_int_equal(origin.queued.sequence, 1000);
}

static void live_keeps_the_epoch_and_asks_without_a_cursor(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.start = CURSOR_LIVE;
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.cursor, ORIGIN_LIVE);
    assert_int_equal(origin.queued.sequence, 72);
    assert_false(origin.is_new_epoch);
}

static void an_id_above_the_mark_in_our_own_epoch_is_somebody_elses(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.last.sequence = 73;
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_alarming);
    assert_int_equal(origin.cursor, 72);
    facts.last.sequence = -1; /* 2^64-1, as Redis has it */
    assert_true(origin_decide(&facts).is_alarming);
}

static void an_id_at_the_end_of_all_ids_is_for_an_operator(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.last = (struct position){INT64_MAX, 1};
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_impossible);
    facts.last.epoch = UINT64_MAX;
    facts.has_meta = false;
    assert_true(origin_decide(&facts).is_impossible);
    facts.last.epoch = INT64_MAX - 1;
    assert_false(origin_decide(&facts).is_impossible);
}

static void an_accepted_reset_opens_an_epoch_below_nothing_that_is_known(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.is_reset = true;
    facts.reset_sequence = 0;
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_new_epoch);
    assert_int_equal(origin.queued.epoch, NOW);
    assert_int_equal(origin.cursor, 0);
}

static void an_epoch_after_a_foreign_producer_leaves_the_mark_at_what_is_committed(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.last = (struct position){NOW + 3, 0};
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.queued.sequence, 72);
    assert_int_equal(origin.first_mark, 60); /* 61 to 72 are in the stream only */
}

static void a_row_that_is_gone_from_under_a_stream_with_entries_claims_nothing(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.has_saved = false; /* PostgreSQL went back to before the epoch */
    struct origin origin = origin_decide(&facts);
    assert_int_equal(origin.cursor, 72);
    assert_int_equal(origin.first_mark, 0);
    facts.last.epoch =
        400; /* the epoch was just set by an operator: nothing of it is in the stream */
    assert_int_equal(origin_decide(&facts).first_mark, 72);
}

static void what_is_asked_for_again_opens_an_epoch_at_its_mark(void **state)
{
    (void)state;
    struct origin_facts facts = running();
    facts.is_reset = true;
    facts.reset_sequence = 33;
    facts.reset_why = "asked again";
    struct origin origin = origin_decide(&facts);
    assert_true(origin.is_new_epoch);
    assert_int_equal(origin.cursor, 33);
    assert_int_equal(origin.first_mark, 33);
    assert_string_equal(origin.why, "asked again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_restart_goes_on_at_the_queued_mark_of_the_stream),
        cmocka_unit_test(a_stream_that_lost_its_last_second_is_refilled_from_its_own_last_entry),
        cmocka_unit_test(a_wiped_redis_goes_on_at_the_committed_mark_in_the_same_epoch),
        cmocka_unit_test(a_deleted_stream_with_its_meta_left_is_refilled_from_the_committed_mark),
        cmocka_unit_test(nothing_known_starts_live_in_a_new_epoch),
        cmocka_unit_test(another_relay_opens_an_epoch_above_all_that_are_known),
        cmocka_unit_test(a_relay_we_come_back_to_is_asked_from_its_own_mark),
        cmocka_unit_test(a_foreign_producer_is_an_alarm_and_a_new_epoch_not_a_row_of_duplicates),
        cmocka_unit_test(the_oldest_event_on_an_empty_stream_keeps_the_epoch),
        cmocka_unit_test(a_replay_below_the_streams_last_entry_needs_a_new_epoch),
        cmocka_unit_test(a_sequence_ahead_of_the_stream_keeps_the_epoch),
        cmocka_unit_test(an_id_above_the_mark_in_our_own_epoch_is_somebody_elses),
        cmocka_unit_test(an_id_at_the_end_of_all_ids_is_for_an_operator),
        cmocka_unit_test(an_accepted_reset_opens_an_epoch_below_nothing_that_is_known),
        cmocka_unit_test(live_keeps_the_epoch_and_asks_without_a_cursor),
        cmocka_unit_test(an_epoch_after_a_foreign_producer_leaves_the_mark_at_what_is_committed),
        cmocka_unit_test(a_row_that_is_gone_from_under_a_stream_with_entries_claims_nothing),
        cmocka_unit_test(what_is_asked_for_again_opens_an_epoch_at_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
