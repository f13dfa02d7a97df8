#include "runtime/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "runtime/announcement.h"
#include "runtime/console.h"
#include "runtime/consumer_slot.h"
#include "runtime/dead_letter_courier.h"
#include "runtime/depth_alert.h"
#include "runtime/ingester.h"
#include "runtime/marks.h"
#include "runtime/progress.h"
#include "runtime/schema_setup.h"
#include "runtime/workforce.h"
#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

enum {
    SIGNAL_COUNT = 4,
    LOOK_INTERVAL_MS = 1000,
    LOOKS_PER_ANNOUNCEMENT = 5,
    PROGRESS_INTERVAL_MS = 60000,
    LAST_LOOK_MS = 1000,
    STORE_DRAIN_MS = 2000, /* of the shutdown time, kept for the last mark */
};

enum daemon_state {
    DAEMON_STARTING,
    DAEMON_RUNNING,
    DAEMON_DRAINING,
    DAEMON_SAVING,
    DAEMON_CLOSING
};

struct daemon {
    const struct config *config;
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    uv_timer_t look_timer;
    uv_timer_t progress_timer;
    uv_timer_t deadline_timer;
    enum daemon_state state;
    uint64_t drain_until_ms;

    struct consumer_slot slot;
    char process_name[600]; /* workers.consumer_id has up to 512 bytes */
    struct buffer host;     /* zero-terminated */
    struct schema_setup schema;
    bool is_schema_open;
    struct cursor_store *cursor_store;
    struct marks marks;
    struct workforce workforce;
    struct stream_monitor *monitor;
    struct dead_letter_courier *courier; /* NULL: not open */
    struct ingester *ingester;
    struct depth_alert depth_alert;
    struct progress progress;
    struct worker_stats *stats; /* one a worker, then the ingester's */
    struct console *console;    /* NULL: not open */
    struct console_sources console_sources;
    unsigned looks;
};

static void proceed(struct daemon *daemon);

static unsigned thread_count(const struct daemon *daemon)
{
    return (unsigned)daemon->config->workers.threads;
}

static struct counters *ingest_counters(struct daemon *daemon)
{
    return &daemon->stats[thread_count(daemon)].counters;
}

static uint64_t drain_left_ms(const struct daemon *daemon)
{
    uint64_t now = clock_monotonic_ms();
    return daemon->drain_until_ms > now ? daemon->drain_until_ms - now : 0;
}

static void worker_on_closed(void *owner)
{
    proceed(owner);
}

static void close_workers(struct daemon *daemon)
{
    uint64_t left = drain_left_ms(daemon);
    workforce_close(&daemon->workforce, left > STORE_DRAIN_MS ? left - STORE_DRAIN_MS : 0);
}

/* ---- marks, depth, progress -------------------------------------------------------------------- */

static void monitor_on_depth(void *owner, const struct stream_depth *depth)
{
    struct daemon *daemon = owner;
    counters_add(ingest_counters(daemon), COUNTER_TRIMMED, depth->trimmed);
    daemon->console_sources.depth = *depth;
    daemon->console_sources.depth.host = slice_of(NULL, 0); /* borrowed for this call */
    daemon->console_sources.depth_at_ms = clock_monotonic_ms();
    marks_note_depth(&daemon->marks, depth);
    progress_note_depth(&daemon->progress, depth);
    depth_alert_note(&daemon->depth_alert, &daemon->config->alerts, depth->backlog,
                     clock_monotonic_ms());
    if (daemon->ingester != NULL) {
        ingester_on_depth(daemon->ingester, depth);
    }
    if (daemon->state == DAEMON_SAVING) {
        proceed(daemon);
    }
}

static void look_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (daemon->ingester != NULL) {
        ingester_before_look(daemon->ingester);
    }
    stream_monitor_look(daemon->monitor);
    if (daemon->ingester != NULL && daemon->looks++ % LOOKS_PER_ANNOUNCEMENT == 0) {
        announce(daemon->monitor, daemon->ingester, daemon->config->relay.url);
    }
}

static void progress_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    progress_log(&daemon->progress, daemon->stats, thread_count(daemon) + 1);
}

/* ---- cursor store ------------------------------------------------------------------------------ */

static void store_on_loaded(void *owner, const struct cursor_found *found)
{
    struct daemon *daemon = owner;
    if (daemon->ingester != NULL) {
        ingester_on_cursor_loaded(daemon->ingester, found);
    }
}

static void store_on_saved(void *owner, const struct cursor_row *row)
{
    struct daemon *daemon = owner;
    marks_note_saved(&daemon->marks, row);
    if (daemon->ingester != NULL) {
        ingester_on_cursor_saved(daemon->ingester, row);
    }
}

static void store_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->cursor_store = NULL;
    proceed(daemon);
}

static void monitor_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->monitor = NULL;
    daemon->console_sources.monitor = NULL;
    proceed(daemon);
}

static void ingester_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->ingester = NULL;
    daemon->console_sources.ingester = NULL;
    proceed(daemon);
}

static void courier_on_counted(void *owner, const struct dead_letter_depth *depth)
{
    struct daemon *daemon = owner;
    const struct config_stream *limits = &daemon->config->stream;
    bool are_too_many = depth->undecided >= limits->dead_letter_max ||
                        depth->undecided_bytes >= limits->dead_letter_max_bytes;
    daemon->console_sources.undecided_letters = depth->undecided;
    daemon->console_sources.are_letters_too_many = are_too_many;
    if (daemon->ingester != NULL) {
        ingester_on_letters(daemon->ingester, are_too_many);
    }
}

static void courier_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->courier = NULL;
    proceed(daemon);
}

static void console_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->console = NULL;
    proceed(daemon);
}

/* ---- starting ---------------------------------------------------------------------------------- */

static void open_monitor(struct daemon *daemon)
{
    static const struct stream_monitor_callbacks callbacks = {
        .on_depth = monitor_on_depth,
        .on_closed = monitor_on_closed,
    };
    const struct config *config = daemon->config;
    char name[sizeof(daemon->process_name) + 16];
    (void)snprintf(name, sizeof(name), "%s-monitor", daemon->process_name);
    struct stream_monitor_options options = {
        .redis = {.url = config->redis.url,
                  .client_name = name,
                  .connect_timeout_ms = 5000,
                  .reply_timeout_ms = 15000},
        .keys = {.key = config->stream.key,
                 .group = config->stream.group,
                 .dead_letter_key = config->stream.dead_letter_key},
        .interval_ms = 0, /* looks come from our timer */
        .max_length = config->stream.max_length,
        .trim_groups = (const char *const *)config->stream.trim_groups.items,
        .trim_group_count = config->stream.trim_groups.count,
    };
    daemon->monitor = stream_monitor_open(&daemon->loop, &options, &callbacks, daemon);
}

static void open_ingester(struct daemon *daemon)
{
    static const struct ingester_callbacks callbacks = {.on_closed = ingester_on_closed};
    struct ingester_options options = {
        .config = daemon->config,
        .cursor_store = daemon->cursor_store,
        .marks = &daemon->marks,
        .counters = ingest_counters(daemon),
        .process_name = daemon->process_name,
    };
    if (daemon->config->ingest.mode != INGEST_NEVER) {
        daemon->ingester = ingester_open(&daemon->loop, &options, &callbacks, daemon);
    }
}

static void open_cursor_store(struct daemon *daemon)
{
    static const struct cursor_store_callbacks callbacks = {
        .on_loaded = store_on_loaded,
        .on_saved = store_on_saved,
        .on_closed = store_on_closed,
    };
    struct cursor_store_options options = {
        .conninfo = daemon->config->postgres.url,
        .schema = daemon->config->postgres.schema,
    };
    daemon->cursor_store = cursor_store_open(&daemon->loop, &options, &callbacks, daemon);
    marks_init(&daemon->marks, daemon->cursor_store, daemon->host.data);
}

static void open_workers(struct daemon *daemon)
{
    daemon->workforce = (struct workforce){
        .loop = &daemon->loop,
        .config = daemon->config,
        .stats = daemon->stats,
        .slot = daemon->slot.number,
        .on_one_closed = worker_on_closed,
        .owner = daemon,
    };
    workforce_open(&daemon->workforce);
}

static void open_courier(struct daemon *daemon)
{
    static const struct dead_letter_courier_callbacks callbacks = {
        .on_counted = courier_on_counted,
        .on_closed = courier_on_closed,
    };
    struct dead_letter_courier_options options = {.config = daemon->config,
                                                  .process_name = daemon->process_name};
    daemon->courier = dead_letter_courier_open(&daemon->loop, &options, &callbacks, daemon);
}

static void open_stages(struct daemon *daemon)
{
    daemon->state = DAEMON_RUNNING;
    open_cursor_store(daemon);
    open_workers(daemon);
    open_monitor(daemon);
    open_courier(daemon);
    open_ingester(daemon);
    daemon->console_sources.is_schema_ready = true;
    daemon->console_sources.monitor = daemon->monitor;
    daemon->console_sources.ingester = daemon->ingester;
    (void)uv_timer_start(&daemon->look_timer, look_on_time, LOOK_INTERVAL_MS, LOOK_INTERVAL_MS);
    (void)uv_timer_start(&daemon->progress_timer, progress_on_time, PROGRESS_INTERVAL_MS,
                         PROGRESS_INTERVAL_MS);
    log_info("standpipe", "running", LOG_TEXT("relay", daemon->host.data),
             LOG_TEXT("stream", daemon->config->stream.key),
             LOG_TEXT("group", daemon->config->stream.group),
             LOG_INT("threads", thread_count(daemon)),
             LOG_INT("pipelines", daemon->config->workers.pipelines),
             LOG_INT("postgres_connections", daemon->config->postgres.connections),
             LOG_TEXT("process", daemon->process_name));
}

static void schema_on_ready(void *owner)
{
    struct daemon *daemon = owner;
    daemon->is_schema_open = false;
    open_stages(daemon);
}

static void schema_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->is_schema_open = false;
    proceed(daemon);
}

/* A port that is taken is no reason not to ingest: it is said, and tried again at the next start. */
static void open_console(struct daemon *daemon)
{
    static const struct console_callbacks callbacks = {.on_closed = console_on_closed};
    struct error error;
    daemon->console_sources.config = daemon->config;
    daemon->console_sources.workers = daemon->stats;
    daemon->console_sources.worker_count = thread_count(daemon);
    daemon->console_sources.marks = &daemon->marks;
    if (daemon->config->http.listen[0] == '\0') {
        return;
    }
    daemon->console =
        console_open(&daemon->loop, &daemon->console_sources, &callbacks, daemon, &error);
    if (daemon->console == NULL) {
        log_error("http", "no page is served", LOG_TEXT("why", error.text),
                  LOG_TEXT("listen", daemon->config->http.listen));
    }
}

static void start(struct daemon *daemon)
{
    open_console(daemon);
    if (!daemon->config->postgres.migrate) {
        open_stages(daemon);
        return;
    }
    daemon->schema.owner = daemon;
    daemon->schema.on_ready = schema_on_ready;
    daemon->schema.on_closed = schema_on_closed;
    daemon->is_schema_open = true;
    schema_setup_start(&daemon->schema, &daemon->loop, daemon->config->postgres.url,
                       daemon->config->postgres.schema);
}

/* ---- stopping: ingester, workers, the last mark, then everything else --------------------------- */

static void close_handles(struct daemon *daemon)
{
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&daemon->look_timer, NULL);
    uv_close((uv_handle_t *)&daemon->progress_timer, NULL);
    uv_close((uv_handle_t *)&daemon->deadline_timer, NULL);
}

/* Redis does not answer: the mark in PostgreSQL stays a little behind, which only costs duplicates. */
static void saving_on_timeout(uv_timer_t *timer)
{
    proceed(timer->data);
}

/* One more look, so that the mark of what was just acknowledged is saved. */
static void start_saving(struct daemon *daemon)
{
    daemon->state = DAEMON_SAVING;
    if (daemon->monitor == NULL) {
        proceed(daemon);
        return;
    }
    (void)uv_timer_start(&daemon->look_timer, saving_on_timeout, LAST_LOOK_MS, 0);
    stream_monitor_look(daemon->monitor);
}

static void start_closing(struct daemon *daemon)
{
    daemon->state = DAEMON_CLOSING;
    (void)uv_timer_stop(&daemon->look_timer);
    if (daemon->monitor != NULL) {
        stream_monitor_close(daemon->monitor);
    }
    if (daemon->courier != NULL) {
        dead_letter_courier_close(daemon->courier, drain_left_ms(daemon) / 2);
    }
    if (daemon->console != NULL) {
        console_close(daemon->console);
    }
    if (daemon->cursor_store != NULL) {
        cursor_store_close(daemon->cursor_store, drain_left_ms(daemon));
    }
    proceed(daemon);
}

static void proceed(struct daemon *daemon)
{
    switch (daemon->state) {
    case DAEMON_STARTING:
    case DAEMON_RUNNING:
        return;
    case DAEMON_DRAINING:
        if (!daemon->is_schema_open && daemon->ingester == NULL && daemon->workforce.open == 0) {
            start_saving(daemon);
        }
        return;
    case DAEMON_SAVING:
        start_closing(daemon);
        return;
    case DAEMON_CLOSING:
        if (daemon->monitor == NULL && daemon->cursor_store == NULL && daemon->console == NULL &&
            daemon->courier == NULL && !uv_is_closing((uv_handle_t *)&daemon->signals[0])) {
            close_handles(daemon);
        }
        return;
    }
}

/* Whatever is still open had its time: it is given up in the order of the stop, without waiting. */
static void deadline_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    log_error("standpipe", "not drained in time, exiting with work undone",
              LOG_INT("timeout_ms", daemon->config->shutdown.timeout_ms),
              LOG_INT("workers_open", daemon->workforce.open));
    _exit(EXIT_FAILURE); /* what is not acknowledged stays pending for the next run */
}

static void start_draining(struct daemon *daemon, const char *signal_name)
{
    bool was_starting = daemon->state == DAEMON_STARTING;
    log_info("standpipe", "stopping", LOG_TEXT("signal", signal_name),
             LOG_INT("timeout_ms", daemon->config->shutdown.timeout_ms));
    daemon->state = DAEMON_DRAINING;
    daemon->console_sources.is_draining = true;
    daemon->drain_until_ms = clock_monotonic_ms() + daemon->config->shutdown.timeout_ms;
    (void)uv_timer_start(&daemon->deadline_timer, deadline_on_time,
                         daemon->config->shutdown.timeout_ms, 0);
    if (was_starting && daemon->is_schema_open) {
        schema_setup_close(&daemon->schema);
        return;
    }
    if (daemon->ingester != NULL) {
        ingester_close(daemon->ingester, drain_left_ms(daemon) / 2);
    }
    close_workers(daemon);
    proceed(daemon);
}

/* ---- signals ----------------------------------------------------------------------------------- */

static void on_stop_signal(uv_signal_t *handle, int signal_number)
{
    struct daemon *daemon = handle->data;
    const char *name = signal_number == SIGTERM ? "SIGTERM" : "SIGINT";
    if (daemon->state == DAEMON_STARTING || daemon->state == DAEMON_RUNNING) {
        start_draining(daemon, name);
        return;
    }
    log_warning("standpipe", "second signal, exiting at once", LOG_TEXT("signal", name));
    _exit(EXIT_FAILURE);
}

static void on_state_signal(uv_signal_t *handle, int signal_number)
{
    struct daemon *daemon = handle->data;
    (void)signal_number;
    if (daemon->state != DAEMON_RUNNING) {
        return;
    }
    if (daemon->ingester != NULL) {
        ingester_log_state(daemon->ingester);
    }
    workforce_log_state(&daemon->workforce);
    progress_log(&daemon->progress, daemon->stats, thread_count(daemon) + 1);
}

static void on_reload_signal(uv_signal_t *handle, int signal_number)
{
    (void)handle;
    (void)signal_number;
    log_warning("standpipe", "SIGHUP: this version does not reload, restart to apply a change",
                LOG_INT("pid", getpid()));
}

static void open_signals(struct daemon *daemon)
{
    static const struct {
        int number;
        uv_signal_cb callback;
    } wanted[SIGNAL_COUNT] = {
        {SIGTERM, on_stop_signal},
        {SIGINT, on_stop_signal},
        {SIGUSR1, on_state_signal},
        {SIGHUP, on_reload_signal},
    };
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        (void)uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        (void)uv_signal_start(&daemon->signals[i], wanted[i].callback, wanted[i].number);
    }
}

/* ---- the whole life ---------------------------------------------------------------------------- */

static void open_timers(struct daemon *daemon)
{
    uv_timer_t *timers[] = {&daemon->look_timer, &daemon->progress_timer, &daemon->deadline_timer};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        (void)uv_timer_init(&daemon->loop, timers[i]);
        timers[i]->data = daemon;
    }
}

static bool take_slot(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->config;
    struct buffer scope = {0};
    buffer_append_format(&scope, "%s|%s|%s|%s", config->redis.url, config->stream.key,
                         config->stream.group, config->workers.consumer_id);
    buffer_append_byte(&scope, '\0');
    bool is_taken = consumer_slot_take(&daemon->slot, scope.data, error);
    buffer_deinit(&scope);
    (void)snprintf(daemon->process_name, sizeof(daemon->process_name), "%s-%u",
                   config->workers.consumer_id, daemon->slot.number);
    return is_taken;
}

static struct worker_stats *allocate_stats(unsigned count)
{
    struct worker_stats *stats =
        aligned_alloc(_Alignof(struct worker_stats), sizeof(*stats) * count);
    if (stats == NULL) {
        PANIC("out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        worker_stats_init(&stats[i]);
    }
    return stats;
}

static void daemon_deinit(struct daemon *daemon)
{
    consumer_slot_release(&daemon->slot);
    buffer_deinit(&daemon->host);
    workforce_deinit(&daemon->workforce);
    free(daemon->stats);
    free(daemon);
}

bool daemon_run(const struct config *config, struct error *error)
{
    struct daemon *daemon = memory_allocate(sizeof(*daemon));
    daemon->config = config;
    daemon->slot.descriptor = -1;
    ASSERT(config->workers.threads > 0);
    daemon->stats = allocate_stats(thread_count(daemon) + 1);
    if (!take_slot(daemon, error) || uv_loop_init(&daemon->loop) != 0) {
        daemon_deinit(daemon);
        return false;
    }
    config_relay_host(config, &daemon->host);
    buffer_append_byte(&daemon->host, '\0');
    open_signals(daemon);
    open_timers(daemon);
    start(daemon);
    (void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&daemon->loop) == 0);
    log_info("standpipe", "stopped", LOG_INT("queued", daemon->marks.queued.sequence),
             LOG_INT("committed", daemon->marks.saved));
    daemon_deinit(daemon);
    return true;
}
