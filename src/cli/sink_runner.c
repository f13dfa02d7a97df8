#include "cli/sink_runner.h"

#include "base/panic.h"

enum {
    STATEMENT_TIMEOUT_MS = 30000,
    BATCH_BYTES = 16 << 20,
    BATCH_ENTRIES = 512
};

static void on_state(void *owner, enum sink_state state, const struct error *error)
{
    struct sink_runner *runner = owner;
    if (state != SINK_AWAY && state != SINK_MISCONFIGURED) {
        return;
    }
    runner->is_failed = true;
    error_set(&runner->error, state == SINK_AWAY ? ERROR_UNREACHABLE : ERROR_REFUSED,
              "%.300s: run it again once PostgreSQL is well",
              error != NULL ? error->text : "postgres: away");
}

static void on_closed(void *owner)
{
    struct sink_runner *runner = owner;
    runner->sink = NULL;
}

static void close_sink(struct sink_runner *runner)
{
    if (runner->sink != NULL) {
        sink_close(runner->sink, 0);
        (void)uv_run(&runner->loop, UV_RUN_DEFAULT);
    }
}

void sink_runner_submit(struct sink_runner *runner, struct sink_batch *batch)
{
    runner->out++;
    sink_submit(runner->sink, batch);
}

void sink_runner_note_done(struct sink_runner *runner)
{
    runner->out--;
}

bool sink_runner_wait(struct sink_runner *runner, struct error *error)
{
    while (runner->out > 0 && !runner->is_failed) {
        (void)uv_run(&runner->loop, UV_RUN_ONCE);
    }
    if (runner->is_failed) {
        close_sink(runner); /* ends what is out */
        *error = runner->error;
    }
    return !runner->is_failed;
}

void sink_runner_init(struct sink_runner *runner, const struct config *config, const char *name,
                      enum sink_runner_work work)
{
    static const struct sink_callbacks callbacks = {.on_state = on_state, .on_closed = on_closed};
    *runner = (struct sink_runner){0};
    ASSERT(uv_loop_init(&runner->loop) == 0);
    const struct sink_options options = {
        .conninfo = config->postgres.url,
        .schema = config->postgres.schema,
        .name = name,
        .tables = config->tables,
        .connections = 1,
        .batch_bytes = BATCH_BYTES,
        .batch_entries = BATCH_ENTRIES,
        .full_entries = BATCH_ENTRIES,
        .statement_timeout_ms = STATEMENT_TIMEOUT_MS,
        .prepared = config->postgres.prepared != PREPARED_OFF,
        .keeps_no_letters = work == RUN_LETTERS,
        .ignores_horizon = work != RUN_RANGE,
    };
    runner->sink = sink_open(&runner->loop, &options, &callbacks, runner);
}

void sink_runner_deinit(struct sink_runner *runner)
{
    close_sink(runner);
    ASSERT(uv_loop_close(&runner->loop) == 0);
}
