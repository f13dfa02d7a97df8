#include "runtime/marks.h"
#include "unit/test.h"

/* A stream of epoch 500 that ends at 70, with 72 queued: 71 and 72 were filtered. */
static struct stream_depth seen(int64_t committed)
{
    return (struct stream_depth){
        .committed = {500, committed},
        .last = {500, 70},
        .has_committed = true,
        .has_meta = true,
        .queued = {500, 72},
    };
}

static void a_backlog_commits_only_what_every_group_has_acknowledged(void **state)
{
    (void)state;
    struct stream_depth depth = seen(40);
    assert_int_equal(marks_committed(&depth).sequence, 40);
}

static void a_drained_stream_commits_the_filtered_events_after_its_last_entry_too(void **state)
{
    (void)state;
    struct stream_depth depth = seen(70);
    assert_int_equal(marks_committed(&depth).sequence, 72);
}

static void an_empty_stream_commits_nothing_that_only_memory_knows(void **state)
{
    (void)state;
    /* FLUSHALL, then a reader made stream and group anew: "drained" at 0-0. */
    struct stream_depth depth = seen(0);
    depth.committed = (struct position){0, 0};
    depth.last = (struct position){0, 0};
    assert_int_equal(marks_committed(&depth).sequence, 0);
    depth.has_meta = false;
    assert_int_equal(marks_committed(&depth).sequence, 0);
}

static void an_epoch_without_an_entry_commits_nothing_of_its_own_yet(void **state)
{
    (void)state;
    struct stream_depth depth = seen(70);
    depth.queued = (struct position){900, 12};
    assert_int_equal(marks_committed(&depth).epoch, 500);
}

static void a_mark_of_another_relay_is_not_saved_as_ours(void **state)
{
    (void)state;
    struct marks marks;
    struct stream_depth depth = seen(40);
    marks_init(&marks, NULL, "ours.test"); /* a save would need the store */
    depth.host = SLICE("theirs.test");
    marks_note_depth(&marks, &depth);
    assert_int_equal(marks.committed.sequence, 0);
}

/* A store would be asked to save; none is needed where the mark does not rise. */
static void a_group_that_was_set_back_takes_the_memory_of_the_mark_with_it(void **state)
{
    (void)state;
    struct marks marks;
    struct stream_depth depth = seen(40);
    marks_init(&marks, NULL, "ours.test");
    depth.host = SLICE("ours.test");
    depth.has_saved = true;
    depth.saved = (struct position){500, 60};
    marks.queued = (struct position){500, 72};
    marks.committed = (struct position){500, 60};
    marks.saved = 60;
    marks_note_depth(&marks, &depth);
    assert_int_equal(marks.committed.sequence, 60); /* another process is ahead of our look */
    depth.saved.sequence = 45;
    depth.rewinds = 1;
    marks_note_depth(&marks, &depth);
    assert_int_equal(marks.committed.sequence, 45);
    assert_int_equal(marks.saved, 45);
    depth.rewinds = 2;
    depth.has_saved = false; /* Redis was emptied: that says nothing of PostgreSQL */
    depth.saved = (struct position){0, 0};
    marks_note_depth(&marks, &depth);
    assert_int_equal(marks.committed.sequence, 45);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backlog_commits_only_what_every_group_has_acknowledged),
        cmocka_unit_test(a_drained_stream_commits_the_filtered_events_after_its_last_entry_too),
        cmocka_unit_test(an_empty_stream_commits_nothing_that_only_memory_knows),
        cmocka_unit_test(an_epoch_without_an_entry_commits_nothing_of_its_own_yet),
        cmocka_unit_test(a_mark_of_another_relay_is_not_saved_as_ours),
        cmocka_unit_test(a_group_that_was_set_back_takes_the_memory_of_the_mark_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
