#include "runtime/alerts.h"

#include <string.h>

#include "base/clock.h"
#include "unit/test.h"

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define DAY_US INT64_C(86400000000)

static const struct config_alerts limits = {
    .interval_ms = 10000,
    .depth_warning = 100,
    .depth_critical = 250,
    .lag_warning_ms = 60000,
    .stall_warning_ms = 60000,
};

static struct alerts alerts;
static struct metrics_snapshot figures;
static uint64_t now_ms;

static int setup(void **state)
{
    (void)state;
    memset(&alerts, 0, sizeof(alerts));
    memset(&figures, 0, sizeof(figures));
    clock_test_freeze(NOW_US);
    now_ms = 1000;
    figures.now_us = NOW_US;
    figures.started_us = NOW_US;
    figures.stream.is_known = true;
    figures.relay.url = "wss://relay.example";
    figures.relay.is_leader = true;
    figures.relay.is_connected = true;
    figures.relay.connected_ms = 3600000;
    return 0;
}

static void check_after(uint64_t milliseconds)
{
    now_ms += milliseconds;
    alerts_check(&alerts, &limits, &figures, now_ms);
}

static enum alert_severity of_backlog(uint64_t entries)
{
    figures.stream.pending = entries / 2;
    figures.stream.undelivered = entries - entries / 2;
    check_after(limits.interval_ms);
    return alerts.states[ALERT_BACKLOG].severity;
}

static void a_threshold_is_crossed_only_above_it(void **state)
{
    (void)state;
    assert_int_equal(of_backlog(100), ALERT_NONE);
    assert_int_equal(of_backlog(101), ALERT_WARNING);
    assert_int_equal(of_backlog(250), ALERT_WARNING);
    assert_int_equal(of_backlog(251), ALERT_CRITICAL);
}

static void a_figure_that_trembles_keeps_its_alert(void **state)
{
    (void)state;
    assert_int_equal(of_backlog(251), ALERT_CRITICAL);
    assert_int_equal(of_backlog(226), ALERT_CRITICAL);
    assert_int_equal(of_backlog(225), ALERT_WARNING);
    assert_int_equal(of_backlog(91), ALERT_WARNING);
    assert_int_equal(of_backlog(90), ALERT_NONE);
    assert_int_equal(of_backlog(95), ALERT_NONE);
}

static void the_figures_are_checked_once_an_interval(void **state)
{
    (void)state;
    assert_int_equal(of_backlog(10), ALERT_NONE);
    figures.stream.pending = 300;
    check_after(limits.interval_ms - 1);
    assert_int_equal(alerts.states[ALERT_BACKLOG].severity, ALERT_NONE);
    check_after(1);
    assert_int_equal(alerts.states[ALERT_BACKLOG].severity, ALERT_CRITICAL);
}

static void a_shorter_interval_counts_at_once(void **state)
{
    (void)state;
    struct config_alerts shorter = limits;
    shorter.interval_ms = 500;
    assert_int_equal(of_backlog(10), ALERT_NONE);
    figures.stream.pending = 300;
    now_ms += 499;
    alerts_check(&alerts, &shorter, &figures, now_ms);
    assert_int_equal(alerts.states[ALERT_BACKLOG].severity, ALERT_NONE);
    now_ms += 1;
    alerts_check(&alerts, &shorter, &figures, now_ms);
    assert_int_equal(alerts.states[ALERT_BACKLOG].severity, ALERT_CRITICAL);
}

static void a_standing_alert_is_repeated_every_minute(void **state)
{
    (void)state;
    (void)of_backlog(300);
    uint64_t next = alerts.states[ALERT_BACKLOG].next_line_ms;
    assert_int_equal(next, now_ms + 60000);
    for (int i = 0; i < 5; i++) {
        (void)of_backlog(300 + (uint64_t)i);
        assert_int_equal(alerts.states[ALERT_BACKLOG].next_line_ms, next);
    }
    (void)of_backlog(300);
    assert_true(alerts.states[ALERT_BACKLOG].next_line_ms > next);
}

static void an_alert_says_figure_and_threshold_in_words(void **state)
{
    (void)state;
    (void)of_backlog(1234567);
    assert_string_equal(alerts.states[ALERT_BACKLOG].text,
                        "1,234,567 entries are not yet acknowledged, over 250");
    (void)of_backlog(0);
    assert_string_equal(alerts.states[ALERT_BACKLOG].text, "0 entries are not yet acknowledged");
}

static void what_is_not_known_ends_no_alert_and_starts_none(void **state)
{
    (void)state;
    (void)of_backlog(300);
    figures.stream.is_known = false;
    assert_int_equal(of_backlog(0), ALERT_CRITICAL);
    figures.stream.is_known = true;
    assert_int_equal(of_backlog(0), ALERT_NONE);
    figures.stream.is_known = false;
    assert_int_equal(of_backlog(300), ALERT_NONE);
}

static enum alert_severity of_lag(int64_t since_commit_us, uint64_t event_lag_us, uint64_t backlog)
{
    figures.sink.last_commit_us = NOW_US - since_commit_us;
    figures.sink.event_lag_us = event_lag_us;
    figures.stream.pending = backlog;
    check_after(limits.interval_ms);
    return alerts.states[ALERT_LAG].severity;
}

static void the_lag_grows_while_nothing_commits_and_ends_when_all_is_drained(void **state)
{
    (void)state;
    assert_int_equal(of_lag(0, 60000000, 1), ALERT_NONE);
    assert_int_equal(of_lag(1000000, 60000000, 1), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_LAG].text,
                        "PostgreSQL is 61.0 s behind the relay, over 60.0 s");
    assert_int_equal(of_lag(1000000, 90000000, 0), ALERT_WARNING);
    assert_int_equal(of_lag(10000000, 90000000, 0), ALERT_NONE);
    assert_int_equal(of_lag(120000000, 0, 5), ALERT_WARNING);
}

static void after_a_start_the_lag_is_that_of_the_entry_that_waits_longest(void **state)
{
    (void)state;
    assert_int_equal(of_lag(NOW_US, 0, 5), ALERT_NONE); /* no commit, no time: not known */
    assert_string_equal(alerts.states[ALERT_LAG].text, "");
    figures.stream.oldest_event_us = NOW_US - INT64_C(3) * 3600 * 1000000;
    assert_int_equal(of_lag(NOW_US, 0, 5), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_LAG].text,
                        "PostgreSQL is 3 h behind the relay, over 60.0 s");
    figures.stream.oldest_event_us = 0;
    assert_int_equal(of_lag(NOW_US, 0, 5), ALERT_WARNING);
    assert_int_equal(of_lag(NOW_US, 0, 0), ALERT_NONE);
}

static void one_event_after_a_quiet_hour_is_no_lag_of_an_hour(void **state)
{
    (void)state;
    figures.stream.oldest_event_us = NOW_US - 500000;
    assert_int_equal(of_lag(INT64_C(3600000000), 0, 1), ALERT_NONE);
    figures.stream.oldest_event_us = NOW_US + 500000; /* no event is of later than now */
    assert_int_equal(of_lag(INT64_C(3600000000), 0, 1), ALERT_WARNING);
}

static enum alert_severity of_silence(uint64_t for_ms)
{
    check_after(for_ms);
    return alerts.states[ALERT_RELAY_STALLED].severity;
}

static void a_relay_that_is_connected_and_sends_nothing_has_stalled(void **state)
{
    (void)state;
    assert_int_equal(of_silence(10000), ALERT_NONE);
    assert_int_equal(of_silence(60000), ALERT_NONE);
    assert_int_equal(of_silence(10000), ALERT_WARNING);
    figures.relay.is_connected = false; /* it is connected anew, and silent again */
    assert_int_equal(of_silence(10000), ALERT_WARNING);
    figures.relay.frames++;
    figures.relay.is_connected = true;
    assert_int_equal(of_silence(10000), ALERT_NONE);
}

static void silence_counts_from_the_connection_and_not_over_an_outage(void **state)
{
    (void)state;
    assert_int_equal(of_silence(10000), ALERT_NONE);
    figures.relay.is_connected = false;
    figures.relay.connected_ms = 0;
    assert_int_equal(of_silence(100000), ALERT_NONE);
    figures.relay.is_connected = true;
    figures.relay.connected_ms = 450;
    assert_int_equal(of_silence(10000), ALERT_NONE);
    figures.relay.connected_ms = 60001;
    assert_int_equal(of_silence(59551), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_STALLED].text,
                        "the relay is connected and has sent nothing for 60.0 s, over 60.0 s");
}

static void a_relay_that_is_not_read_has_not_stalled(void **state)
{
    (void)state;
    (void)of_silence(10000);
    figures.relay.is_paused[PAUSE_DEPTH] = true;
    assert_int_equal(of_silence(100000), ALERT_NONE);
    figures.relay.is_paused[PAUSE_DEPTH] = false;
    assert_int_equal(of_silence(59000), ALERT_NONE);
    figures.relay.is_leader = false;
    assert_int_equal(of_silence(100000), ALERT_NONE);
}

static enum alert_severity of_gaps(uint64_t missing, uint64_t after_ms)
{
    figures.relay.gaps = missing;
    check_after(after_ms);
    return alerts.states[ALERT_RELAY_GAPS].severity;
}

static void a_counter_alerts_while_it_grows_and_calms_down_after_ten_minutes(void **state)
{
    (void)state;
    assert_int_equal(of_gaps(0, 10000), ALERT_NONE);
    assert_int_equal(of_gaps(5, 10000), ALERT_WARNING);
    assert_int_equal(of_gaps(1005, 500000), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_GAPS].text, "the relay left out 1,005 sequences");
    assert_int_equal(of_gaps(1005, 590000), ALERT_WARNING);
    assert_int_equal(of_gaps(1005, 10000), ALERT_NONE);
    assert_int_equal(of_gaps(1006, 10000), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_GAPS].text, "the relay left out 1 sequences");
}

static void what_was_counted_before_the_first_check_has_grown_since_the_start(void **state)
{
    (void)state;
    figures.intake.dead = 3;
    assert_int_equal(of_gaps(990, 10000), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_GAPS].text, "the relay left out 990 sequences");
    assert_string_equal(alerts.states[ALERT_DEAD_LETTERS].text,
                        "3 new dead letters: see `standpipe dead list`");
}

static void a_counter_that_nobody_keeps_for_a_moment_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(of_gaps(990, 10000), ALERT_WARNING);
    assert_int_equal(of_gaps(990, 600000), ALERT_NONE);
    figures.relay.url = NULL; /* a reload has closed the ingester */
    assert_int_equal(of_gaps(0, 10000), ALERT_NONE);
    figures.relay.url = "wss://relay.example";
    assert_int_equal(of_gaps(990, 10000), ALERT_NONE);
    figures.relay.url = NULL;
    assert_int_equal(of_gaps(0, 10000), ALERT_NONE);
    figures.relay.url = "wss://relay.example";
    assert_int_equal(of_gaps(991, 10000), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_GAPS].text, "the relay left out 1 sequences");
}

static void a_counter_that_went_down_counts_on_from_there(void **state)
{
    (void)state;
    assert_int_equal(of_gaps(990, 10000), ALERT_WARNING);
    assert_int_equal(of_gaps(7, 10000), ALERT_NONE);
    assert_int_equal(of_gaps(9, 10000), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_GAPS].text, "the relay left out 2 sequences");
}

static void dead_letters_of_frames_and_of_rows_both_count(void **state)
{
    (void)state;
    figures.intake.dead = 2;
    figures.sink.table_count = 1;
    figures.sink.tables[0].rows[ROW_DEAD] = 3;
    check_after(10000);
    assert_int_equal(alerts.states[ALERT_DEAD_LETTERS].severity, ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_DEAD_LETTERS].text,
                        "5 new dead letters: see `standpipe dead list`");
}

static void a_refused_reload_alerts_until_one_is_taken(void **state)
{
    (void)state;
    figures.reload.was_refused = true;
    check_after(10000);
    assert_int_equal(alerts.states[ALERT_RELOAD_FAILED].severity, ALERT_WARNING);
    figures.reload.was_refused = false;
    check_after(10000);
    assert_int_equal(alerts.states[ALERT_RELOAD_FAILED].severity, ALERT_NONE);
    assert_string_equal(alerts.states[ALERT_RELOAD_FAILED].text, "the configuration was reloaded");
}

static enum alert_severity of_certificate(int64_t left_us)
{
    figures.relay.certificate_expiry_us = NOW_US + left_us;
    check_after(limits.interval_ms);
    return alerts.states[ALERT_RELAY_CERTIFICATE].severity;
}

static void a_certificate_near_its_end_says_how_many_days_are_left(void **state)
{
    (void)state;
    assert_int_equal(of_certificate(7 * DAY_US), ALERT_NONE);
    assert_int_equal(of_certificate(6 * DAY_US), ALERT_WARNING);
    assert_string_equal(alerts.states[ALERT_RELAY_CERTIFICATE].text,
                        "the relay's certificate ends in 6 days, under 7 days");
    assert_int_equal(of_certificate(DAY_US / 2), ALERT_CRITICAL);
    assert_int_equal(of_certificate(-DAY_US), ALERT_CRITICAL);
    figures.relay.certificate_expiry_us = 0; /* not connected: not known */
    check_after(limits.interval_ms);
    assert_int_equal(alerts.states[ALERT_RELAY_CERTIFICATE].severity, ALERT_CRITICAL);
    assert_int_equal(of_certificate(90 * DAY_US), ALERT_NONE);
}

static void every_alert_has_a_name_on_the_pages(void **state)
{
    (void)state;
    (void)of_backlog(300);
    alerts_fill(&alerts, &figures);
    assert_int_equal(figures.alert_count, ALERT_COUNT);
    assert_string_equal(figures.alerts[ALERT_BACKLOG].name, "backlog");
    assert_int_equal(figures.alerts[ALERT_BACKLOG].severity, ALERT_CRITICAL);
    assert_int_equal(figures.alerts[ALERT_BACKLOG].since_us, NOW_US);
    for (unsigned i = 0; i < figures.alert_count; i++) {
        assert_non_null(figures.alerts[i].name);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_threshold_is_crossed_only_above_it),
        TEST(a_figure_that_trembles_keeps_its_alert),
        TEST(the_figures_are_checked_once_an_interval),
        TEST(a_shorter_interval_counts_at_once),
        TEST(a_standing_alert_is_repeated_every_minute),
        TEST(an_alert_says_figure_and_threshold_in_words),
        TEST(what_is_not_known_ends_no_alert_and_starts_none),
        TEST(the_lag_grows_while_nothing_commits_and_ends_when_all_is_drained),
        TEST(after_a_start_the_lag_is_that_of_the_entry_that_waits_longest),
        TEST(one_event_after_a_quiet_hour_is_no_lag_of_an_hour),
        TEST(a_relay_that_is_connected_and_sends_nothing_has_stalled),
        TEST(silence_counts_from_the_connection_and_not_over_an_outage),
        TEST(a_relay_that_is_not_read_has_not_stalled),
        TEST(a_counter_alerts_while_it_grows_and_calms_down_after_ten_minutes),
        TEST(what_was_counted_before_the_first_check_has_grown_since_the_start),
        TEST(a_counter_that_nobody_keeps_for_a_moment_changes_nothing),
        TEST(a_counter_that_went_down_counts_on_from_there),
        TEST(dead_letters_of_frames_and_of_rows_both_count),
        TEST(a_refused_reload_alerts_until_one_is_taken),
        TEST(a_certificate_near_its_end_says_how_many_days_are_left),
        TEST(every_alert_has_a_name_on_the_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
