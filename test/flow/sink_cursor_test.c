#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/cursor_store.h"

#include <cmocka.h>
#include <uv.h>

static int64_t loaded = -1;
static uint64_t highest_epoch;
static unsigned saved;
static bool is_closed;

static void on_loaded(void *owner, const struct cursor_found *found)
{
    (void)owner;
    loaded = found->has_row ? found->row.queued : 0;
    highest_epoch = found->highest_epoch;
}

static void on_saved(void *owner, const struct cursor_row *row)
{
    (void)owner;
    (void)row;
    saved++;
}

static void on_closed(void *owner)
{
    (void)owner;
    is_closed = true;
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
    for (int64_t i = 50; i <= 90; i++) {
        cursor_store_save(store, &(struct cursor_row){"a", 5, i, 140 - i});
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

static int start(void **state)
{
    (void)state;
    return sink_postgres_start(false) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    sink_postgres_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_rise_only_and_the_newest_save_is_kept_at_closing)};
    return cmocka_run_group_tests(tests, start, stop);
}
