#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/cursor_store.h"

#include <cmocka.h>
#include <uv.h>

static int64_t loaded = -1;
static uint64_t highest_epoch;
static int64_t loaded_started_us;
static unsigned saved;
static bool is_closed;
static unsigned refused;
static unsigned connections;

static void on_loaded(void *owner, const struct cursor_found *found)
{
    (void)owner;
    loaded = found->has_row ? found->row.queued : 0;
    highest_epoch = found->newest.epoch;
    loaded_started_us = found->started_us;
}

static void on_saved(void *owner, const struct cursor_row *row)
{
    (void)owner;
    (void)row;
    saved++;
}

static void on_refused(void *owner)
{
    (void)owner;
    refused++;
}

static void on_connected(void *owner)
{
    (void)owner;
    connections++;
}

static void on_closed(void *owner)
{
    (void)owner;
    is_closed = true;
}

/* pg_postmaster_start_time() of this one, in microseconds. */
static int64_t started_us(void)
{
    return strtoll(sink_postgres_query("SELECT (extract(epoch FROM pg_postmaster_start_time()) * "
                                       "1000000)::bigint"),
                   NULL, 10);
}

static void marks_rise_only_and_the_newest_save_is_kept_at_closing(void **state)
{
    static const struct cursor_store_callbacks callbacks = {
        .on_loaded = on_loaded, .on_saved = on_saved, .on_closed = on_closed};
    const struct cursor_store_options options = {.conninfo = sink_postgres_conninfo(),
                                                 .schema = "public"};
    uv_loop_t loop;
    (void)state;
    harness_reset();
    sink_postgres_query("INSERT INTO standpipe_cursor VALUES ('a', 5, 70, 60), ('b', 9, 1, 1)");
    assert_int_equal(uv_loop_init(&loop), 0);
    struct cursor_store *store = cursor_store_open(&loop, &options, &callbacks, NULL);
    cursor_store_load(store, "a");
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    while (loaded < 0 && clock_monotonic_ms() < deadline_ms) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(loaded, 70);
    assert_int_equal(highest_epoch, 9);
    assert_int_equal(loaded_started_us, started_us());
    for (int64_t i = 50; i <= 90; i++) {
        cursor_store_save(store,
                          &(struct cursor_row){"a", 5, i, 140 - i, CURSOR_NO_EXPECTATION, 0, 0});
    }
    cursor_store_close(store, 30000);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(is_closed);
    assert_int_equal(saved, 2); /* the first, and the newest of the others */
    assert_string_equal(sink_postgres_query("SELECT queued || ' ' || committed FROM "
                                            "standpipe_cursor WHERE host = 'a'"),
                        "90 90");
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* One save on a store of its own; true where it was taken. */
static bool save_one(struct cursor_row row)
{
    static const struct cursor_store_callbacks callbacks = {.on_saved = on_saved,
                                                            .on_refused = on_refused,
                                                            .on_connected = on_connected,
                                                            .on_closed = on_closed};
    const struct cursor_store_options options = {.conninfo = sink_postgres_conninfo(),
                                                 .schema = "public"};
    uv_loop_t loop;
    saved = refused = connections = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct cursor_store *store = cursor_store_open(&loop, &options, &callbacks, NULL);
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    cursor_store_save(store, &row);
    while (saved + refused == 0 && clock_monotonic_ms() < deadline_ms) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    cursor_store_close(store, 30000);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(saved + refused, 1);
    assert_int_equal(connections, 1);
    return saved == 1;
}

static const char *committed_of(const char *host)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT coalesce(max(committed), -1) FROM standpipe_cursor "
                   "WHERE host = '%s'",
                   host);
    return sink_postgres_query(sql);
}

static void a_postgresql_that_went_back_gets_no_mark_over_what_it_lost(void **state)
{
    (void)state;
    sink_postgres_query("DELETE FROM standpipe_cursor");
    assert_true(save_one((struct cursor_row){"a", 5, 60, 60, CURSOR_NO_EXPECTATION, 0, 0}));
    assert_true(save_one((struct cursor_row){"a", 5, 100, 100, 60, 0, 0}));
    sink_postgres_query("UPDATE standpipe_cursor SET committed = 60"); /* the restore */
    assert_false(save_one((struct cursor_row){"a", 5, 110, 110, 100, 0, 0}));
    assert_string_equal(committed_of("a"), "60");
    sink_postgres_query("DELETE FROM standpipe_cursor"); /* to before the epoch */
    assert_false(save_one((struct cursor_row){"a", 5, 110, 110, 100, 0, 0}));
    assert_string_equal(committed_of("a"), "-1");
}

static void a_postgresql_that_was_started_anew_gets_no_mark_made_for_the_one_before(void **state)
{
    (void)state;
    int64_t ours = started_us();
    sink_postgres_query("DELETE FROM standpipe_cursor");
    assert_false(save_one((struct cursor_row){"a", 5, 60, 60, CURSOR_NO_EXPECTATION, ours - 1, 0}));
    assert_string_equal(committed_of("a"), "-1");
    assert_true(save_one((struct cursor_row){"a", 5, 60, 60, CURSOR_NO_EXPECTATION, ours, 0}));
    assert_false(save_one((struct cursor_row){"a", 5, 100, 100, 60, ours + 1, 0}));
    assert_string_equal(committed_of("a"), "60");
    assert_true(save_one((struct cursor_row){"a", 5, 100, 100, 60, ours, 0}));
    assert_string_equal(committed_of("a"), "100");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_rise_only_and_the_newest_save_is_kept_at_closing),
        cmocka_unit_test(a_postgresql_that_went_back_gets_no_mark_over_what_it_lost),
        cmocka_unit_test(a_postgresql_that_was_started_anew_gets_no_mark_made_for_the_one_before),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
