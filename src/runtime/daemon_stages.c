/* Wiring: opens each stage and joins what it says to the others. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "ingest/sequence.h"
#include "runtime/announcement.h"
#include "runtime/daemon_private.h"
#include "runtime/pressure.h"

enum {
    LOOK_INTERVAL_MS = 1000,
    CONSUMER_IDLE_MS = 600000, /* of a process that never came back under its name */
    LOOKS_PER_ANNOUNCEMENT = 5,
    PROGRESS_INTERVAL_MS = 60000,
    CONSOLE_RETRY_MS = 5000,
    PERCENT = 100,
};

static void worker_on_closed(void *owner)
{
    daemon_proceed(owner);
}

/* ---- marks, depth, progress -------------------------------------------------------------------- */

static void monitor_on_depth(void *owner, const struct stream_depth *depth)
{
    struct daemon *daemon = owner;
    counters_add(daemon_ingest_counters(daemon), COUNTER_TRIMMED, depth->trimmed);
    daemon->console_sources.depth = *depth;
    daemon->console_sources.depth.host = slice_of(NULL, 0); /* borrowed for this call */
    daemon->console_sources.depth.group_count = 0;          /* likewise */
    daemon->console_sources.depth.oldest_time = slice_of(NULL, 0);
    daemon->console_sources.oldest_event_us = sequence_parse_time(depth->oldest_time);
    daemon->console_sources.depth_at_ms = clock_monotonic_ms();
    daemon->console_sources.redis_trouble = (struct error){0};
    marks_note_depth(&daemon->marks, depth);
    mark_watch_note_depth(&daemon->mark_watch, depth);
    progress_note_depth(&daemon->progress, depth);
    stream_watch_note(&daemon->stream_watch, depth, clock_monotonic_ms());
    if (daemon->ingester != NULL) {
        const struct pressure_limits limits = {
            .max_backlog = daemon->config->stream.max_backlog,
            .max_backlog_bytes = daemon->config->stream.max_backlog_bytes,
        };
        ingester_on_depth(daemon->ingester, &limits, depth);
    }
    if (daemon->state == DAEMON_SAVING) {
        daemon_proceed(daemon);
    }
}

static void monitor_on_trouble(void *owner, const struct error *error)
{
    struct daemon *daemon = owner;
    daemon->console_sources.redis_trouble = *error;
}

static void monitor_on_rewound(void *owner, const struct stream_rewound *rewound)
{
    struct daemon *daemon = owner;
    mark_watch_note_rewound(&daemon->mark_watch, rewound);
}

static void look_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    if (daemon->monitor == NULL) { /* a reload is about to open it again */
        return;
    }
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
    progress_log(&daemon->progress, daemon->stats, daemon_thread_count(daemon) + 1);
}

/* ---- cursor store ------------------------------------------------------------------------------ */

static void store_on_loaded(void *owner, const struct cursor_found *found)
{
    struct daemon *daemon = owner;
    mark_watch_note_loaded(&daemon->mark_watch, found);
    if (daemon->ingester != NULL) {
        ingester_on_cursor_loaded(daemon->ingester, found);
    }
}

static void store_on_saved(void *owner, const struct cursor_row *row)
{
    struct daemon *daemon = owner;
    marks_note_saved(&daemon->marks, row);
    if (daemon->monitor != NULL) {
        stream_monitor_note_saved(daemon->monitor, (struct position){row->epoch, row->committed},
                                  row->tag);
    }
    if (daemon->ingester != NULL) {
        ingester_on_cursor_saved(daemon->ingester, row);
    }
}

static void store_on_refused(void *owner)
{
    struct daemon *daemon = owner;
    marks_note_refused(&daemon->marks);
    mark_watch_note_doubt(&daemon->mark_watch);
    if (daemon->ingester != NULL) {
        ingester_on_cursor_refused(daemon->ingester);
    }
}

static void store_on_connected(void *owner)
{
    struct daemon *daemon = owner;
    mark_watch_note_connected(&daemon->mark_watch);
}

static void store_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->cursor_store = NULL;
    daemon_proceed(daemon);
}

static void monitor_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->monitor = NULL;
    daemon->console_sources.monitor = NULL;
    daemon_proceed(daemon);
}

static void ingester_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->ingester = NULL;
    daemon->console_sources.ingester = NULL;
    daemon_proceed(daemon);
}

static void note_letters(struct daemon *daemon, const struct dead_letter_depth *depth)
{
    const struct config_stream *limits = &daemon->config->stream;
    bool are_too_many = depth->undecided >= limits->dead_letter_max ||
                        depth->undecided_bytes >= limits->dead_letter_max_bytes;
    daemon->console_sources.undecided_letters = depth->undecided;
    daemon->console_sources.are_letters_too_many = are_too_many;
    if (daemon->ingester != NULL) {
        ingester_on_letters(daemon->ingester, are_too_many);
    }
}

static void courier_on_counted(void *owner, const struct dead_letter_depth *depth,
                               const struct dead_letter_count *count)
{
    struct daemon *daemon = owner;
    daemon->console_sources.letters = *count;
    note_letters(daemon, depth);
}

void daemon_note_letters(struct daemon *daemon)
{
    struct dead_letter_depth depth = {0};
    if (daemon->courier != NULL) {
        depth = dead_letter_courier_depth(daemon->courier);
    }
    if (depth.is_known) {
        note_letters(daemon, &depth);
    }
}

static void courier_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->courier = NULL;
    daemon_proceed(daemon);
}

static void console_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->console = NULL;
    daemon_proceed(daemon);
}

/* ---- starting ---------------------------------------------------------------------------------- */

static void open_monitor(struct daemon *daemon)
{
    static const struct stream_monitor_callbacks callbacks = {
        .on_depth = monitor_on_depth,
        .on_trouble = monitor_on_trouble,
        .on_rewound = monitor_on_rewound,
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
        .consumer_idle_ms = CONSUMER_IDLE_MS,
    };
    daemon->console_sources.redis_trouble = (struct error){0}; /* of another address, maybe */
    daemon->monitor = stream_monitor_open(&daemon->loop, &options, &callbacks, daemon);
}

static void open_ingester(struct daemon *daemon)
{
    static const struct ingester_callbacks callbacks = {.on_closed = ingester_on_closed};
    struct ingester_options options = {
        .config = daemon->config,
        .cursor_store = daemon->cursor_store,
        .marks = &daemon->marks,
        .counters = daemon_ingest_counters(daemon),
        .totals = &daemon->relay_totals,
        .process_name = daemon->process_name,
        .has_started = &daemon->has_started,
    };
    daemon_take_host(daemon);
    if (daemon->config->ingest.mode != INGEST_NEVER) {
        daemon->ingester = ingester_open(&daemon->loop, &options, &callbacks, daemon);
    }
}

static void open_cursor_store(struct daemon *daemon)
{
    static const struct cursor_store_callbacks callbacks = {
        .on_loaded = store_on_loaded,
        .on_saved = store_on_saved,
        .on_refused = store_on_refused,
        .on_connected = store_on_connected,
        .on_closed = store_on_closed,
    };
    struct cursor_store_options options = {
        .conninfo = daemon->config->postgres.url,
        .schema = daemon->config->postgres.schema,
    };
    daemon->cursor_store = cursor_store_open(&daemon->loop, &options, &callbacks, daemon);
    marks_init(&daemon->marks, daemon->cursor_store, daemon->host.data);
    mark_watch_init(&daemon->mark_watch, &daemon->marks, &daemon->monitor,
                    daemon_ingest_counters(daemon));
}

/* A reload may have described tables anew, and rows are counted by a table's place in the description. */
static void move_rows(struct daemon *daemon)
{
    const struct tables *before = daemon->console_sources.tables;
    const struct tables *after = daemon->config->tables;
    for (unsigned i = 0; before != NULL && i < daemon_thread_count(daemon); i++) {
        worker_stats_move_rows(&daemon->stats[i], before, after);
    }
    daemon->console_sources.tables = after;
}

static void open_workers(struct daemon *daemon)
{
    move_rows(daemon);
    workforce_deinit(&daemon->workforce);
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

void daemon_open_stages(struct daemon *daemon, unsigned parts)
{
    static const struct {
        enum daemon_part part;
        void (*open)(struct daemon *daemon);
    } stages[] = {
        {PART_STORE, open_cursor_store}, {PART_WORKERS, open_workers},
        {PART_MONITOR, open_monitor},    {PART_COURIER, open_courier},
        {PART_INGESTER, open_ingester},
    };
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        if ((parts & stages[i].part) != 0) {
            stages[i].open(daemon); /* before what the part was opened with last may go */
            daemon_hold(daemon, stages[i].part);
        }
    }
    daemon->console_sources.monitor = daemon->monitor;
    daemon->console_sources.ingester = daemon->ingester;
}

static void start_stages(struct daemon *daemon)
{
    daemon->state = DAEMON_RUNNING;
    daemon_open_stages(daemon, ~0U);
    daemon->console_sources.is_schema_ready = true;
    (void)uv_timer_start(&daemon->look_timer, look_on_time, LOOK_INTERVAL_MS, LOOK_INTERVAL_MS);
    (void)uv_timer_start(&daemon->progress_timer, progress_on_time, PROGRESS_INTERVAL_MS,
                         PROGRESS_INTERVAL_MS);
    log_info("standpipe", "running", LOG_TEXT("relay", daemon->host.data),
             LOG_TEXT("stream", daemon->config->stream.key),
             LOG_TEXT("group", daemon->config->stream.group),
             LOG_INT("threads", daemon_thread_count(daemon)),
             LOG_INT("pipelines", daemon->config->workers.pipelines),
             LOG_INT("postgres_connections", daemon->config->postgres.connections),
             LOG_TEXT("process", daemon->process_name));
}

static void schema_on_ready(void *owner)
{
    struct daemon *daemon = owner;
    daemon->is_schema_open = false;
    daemon->console_sources.schema = NULL;
    start_stages(daemon);
}

static void schema_on_closed(void *owner)
{
    struct daemon *daemon = owner;
    daemon->is_schema_open = false;
    daemon->console_sources.schema = NULL;
    daemon_proceed(daemon);
}

/* A port that was taken may be free by now; until then the alert says that there are no pages. Where a name has to be
 * resolved first that may hold up the loop: it gets a hundredth of the time. */
static void retry_console(struct daemon *daemon)
{
    struct error error;
    uint64_t now_ms = clock_monotonic_ms();
    bool is_closed = daemon->console == NULL && daemon->config->http.listen[0] != '\0' &&
                     daemon->reload.state == RELOAD_IDLE && !daemon->console_sources.is_draining;
    if (is_closed && now_ms >= daemon->next_console_ms) {
        is_closed = !daemon_open_console(daemon, daemon->config, &error);
        uint64_t took_ms = clock_monotonic_ms() - now_ms;
        daemon->next_console_ms = now_ms + CONSOLE_RETRY_MS + PERCENT * took_ms;
    }
    daemon->console_sources.is_http_closed = is_closed;
}

static void watch_on_time(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    retry_console(daemon);
    watch_tick(&daemon->watch);
}

static void start_watch(struct daemon *daemon)
{
    struct console_sources *sources = &daemon->console_sources;
    sources->config = daemon->config;
    sources->process_name = daemon->process_name;
    sources->workers = daemon->stats;
    sources->worker_count = daemon_thread_count(daemon);
    sources->marks = &daemon->marks;
    sources->relay_totals = &daemon->relay_totals;
    sources->stream_watch = &daemon->stream_watch;
    sources->reload = &daemon->reload.report;
    watch_init(&daemon->watch, sources);
    (void)uv_timer_start(&daemon->watch_timer, watch_on_time, WATCH_INTERVAL_MS, WATCH_INTERVAL_MS);
}

bool daemon_open_console(struct daemon *daemon, const struct config *config, struct error *error)
{
    static const struct console_callbacks callbacks = {.on_closed = console_on_closed};
    daemon->console =
        console_open(&daemon->loop, &daemon->watch, config, &callbacks, daemon, error);
    return daemon->console != NULL;
}

void daemon_start_schema(struct daemon *daemon)
{
    if (!daemon->config->postgres.migrate) {
        start_stages(daemon);
        return;
    }
    daemon_hold(daemon, PART_SCHEMA);
    daemon->schema = (struct schema_setup){
        .owner = daemon, .on_ready = schema_on_ready, .on_closed = schema_on_closed};
    daemon->is_schema_open = true;
    daemon->console_sources.schema = &daemon->schema;
    schema_setup_start(&daemon->schema, &daemon->loop, daemon->config);
}

/* A port that is taken is no reason not to ingest: it is said, and tried again. */
void daemon_start(struct daemon *daemon)
{
    struct error error;
    start_watch(daemon);
    daemon->next_console_ms = clock_monotonic_ms() + CONSOLE_RETRY_MS;
    if (daemon->config->http.listen[0] != '\0' &&
        !daemon_open_console(daemon, daemon->config, &error)) {
        log_error("http", "no page is served", LOG_TEXT("why", error.text),
                  LOG_TEXT("listen", daemon->config->http.listen));
    }
    daemon_start_schema(daemon);
}
