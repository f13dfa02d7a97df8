/* The screen of `standpipe status`, line by line, from a page as the daemon writes it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/status_view.h"
#include "unit/test.h"

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */

static const char page[] =
    "{\"eventsProcessed\":9,\"firehoseStatus\":{\"connected\":true,"
    "\"url\":\"wss://relay.test/xrpc/com.atproto.sync.subscribeRepos\",\"currentCursor\":\"1\","
    "\"isConnected\":true,\"queueDepth\":1500,\"streamLength\":20000,\"deadLetterLength\":3},"
    "\"lastUpdate\":\"2026-01-01T00:00:00.000Z\","
    "\"ledger\":{\"received\":1234567,\"appended\":1234000,\"duplicate\":500,\"filtered\":60,"
    "\"ignored\":4,\"dead\":2,\"waiting\":1,\"committed\":1232480,\"deadEntries\":20,\"pending\":"
    "300,\"undelivered\":1200,\"ops\":{\"written\":123456789012,\"unchanged\":7,\"skipped\":0,"
    "\"dead\":1},\"unexplained\":{\"intake\":0,\"stream\":0}},"
    "\"lag\":{\"pending\":300,\"undelivered\":1200,\"behindSeconds\":1.250,\"sequence\":1234567},"
    "\"workers\":[{\"worker\":0,\"postgres\":\"ready\",\"committed\":800,\"inFlight\":200,"
    "\"loopLagSeconds\":0.002,\"heartbeatAgeSeconds\":0.100},{\"worker\":1,\"postgres\":\"away\","
    "\"committed\":700,\"inFlight\":100,\"loopLagSeconds\":0.001,\"heartbeatAgeSeconds\":%s}],"
    "\"version\":\"1.2.3\",\"startTime\":\"%s\","
    "\"process\":{\"pid\":4711,\"residentBytes\":16777216,\"cpuSeconds\":1.0},"
    "\"relay\":{\"ingests\":true,\"frames\":%d,\"reconnects\":2,\"gaps\":0,\"pausedFor\":[]},"
    "\"redis\":{\"memoryBytes\":1048576,\"memoryLimitBytes\":1073741824},"
    "\"rates\":{\"frames\":1234.5,\"bytes\":2097152,\"appended\":1,\"committed\":1200.0,"
    "\"opsWritten\":2500.0},"
    "\"alerts\":[{\"name\":\"backlog\",\"severity\":\"critical\",\"since\":"
    "\"2025-12-31T23:58:30.000Z\",\"text\":\"1,500 entries\\u001b[31m wait\"}],\"ready\":false,"
    "\"dependencies\":{"
    "\"relay\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null},"
    "\"redis\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null},"
    "\"postgres\":{\"ready\":false,\"state\":\"away\",\"reason\":\"it does not answer\","
    "\"since\":\"2025-12-31T23:59:30.000Z\"},"
    "\"schema\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null},"
    "\"backlog\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null},"
    "\"dead_letters\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null}}}\n";

static struct status_history history;
static struct status_sample sample;
static struct screen screen;

static void read_page(const char *body, size_t size)
{
    struct error error;
    assert_true(status_sample_read(&sample, slice_of(body, size), &error));
    status_history_note(&history, &sample);
}

static void note(const char *started, int frames, const char *heartbeat_age)
{
    char body[sizeof(page) + 64];
    int size = snprintf(body, sizeof(body), page, heartbeat_age, started, frames);
    read_page(body, (size_t)size);
}

static int setup(void **state)
{
    (void)state;
    memset(&history, 0, sizeof(history));
    screen_deinit(&screen);
    screen = (struct screen){.width = 80};
    clock_test_freeze(NOW_US);
    note("2025-12-31T22:00:00.000Z", 1000, "0.1");
    return 0;
}

static const char *drawn(const char *trouble, bool has_sparklines)
{
    const struct status_view view = {
        .history = &history, .trouble = trouble, .has_sparklines = has_sparklines};
    screen_clear(&screen);
    status_view_draw(&view, &screen);
    buffer_append_byte(&screen.out, '\0');
    return screen.out.data;
}

static void expect(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL) {
        fail_msg("missing `%s` in:\n%s", wanted, text);
    }
}

static void every_part_has_its_state_and_its_figures(void **state)
{
    (void)state;
    const char *text = drawn(NULL, false);
    expect(text,
           "standpipe 1.2.3  not ready: postgres away         up 2 h, process 4711, 16.0 MiB\n");
    expect(text, "critical      1,500 entries [31m wait, for 90 s\n");
    expect(text,
           "relay         ready          wss://relay.test, 2.0 MiB/s, sequence 1,234,567,~\n");
    expect(text, "redis         ready          20,000 entries, 1.0 MiB of 1.0 GiB\n");
    expect(text, "postgres      away           it does not answer, for 30 s\n");
    expect(text, "backlog       ready          300 in work, 1,200 not yet delivered\n");
    expect(text, "workers       2 alive        300 in flight, slowest loop 2 ms late\n");
    expect(text, "received      1.2k/s\n");
    expect(text, "behind        1.2 s\n");
    expect(text,
           "received       1,234,567   committed      1,232,480   written             123G\n");
    expect(text, "The ledger balances.\n");
    assert_null(strstr(text, "schema"));
    assert_null(strchr(text, '\x1b'));
}

static void no_line_is_wider_and_no_screen_higher_than_there_is_room(void **state)
{
    (void)state;
    static const struct {
        unsigned width, height;
    } sizes[] = {{80, 24}, {40, 10}, {1, 1}, {200, 60}, {13, 3}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        screen.width = sizes[i].width;
        screen.height = sizes[i].height;
        unsigned lines = 0;
        const char *text = drawn(NULL, true);
        for (const char *end = NULL; (end = strchr(text, '\n')) != NULL; text = end + 1) {
            assert_true((size_t)(end - text) <= sizes[i].width);
            lines++;
        }
        assert_true(lines <= sizes[i].height);
    }
}

static bool has_word(const char *text, const char *word, size_t size)
{
    for (const char *at = text; (at = memmem(at, strlen(at), word, size)) != NULL; at++) {
        bool begins = at == text || at[-1] == ' ' || at[-1] == '\n';
        if (begins && (at[size] == ' ' || at[size] == '\n')) {
            return true;
        }
    }
    return false;
}

static bool is_other_figure(const char *word, size_t size, const char *wide)
{
    return word[0] >= '0' && word[0] <= '9' && !has_word(wide, word, size);
}

/* Of `narrow`, each word that begins with a digit stands in `wide` too. */
static void assert_no_other_figure(const char *narrow, const char *wide)
{
    static const char gaps[] = " \n~";
    for (const char *at = narrow + strspn(narrow, gaps); *at != '\0'; at += strspn(at, gaps)) {
        size_t size = strcspn(at, gaps);
        assert_case(!is_other_figure(at, size, wide), narrow);
        at += size;
    }
}

static void a_figure_that_does_not_fit_is_left_out_whole_and_the_cut_is_seen(void **state)
{
    (void)state;
    static char wide[8192];
    screen.width = 300;
    (void)snprintf(wide, sizeof(wide), "%s", drawn(NULL, false));
    for (screen.width = 1; screen.width < 120; screen.width++) {
        assert_no_other_figure(drawn(NULL, false), wide);
    }
    screen.width = 76;
    expect(drawn(NULL, false), "sequence~\n");
    expect(drawn(NULL, false), "written~\n");
    screen.width = 56; /* the age would end one column later */
    expect(drawn(NULL, false), "it does not answer, for~\n");
    screen.is_utf8 = true;
    expect(drawn(NULL, false), "it does not answer · for…\n");
}

static void colours_end_where_a_line_is_cut(void **state)
{
    (void)state;
    screen.width = 5;
    screen.is_coloured = true;
    screen_text(&screen, SCREEN_GOOD, "good");
    screen_text(&screen, SCREEN_BAD, "bad");
    screen_end_line(&screen);
    screen_text(&screen, SCREEN_GOOD, "whole");
    screen_end_line(&screen);
    buffer_append_byte(&screen.out, '\0');
    assert_string_equal(screen.out.data, "\x1b[32mgood~\x1b[0m\n\x1b[32mwhole\x1b[0m\n");
}

static void rates_are_differences_and_a_gap_is_no_zero(void **state)
{
    (void)state;
    clock_test_advance_ms(2000);
    note("2025-12-31T22:00:00.000Z", 1500, "0.1");
    expect(drawn(NULL, false), "received      250/s\n");
    status_history_note(&history, NULL);
    expect(drawn("no answer", false), "received      -\n");
}

static void what_is_not_known_is_a_dash_everywhere(void **state)
{
    (void)state;
    static const char unknown[] =
        "{\"firehoseStatus\":{\"url\":\"wss://relay.test\",\"queueDepth\":null},"
        "\"lag\":{\"behindSeconds\":null,\"sequence\":null},\"process\":{\"pid\":1},"
        "\"relay\":{\"ingests\":true},\"dependencies\":{"
        "\"relay\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null},"
        "\"postgres\":{\"ready\":true,\"state\":\"ready\",\"reason\":\"\",\"since\":null}}}";
    read_page(unknown, sizeof(unknown) - 1);
    expect(drawn(NULL, false), "sequence -\n");
    expect(drawn(NULL, false), "backlog       -\n");
    expect(drawn(NULL, false), "behind        -\n");
}

static void a_restart_is_seen_by_the_start_of_the_process(void **state)
{
    (void)state;
    assert_null(strstr(drawn(NULL, false), "restarted"));
    note("2025-12-31T23:59:50.000Z", 3, "0.1");
    expect(drawn(NULL, false), "restarted 10 s ago, 1 since this screen is open\n");
    expect(drawn(NULL, false),
           "received      1.2k/s\n"); /* its own rate: there is no difference yet */
}

static void a_daemon_that_is_away_leaves_the_last_figures_and_says_how_old_they_are(void **state)
{
    (void)state;
    clock_test_advance_ms(5000);
    status_history_note(&history, NULL);
    const char *text = drawn("127.0.0.1 port 5000: Connection refused: a piece of advice that is "
                             "far too long for a line of eighty columns",
                             true);
    expect(text, "standpipe 1.2.3  no answer");
    expect(text, "127.0.0.1 port 5000: Connection refused\n");
    expect(text, "What follows is from 5 s ago");
    expect(text, "The ledger balances.");
}

static void a_worker_that_is_stuck_is_told(void **state)
{
    (void)state;
    note("2025-12-31T22:00:00.000Z", 1000, "16.5");
    expect(drawn(NULL, false), "workers       2 one stuck");
}

static void a_lag_that_is_not_known_is_no_zero(void **state)
{
    (void)state;
    static const char unknown[] = {'n', 'u', 'l', 'l', ' '};
    struct error error;
    char body[sizeof(page) + 64];
    int size = snprintf(body, sizeof(body), page, "0.1", "2025-12-31T22:00:00.000Z", 1000);
    memcpy(strstr(body, "1.250"), unknown, sizeof(unknown));
    assert_true(status_sample_read(&sample, slice_of(body, (size_t)size), &error));
    status_history_note(&history, &sample);
    expect(drawn(NULL, false), "behind        -\n");
}

static void sparklines_rise_to_the_largest_value(void **state)
{
    (void)state;
    memset(&history, 0, sizeof(history));
    for (int i = 0; i < 8; i++) {
        sample.behind_s = i;
        status_history_note(&history, &sample);
    }
    status_history_note(&history, NULL);
    screen_clear(&screen);
    status_history_line(&history, SERIES_BEHIND, 11, &screen);
    screen_end_line(&screen);
    buffer_append_byte(&screen.out, '\0');
    assert_string_equal(screen.out.data, "  _.-=+*%# \n");
}

static void what_is_no_standpipe_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "", "{}", "[]", "<html>", "{\"process\":{\"pid\":1}}", "{\"dependencies\":{"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct error error;
        assert_false(status_sample_read(&sample, slice_from_string(bodies[i]), &error));
        assert_int_equal(error.kind, ERROR_PROTOCOL);
    }
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_part_has_its_state_and_its_figures),
        TEST(no_line_is_wider_and_no_screen_higher_than_there_is_room),
        TEST(a_figure_that_does_not_fit_is_left_out_whole_and_the_cut_is_seen),
        TEST(colours_end_where_a_line_is_cut),
        TEST(rates_are_differences_and_a_gap_is_no_zero),
        TEST(what_is_not_known_is_a_dash_everywhere),
        TEST(a_restart_is_seen_by_the_start_of_the_process),
        TEST(a_daemon_that_is_away_leaves_the_last_figures_and_says_how_old_they_are),
        TEST(a_worker_that_is_stuck_is_told),
        TEST(a_lag_that_is_not_known_is_no_zero),
        TEST(sparklines_rise_to_the_largest_value),
        TEST(what_is_no_standpipe_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    screen_deinit(&screen);
    return failed;
}
