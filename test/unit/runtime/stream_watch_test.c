/* The watch on the stream, with made-up looks: time is a number here. */
#include "runtime/stream_watch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "unit/test.h"

enum {
    HOUR_MS = STREAM_WATCH_UNREAD_MS,
    TWO_HOURS_MS = 2 * HOUR_MS,
    START_MS = 1000
};

static struct stream_watch watch;

static int fresh(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
    watch = (struct stream_watch){0};
    return 0;
}

static void look(const char *name, bool is_behind, int64_t idle_ms, uint64_t now_ms)
{
    const struct stream_group group = {
        .name = slice_from_string(name), .is_behind = is_behind, .idle_ms = idle_ms};
    const struct stream_depth depth = {.groups = &group, .group_count = 1};
    stream_watch_note(&watch, &depth, now_ms);
}

static void a_group_that_nobody_has_read_for_an_hour_is_named(void **state)
{
    (void)state;
    look("search", true, HOUR_MS - 1, START_MS);
    assert_string_equal(watch.unread, "");
    look("search", true, HOUR_MS, START_MS + 1000);
    assert_non_null(strstr(watch.unread, "group search for 60 minutes"));
    look("search", true, 5, START_MS + 2000); /* somebody reads it again */
    assert_string_equal(watch.unread, "");
}

static void a_group_that_has_read_all_is_never_named(void **state)
{
    (void)state;
    look("search", false, -1, START_MS);
    look("search", false, -1, START_MS + TWO_HOURS_MS);
    assert_string_equal(watch.unread, "");
}

static void without_a_consumer_the_hour_counts_from_when_it_was_seen_behind(void **state)
{
    (void)state;
    look("search", false, -1, START_MS);
    look("search", true, -1, START_MS + HOUR_MS);
    look("search", true, -1, START_MS + TWO_HOURS_MS - 1);
    assert_string_equal(watch.unread, "");
    look("search", true, -1, START_MS + TWO_HOURS_MS);
    assert_non_null(strstr(watch.unread, "group search"));
    look("search", true, 10, START_MS + TWO_HOURS_MS + 1); /* a consumer came, and went */
    look("search", true, -1, START_MS + TWO_HOURS_MS + 2);
    assert_string_equal(watch.unread, "");
}

static void the_warning_is_said_once_an_hour(void **state)
{
    (void)state;
    look("search", true, HOUR_MS, START_MS);
    uint64_t next_ms = watch.groups[0].next_warning_ms;
    assert_int_equal(next_ms, START_MS + HOUR_MS);
    look("search", true, HOUR_MS + 1000, START_MS + 1000);
    assert_int_equal(watch.groups[0].next_warning_ms, next_ms);
    look("search", true, TWO_HOURS_MS, next_ms);
    assert_int_equal(watch.groups[0].next_warning_ms, next_ms + HOUR_MS);
}

static void a_group_that_is_destroyed_is_forgotten(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * STREAM_GROUPS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "group%d", i);
        look(name, true, -1, START_MS);
        assert_int_equal(watch.group_count, 1);
    }
    look("group0", true, -1, START_MS + HOUR_MS); /* of the same name, but new */
    assert_string_equal(watch.unread, "");
}

static void look_policy(const char *policy)
{
    struct stream_depth depth = {0};
    (void)snprintf(depth.eviction_policy, sizeof(depth.eviction_policy), "%s", policy);
    stream_watch_note(&watch, &depth, START_MS);
}

/* How much the log says meanwhile. */
static size_t logged_by(const char *policy)
{
    char text[1024];
    int ends[2];
    int before = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    look_policy(policy);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    (void)close(ends[1]);
    ssize_t size = read(ends[0], text, sizeof(text));
    (void)close(ends[0]);
    return size > 0 ? (size_t)size : 0;
}

static void a_policy_that_evicts_is_named_loudly_and_once(void **state)
{
    (void)state;
    assert_int_equal(logged_by("noeviction"), 0);
    assert_string_equal(watch.eviction, "");
    assert_true(logged_by("allkeys-lru") > 0);
    assert_non_null(strstr(watch.eviction, "allkeys-lru"));
    assert_int_equal(logged_by("allkeys-lru"), 0);
    assert_int_equal(logged_by(""), 0); /* a proxy that does not say */
    assert_non_null(strstr(watch.eviction, "allkeys-lru"));
    assert_int_equal(logged_by("noeviction"), 0);
    assert_string_equal(watch.eviction, "");
    assert_true(logged_by("allkeys-lru") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_group_that_nobody_has_read_for_an_hour_is_named, fresh),
        cmocka_unit_test_setup(a_group_that_has_read_all_is_never_named, fresh),
        cmocka_unit_test_setup(without_a_consumer_the_hour_counts_from_when_it_was_seen_behind,
                               fresh),
        cmocka_unit_test_setup(the_warning_is_said_once_an_hour, fresh),
        cmocka_unit_test_setup(a_group_that_is_destroyed_is_forgotten, fresh),
        cmocka_unit_test_setup(a_policy_that_evicts_is_named_loudly_and_once, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
