#include "runtime/schema_setup.h"

#include <string.h>

#include "sink/migrations.h"

enum {
    RETRY_BASE_MS = 500,
    RETRY_LIMIT_MS = 10000,
    REFUSED_RETRY_MS = 30000
};

static void try_now(struct schema_setup *setup);

static void timer_on_closed(uv_handle_t *handle)
{
    struct schema_setup *setup = handle->data;
    buffer_deinit(&setup->report);
    if (setup->is_closing) {
        setup->on_closed(setup->owner);
    } else {
        setup->on_ready(setup->owner);
    }
}

static void finish(struct schema_setup *setup)
{
    uv_close((uv_handle_t *)&setup->retry_timer, timer_on_closed);
}

static void retry_on_time(uv_timer_t *timer)
{
    try_now(timer->data);
}

static void retry_later(struct schema_setup *setup)
{
    setup->has_failed = true;
    setup->is_refused = setup->error.kind == ERROR_REFUSED || setup->error.kind == ERROR_USAGE;
    memcpy(setup->why, setup->error.text, sizeof(setup->why));
    uint64_t wait_ms = setup->is_refused ? REFUSED_RETRY_MS : backoff_next_ms(&setup->backoff);
    uint64_t suppressed;
    if (log_limit_pass(&setup->limit, &suppressed)) {
        log_error("postgres[migrate]", "schema is not ready", LOG_TEXT("why", setup->error.text),
                  LOG_INT("retry_ms", wait_ms), LOG_SUPPRESSED(suppressed));
    }
    (void)uv_timer_start(&setup->retry_timer, retry_on_time, wait_ms, 0);
}

static void work_on_done(uv_work_t *work, int status)
{
    struct schema_setup *setup = work->data;
    (void)status;
    setup->is_working = false;
    if (setup->is_closing || setup->is_done) {
        finish(setup);
        return;
    }
    retry_later(setup);
}

static void work_run(uv_work_t *work)
{
    struct schema_setup *setup = work->data;
    struct migrations_options options = {
        .conninfo = setup->conninfo, .schema = setup->schema, .tables = setup->tables};
    buffer_clear(&setup->report);
    setup->is_done = migrations_run(&options, &setup->report, &setup->error);
}

static void try_now(struct schema_setup *setup)
{
    setup->is_working = true;
    if (uv_queue_work(setup->work.loop, &setup->work, work_run, work_on_done) != 0) {
        setup->is_working = false;
        error_set(&setup->error, ERROR_INTERNAL, "no thread to run the migrations");
        retry_later(setup);
    }
}

void schema_setup_start(struct schema_setup *setup, uv_loop_t *loop, const struct config *config)
{
    (void)uv_timer_init(loop, &setup->retry_timer);
    setup->retry_timer.data = setup;
    setup->work.data = setup;
    setup->work.loop = loop;
    setup->conninfo = config->postgres.url;
    setup->schema = config->postgres.schema;
    setup->tables = config->tables;
    setup->backoff = (struct backoff){.base_ms = RETRY_BASE_MS, .limit_ms = RETRY_LIMIT_MS};
    try_now(setup);
}

void schema_setup_close(struct schema_setup *setup)
{
    if (setup->is_closing) {
        return;
    }
    setup->is_closing = true;
    if (!setup->is_working) {
        finish(setup);
    }
}
