#include "runtime/marks.h"
#include "unit/test.h"

static void a_backlog_commits_only_what_every_group_has_acknowledged(void **state)
{
    (void)state;
    struct stream_depth depth = {.committed = {500, 40}, .last = {500, 70}};
    struct position mark = marks_committed((struct position){500, 72}, &depth);
    assert_int_equal(mark.sequence, 40);
}

static void a_drained_stream_commits_the_filtered_events_after_its_last_entry_too(void **state)
{
    (void)state;
    struct stream_depth depth = {.committed = {500, 70}, .last = {500, 70}};
    struct position mark = marks_committed((struct position){500, 72}, &depth);
    assert_int_equal(mark.sequence, 72);
}

static void what_was_appended_during_the_look_is_not_claimed_early(void **state)
{
    (void)state;
    /* The look saw (500, 80) as last and acknowledged; before it, 72 was queued. */
    struct stream_depth depth = {.committed = {500, 80}, .last = {500, 80}};
    struct position mark = marks_committed((struct position){500, 72}, &depth);
    assert_int_equal(mark.sequence, 80);
}

static void a_new_epoch_without_entries_yet_commits_its_own_mark(void **state)
{
    (void)state;
    struct stream_depth depth = {.committed = {500, 70}, .last = {500, 70}};
    struct position mark = marks_committed((struct position){900, 12}, &depth);
    assert_int_equal(mark.epoch, 900);
    assert_int_equal(mark.sequence, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_commits_only_what_every_group_has_acknowledged),
        cmocka_unit_test(a_drained_stream_commits_the_filtered_events_after_its_last_entry_too),
        cmocka_unit_test(what_was_appended_during_the_look_is_not_claimed_early),
        cmocka_unit_test(a_new_epoch_without_entries_yet_commits_its_own_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
