#include "flow/sink_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atproto/event_time.h"
#include "base/arena.h"
#include "base/clock.h"
#include "flow/sink_postgres.h"
#include "sink/migrations.h"

#include <cmocka.h>
#include <uv.h>

enum {
    DEADLINE_MS = 60000
};

static const int64_t start_us = INT64_C(1767225600) * 1000000; /* 2026-01-01 */
static uv_loop_t loop;
static struct sink *sink; /* NULL once it is closed */
static struct sink *beside;
static struct harness_lanes lanes; /* of both */
static enum sink_state last_state;
static unsigned out;
static struct arena arena;

static struct slice keep(const char *text)
{
    return arena_copy(&arena, slice_from_string(text));
}

void harness_reset(void)
{
    struct buffer report = {0};
    struct error error;
    const struct migrations_options options = {.conninfo = sink_postgres_conninfo(),
                                               .schema = "public"};
    arena_reset(&arena);
    sink_postgres_query("DROP SCHEMA public CASCADE");
    if (!migrations_run(&options, &report, &error)) {
        fail_msg("%s", error.text);
    }
    buffer_deinit(&report);
}

void harness_forget(void)
{
    assert_int_equal(out, 0);
    arena_reset(&arena);
}

static void on_state(void *owner, enum sink_state state, const struct error *error)
{
    (void)error;
    if (owner == &sink) {
        last_state = state;
    }
}

static void on_closed(void *owner)
{
    *(struct sink **)owner = NULL;
}

static void on_lane_wait(void *owner, uint64_t waited_us)
{
    (void)owner;
    lanes.waited_us += waited_us;
}

static void on_lane_bypass(void *owner, unsigned parts)
{
    (void)owner;
    lanes.bypasses += parts;
}

static const struct sink_callbacks callbacks = {.on_state = on_state,
                                                .on_lane_wait = on_lane_wait,
                                                .on_lane_bypass = on_lane_bypass,
                                                .on_closed = on_closed};

struct sink_options harness_options(unsigned connections, bool prepared)
{
    return (struct sink_options){
        .conninfo = sink_postgres_conninfo(),
        .schema = "public",
        .name = "test",
        .connections = connections,
        .batch_bytes = (size_t)64 << 20,
        .batch_entries = 1000,
        .full_entries = 125,
        .statement_timeout_ms = 20000,
        .prepared = prepared,
        .misconfigured_wait_ms = 200,
    };
}

void harness_open_with(const struct sink_options *options)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    out = 0;
    lanes = (struct harness_lanes){0};
    last_state = SINK_CONNECTING;
    sink = sink_open(&loop, options, &callbacks, &sink);
}

void harness_open_beside(const struct sink_options *options)
{
    beside = sink_open(&loop, options, &callbacks, &beside);
}

void harness_open(unsigned connections, bool prepared)
{
    const struct sink_options options = harness_options(connections, prepared);
    harness_open_with(&options);
}

void harness_begin_close(uint64_t drain_ms)
{
    uv_update_time(
        &loop); /* the drain counts from now, not from the last turn of a test that waited */
    sink_close(sink, drain_ms);
}

void harness_close(void)
{
    if (sink != NULL) { /* by a test that has begun to close it */
        sink_close(sink, 1000);
    }
    if (beside != NULL) {
        sink_close(beside, 1000);
    }
    while (sink != NULL || beside != NULL) {
        harness_turn();
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    arena_deinit(&arena);
}

int harness_setup(void **state)
{
    (void)state;
    harness_reset();
    return 0;
}

int harness_setup_open(void **state)
{
    (void)harness_setup(state);
    harness_open(1, true);
    return 0;
}

int harness_teardown(void **state)
{
    (void)state;
    harness_close();
    return 0;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_tick_closed(uv_handle_t *handle)
{
    free(handle);
}

void harness_turn(void)
{
    uv_timer_t *timer = malloc(sizeof(*timer)); /* keeps the loop from waiting for ever */
    assert_non_null(timer);
    assert_int_equal(uv_timer_init(&loop, timer), 0);
    assert_int_equal(uv_timer_start(timer, on_tick, 5, 5), 0);
    (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)timer, on_tick_closed);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

void harness_wait_sql(const char *sql, const char *expected)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (strcmp(sink_postgres_query(sql), expected) != 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
}

static void on_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                    const struct error *error)
{
    struct harness_batch *mine = LIST_ENTRY(batch, struct harness_batch, batch);
    mine->outcome = *outcome;
    mine->done++;
    mine->failed += error != NULL;
    out--;
}

struct harness_lanes harness_lanes(void)
{
    return lanes;
}

struct harness_batch *harness_batch(void)
{
    struct harness_batch *batch = arena_allocate(&arena, sizeof(*batch));
    memset(batch, 0, sizeof(*batch));
    batch->batch.entries = batch->entries;
    batch->batch.on_done = on_done;
    return batch;
}

const char *harness_tid(int64_t second)
{
    static char tids[4][EVENT_TID_SIZE + 1];
    static unsigned next;
    char *tid = tids[next++ % 4];
    event_time_tid(start_us + second * 1000000, tid);
    tid[EVENT_TID_SIZE] = '\0';
    return tid;
}

void harness_entry(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *type,
                   const char *data, int64_t second)
{
    char time[CLOCK_RFC3339_SIZE];
    char sequence[24];
    assert_true(batch->batch.count < HARNESS_ENTRIES);
    clock_format_rfc3339(start_us + second * 1000000, time);
    (void)snprintf(sequence, sizeof(sequence), "%lld", (long long)seq);
    bool has_rev = strcmp(type, "commit") == 0 || strcmp(type, "sync") == 0;
    batch->entries[batch->batch.count++] = (struct entry){
        .id = {.epoch = epoch, .sequence = seq},
        .type = keep(type),
        .data = keep(data),
        .sequence = keep(sequence),
        .time = keep(time),
        .rev = has_rev ? keep(harness_tid(second)) : slice_of(NULL, 0),
    };
    batch->batch.bytes += strlen(data);
}

void harness_ops(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                 int64_t rev_second, const char *ops)
{
    char time[CLOCK_RFC3339_SIZE];
    struct buffer data = {0};
    clock_format_rfc3339(start_us + rev_second * 1000000, time);
    buffer_append_format(&data, "{\"repo\":\"%s\",\"ops\":[", did);
    buffer_append_string(&data, ops);
    buffer_append_format(&data,
                         "],\"rev\":\"%s\",\"since\":null,\"commit\":\"bafycommit%lld\","
                         "\"time\":\"%s\",\"seq\":%lld}",
                         harness_tid(rev_second), (long long)rev_second, time, (long long)seq);
    buffer_append_byte(&data, '\0');
    harness_entry(batch, epoch, seq, "commit", data.data, rev_second);
    buffer_deinit(&data);
}

/* NOLINTNEXTLINE(readability-function-size): a commit is said in one line of a test */
void harness_commit(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                    int64_t rev_second, const char *key, const char *record)
{
    struct buffer op = {0};
    if (record == NULL) {
        buffer_append_format(&op, "{\"action\":\"delete\",\"path\":\"app.test.thing/%s\"}", key);
    } else {
        buffer_append_format(&op,
                             "{\"action\":\"create\",\"path\":\"app.test.thing/%s\",\"cid\":"
                             "\"bafyrecord%lld\",\"record\":",
                             key, (long long)rev_second);
        buffer_append_string(&op, record);
        buffer_append_byte(&op, '}');
    }
    buffer_append_byte(&op, '\0');
    harness_ops(batch, epoch, seq, did, rev_second, op.data);
    buffer_deinit(&op);
}

void harness_account(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                     const char *status, int64_t second)
{
    char time[CLOCK_RFC3339_SIZE];
    struct buffer data = {0};
    bool is_active = strcmp(status, "active") == 0;
    clock_format_rfc3339(start_us + second * 1000000, time);
    buffer_append_format(&data, "{\"did\":\"%s\",\"active\":%s,", did,
                         is_active ? "true" : "false");
    if (!is_active) {
        buffer_append_format(&data, "\"status\":\"%s\",", status);
    }
    buffer_append_format(&data, "\"time\":\"%s\",\"seq\":%lld}", time, (long long)seq);
    buffer_append_byte(&data, '\0');
    harness_entry(batch, epoch, seq, "account", data.data, second);
    buffer_deinit(&data);
}

void harness_identity(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                      const char *handle, int64_t second)
{
    char time[CLOCK_RFC3339_SIZE];
    struct buffer data = {0};
    clock_format_rfc3339(start_us + second * 1000000, time);
    buffer_append_format(&data, "{\"did\":\"%s\",\"handle\":\"%s\",\"time\":\"%s\",\"seq\":%lld}",
                         did, handle, time, (long long)seq);
    buffer_append_byte(&data, '\0');
    harness_entry(batch, epoch, seq, "identity", data.data, second);
    buffer_deinit(&data);
}

void harness_sync(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                  int64_t rev_second)
{
    char time[CLOCK_RFC3339_SIZE];
    struct buffer data = {0};
    clock_format_rfc3339(start_us + rev_second * 1000000, time);
    buffer_append_format(&data, "{\"did\":\"%s\",\"rev\":\"%s\",\"time\":\"%s\",\"seq\":%lld}", did,
                         harness_tid(rev_second), time, (long long)seq);
    buffer_append_byte(&data, '\0');
    harness_entry(batch, epoch, seq, "sync", data.data, rev_second);
    buffer_deinit(&data);
}

static void submit_to(struct sink *one, struct harness_batch *batch)
{
    batch->done = 0;
    out++;
    sink_submit(one, &batch->batch);
    assert_int_equal(batch->done, 0);
}

void harness_submit(struct harness_batch *batch)
{
    submit_to(sink, batch);
}

void harness_submit_beside(struct harness_batch *batch)
{
    submit_to(beside, batch);
}

void harness_wait(void)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (out > 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
}

void harness_run(struct harness_batch *batch)
{
    harness_submit(batch);
    harness_wait();
    assert_int_equal(batch->done, 1);
    assert_int_equal(batch->failed, 0);
}

bool harness_wait_state(enum sink_state state)
{
    uint64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    while (last_state != state && clock_monotonic_ms() < deadline_ms) {
        harness_turn();
    }
    return last_state == state;
}
