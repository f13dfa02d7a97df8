#include "unit/test.h"

#include "ingest/sequence.h"

enum {
    LAST = 1000000
};
#define SECOND_US INT64_C(1000000)
#define START_US  (INT64_C(1700000000) * SECOND_US)

/* A relay that sends one event a second: event n at START + n seconds. */
static int64_t time_of(int64_t number)
{
    return START_US + number * SECOND_US;
}

static void take_up_to_last(struct sequence *sequence)
{
    sequence_init(sequence, LAST - 100);
    sequence_connected(sequence, false, time_of(LAST - 100));
    for (int64_t n = LAST - 99; n <= LAST; n++) {
        assert_int_equal(sequence_observe(sequence, n, time_of(n), time_of(n)), SEQUENCE_NEXT);
    }
}

static void dense_sequences_are_next_and_holes_are_counted(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence, 10);
    sequence_connected(&sequence, false, START_US);
    assert_int_equal(sequence_observe(&sequence, 11, 0, START_US), SEQUENCE_NEXT);
    assert_true(sequence.is_first);
    assert_int_equal(sequence_observe(&sequence, 11, 0, START_US), SEQUENCE_DUPLICATE);
    assert_int_equal(sequence_observe(&sequence, 15, 0, START_US), SEQUENCE_GAP);
    assert_int_equal(sequence.missing, 3);
    assert_false(sequence.is_first);
    assert_int_equal(sequence.last, 15);
}

static void the_first_of_a_connection_over_the_cursor_is_a_gap_but_not_live(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence, 10);
    sequence_connected(&sequence, false, START_US);
    assert_int_equal(sequence_observe(&sequence, 20, 0, START_US), SEQUENCE_GAP);
    assert_true(sequence.is_first);
    sequence_connected(&sequence, true, START_US);
    assert_int_equal(sequence_observe(&sequence, 50, 0, START_US), SEQUENCE_NEXT);
    assert_int_equal(sequence_observe(&sequence, 52, 0, START_US), SEQUENCE_GAP);
}

static void without_a_position_any_sequence_is_next(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence, 0);
    sequence_connected(&sequence, false, START_US);
    assert_int_equal(sequence_observe(&sequence, 26653242499, 0, START_US), SEQUENCE_NEXT);
}

static void a_replay_of_any_length_is_never_a_regression(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    int64_t later = time_of(LAST) + 36000 * SECOND_US;
    sequence_connected(&sequence, false, later);
    for (int64_t n = 1; n <= LAST; n++) {
        assert_int_equal(sequence_observe(&sequence, n, time_of(n), later + n), SEQUENCE_DUPLICATE);
    }
    assert_int_equal(sequence_observe(&sequence, LAST + 1, time_of(LAST + 1), later),
                     SEQUENCE_NEXT);
}

static void an_inclusive_cursor_repeated_for_ever_is_never_a_regression(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    /* The event's server has a clock that is an hour ahead. */
    int64_t time = time_of(LAST) + 3600 * SECOND_US;
    sequence_connected(&sequence, false, time_of(LAST));
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(sequence_observe(&sequence, LAST, time, time), SEQUENCE_DUPLICATE);
    }
}

static void a_replay_with_some_clocks_ahead_is_no_regression(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    sequence_connected(&sequence, false, time_of(LAST));
    for (int64_t n = LAST - 90; n <= LAST; n++) {
        int64_t skew = n % 2 == 0 ? 86400 * SECOND_US : 0;
        assert_int_equal(sequence_observe(&sequence, n, time_of(n) + skew, time_of(LAST)),
                         SEQUENCE_DUPLICATE);
    }
}

/* Live events of a relay that counts from 1 again; returns how many passed as duplicates. */
static int count_until_alarm(struct sequence *sequence, int64_t from_us)
{
    sequence_connected(sequence, false, from_us);
    for (int i = 1; i <= 1000; i++) {
        int64_t now = from_us + i * SECOND_US;
        /* One in ten comes from a server that is hours behind. */
        int64_t time = i % 10 == 0 ? now - 7200 * SECOND_US : now;
        if (sequence_observe(sequence, i, time, now) == SEQUENCE_REGRESSION) {
            return i - 1;
        }
    }
    return -1;
}

static void new_events_under_old_numbers_are_a_regression_within_twenty(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    assert_in_range(count_until_alarm(&sequence, time_of(LAST) + 600 * SECOND_US), 15, 20);
    assert_int_equal(sequence_lowest(&sequence), 1);
    assert_int_equal(sequence.last, LAST);
}

static void a_reset_a_moment_after_our_last_event_is_seen_a_minute_later(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    assert_in_range(count_until_alarm(&sequence, time_of(LAST)), 40, 90);
}

static void after_a_restart_our_own_clock_is_the_reference(void **state)
{
    (void)state;
    struct sequence sequence;
    sequence_init(&sequence, LAST);
    assert_in_range(count_until_alarm(&sequence, time_of(LAST)), 60, 90);
    sequence_init(&sequence, LAST);
    sequence_connected(&sequence, false, time_of(LAST));
    for (int64_t n = 1; n <= 1000; n++) {
        assert_int_equal(sequence_observe(&sequence, n, time_of(n), time_of(LAST)),
                         SEQUENCE_DUPLICATE);
    }
}

static void without_times_ten_minutes_below_are_a_regression(void **state)
{
    (void)state;
    struct sequence sequence;
    enum sequence_verdict verdict = SEQUENCE_DUPLICATE;
    sequence_init(&sequence, LAST);
    sequence_connected(&sequence, false, START_US);
    for (int i = 1; i <= 600; i++) {
        assert_int_equal(sequence_observe(&sequence, i, 0, START_US + i * SECOND_US),
                         SEQUENCE_DUPLICATE);
    }
    for (int i = 601; i <= 620; i++) {
        verdict = sequence_observe(&sequence, i, 0, START_US + i * SECOND_US);
    }
    assert_int_equal(verdict, SEQUENCE_REGRESSION);
}

static void a_sequence_over_the_last_ends_the_alarm(void **state)
{
    (void)state;
    struct sequence sequence;
    take_up_to_last(&sequence);
    assert_int_not_equal(count_until_alarm(&sequence, time_of(LAST) + 600 * SECOND_US), -1);
    assert_int_equal(sequence_observe(&sequence, LAST + 1, 0, 0), SEQUENCE_NEXT);
    assert_int_equal(sequence_observe(&sequence, LAST, 0, 0), SEQUENCE_DUPLICATE);
}

static void times_are_read_with_fractions_and_offsets(void **state)
{
    (void)state;
    assert_int_equal(sequence_parse_time(SLICE("1970-01-01T00:00:01Z")), 1000000);
    assert_int_equal(sequence_parse_time(SLICE("1970-01-01T00:00:01.5Z")), 1500000);
    assert_int_equal(sequence_parse_time(SLICE("1970-01-01T01:00:01.0000019+01:00")), 1000001);
    assert_int_equal(sequence_parse_time(SLICE("1969-12-31T23:00:01-01:00")), 1000000);
    assert_int_equal(sequence_parse_time(SLICE("2026-07-04T14:38:00.123Z")), 1783175880123000);
    assert_int_equal(sequence_parse_time(SLICE("yesterday")), 0);
    assert_int_equal(sequence_parse_time(SLICE("2026-13-04T14:38:00Z")), 0);
    assert_int_equal(sequence_parse_time(SLICE("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_sequences_are_next_and_holes_are_counted),
        cmocka_unit_test(the_first_of_a_connection_over_the_cursor_is_a_gap_but_not_live),
        cmocka_unit_test(without_a_position_any_sequence_is_next),
        cmocka_unit_test(a_replay_of_any_length_is_never_a_regression),
        cmocka_unit_test(an_inclusive_cursor_repeated_for_ever_is_never_a_regression),
        cmocka_unit_test(a_replay_with_some_clocks_ahead_is_no_regression),
        cmocka_unit_test(new_events_under_old_numbers_are_a_regression_within_twenty),
        cmocka_unit_test(a_reset_a_moment_after_our_last_event_is_seen_a_minute_later),
        cmocka_unit_test(after_a_restart_our_own_clock_is_the_reference),
        cmocka_unit_test(without_times_ten_minutes_below_are_a_regression),
        cmocka_unit_test(a_sequence_over_the_last_ends_the_alarm),
        cmocka_unit_test(times_are_read_with_fractions_and_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
