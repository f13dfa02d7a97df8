#include "http/pace.h"

#include "base/clock.h"
#include "unit/test.h"

static void work_ms(struct pace *pace, unsigned milliseconds)
{
    pace_begin(pace);
    pace_begin(pace); /* within another */
    clock_test_advance_ms(milliseconds);
    pace_end(pace);
    pace_end(pace);
}

static void a_burst_is_never_held_up(void **state)
{
    (void)state;
    struct pace pace = {0};
    clock_test_freeze(0);
    work_ms(&pace, 5);
    assert_false(pace_is_over(&pace));
    work_ms(&pace, 1);
    assert_true(pace_is_over(&pace));
    assert_int_equal(pace.busy_us, 6000);
}

static void what_was_too_much_is_paid_for_by_waiting(void **state)
{
    (void)state;
    struct pace pace = {0};
    clock_test_freeze(0);
    work_ms(&pace, 15);
    clock_test_advance_ms(100);
    assert_true(pace_is_over(&pace));
    clock_test_advance_ms(150); /* 5 % of it have run off: 12.5 of 15 */
    assert_false(pace_is_over(&pace));
}

static void a_thread_that_gets_no_turn_has_not_worked(void **state)
{
    (void)state;
    struct pace pace = {0};
    clock_test_freeze(0);
    pace_begin(&pace);
    clock_test_preempt_ms(1000);
    clock_test_advance_ms(5);
    pace_end(&pace);
    assert_false(pace_is_over(&pace));
    assert_int_equal(pace.busy_us, 5000);
}

static void looking_often_loses_no_time(void **state)
{
    (void)state;
    struct pace pace = {0};
    clock_test_freeze(0);
    work_ms(&pace, 6);
    for (unsigned i = 0; i < 30; i++) {
        clock_test_advance_ms(1);
        (void)pace_is_over(&pace);
    }
    assert_false(pace_is_over(&pace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_never_held_up),
        cmocka_unit_test(what_was_too_much_is_paid_for_by_waiting),
        cmocka_unit_test(a_thread_that_gets_no_turn_has_not_worked),
        cmocka_unit_test(looking_often_loses_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
