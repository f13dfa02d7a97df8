/* Clock and backoff: time that can be moved, waits that are spread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"
#include "base/clock.h"

static void times_are_written_as_rfc_3339_in_utc(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_format_rfc3339(1709210096789999LL, text);
    assert_string_equal(text, "2024-02-29T12:34:56.789Z");
    clock_format_rfc3339(253402300799999999LL, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void the_monotonic_clock_never_runs_backwards(void **state)
{
    (void)state;
    uint64_t last = clock_monotonic_us();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_monotonic_us();
        assert_true(now >= last);
        last = now;
    }
}

static void a_frozen_clock_moves_only_when_it_is_told_to(void **state)
{
    (void)state;
    clock_test_freeze(5000000);
    uint64_t start_ms = clock_monotonic_ms();
    assert_int_equal(clock_wall_us(), 5000000);
    assert_int_equal(clock_monotonic_ms(), start_ms);
    clock_test_advance_ms(1500);
    assert_int_equal(clock_wall_ms(), 6500);
    assert_int_equal(clock_monotonic_ms(), start_ms + 1500);
}

static void a_wait_is_at_least_one_and_at_most_the_doubled_base(void **state)
{
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct backoff backoff = {.base_ms = 100, .limit_ms = 1000};
        static const uint64_t ceilings[] = {100, 200, 400, 800, 1000, 1000};
        for (size_t i = 0; i < 6; i++) {
            uint64_t wait_ms = backoff_next_ms(&backoff);
            assert_in_range(wait_ms, 1, ceilings[i]);
        }
    }
}

static void waits_are_spread_over_the_whole_range(void **state)
{
    (void)state;
    enum {
        DRAWS = 10000,
        BUCKETS = 10
    };
    int buckets[BUCKETS] = {0};
    for (int i = 0; i < DRAWS; i++) {
        struct backoff backoff = {.base_ms = 1000, .limit_ms = 1000};
        buckets[(backoff_next_ms(&backoff) - 1) / 100]++;
    }
    for (int i = 0; i < BUCKETS; i++) { /* 1,000 expected; 30 is one standard deviation */
        assert_in_range(buckets[i], 700, 1300);
    }
}

static void a_wait_stays_within_its_limit_after_any_number_of_attempts(void **state)
{
    (void)state;
    struct backoff backoff = {.base_ms = 1000, .limit_ms = 30000, .attempts = 4000000000U};
    assert_in_range(backoff_next_ms(&backoff), 1, 30000);
    backoff_reset(&backoff);
    assert_int_equal(backoff.attempts, 0);
    assert_in_range(backoff_next_ms(&backoff), 1, 1000);
    assert_int_equal(backoff.attempts, 1);
}

static void a_backoff_of_nothing_still_waits_a_millisecond(void **state)
{
    (void)state;
    struct backoff backoff = {0};
    assert_int_equal(backoff_next_ms(&backoff), 1);
}

static void random_bits_differ_and_use_every_position(void **state)
{
    (void)state;
    uint64_t ones = 0;
    uint64_t zeros = 0;
    for (int i = 0; i < 64; i++) {
        uint64_t bits = random_bits();
        ones |= bits;
        zeros |= ~bits;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_written_as_rfc_3339_in_utc),
        cmocka_unit_test(the_monotonic_clock_never_runs_backwards),
        cmocka_unit_test(a_frozen_clock_moves_only_when_it_is_told_to),
        cmocka_unit_test(a_wait_is_at_least_one_and_at_most_the_doubled_base),
        cmocka_unit_test(waits_are_spread_over_the_whole_range),
        cmocka_unit_test(a_wait_stays_within_its_limit_after_any_number_of_attempts),
        cmocka_unit_test(a_backoff_of_nothing_still_waits_a_millisecond),
        cmocka_unit_test(random_bits_differ_and_use_every_position),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
