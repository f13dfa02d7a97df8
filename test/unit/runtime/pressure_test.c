#include "runtime/pressure.h"

#include "base/clock.h"
#include "stream/stream_monitor.h"
#include "unit/test.h"

static const struct pressure_limits limits = {.max_backlog = 1000, .max_backlog_bytes = 1 << 20};

static void reading_goes_on_only_when_the_last_reason_is_gone(void **state)
{
    (void)state;
    struct pressure pressure = {0};
    assert_true(pressure_raise(&pressure, PRESSURE_WRITER));
    assert_false(pressure_raise(&pressure, PRESSURE_REDIS));
    assert_false(pressure_lower(&pressure, PRESSURE_WRITER));
    assert_true(pressure_lower(&pressure, PRESSURE_REDIS));
    assert_false(pressure_lower(&pressure, PRESSURE_REDIS));
    assert_string_equal(pressure_name(&pressure), "none");
}

static void a_deep_backlog_pauses_at_its_limit_and_resumes_under_four_fifths(void **state)
{
    (void)state;
    struct pressure pressure = {0};
    struct stream_depth depth = {.backlog = 999, .length = 999};
    assert_false(pressure_is_deep(&pressure, &limits, &depth));
    depth.backlog = 1000;
    assert_true(pressure_is_deep(&pressure, &limits, &depth));
    (void)pressure_raise(&pressure, PRESSURE_DEPTH);
    depth.backlog = 800;
    assert_true(pressure_is_deep(&pressure, &limits, &depth));
    depth.backlog = 799;
    assert_false(pressure_is_deep(&pressure, &limits, &depth));
}

static void the_backlog_s_share_of_memory_counts_in_bytes(void **state)
{
    (void)state;
    struct pressure pressure = {0};
    struct stream_depth depth = {.backlog = 10, .length = 20, .used_memory = 3 << 20};
    assert_true(pressure_is_deep(&pressure, &limits, &depth));
    depth.length = 200;
    assert_false(pressure_is_deep(&pressure, &limits, &depth));
}

static void memory_pauses_at_85_percent_of_maxmemory(void **state)
{
    (void)state;
    struct pressure pressure = {0};
    struct stream_depth depth = {.max_memory = 1000, .used_memory = 849};
    assert_false(pressure_is_deep(&pressure, &limits, &depth));
    depth.used_memory = 850;
    assert_true(pressure_is_deep(&pressure, &limits, &depth));
}

static void the_time_of_pauses_adds_up(void **state)
{
    (void)state;
    struct pressure pressure = {0};
    clock_test_freeze(1);
    (void)pressure_raise(&pressure, PRESSURE_REDIS);
    clock_test_advance_ms(5);
    (void)pressure_raise(&pressure, PRESSURE_WRITER);
    clock_test_advance_ms(5);
    assert_int_equal(pressure_paused_us(&pressure), 10000);
    pressure_clear(&pressure);
    clock_test_advance_ms(5);
    assert_int_equal(pressure_paused_us(&pressure), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_goes_on_only_when_the_last_reason_is_gone),
        cmocka_unit_test(a_deep_backlog_pauses_at_its_limit_and_resumes_under_four_fifths),
        cmocka_unit_test(the_backlog_s_share_of_memory_counts_in_bytes),
        cmocka_unit_test(memory_pauses_at_85_percent_of_maxmemory),
        cmocka_unit_test(the_time_of_pauses_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
