/* The metrics page: its format, its table, its figures, and the documentation that comes from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/metrics.h"
#include "unit/http/exposition.h"
#include "unit/http/sample.h"

static struct buffer page_of(const struct metrics_snapshot *snapshot)
{
    struct buffer page = {0};
    metrics_page(&page, snapshot);
    buffer_append_byte(&page, '\0');
    page.size--;
    return page;
}

static void expect_line(const struct buffer *page, const char *line)
{
    char wanted[256];
    (void)snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    if (strstr(page->data, wanted) == NULL) {
        fail_msg("missing: %s", line);
    }
}

static void expect_absent(const struct buffer *page, const char *start)
{
    if (strstr(page->data, start) != NULL) {
        fail_msg("not known, but shown: %s", start);
    }
}

static void check(const struct metrics_snapshot *snapshot)
{
    char problem[1024];
    struct buffer page = page_of(snapshot);
    if (!exposition_check(buffer_slice(&page), problem, sizeof(problem))) {
        fail_msg("%s", problem);
    }
    buffer_deinit(&page);
}

static void the_page_is_well_formed_whether_figures_are_known_or_not(void **state)
{
    (void)state;
    check(sample_snapshot());
    check(sample_empty());
    struct metrics_snapshot *many = sample_snapshot();
    many->worker_count = 100;
    check(many);
}

static void the_checker_itself_finds_what_is_wrong(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a 1\n",
        "# HELP a b\n# TYPE a gauge\na 1",
        "# HELP a b\n# TYPE a counter\na 1\n",
        "# HELP a b\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a b\n# TYPE a gauge\nb 1\n",
        "# HELP a b\n# TYPE a gauge\na x\n",
        "# HELP a b\n# TYPE a gauge\na{l=\"x} 1\n",
        "# HELP a b\n# TYPE a gauge\na{l=\"\\x\"} 1\n",
        "# HELP a b\n# TYPE a gauge\n# HELP a b\n# TYPE a gauge\n",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n",
        "# HELP a b\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 2\n",
    };
    char problem[1024];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(exposition_check(slice_from_string(bad[i]), problem, sizeof(problem)));
    }
}

static void every_figure_stands_under_its_name_in_base_units(void **state)
{
    (void)state;
    struct buffer page = page_of(sample_snapshot());
    expect_line(&page, "standpipe_build_info{version=\"1.2.3\"} 1");
    expect_line(&page, "standpipe_relay_connected 1");
    expect_line(&page, "standpipe_relay_frames_total 1001");
    expect_line(&page, "standpipe_relay_bytes_total 1002");
    expect_line(&page, "standpipe_relay_reconnects_total 3");
    expect_line(&page, "standpipe_relay_gaps_total 4");
    expect_line(&page, "standpipe_relay_sequence 9007199254740991");
    expect_line(&page, "standpipe_relay_paused{reason=\"redis\"} 1");
    expect_line(&page, "standpipe_relay_paused{reason=\"writer\"} 0");
    expect_line(&page, "standpipe_relay_paused{reason=\"dead_letters\"} 0");
    expect_line(&page, "standpipe_relay_stopped 1");
    expect_line(&page, "standpipe_relay_paused_seconds_total 1.5");
    expect_line(&page, "standpipe_relay_last_event_timestamp_seconds 1767225599.75");
    expect_line(&page, "standpipe_relay_certificate_expiry_timestamp_seconds 1767312000");
    expect_line(&page, "standpipe_decode_errors_total{reason=\"car\"} 5");
    expect_line(&page, "standpipe_appended_events_total 900");
    expect_line(&page, "standpipe_duplicate_events_total 50");
    expect_line(&page, "standpipe_filtered_events_total 30");
    expect_line(&page, "standpipe_stream_entries 5000");
    expect_line(&page, "standpipe_stream_backlog_entries{state=\"pending\"} 300");
    expect_line(&page, "standpipe_stream_backlog_entries{state=\"undelivered\"} 70");
    expect_line(&page, "standpipe_stream_lag_known 1");
    expect_line(&page, "standpipe_stream_oldest_pending_seconds 1.25");
    expect_line(&page, "standpipe_stream_trimmed_unread_entries_total 0");
    expect_line(&page, "standpipe_queued_sequence 9007199254740990");
    expect_line(&page, "standpipe_committed_sequence 9007199254740900");
    expect_line(&page, "standpipe_dead_letters 12");
    expect_line(&page, "standpipe_committed_entries_total{type=\"commit\"} 77");
    expect_line(&page, "standpipe_rows_total{table=\"records\",outcome=\"unchanged\"} 2");
    expect_line(&page, "standpipe_rows_total{table=\"od\\\"d\\\\\\n\",outcome=\"dead\"} 8");
    expect_line(&page, "standpipe_lane_wait_seconds_total 2.75");
    expect_line(&page, "standpipe_lane_bypasses_total 11");
    expect_line(&page, "standpipe_postgres_errors_total{class=\"23\"} 9");
    expect_line(&page, "standpipe_last_commit_timestamp_seconds 1767225599.999999");
    expect_line(&page, "standpipe_worker_loop_lag_seconds{worker=\"2\"} 0.001002");
    expect_line(&page, "standpipe_ledger_ops_total{outcome=\"written\"} 400");
    expect_line(&page, "standpipe_ledger_unexplained_events{side=\"intake\"} 0");
    expect_line(&page, "standpipe_ledger_unexplained_events{side=\"stream\"} 0");
    expect_line(&page, "standpipe_config_last_reload_successful 1");
    expect_line(&page, "standpipe_alert_active{alert=\"quiet\"} 0");
    expect_line(&page, "standpipe_alert_active{alert=\"lag\"} 1");
    expect_line(&page, "standpipe_ingest_leader 1");
    buffer_deinit(&page);
}

static void histograms_are_cumulative_and_in_base_units(void **state)
{
    (void)state;
    struct buffer page = page_of(sample_snapshot());
    expect_line(&page, "standpipe_batch_rows_bucket{le=\"200\"} 0");
    expect_line(&page, "standpipe_batch_rows_bucket{le=\"500\"} 1");
    expect_line(&page, "standpipe_batch_rows_bucket{le=\"+Inf\"} 2");
    expect_line(&page, "standpipe_batch_rows_sum 9300");
    expect_line(&page, "standpipe_batch_rows_count 2");
    expect_line(&page, "standpipe_commit_seconds_bucket{le=\"0.001\"} 0");
    expect_line(&page, "standpipe_commit_seconds_bucket{le=\"0.0025\"} 1");
    expect_line(&page, "standpipe_commit_seconds_sum 0.0025");
    expect_line(&page, "standpipe_event_to_commit_seconds_bucket{le=\"1\"} 1");
    expect_line(&page, "standpipe_event_to_commit_seconds_bucket{le=\"3600\"} 1");
    buffer_deinit(&page);
}

static void what_is_not_known_is_left_out_and_never_shown_as_zero(void **state)
{
    (void)state;
    static const char *const absent[] = {
        "\nstandpipe_stream_entries ",          "\nstandpipe_stream_backlog_entries{",
        "\nstandpipe_stream_lag_known ",        "\nstandpipe_relay_sequence ",
        "\nstandpipe_committed_sequence ",      "\nstandpipe_last_commit_timestamp_seconds ",
        "\nstandpipe_relay_certificate_expiry", "\nstandpipe_ledger_",
        "\nstandpipe_commit_seconds_",          "\nprocess_",
    };
    struct buffer page = page_of(sample_empty());
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        expect_absent(&page, absent[i]);
    }
    expect_line(&page, "standpipe_relay_connected 0");
    buffer_deinit(&page);
}

static void every_row_of_the_table_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        assert_non_null(metric->name);
        assert_true(metric->unit != NULL && metric->unit[0] != '\0');
        assert_true(metric->help != NULL && strchr(metric->help, '\n') == NULL);
        assert_null(strpbrk(metric->help, "\\|"));
        assert_true(strncmp(metric->name, "standpipe_", 10) == 0 ||
                    strncmp(metric->name, "process_", 8) == 0);
        assert_true((metric->value == VALUE_OWN) == (metric->write != NULL));
        assert_true((metric->value == VALUE_TOTALS) == (metric->type == METRIC_HISTOGRAM));
        assert_true(metric->known_at < sizeof(struct metrics_snapshot));
    }
}

static void every_sqlstate_has_a_class(void **state)
{
    (void)state;
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class("23502")], "23");
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class("XX000")], "XX");
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class("ZZ999")], "other");
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class("2")], "other");
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class("")], "none");
    assert_string_equal(snapshot_sqlstate_classes[snapshot_sqlstate_class(NULL)], "none");
}

/* --- the documentation --------------------------------------------------------------------------- */

/* STANDPIPE_WRITE_DOCS=1 writes the file anew in place of comparing. */
static void the_documentation_is_what_the_table_says(void **state)
{
    (void)state;
    struct buffer wanted = {0};
    metrics_reference(&wanted);
    bool is_writing = getenv("STANDPIPE_WRITE_DOCS") != NULL;
    FILE *file = fopen(METRICS_DOCUMENT, is_writing ? "we" : "re");
    assert_non_null(file);
    if (is_writing) {
        assert_int_equal(fwrite(wanted.data, 1, wanted.size, file), wanted.size);
    } else {
        char *found = calloc(1, wanted.size + 2);
        assert_non_null(found);
        assert_int_equal(fread(found, 1, wanted.size + 1, file), wanted.size);
        assert_memory_equal(found, wanted.data, wanted.size);
        free(found);
    }
    assert_int_equal(fclose(file), 0);
    buffer_deinit(&wanted);
}

static void promtool_has_nothing_to_say(void **state)
{
    (void)state;
    if (system("command -v promtool >/dev/null 2>&1") != 0) {
        print_message("skipped: promtool (package prometheus) is not installed\n");
        skip();
    }
    struct buffer page = page_of(sample_snapshot());
    FILE *tool = popen("promtool check metrics", "we");
    assert_non_null(tool);
    assert_int_equal(fwrite(page.data, 1, page.size, tool), page.size);
    assert_int_equal(pclose(tool), 0);
    buffer_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_well_formed_whether_figures_are_known_or_not),
        cmocka_unit_test(the_checker_itself_finds_what_is_wrong),
        cmocka_unit_test(every_figure_stands_under_its_name_in_base_units),
        cmocka_unit_test(histograms_are_cumulative_and_in_base_units),
        cmocka_unit_test(what_is_not_known_is_left_out_and_never_shown_as_zero),
        cmocka_unit_test(every_row_of_the_table_is_whole),
        cmocka_unit_test(every_sqlstate_has_a_class),
        cmocka_unit_test(the_documentation_is_what_the_table_says),
        cmocka_unit_test(promtool_has_nothing_to_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
