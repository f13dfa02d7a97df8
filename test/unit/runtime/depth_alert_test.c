#include "runtime/depth_alert.h"
#include "unit/test.h"

static const struct config_alerts limits = {
    .interval_ms = 10000, .depth_warning = 100, .depth_critical = 250};

static void a_threshold_is_crossed_only_above_it(void **state)
{
    (void)state;
    assert_int_equal(depth_level_of(&limits, 100), DEPTH_FINE);
    assert_int_equal(depth_level_of(&limits, 101), DEPTH_WARNING);
    assert_int_equal(depth_level_of(&limits, 251), DEPTH_CRITICAL);
}

static void the_depth_is_checked_once_an_interval(void **state)
{
    (void)state;
    struct depth_alert alert = {0};
    depth_alert_note(&alert, &limits, 10, 1);
    depth_alert_note(&alert, &limits, 300, 5000);
    assert_int_equal(alert.level, DEPTH_FINE);
    depth_alert_note(&alert, &limits, 300, 10001);
    assert_int_equal(alert.level, DEPTH_CRITICAL);
}

static void a_standing_alert_is_repeated_every_minute(void **state)
{
    (void)state;
    struct depth_alert alert = {0};
    depth_alert_note(&alert, &limits, 300, 1);
    uint64_t first = alert.next_repeat_ms;
    depth_alert_note(&alert, &limits, 300, 10001);
    assert_int_equal(alert.next_repeat_ms, first);
    depth_alert_note(&alert, &limits, 300, first);
    assert_true(alert.next_repeat_ms > first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_is_crossed_only_above_it),
        cmocka_unit_test(the_depth_is_checked_once_an_interval),
        cmocka_unit_test(a_standing_alert_is_repeated_every_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
