/* The ring that the dashboard's charts begin with. */
#include <string.h>

#include "http/history.h"
#include "unit/http/sample.h"
#include "unit/test.h"

static struct history history;

static int set_up(void **state)
{
    (void)state;
    memset(&history, 0, sizeof(history));
    return 0;
}

static void add(unsigned count)
{
    struct metrics_snapshot *snapshot = sample_snapshot();
    for (unsigned i = 0; i < count; i++) {
        snapshot->intake.received = history.added + 1;
        history_add(&history, snapshot);
    }
}

static unsigned points(uint64_t after, const char *first)
{
    struct buffer out = {0};
    unsigned count = 0;
    history_append(&out, &history, after);
    buffer_append_byte(&out, '\0');
    for (const char *next = out.data + 1; (next = strchr(next, '[')) != NULL; next++) {
        count++;
    }
    assert_case(strncmp(out.data, first, strlen(first)) == 0, out.data);
    buffer_deinit(&out);
    return count;
}

static void a_point_is_time_received_committed_backlog_and_lag(void **state)
{
    (void)state;
    assert_int_equal(points(0, "[]"), 0);
    add(1);
    assert_int_equal(points(0, "[[1767225600000,1,77,370,0.812]]"), 1);
}

static void what_is_not_known_is_null(void **state)
{
    (void)state;
    struct metrics_snapshot *snapshot = sample_empty();
    history_add(&history, snapshot);
    assert_int_equal(points(0, "[[0,0,0,null,null]]"), 1);
}

static void who_comes_back_gets_what_was_missed(void **state)
{
    (void)state;
    add(10);
    assert_int_equal(points(7, "[[1767225600000,8,"), 3);
    assert_int_equal(points(10, "[]"), 0);
    assert_int_equal(points(11, "[[1767225600000,1,"), 10); /* of another run: all of it */
}

static void only_the_last_ten_minutes_are_kept(void **state)
{
    (void)state;
    add(HISTORY_POINTS + 5);
    assert_int_equal(points(0, "[[1767225600000,6,"), HISTORY_POINTS);
    assert_int_equal(points(2, "[[1767225600000,6,"), HISTORY_POINTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_point_is_time_received_committed_backlog_and_lag, set_up),
        cmocka_unit_test_setup(what_is_not_known_is_null, set_up),
        cmocka_unit_test_setup(who_comes_back_gets_what_was_missed, set_up),
        cmocka_unit_test_setup(only_the_last_ten_minutes_are_kept, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
